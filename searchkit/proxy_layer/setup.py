"""The proxy layer of one search: proxies are read and made, scores kept, and their predictions judged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from searchkit import plugins
from searchkit.blocks.additive import blocks_if_listed
from searchkit.errors import SearchkitError
from searchkit.execution.executors import n_processes
from searchkit.problem.problem import Problem, Strategy
from searchkit.proxy_layer.automatic import AUTO, NONE
from searchkit.proxy_layer.score_cache import ScoreCache
from searchkit.proxy_layer.screening import Screen
from searchkit.proxy_layer.signals import Known, Signals
from searchkit.runtime.fingerprint import fingerprint
from searchkit.scoring.registry import Configured
from searchkit.search.task import Task
from searchkit.space import NetworkSpace, Space
from searchkit.storage.record import Record
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    from searchkit.proxy_layer.scoring_time import ScoringTime
    from searchkit.scoring.registry import AnyProxy
    from searchkit.scoring.scorer import Scorer

DEFAULT = ("params", "macs", "jacov", "naswot", "synflow", "grad_norm", "az_nas")  # what "default" stands for
TRUST = "trust"  # the note of a record with how well each proxy predicted
IN_SEARCH = (*DEFAULT, "mathnas")  # what it stands for in a search, whose results block values are learned from


def suiting(names: Sequence[str], space: Space) -> tuple[str, ...]:
    """Those of a set that nobody named one by one that a space allows: block values need blocks that can be listed."""
    return tuple(name for name in names if name != "mathnas" or blocks_if_listed(space) is not None)


def read_proxies(given: object, default: Sequence[str] = DEFAULT) -> list[Any]:
    """Names and objects from what a user writes; "default" is spelt out, without what is named beside it.

    "none", alone, is as nothing.

    Args:
        default: what "default" stands for.

    Raises:
        UnknownNameError: a name that nothing is registered under.
        SearchkitError: something that is neither a name nor a proxy.
    """
    listed = [] if given is None or given == NONE else [given] if isinstance(given, str) else given
    if not isinstance(listed, list | tuple | set):
        raise SearchkitError(f"proxies are names, such as ('eproxy', 'synflow'), not {given!r}")
    if isinstance(listed, set):  # whose order differs from process to process
        listed = sorted(listed, key=str)
    proxies: list[Any] = []
    for proxy in listed:
        if proxy == "default":
            proxies += [name for name in default if name not in listed]
        elif proxy == AUTO:
            raise SearchkitError(f"proxies='{AUTO}' chooses them by itself: give it alone, or names without it")
        elif isinstance(proxy, str):
            plugins.resolve("proxy", proxy)
            proxies.append(proxy)
        elif hasattr(proxy, "score") or hasattr(proxy, "passes") or isinstance(proxy, Configured):
            proxies.append(proxy)
        else:
            raise SearchkitError(f"a proxy is a name or an object with score(codes), not {proxy!r}")
    return proxies


def name_of(proxy: object) -> str:
    """What records and tables call a proxy."""
    if isinstance(proxy, str):
        return proxy
    return str(getattr(proxy, "name", None) or ",".join(getattr(proxy, "names", (type(proxy).__name__,))))


class Asked(Protocol):
    """What the proxy layer is told of a search: the options of a call."""

    @property
    def task(self) -> Task: ...
    @property
    def signals(self) -> Sequence[str | AnyProxy]: ...
    @property
    def automatic(self) -> bool: ...
    @property
    def screen(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def here(self) -> str: ...
    @property
    def executor(self) -> Any: ...
    @property
    def folder(self) -> Path | None: ...


def open_scorer(asked: Asked) -> Scorer:
    """The proxies made for the task's space and data; raises for one that cannot work on these, before any work."""
    from searchkit.scoring.scorer import Scorer

    task = asked.task
    return Scorer(
        task.space,
        asked.signals,
        task.images,
        device=asked.here,
        seed=asked.seed,
        executor=asked.executor,
        folder=asked.folder,
        workers=_scoring_workers(task, asked.signals, asked.here, asked.executor),
        warns=not asked.automatic,  # of proxies that nobody asked for
    )


def _scoring_workers(task: Task, proxies: Sequence[Any], device: str, executor: Any) -> int | None:
    """Number of processes that score: as many as train, since these wait while a batch is scored.

    Where scoring takes long they save time (Eproxy on two cores, batches of four: 45 s instead of 78 s); where it is
    quick they are not started, or cost hardly any time. None, for this process alone, on a card, where each would
    hold memory that trainings need.
    """
    from searchkit.runtime.devices import resolve_device
    from searchkit.scoring.pool import can_be_sent

    n = n_processes(executor)
    if n is None or n < 2:
        return None
    if resolve_device(device).type != "cpu" or not can_be_sent(task.space, *proxies):
        return None
    return n


def open_screen(
    asked: Asked, problem: Problem, scorer: Scorer, record: Record, strategy: Strategy, time: ScoringTime | None = None
) -> Screen:
    """The proxy layer, with the scores that the record holds.

    A strategy with a model of its own takes turns with it; see :class:`Screen`.

    Args:
        time: how long scores may take; None: as long as they do.
    """
    task = asked.task
    images = getattr(task.images, "fingerprint", None)
    proxies = [list(asked.signals), *scorer.network_proxies]
    kept = ScoreCache(record, scorer, fingerprint(proxies, images, task.space.describe(), asked.seed))
    signals = Signals(
        task.space, scorer.names, scorer, task.goals, known=task.counted, baselines=_counts(task.space),
        seed=asked.seed, learners=scorer.learners, judged=task.judged,
    )  # fmt: skip
    return Screen(problem, signals, asked.screen, asked.seed, kept, getattr(strategy, "models", False), time)


def _counts(space: Space) -> Known | None:
    """params and macs of a space of networks."""
    if not isinstance(space, NetworkSpace):
        return None

    def counted(codes: Codes) -> Mapping[str, Floats]:
        from searchkit.costs.counts import space_counts

        return space_counts(space, codes)

    return counted


def report(screen: Screen, record: Record) -> list[dict[str, Any]]:
    """How well each proxy predicted, as rows; kept with the study."""
    if not screen.judges:  # it would be scored only to be told of
        return list(record.notes(TRUST) or [])
    table = screen.signals.trust
    rows = [{str(key): _plain(value) for key, value in row.items()} for row in table.to_dict("records")]
    record.note(TRUST, rows)
    if screen.kept is not None:
        screen.kept.write()
    return rows


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
