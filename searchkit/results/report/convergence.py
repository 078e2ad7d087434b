"""The progress of a search over time, compared with other orders of the same candidates.

With one objective, progress is the best value so far; with several, it is the hypervolume of the front so far, as a
share of that of the final front. A hypervolume is estimated as a share of points that fill the box between the best
values and a reference point evenly (the additive recurrence of Roberts, The unreasonable effectiveness of quasirandom
sequences, 2018). With such points, the expectation for a random order has a closed form: a point that m of n candidates
dominate is not yet dominated after t draws with probability C(n - m, t) / C(n, t).
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
_TOGETHER = 128  # candidates that are compared with the points at once; at most 255, to be counted in a byte
_FAR = 0.9  # quantile of the losses of scored candidates; the reference point is beyond it


@dataclass(frozen=True)
class Curve:
    """The progress after numbers of evaluations, and after the corresponding seconds; NaN before the first score."""

    label: str
    kind: str  # search, random, params or other
    evaluations: Floats
    seconds: Floats
    values: Floats
    steps: bool

    def at(self, evaluations: float) -> float:
        """The value after a number of evaluations."""
        i = int(np.searchsorted(self.evaluations, evaluations, side="right")) - 1
        return float(self.values[i]) if i >= 0 else float("nan")


@dataclass(frozen=True)
class Convergence:
    """The curves to compare, that of the search itself first.

    Attributes:
        measure: name of the values.
        reference: the reference point of the hypervolume, in the objectives' own units; empty for one objective.
    """

    curves: list[Curve]
    measure: str
    reference: dict[str, float]


def convergence(facts: Facts) -> Convergence | None:
    """The curves; None if no feasible candidate was scored.

    Raises:
        SearchkitError: a result in ``beside`` has other objectives.
    """
    result, trials = facts.result, facts.finished
    for other in facts.beside:
        if other.goals.objectives != result.goals.objectives:
            raise SearchkitError(
                f"study '{other.name}' cannot be compared with '{result.name}': its objectives are "
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
    """Losses ``(n, k)``; rows with extreme outliers among the losses of the study are NaN, too."""
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
    """The expected progress in a random order of n candidates, at the mean time per candidate."""
    t: Floats = np.unique(np.geomspace(1, n, 120).round())
    pace: Floats = t * (seconds / n)
    return Curve("random order, in expectation", "random", t, pace, yardstick.expected(t), False)


def _largest_first(yardstick: _Best | _Volume, facts: Facts, trials: Sequence[Trial]) -> Curve | None:
    """The progress in the order of decreasing params, without infeasible candidates; None if params tell nothing."""
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
    """The curve of candidates in a given order: its first and last point, and those where it changes."""
    values = yardstick.along(_losses(trials, result))
    when: Floats = np.array([trial.elapsed for trial in trials] if seconds is None else seconds, dtype=np.float64)
    changes = np.flatnonzero(np.diff(values) != 0) + 1  # NaN differs from NaN; these are removed below
    kept = np.unique(np.concatenate([changes, [0, len(values) - 1]])) if len(values) else np.empty(0, dtype=np.int64)
    kept = kept[np.isfinite(values[kept])]
    if len(kept) > _MOST:
        kept = kept[np.unique(np.linspace(0, len(kept) - 1, _MOST).round().astype(int))]
    counted: Floats = kept.astype(np.float64) + 1
    return Curve(label, kind, counted, when[kept], values[kept], True)


class _Best:
    """Measures progress with one objective: the best value so far, in its own unit."""

    def __init__(self, reached: Floats, direction: str) -> None:
        self._losses, self._sign = reached[:, 0], -1.0 if direction == "max" else 1.0

    def along(self, rows: Floats) -> Floats:
        """The best value ``(n,)`` after each of n rows of losses."""
        values: Floats = self._sign * np.fmin.accumulate(rows[:, 0]) if len(rows) else np.empty(0)
        return values

    def expected(self, t: Floats) -> Floats:
        """The expected value after t candidates in random order, if at least one of these is feasible."""
        values = np.sort(self._losses[np.isfinite(self._losses)])
        n = len(self._losses)
        none = _chance_of_none(n, np.arange(len(values) + 1), t)  # probability that none of the best i is among the t
        first = none[:-1] - none[1:]  # probability that the best of the t is number i
        expected: Floats = self._sign * (values[:, None] * first).sum(axis=0) / first.sum(axis=0)
        return expected


class _Volume:
    """Measures progress with several objectives: the hypervolume in percent of that of the final front.

    Args:
        reached: ``(n, k)`` losses of all candidates.
        beside: losses of other searches, whose best values extend the box, since these may reach more than 100 %.
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
        """The percentage ``(n,)`` after each of n rows of losses."""
        first, _ = self._dominated(rows)
        found = np.bincount(first[np.isfinite(first)].astype(int), minlength=len(rows))
        shares: Floats = 100.0 * np.cumsum(found) / self._final
        return shares

    def expected(self, t: Floats) -> Floats:
        """The expected percentage after t candidates in random order."""
        sizes, points = np.unique(self._count[self._count > 0], return_counts=True)
        reached = 1 - _chance_of_none(self._n, sizes, t)
        shares: Floats = 100.0 * (points[:, None] * reached).sum(axis=0) / self._final
        return shares

    def _dominated(self, rows: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
        """For each point, the first row that dominates it (infinity: none), and the number of rows that do."""
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
    """``(len(m), len(t))``: probability that t draws without replacement from n contain none of m marked ones."""
    left = n - m[:, None] - t[None, :]
    possible = np.maximum(left, 0)
    # C(n - m, t) / C(n, t), see the module
    log = gammaln(n - m[:, None] + 1) - gammaln(possible + 1) - gammaln(n + 1) + gammaln(n - t[None, :] + 1)
    chance: Floats = np.where(left >= 0, np.exp(log), 0.0)
    return chance


def _evenly(n: int, k: int) -> Floats:
    """Points ``(n, k)`` that fill the unit box evenly, the same in every call: Roberts (2018), sequence R_k."""
    ratio = 2.0
    for _ in range(60):  # the one positive root of x ** (k + 1) = x + 1
        ratio = (1 + ratio) ** (1 / (k + 1))
    steps = ratio ** -np.arange(1.0, k + 1)
    points: Floats = (0.5 + np.arange(1.0, n + 1)[:, None] * steps) % 1.0
    return points


def _front(rows: Floats) -> npt.NDArray[np.bool_]:
    from searchkit.problem.pareto import non_dominated

    return non_dominated(rows)
