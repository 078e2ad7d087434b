"""What is evaluated, as bytes that any kind of process can be sent, and what such a process does with them."""

from __future__ import annotations

import contextlib
import functools
import pickle
import platform
import threading
import uuid
from dataclasses import replace
from pathlib import Path

from searchkit.errors import SearchkitError
from searchkit.execution.outcome import Job, Outcome, attempt
from searchkit.training.evaluation import Evaluation

Task = tuple[Evaluation, tuple[str, ...], float | None]  # evaluate, the values it needs to bring, seconds it may take

_turn = threading.Lock()  # of evaluations that threads of one process must not run at the same time


def packed(task: Task) -> bytes:
    """The task as bytes, made once; data travel to each worker once and not with every candidate."""
    import cloudpickle

    try:
        sent: bytes = cloudpickle.dumps(task)
    except Exception as error:
        what = task[0].user_function  # inside our wrappers
        name = getattr(what, "__qualname__", type(what).__qualname__)
        raise SearchkitError(
            f"{name} cannot be sent to worker processes ({type(error).__name__}: {error}): open files, locks and "
            "connections inside the function, or use executor=None"
        ) from error
    return sent


def work_on(task: Task | bytes, job: Job, home: str = "") -> Outcome:
    """One evaluation; alone in its process where it says that it is ``exclusive``, the wait not counted as its time.

    Args:
        home: the machine of the driver; from another one, what a full evaluation wrote (``evaluate.written(code)`` says
            where) goes back with the outcome.
    """
    evaluate, needed, limit = _unpacked(task) if isinstance(task, bytes) else task
    with _turn if evaluate.exclusive else contextlib.nullcontext():
        outcome = attempt(evaluate, job, needed, limit)
    in_full = job.rung is None and outcome.reason is None
    path = evaluate.written(job.code) if in_full and home else None
    if path is None or home == machine():
        return outcome
    return replace(outcome, files={str(path): path.read_bytes()})


def unpack_files(outcome: Outcome) -> None:
    """Write, on the driver's machine, what came back with an outcome."""
    for name, content in outcome.files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(content)
        partial.replace(path)


def machine() -> str:
    """What tells machines, and containers of one machine, apart."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{platform.node()} {boot.read_text().strip() if boot.exists() else uuid.getnode()}"


@functools.lru_cache(maxsize=1)  # a process unpacks a task, and the data in it, once
def _unpacked(sent: bytes) -> Task:
    task: Task = pickle.loads(sent)
    return task
