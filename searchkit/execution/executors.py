"""Pools, which evaluate candidates for a search, and the values that ``executor=`` accepts."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex

from searchkit import plugins
from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.execution.at_work import noted, suspicion
from searchkit.execution.executor_compat import n_workers
from searchkit.execution.external import ExternalPool
from searchkit.execution.gpu_placement import visible_cards
from searchkit.execution.outcome import Job, Outcome, attempt
from searchkit.execution.processes import Workers, apart
from searchkit.training.evaluation import Evaluate, Evaluation, as_evaluation

if TYPE_CHECKING:  # it imports torch, without which workers that evaluate functions start in a fraction of the time
    from searchkit.execution.interleaved import Interleaved


INTERLEAVED = "interleaved"


class Pool(Protocol):
    """Evaluates jobs for a search.

    Attributes:
        workers: how many jobs it evaluates at the same time.
    """

    workers: int

    def submit(self, number: int, job: Job) -> None:
        """Take a job. The caller identifies it by ``number``, which must differ from those of all unfinished jobs."""
        ...

    def wait(self) -> list[tuple[int, Outcome]]:
        """``(number, outcome)`` of all jobs that finished since the last call; waits until there is at least one."""
        ...

    def discard(self) -> None:
        """Forget all submitted jobs; those that have not begun need not run."""
        ...

    def close(self) -> None:
        """Stop all processes and executors that were started for the search."""
        ...


READY = 60.0  # seconds for which workers are waited for before a search whose time is planned


def get_ready(pool: Pool) -> None:
    """Wait until the pool's processes can work, for a minute at most; their first jobs show which cannot."""
    begin: Callable[[float], None] | None = getattr(pool, "get_ready", None)
    if begin is not None:
        begin(READY)


