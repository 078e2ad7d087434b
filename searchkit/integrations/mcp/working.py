"""Tools that train, score or write: each call is made in a process of its own (``worker.py``)."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypedDict

from searchkit import plugins
from searchkit.errors import SearchkitError, SpaceError, UnknownNameError
from searchkit.integrations.mcp.inputs import CompressInput, ExportInput, ScoreInput, SearchInput
from searchkit.integrations.mcp.outputs import Exported, Found, Scored, Shrunk, listed, rows_of
from searchkit.integrations.mcp.settings import Settings
from searchkit.problem.trial import State, Trial
from searchkit.results.formats.table import format_of

if TYPE_CHECKING:
    from searchkit.data.data import Data
    from searchkit.results.result import Result
    from searchkit.space import NetworkSpace

Tell = Callable[[float, float | None, str], None]  # progress, of how much, and what happened
LONGEST = 30  # messages that a call returns


class Parts(TypedDict):
    """The data of a call and the seed of their split, as searchkit.run takes them."""

    data: str | Data | None
    split_seed: int


@contextmanager
def heard() -> Iterator[list[str]]:
    """What searchkit says inside, the last of it."""
    said: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())
            del said[:-LONGEST]

    keeping, log = Keeping(logging.INFO), logging.getLogger("searchkit")
    log.addHandler(keeping)
    try:
        yield said
    finally:
        log.removeHandler(keeping)


def check_search(given: SearchInput, settings: Settings) -> None:
    """Refuse what the server does not allow, before a process begins.

    Raises:
        SearchkitError: of what.
    """
    settings.check_seconds(given.seconds)
    settings.workers(given.workers)


def search(given: SearchInput, settings: Settings, tell: Tell) -> Found:
    """Search, and return the front; progress is told with every candidate."""
    from searchkit.api import plan, run
    from searchkit.results.studies import load

    budget: dict[str, float | None] | None = {
        name: amount
        for name, amount in (("evaluations", given.budget), ("seconds", given.seconds))
        if amount is not None
    }
    workers = settings.workers(given.workers)
    arguments = given.model_dump(
        include={"strategy", "screen", "verify", "evaluation", "batch", "device", "name", "seed", "epochs", "recipe",
                 "time_limit", "objectives", "proxies", "baselines"}
    )  # fmt: skip
    arguments |= {
        "space": _space(given.space, given.space_options),
        **_parts(given.data, given.data_options, given.split_seed),
        "constraints": {name: _bound(name, bound) for name, bound in (given.constraints or {}).items()},
        "earlier": [load(name, settings.storage) for name in given.earlier],
        "budget": budget or {"seconds": settings.usual_seconds},
        "executor": None if workers == 1 else workers,
        "storage": settings.storage,
        "progress": False,
    }
    if given.proxies == []:
        arguments["proxies"] = "none"
    with heard() as said:
        if given.plan_only:
            return {"plan": list(plan(**arguments).lines), "said": said}
        result = run(**arguments, callbacks=[_Telling(tell, given.budget)])
    return _found(result) | {"said": said}  # type: ignore[return-value]


def score(given: ScoreInput, settings: Settings, tell: Tell) -> Scored:
    """Score candidates with proxies; nothing is trained."""
    from searchkit.proxy_layer.ranking import score as table_of

    with heard() as said:
        table = table_of(
            _space(given.space, given.space_options),
            given.candidates,
            proxies=given.proxies,
            values=given.values,
            workers=settings.workers(given.workers),
            device=given.device,
            seed=given.seed,
            **_parts(given.data, given.data_options, given.split_seed),
        )
    found: Scored = {"candidates": rows_of(table), "said": said}
    trust = table.attrs.get("trust")
    return found if trust is None else found | {"trust": rows_of(trust)}


def check_export(given: ExportInput, settings: Settings) -> None:
    """Refuse what the server does not allow, and formats that are not there.

    Raises:
        SearchkitError: of what.
    """
    settings.target(given.to)
    format_of(given.format)


def export(given: ExportInput, settings: Settings, tell: Tell) -> Exported:
    """Write a network of a front into the server's folder, checked against the measured one."""
    from searchkit.results.export import export as written
    from searchkit.results.studies import load

    result, target = load(given.study, settings.storage), settings.target(given.to)
    with heard() as said:
        trial = _row(result, given.row)
        files = written(result, trial, target, given.precision, given.data, given.format)
    return {"files": [str(file) for file in files], "bytes": [file.stat().st_size for file in files], "said": said}


