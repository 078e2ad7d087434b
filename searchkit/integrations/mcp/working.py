"""Tools that search and score: each call is made in a process of its own (``worker.py``)."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

from searchkit import plugins
from searchkit.errors import SearchkitError, SpaceError, UnknownNameError
from searchkit.integrations.mcp.inputs import ScoreInput, SearchInput
from searchkit.integrations.mcp.outputs import Found, Scored, listed, rows_of
from searchkit.integrations.mcp.said import Tell, heard
from searchkit.integrations.mcp.settings import Settings
from searchkit.problem.trial import State, Trial

if TYPE_CHECKING:
    from searchkit.data.data import Data
    from searchkit.results.result import Result
    from searchkit.space import NetworkSpace


MOST_ROWS = 50  # of a front that a search returns


class Parts(TypedDict):
    """The data of a call and the seed of their split, as searchkit.run takes them."""

    data: str | Data | None
    split_seed: int


def check_search(given: SearchInput, settings: Settings) -> None:
    """Refuse what the server does not allow, before a process begins.

    Raises:
        SearchkitError: of what.
    """
    settings.check_seconds(given.seconds)
    settings.workers(given.workers)


def search(given: SearchInput, settings: Settings, tell: Tell) -> Found:
    """Search, and return the front; progress is told with every candidate."""
    from searchkit.api import run
    from searchkit.preview import plan
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
        "start": [load(one, settings.storage) if isinstance(one, str) else one for one in given.start],
        "budget": budget or {"seconds": settings.usual_seconds},
        "executor": None if workers == 1 else workers,
        "storage": settings.storage,
        "progress": False,
    }
    if given.proxies == []:
        arguments["proxies"] = "none"
    with heard() as said:
        if given.plan_only:
            planned = plan(**arguments)
            return {"plan": [*planned.about, *planned.lines], "said": said}
        result = run(**arguments, callbacks=[_Telling(tell, given.budget)])
    return _found(result) | {"said": said}


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


class _Telling:
    """A callback of a search that tells its progress."""

    def __init__(self, tell: Tell, total: int | None) -> None:
        self._tell, self._total = tell, total
        self._names: tuple[str, ...] = ()

    def on_start(self, result: Result) -> None:
        """Take the names of the objectives."""
        self._names = tuple(result.goals.names)

    def __call__(self, trial: Trial, trials: Sequence[Trial]) -> None:
        done = sum(one.finished for one in trials)
        known = {name: trial.values[name] for name in self._names if name in trial.values}
        values = ", ".join(f"{name} {x:.4g}" for name, x in known.items() if math.isfinite(x))
        outcome = values if trial.state is State.SCORED else trial.reason or str(trial.state)
        self._tell(
            float(done), None if self._total is None else float(self._total), f"candidate {trial.number}: {outcome}"
        )


def _found(result: Result) -> Found:
    found: Found = {
        "study": result.name,
        "stopped": result.stopped,
        "candidates": len(result.trials),
        "front": rows_of(result.front[:MOST_ROWS]),
        "left_out": max(0, len(result.front) - MOST_ROWS),
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


def _space(name: str | None, options: Mapping[str, object] | None) -> str | NetworkSpace | None:
    if not options:
        return name
    if name is None:
        raise SpaceError("space_options needs space")
    return plugins.load_space_for_data(name, **options)


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
