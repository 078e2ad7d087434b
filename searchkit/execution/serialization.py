"""Tasks as bytes that can be sent to any process, and how a process runs a job of a task."""

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

EvaluationTask = tuple[Evaluation, tuple[str, ...], float | None]  # evaluation, needed metrics, limit in seconds

_turn = threading.Lock()  # for evaluations of which a process may run only one at a time


def packed(task: EvaluationTask) -> bytes:
    """The task as bytes. It is packed once, so that data are sent once to each worker, and not with every candidate."""
    what = task[0].user_function  # the function that searchkit's wrappers contain
    name = getattr(what, "__qualname__", type(what).__qualname__)
    return pickled(task, name, "open files, locks and connections inside the function, or use executor=None")


def pickled(what: object, called: str, advice: str) -> bytes:
    """An object as bytes that any process can load.

    Raises:
        SearchkitError: it cannot be pickled; the message names it ``called`` and ends with the advice. Or its own, of
            what it makes before it is sent, such as weights that are trained once.
    """
    import cloudpickle

    try:
        sent: bytes = cloudpickle.dumps(what)
    except SearchkitError:
        raise
    except Exception as error:
        raise SearchkitError(
            f"{called} cannot be sent to worker processes ({type(error).__name__}: {error}): {advice}"
        ) from error
    return sent


def unpack(task: bytes) -> None:
    """Unpack a task in a worker, which loads what it needs, before the first job does."""
    _unpacked(task)


def work_on(task: EvaluationTask | bytes, job: Job, home: str = "") -> Outcome:
    """Run one job. An ``exclusive`` evaluation first waits for others in the process, which does not count as its time.

    Args:
        home: the machine that searches. On any other machine, the file that a full evaluation wrote
            (``evaluate.written(code)``) is returned with the outcome.
    """
    evaluate, needed, limit = _unpacked(task) if isinstance(task, bytes) else task
    with _turn if evaluate.exclusive else contextlib.nullcontext():
        outcome = attempt(evaluate, job, needed, limit)
    in_full = job.rung is None and outcome.reason is None
    path = evaluate.written(job.code, job.final is not None) if in_full and home else None
    if path is None or home == machine():
        return outcome
    return replace(outcome, files={str(path): path.read_bytes()})


def unpack_files(outcome: Outcome) -> None:
    """Write the files that were returned with an outcome, on the machine that searches.

    Raises:
        WritingError: one cannot be written.
    """
    if not outcome.files:
        return
    from searchkit.training.weights import writing

    for name, content in outcome.files.items():
        with writing(Path(name)) as partial:
            partial.write_bytes(content)


def machine() -> str:
    """A text that differs between machines, and between containers of one machine."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{platform.node()} {boot.read_text().strip() if boot.exists() else uuid.getnode()}"


@functools.lru_cache(maxsize=1)  # a process unpacks a task with its data once
def _unpacked(sent: bytes) -> EvaluationTask:
    task: EvaluationTask = pickle.loads(sent)
    return task