def as_they_finish(pool: Pool, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
    """Evaluate jobs and yield ``(index of the job, outcome)``; if the caller stops early, the rest is discarded."""
    for i, job in enumerate(jobs):
        pool.submit(i, job)
    n = 0
    try:
        while n < len(jobs):
            for done in pool.wait():
                n += 1
                yield done
    finally:
        pool.discard()


class InProcess:
    """Evaluates jobs in this process, one after another; one that ended it twice in a process of its own."""

    workers = 1

    def __init__(self, evaluate: Evaluate, needed: tuple[str, ...], limit: float | None) -> None:
        self._task = (evaluate, needed, limit)
        self._jobs: dict[int, Job] = {}

    def submit(self, number: int, job: Job) -> None:
        """Add a job to the queue."""
        self._jobs[number] = job

    def wait(self) -> list[tuple[int, Outcome]]:
        """Evaluate the first job of the queue."""
        evaluate, needed, limit = self._task
        number = next(iter(self._jobs))
        job = self._jobs.pop(number)
        why = suspicion(job.code)
        if why is not None:
            return [(number, apart(evaluate, job, why, needed, limit))]
        with noted(job.code):
            return [(number, attempt(evaluate, job, needed, limit))]

    def discard(self) -> None:
        """Empty the queue."""
        self._jobs.clear()

    def close(self) -> None:
        """Nothing to stop."""


def open_executor(
    executor: object,
    evaluate: Evaluate,
    needed: tuple[str, ...],
    limit: float | None = None,
    workers: int | None = None,
    any_card: bool = False,
) -> InProcess | Interleaved | Workers | ExternalPool:
    """Open the pool that ``executor=`` stands for.

    Args:
        executor: None (this process, one after another), a number of processes, a name, or an executor object.
        evaluate: a function or evaluation of candidates.
        needed: the metrics that it must return.
        limit: seconds per candidate.
        workers: number of jobs at the same time; None: the number that the executor reports.
        any_card: if training on GPUs, each worker process uses one of the visible cards, and "interleaved" uses all of
            them.

    Raises:
        SearchkitError: ``executor`` is none of these, or ``evaluate`` cannot be sent to another process.
    """
    evaluation = as_evaluation(evaluate)
    device = evaluation.device_name
    if executor == INTERLEAVED:
        return _interleaved(evaluation, needed, limit, workers, any_card)
    n = n_processes(executor)
    if workers is not None and (executor is None or n is not None):
        raise SearchkitError(
            f"workers={workers} is the number of candidates that an executor object evaluates at the same time, and "
            f"executor={executor!r} is no such object: write executor={workers} for that number of processes"
        )
    if executor is None:
        return InProcess(evaluation, needed, limit)
    if n is not None and n > 0:
        on_cards = any_card and device.startswith("cuda")
        return Workers(n, evaluation, needed, limit, visible_cards() if on_cards else ())
    opened: Any = _named(executor, device) if isinstance(executor, str) else executor
    if not callable(getattr(opened, "submit", None)):
        raise SearchkitError(
            f"executor {executor!r} is not known: give None, a number of processes, a name such as "
            "'interleaved' or 'ray', or a concurrent.futures executor"
        )
    return ExternalPool(
        opened, evaluation, needed, limit, workers or n_workers(opened), owned=isinstance(executor, str)
    )


def workers_of(executor: Any, workers: int | None) -> int:
    """How many candidates an executor will evaluate at the same time, as far as that is known before it is opened."""
    if executor is None:
        return 1
    if executor == INTERLEAVED:
        from searchkit.execution.interleaved import AT_ONCE

        return workers or AT_ONCE
    n = n_processes(executor)
    if n is not None:
        return max(1, n)
    return workers or (1 if isinstance(executor, str) else n_workers(executor))


def check_executor(executor: object) -> None:
    """Refuse an unknown name of an executor, before any work.

    Raises:
        UnknownNameError: the message lists the known names.
    """
    if isinstance(executor, str) and executor != INTERLEAVED:
        _factory(executor)


def is_external(executor: object) -> bool:
    """Whether the executor may evaluate on another machine."""
    return executor is not None and executor != INTERLEAVED and n_processes(executor) is None


def _interleaved(
    evaluation: Evaluation, needed: tuple[str, ...], limit: float | None, each: int | None, any_card: bool
) -> Interleaved:
    from searchkit.execution.interleaved import AT_ONCE, Interleaved, Place

    device = evaluation.device_name
    if not evaluation.takes_turns:
        raise SearchkitError(
            f"executor='{INTERLEAVED}' trains several networks in turns, but this search trains none: write "
            "executor=4 for four processes, or leave executor out"
        )
    if not device.startswith("cuda"):
        return Interleaved([Place(evaluation)], needed, limit, each or AT_ONCE)
    import torch

    from searchkit.costs.gpu_memory import DeviceMemory

    cards = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if any_card else [device]
    places = [Place(evaluation.on(card), DeviceMemory(torch.device(card))) for card in cards]
    return Interleaved(places, needed, limit, each or AT_ONCE)


def _named(executor: str, device: str) -> Any:
    """Make an executor by name: "ray" or, with an address, "ray://head:10001"; on GPUs, each candidate gets one GPU."""
    if device.startswith("cuda:") and device != "cuda:0":
        raise SearchkitError(
            f"executor {executor!r} gives each candidate its own GPU, whose name is cuda:0 in the worker: write "
            f"device='cuda', not {device!r}"
        )
    address = executor if "://" in executor else None
    return _factory(executor)(address, gpus=1 if device.startswith("cuda") else 0)


def _factory(executor: str) -> Callable[..., Any]:
    name = executor.partition("://")[0]
    allowed = sorted([INTERLEAVED, *plugins.names("executor")])
    if name not in allowed:
        unknown = UnknownNameError.of("executor", name, allowed)
        raise UnknownNameError(f"{unknown} A whole number is that many processes.")
    factory: Callable[..., Any] = plugins.resolve("executor", name)
    return factory


def n_processes(value: object) -> int | None:
    """The number of processes that ``executor=`` asks for; None where it is not a whole number, or a bool."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None
