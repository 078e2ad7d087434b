"""What is evaluated, as bytes that any kind of process can be sent, and what such a process does with them."""

from __future__ import annotations

import contextlib
import functools
import pickle
import threading

from searchkit.attempt import Evaluate, Job, Outcome, attempt
from searchkit.errors import SearchkitError

Task = tuple[Evaluate, tuple[str, ...], float | None]  # evaluate, the values it needs to bring, seconds it may take

_turn = threading.Lock()  # of evaluations that threads of one process must not run at the same time


def packed(task: Task) -> bytes:
    """The task as bytes, made once; data travel to each worker once and not with every candidate."""
    import cloudpickle

    try:
        sent: bytes = cloudpickle.dumps(task)
    except Exception as error:
        what = getattr(task[0], "function", task[0])  # the user's own inside our wrapper
        name = getattr(what, "__qualname__", type(what).__qualname__)
        raise SearchkitError(
            f"{name} cannot be sent to worker processes ({type(error).__name__}: {error}): open files, locks and "
            "connections inside the function, or use executor=None"
        ) from error
    return sent


def work_on(task: Task | bytes, job: Job) -> Outcome:
    """One evaluation; alone in its process where it says that it is ``exclusive``, the wait not counted as its time."""
    evaluate, needed, limit = _unpacked(task) if isinstance(task, bytes) else task
    with _turn if getattr(evaluate, "exclusive", False) else contextlib.nullcontext():
        return attempt(evaluate, job, needed, limit)


@functools.lru_cache(maxsize=1)  # a process unpacks a task, and the data in it, once
def _unpacked(sent: bytes) -> Task:
    task: Task = pickle.loads(sent)
    return task