def check_compress(given: CompressInput, settings: Settings) -> None:
    """Refuse what the server does not allow: a function of the user's is imported and called.

    Raises:
        SearchkitError: of what.
    """
    if not settings.allow_code:
        raise SearchkitError(
            f"compress would import and call {given.model}, which this server does not: it has to be started with "
            "--allow-code"
        )
    settings.check_seconds(given.seconds)
    settings.workers(given.workers)
    if given.export_to is not None:
        settings.target(given.export_to)


def compress(given: CompressInput, settings: Settings, tell: Tell) -> Shrunk:
    """Make a trained network fit bounds on its cost, and write the best one where that is asked for."""
    from searchkit.compressing import compress as shrunk
    from searchkit.compressing.by_name import model_of

    check_compress(given, settings)
    workers = settings.workers(given.workers)
    with heard() as said:
        result = shrunk(
            model_of(given.model),
            given.data,
            constraints=given.constraints,
            epochs=given.epochs,
            seconds=given.seconds,
            networks=given.networks,
            recipe=given.recipe,
            executor=None if workers == 1 else workers,
            storage=settings.storage,
            name=given.name,
            seed=given.seed,
            device=given.device,
            progress=False,
        )
        wanted = given.export_to is not None and len(result.delivered)
        files = result.export(0, settings.target(given.export_to or "")) if wanted else []
    return {
        "study": result.name,
        "stopped": result.stopped,
        "original": dict(result.original),
        "bounds": dict(result.bounds),
        "networks": rows_of(result.delivered),
        "files": [str(file) for file in files],
        "said": said,
    }


class _Telling:
    """A callback of a search that tells its progress."""

    def __init__(self, tell: Tell, total: int | None) -> None:
        self._tell, self._total = tell, total

    def __call__(self, trial: Trial, trials: Sequence[Trial]) -> None:
        done = sum(one.finished for one in trials)
        values = ", ".join(f"{name} {x:.4g}" for name, x in list(trial.values.items())[:3] if math.isfinite(x))
        outcome = values if trial.state is State.SCORED else trial.reason or str(trial.state)
        self._tell(float(done), None if self._total is None else float(self._total), f"{trial.number}: {outcome}")


def _found(result: Result) -> Found:
    found: Found = {
        "study": result.name,
        "stopped": result.stopped,
        "candidates": len(result.trials),
        "front": rows_of(result.front),
        "nothing": result.nothing,
        "said": [],
    }
    if result.simple:
        found["baselines"] = listed(result.simple)
    if len(result.verified):
        found["verified"] = rows_of(result.verified)
    if len(result.signals):
        found["signals"] = rows_of(result.signals)
    return found


def _row(result: Result, row: int) -> Trial:
    """The candidate in a row of a front; a SearchkitError where there is none."""
    n = len(result.front)
    if not 0 <= row < n:
        there = f"has rows 0 to {n - 1}, not {row}" if n else f"is empty: {result.nothing}"
        raise SearchkitError(f"the front of '{result.name}' {there}")
    column = "trial (record)" if "trial (record)" in result.front else "trial"
    return result.trials[int(result.front[column][row])]


def _space(name: str | None, options: Mapping[str, object] | None) -> str | NetworkSpace | None:
    if not options:
        return name
    if name is None:
        raise SpaceError("space_options needs space")
    return plugins.load_space(name, **options)


def _parts(data: str | None, options: Mapping[str, object] | None, split_seed: int) -> Parts:
    """The data, loaded where options say how, and the seed of their split."""
    if not options:
        return {"data": data, "split_seed": split_seed}
    from searchkit.data.loading import load_data

    allowed = [name for name in inspect.signature(load_data).parameters if name not in ("data", "seed", "transform")]
    for name in options:
        if name not in allowed:
            raise UnknownNameError.of("data option", name, allowed)
    return {"data": load_data(data, seed=split_seed, **options), "split_seed": 0}  # type: ignore[arg-type]


def _bound(name: str, bound: float | Sequence[float | None]) -> float | tuple[float | None, float | None]:
    if isinstance(bound, int | float):
        return bound
    if len(bound) != 2:
        raise SearchkitError(f"a bound is a number or [low, high], with null for none; that of {name} is {list(bound)}")
    return bound[0], bound[1]
