"""Simple models beside the front: their table, and whether the front is worth more than they are."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchkit.costs.metrics import sign_of
from searchkit.costs.task_scores import SCORES, recorded_task
from searchkit.errors import SearchkitError
from searchkit.problem.trial import pareto_front
from searchkit.surroundings import settled
from searchkit.types import DENSE

if TYPE_CHECKING:
    import pandas as pd

    from searchkit.data.data import Data
    from searchkit.results.result import Result

log = logging.getLogger("searchkit")

FRONT = "front"  # the best network's name beside those of simple models


class Source:
    """Where the data of a search come from, while they are in the process; the data themselves are not kept.

    What was made of it by pickle or copy has none.

    Args:
        given: ``data=`` of the search.
        data: what was loaded from it.
        split_seed: with which it was split.
    """

    def __init__(self, given: Any, data: Data | None, split_seed: int) -> None:
        self._given = settled(given) if isinstance(given, str | Path) and "." in str(given) else given
        self._seed = split_seed
        self._wanted = None if data is None else (data.kind, data.task, data.fingerprint)

    def __reduce__(self) -> tuple[object, ...]:
        return Source, (None, None, 0)

    def data(self) -> Data | None:
        """The data, in the same parts; None where they are gone or have changed, which is logged."""
        from searchkit.data.loading import load_data

        if self._wanted is None:
            return None
        kind, task, fingerprint = self._wanted
        try:
            found = load_data(self._given, seed=self._seed, kind=kind, task=task)
        except SearchkitError as error:
            log.warning("simple models cannot be fitted beside the front: %s", error)
            return None
        if found.fingerprint != fingerprint:
            log.warning("simple models are not fitted beside the front: the data have changed since the search")
            return None
        return found


@dataclass(frozen=True)
class Best:
    """The better of some models by the validation part; test is None where there is no score on a test part."""

    name: str
    validation: float
    test: float | None
    seconds: float = 0.0


def score_of(result: Result) -> str:
    """The score of trained networks that counts in a study: its first objective or bound that is one."""
    scores = SCORES[recorded_task(result.context.get("data", {}))]
    return next((name for name in result.goals.metrics if name in scores), scores[0])


def rows_of(result: Result) -> list[dict[str, Any]]:
    """Those on record, or fitted now where the data are in the process; see :mod:`searchkit.training.baselines`."""
    if not result.simple and result.source is not None:
        from searchkit.training.baselines import baselines

        data = result.source.data()
        result.simple = [] if data is None else baselines(data)
    return result.simple


def table(result: Result) -> pd.DataFrame:
    """The frame of :attr:`searchkit.Result.baselines`."""
    import pandas as pd

    score, rows, missing = score_of(result), rows_of(result), float("nan")
    tested = list(dict.fromkeys([f"test_{score}", result.tested]))
    columns: dict[str, list[Any]] = {
        "model": [row["model"] for row in rows],
        score: [row["validation"].get(score, missing) for row in rows],
    }
    columns |= {name: [row["test"].get(name.removeprefix("test_"), missing) for row in rows] for name in tested}
    return pd.DataFrame(columns | {name: [row[name] for row in rows] for name in ("seconds", "rows", "reason")})


def best_network(result: Result) -> Best | None:
    """The best of the front, or of what ``verify=`` trained; None where no network was trained."""
    score = score_of(result)
    found = [
        Best(FRONT, trial.values[score], result.test_accuracy.get(trial.number))
        for trial in pareto_front(result.trials, result.goals)
        if score in trial.values
    ]
    found += [
        Best(FRONT, entry[score], entry.get(result.tested))
        for entry in result.verifications.values()
        if entry.get(score) is not None
    ]
    return _best(found, score)


def best_simple(result: Result) -> Best | None:
    """The best simple model on record; None where there is none."""
    score, tested = score_of(result), result.tested.removeprefix("test_")
    return _best(
        [
            Best(row["model"], row["validation"][score], row["test"].get(tested), row["seconds"])
            for row in result.simple
            if score in row["validation"]
        ],
        score,
    )


def shortfall(result: Result) -> str:
    """One sentence where the best of the front is not above the best simple model on a part, and what to change.

    Empty where it is above, and where one of them has no score.
    """
    network, simple, score = best_network(result), best_simple(result), score_of(result)
    if network is None or simple is None:
        return ""
    tested = result.tested.removeprefix("test_")
    parts = [
        (
            "validation",
            score,
            network.validation,
            simple.validation,
            _better(score, network.validation, simple.validation),
        )
    ]
    if network.test is not None and simple.test is not None:
        parts.append(("test", tested, network.test, simple.test, _better(tested, network.test, simple.test)))
    missed = [part for part, *_, above in parts if not above]
    if not missed:
        return ""
    where = "" if len(missed) == len(parts) else f" on the {missed[0]} part"
    told = ", and ".join(f"{name} {a:.4g} against {b:.4g} on the {part} part" for part, name, a, b, _ in parts)
    return (
        f"the best of the front of '{result.name}' is no better{where} than a simple model ({simple.name}, "
        f"fitted in {simple.seconds:.2g} s): {told}; {_advice(result)}"
    )


def _better(score: str, value: float, other: float) -> bool:
    return sign_of(score) * value > sign_of(score) * other


def _best(found: list[Best], score: str) -> Best | None:
    return max(found, key=lambda one: sign_of(score) * one.validation, default=None)


def _advice(result: Result) -> str:
    """What to change."""
    done = sum(trial.finished for trial in result.trials)
    epochs = result.context.get("call", {}).get("epochs")
    more = f"more than {done:,} evaluation{'s' * (done != 1)} or more time (budget)"
    longer = "more epochs" + (f" than {epochs:,}" if epochs else "")
    shape = getattr(result.space, "input_shape", ())
    other = "the pixels as a table (space 'tabular')" if len(shape) == 3 else "the simple model itself"
    other = "" if recorded_task(result.context.get("data", {})) in DENSE else f", or {other}"
    return f"try {more}, {longer}{' or' if not other else ','} another space{other}"
