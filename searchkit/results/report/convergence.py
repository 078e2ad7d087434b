"""How fast a search got where it got, beside other orders of the same candidates.

With one objective that is its best value so far, with more the hypervolume of the front so far, as a share of that of
the final front. A hypervolume is counted on points that fill the box between the best values and a reference point
evenly (the additive recurrence of Roberts, The unreasonable effectiveness of quasirandom sequences, 2018), so that what
a random order reaches in expectation has a closed form: a point that m of n candidates dominate is not yet dominated
after t draws with the chance C(n - m, t) / C(n, t).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from searchkit.errors import SearchkitError
from searchkit.problem.trial import State, Trial
from searchkit.results.drawable import drawable
from searchkit.results.report.facts import Facts, losses
from searchkit.results.result import Result
from searchkit.types import Floats

N_POINTS = 8192
_MOST = 400  # points of a curve that are drawn
_TOGETHER = 128  # candidates that are compared with the points at once; at most 255, which a byte can count
_FAR = 0.9  # quantile of the scored losses that the reference point lies beyond


@dataclass(frozen=True)
class Curve:
    """What had been reached after so many evaluations, and after so many seconds; NaN before anything was."""

    label: str
    kind: str  # search, random, params or other
    evaluations: Floats
    seconds: Floats
    values: Floats
    steps: bool

    def at(self, evaluations: float) -> float:
        """The value after so many evaluations."""
        i = int(np.searchsorted(self.evaluations, evaluations, side="right")) - 1
        return float(self.values[i]) if i >= 0 else float("nan")


@dataclass(frozen=True)
class Convergence:
    """The curves of one study, the search's own first.

    Attributes:
        measure: what the values are.
        reference: of the hypervolume, in the objectives' own units; empty for one objective.
    """

    curves: list[Curve]
    measure: str
    reference: dict[str, float]


def convergence(facts: Facts) -> Convergence | None:
    """The curves, or None where nothing feasible was scored.

    Raises:
        SearchkitError: a result beside this one is of other objectives.
    """
    result, trials = facts.result, facts.finished
    for other in facts.beside:
        if other.goals.objectives != result.goals.objectives:
            raise SearchkitError(
                f"study '{other.name}' cannot stand beside '{result.name}': its objectives are "
                f"{_told(other)}, not {_told(result)}"
            )
    reached = _losses(trials, result)
    if not np.isfinite(reached).any():
        return None
    k = len(result.goals.names)
    beside = [_losses(other.trials, other) for other in facts.beside]
    yardstick: _Best | _Volume = (
        _Volume(reached, beside) if k > 1 else _Best(reached, result.goals.objectives[0].direction)
    )
    curves = [
        _in_order(yardstick, f"this search ({_short(result)})", "search", result, trials),
        _at_random(yardstick, len(trials), facts.seconds),
        _largest_first(yardstick, facts, trials),
        *(_in_order(yardstick, f"{r.name} ({_short(r)})", "other", r, Facts(r).finished) for r in facts.beside),
    ]
    return Convergence(
        [curve for curve in curves if curve is not None and len(curve.values)],
        "hypervolume, % of the final front's" if k > 1 else f"best {facts.label(result.goals.names[0])}",
        yardstick.reference(result) if isinstance(yardstick, _Volume) else {},
    )


def _losses(trials: Sequence[Trial], result: Result) -> Floats:
    """``(n, k)`` the losses; NaN rows also where one is out of all proportion to those of the study."""
    rows = losses(trials, result)
    everything = losses(result.trials, result)
    for column, all_values in zip(rows.T, everything.T, strict=True):
        usual = all_values[drawable(all_values)]
        if len(usual):
            rows[(column < usual.min()) | (column > usual.max())] = np.nan
        else:
            rows[:] = np.nan
    return rows


def _told(result: Result) -> str:
    return ", ".join(f"{o.name} ({o.direction})" for o in result.goals.objectives)


def _short(result: Result) -> str:
    return result.strategy.split(":")[0]


def _at_random(yardstick: _Best | _Volume, n: int, seconds: float) -> Curve:
    """What a random order of n candidates reaches in expectation, at the mean pace."""
    t: Floats = np.unique(np.geomspace(1, n, 120).round())
    pace: Floats = t * (seconds / n)
    return Curve("random order, in expectation", "random", t, pace, yardstick.expected(t), False)


def _largest_first(yardstick: _Best | _Volume, facts: Facts, trials: Sequence[Trial]) -> Curve | None:
    """What a rule would reach that knows params and the bounds alone; None where it makes no sense."""
    if set(facts.result.goals.names) <= {"params", "macs"}:
        return None
    order = [trial for trial in trials if trial.state is not State.INFEASIBLE and "params" in trial.values]
    if len({trial.values["params"] for trial in order}) < 2:
        return None
    order.sort(key=lambda trial: -trial.values["params"])
    spent = np.cumsum([trial.seconds for trial in order])
    share = len(order) / len(trials)
    seconds = spent * share * facts.seconds / (spent[-1] or 1.0)
    return _in_order(yardstick, "largest params first", "params", facts.result, order, list(seconds))


def _in_order(
    yardstick: _Best | _Volume,
    label: str,
    kind: str,
    result: Result,
    trials: Sequence[Trial],
    seconds: Sequence[float] | None = None,
) -> Curve:
    """The curve of candidates in a given order, at the points where it changes and at its ends."""
    values = yardstick.along(_losses(trials, result))
    when: Floats = np.array([trial.elapsed for trial in trials] if seconds is None else seconds, dtype=np.float64)
    changes = np.flatnonzero(np.diff(values) != 0) + 1  # NaN differs from NaN: those ahead are cut below
    kept = np.unique(np.concatenate([changes, [0, len(values) - 1]])) if len(values) else np.empty(0, dtype=np.int64)
    kept = kept[np.isfinite(values[kept])]
    if len(kept) > _MOST:
        kept = kept[np.unique(np.linspace(0, len(kept) - 1, _MOST).round().astype(int))]
    counted: Floats = kept.astype(np.float64) + 1
    return Curve(label, kind, counted, when[kept], values[kept], True)


class _Best:
    """The best value so far of one objective, in its own unit and direction."""

    def __init__(self, reached: Floats, direction: str) -> None:
        self._losses, self._sign = reached[:, 0], -1.0 if direction == "max" else 1.0

    def along(self, rows: Floats) -> Floats:
        """``(n,)`` after each of n rows."""
        values: Floats = self._sign * np.fmin.accumulate(rows[:, 0]) if len(rows) else np.empty(0)
        return values

    def expected(self, t: Floats) -> Floats:
        """Of a random order of all candidates after t of them, where it has a feasible one by then."""
        values = np.sort(self._losses[np.isfinite(self._losses)])
        n = len(self._losses)
        none = _chance_of_none(n, np.arange(len(values) + 1), t)  # of the best i, none is among the t
        first = none[:-1] - none[1:]  # the best that was drawn is number i
        expected: Floats = self._sign * (values[:, None] * first).sum(axis=0) / first.sum(axis=0)
        return expected


class _Volume:
    """The share of the final front's hypervolume, in percent.

    Args:
        reached: ``(n, k)`` losses of all candidates.
        beside: those of other searches, whose best values are counted too: they may come to more than 100.
    """

    def __init__(self, reached: Floats, beside: Sequence[Floats] = ()) -> None:
        scored = reached[np.isfinite(reached).all(axis=1)]
        best = np.nanmin(np.concatenate([scored, *beside]), axis=0)
        on_front = scored[_front(scored)]
        far = np.maximum(np.quantile(scored, _FAR, axis=0), on_front.max(axis=0))
        margin = np.where(far > best, 0.1 * (far - best), 0.1 * np.abs(best) + 1e-9)
        self._end = far + margin
        self._points = best + (self._end - best) * _evenly(N_POINTS, scored.shape[1])
        self._n = len(reached)
        first, self._count = self._dominated(reached)
        self._final = int(np.isfinite(first).sum())

    def reference(self, result: Result) -> dict[str, float]:
        """The reference point in the objectives' own units."""
        return {
            o.name: float(-end if o.direction == "max" else end)
            for o, end in zip(result.goals.objectives, self._end, strict=True)
        }

    def along(self, rows: Floats) -> Floats:
        """``(n,)`` after each of n rows."""
        first, _ = self._dominated(rows)
        found = np.bincount(first[np.isfinite(first)].astype(int), minlength=len(rows))
        shares: Floats = 100.0 * np.cumsum(found) / self._final
        return shares

    def expected(self, t: Floats) -> Floats:
        """Of a random order of all candidates after t of them."""
        sizes, points = np.unique(self._count[self._count > 0], return_counts=True)
        reached = 1 - _chance_of_none(self._n, sizes, t)
        shares: Floats = 100.0 * (points[:, None] * reached).sum(axis=0) / self._final
        return shares

    def _dominated(self, rows: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
        """For each point, the first row that dominates it (infinite: none), and how many do."""
        first = np.full(len(self._points), np.inf)
        count = np.zeros(len(self._points), dtype=np.int64)
        columns = np.ascontiguousarray(self._points.T)
        inside_box = np.flatnonzero(np.isfinite(rows).all(axis=1) & (rows <= self._end).all(axis=1))
        for start in range(0, len(inside_box), _TOGETHER):
            some = inside_box[start : start + _TOGETHER]
            inside = columns[0] >= rows[some, 0][:, None]
            for j in range(1, len(columns)):
                inside &= columns[j] >= rows[some, j][:, None]
            n = inside.view(np.uint8).sum(axis=0, dtype=np.uint8)
            count += n
            new = np.flatnonzero((n > 0) & np.isinf(first))
            first[new] = some[inside[:, new].argmax(axis=0)]
        return first, count


def _chance_of_none(n: int, m: npt.NDArray[np.int64], t: Floats) -> Floats:
    """``(len(m), len(t))`` chance that t draws of n without replacement hold none of m marked ones."""
    left = n - m[:, None] - t[None, :]
    possible = np.maximum(left, 0)
    log = gammaln(n - m[:, None] + 1) - gammaln(possible + 1) - gammaln(n + 1) + gammaln(n - t[None, :] + 1)
    chance: Floats = np.where(left >= 0, np.exp(log), 0.0)
    return chance


def _evenly(n: int, k: int) -> Floats:
    """``(n, k)`` points that fill the unit box evenly, always the same."""
    ratio = 2.0
    for _ in range(60):  # the one positive root of x ** (k + 1) = x + 1
        ratio = (1 + ratio) ** (1 / (k + 1))
    steps = ratio ** -np.arange(1.0, k + 1)
    points: Floats = (0.5 + np.arange(1.0, n + 1)[:, None] * steps) % 1.0
    return points


def _front(rows: Floats) -> npt.NDArray[np.bool_]:
    from searchkit.problem.pareto import non_dominated

    return non_dominated(rows)
