"""What a candidate of a mixed space is worth: expected improvement, times its chance to keep all bounds.

One objective: log expected improvement. Two or three: the exact expected hypervolume improvement. More: the improvement
of a random Chebyshev scalarisation (ParEGO, Knowles 2006). Bounds that are known by how much they are broken have a
process each, and so has whether a candidate fails; their chances are multiplied (Schonlau, Welch and Jones 1998).
"""

from __future__ import annotations

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.pareto import non_dominated, scalarised
from searchkit.strategies.mixed_model import MixedModel
from searchkit.surrogates.hypervolume_improvement import expected_improvement
from searchkit.surrogates.log_improvement import log_chance, log_improvement
from searchkit.surrogates.mixed_process import MixedProcess
from searchkit.surrogates.output_scales import Scale
from searchkit.types import Bools, Codes, Floats

MOST_EXACT = 3  # objectives up to which the hypervolume is used
REACH = 0.1  # distance of the reference point beyond the worst of the front, relative to its range
MARGINS = 2  # times that margins to a bound are estimated
SAME = 0.01  # deviations of all losses within which two are as good


class MixedAcquisition:
    """Log of the expected improvement of candidates times their chance to be feasible.

    Args:
        model, bounds: keep fits, of losses and of violations.
        positions: ``(n, d)`` of all that was told.
        told: what was told, with hints in place of missing losses; at least one loss is known.
        eligible: ``(n,)`` bool, candidates that may be the best.
        rng: draws the weights of a scalarisation.
    """

    def __init__(
        self,
        model: MixedModel,
        bounds: MixedModel,
        positions: Floats,
        told: Observations,
        eligible: Bools,
        rng: np.random.Generator,
    ) -> None:
        scored = np.flatnonzero(told.scored)
        losses, at = told.losses[scored], positions[scored]
        if losses.shape[1] > MOST_EXACT:
            scaled = np.column_stack([Scale(1.0)(column)[0] for column in losses.T])  # outliers would set the range
            mixed = scalarised(scaled, rng)
            modelled = [
                MixedModel(model.columns, model.scales[:1], model.n_iterations).modelled("scalarised", at, mixed)
            ]
        else:
            modelled = [model.modelled(f"objective {j}", at, y, losses) for j, y in enumerate(losses.T)]
        self._objectives = [one.process for one in modelled]
        self.rows: Codes = scored[modelled[0].rows]  # of what was told, that the processes know
        self._n = len(told)
        values = np.column_stack([process.at_known() for process in self._objectives])
        self._front = values[eligible[self.rows]]
        self._bounds = _bounds(bounds, positions, told)
        self.ambition = 0.0  # by how much, in deviations of all losses, an improvement is to exceed the best
        self.values = np.where(eligible[self.rows][:, None], values, np.inf)

    @property
    def smooth(self) -> bool:
        """Whether there are gradients."""
        return len(self._objectives) == 1

    @property
    def lengths(self) -> Floats:
        """``(d,)`` length scales of the first objective."""
        return self._objectives[0].setting.lengths

    def __call__(self, positions: Floats) -> Floats:
        """``(m,)`` log acquisition, higher is better."""
        total = np.zeros(len(positions))
        for process in self._bounds:
            total += log_chance(*_with_noise(process, *process.predict(positions)))[0]
        if not len(self._front):
            return total
        predicted = [process.predict(positions) for process in self._objectives]
        if self.smooth:
            return total + log_improvement(*predicted[0], self._best)[0]
        mean, std = (np.column_stack([one[i] for one in predicted]) for i in (0, 1))
        low, high = self._front.min(axis=0), self._front.max(axis=0)
        gain = expected_improvement(mean, std, self._front, high + REACH * (high - low) + 1e-6)
        return total + np.log(np.maximum(gain, 1e-300))

    @property
    def _best(self) -> float:
        return float(self._front.min()) - self.ambition

    def idle(self) -> int:
        """Evaluations since the best that was observed, or one as good but for :data:`SAME`."""
        y = self._objectives[0].y[: len(self.rows)]
        return self._n - 1 - int(self.rows[np.argmax(y <= y.min() + SAME)])

    def gradients(self, positions: Floats) -> tuple[Floats, Floats]:
        """The log acquisition ``(m,)`` and its derivatives by positions ``(m, d)``, of one objective."""
        total, slopes = np.zeros(len(positions)), np.zeros(positions.shape)
        for process in self._bounds:
            mean, std, by_mean, by_std = process.gradients(positions)
            noisy = _with_noise(process, mean, std)[1]
            value, one, two = log_chance(mean, noisy)
            total += value
            slopes += one[:, None] * by_mean + (two * std / noisy)[:, None] * by_std
        if len(self._front):
            mean, std, by_mean, by_std = self._objectives[0].gradients(positions)
            value, one, two = log_improvement(mean, std, self._best)
            total += value
            slopes += one[:, None] * by_mean + two[:, None] * by_std
        return total, slopes

    def believe(self, positions: Floats) -> None:
        """Take a candidate ``(d,)`` to turn out as the processes predict."""
        values = np.array([float(process.predict(positions[None])[0][0]) for process in self._objectives])
        self._objectives = [process.grown(positions) for process in self._objectives]
        self._bounds = [process.grown(positions) for process in self._bounds]
        self._front = np.concatenate([self._front, values[None]]) if len(self._front) else self._front


def _with_noise(process: MixedProcess, mean: Floats, std: Floats) -> tuple[Floats, Floats]:
    return mean, np.sqrt(std**2 + process.setting.noise)


def _bounds(model: MixedModel, positions: Floats, told: Observations) -> list[MixedProcess]:
    """Processes of what a candidate must keep below 0: each violation, and whether it fails."""
    found = []
    known = ~told.failed
    for j, violations in enumerate(told.violations[known].T):
        if (violations > 0).any():
            made = model.modelled(f"bound {j}", positions[known], violations)
            found.append(_with_margins(made.process, violations[made.rows] <= 0))
    if not known.all() and known.any():
        found.append(model.modelled("failure", positions, (~known).astype(np.float64)).process)
    return found


def _with_margins(process: MixedProcess, kept: Bools) -> MixedProcess:
    """A process of violations in which those that are kept have margins that the others suggest.

    Left at one value for all, they would make a step at the bound, and hide where it runs.
    """
    for _ in range(MARGINS):
        left_out = process.left_out()[0]
        process = process.observing(np.where(kept, np.clip(left_out, -3.0, -0.02), process.y))
    return process


def best_rows(acquisition: MixedAcquisition, n: int) -> Codes:
    """At most n rows of what was told: the best, or those of the front, by what is predicted of them."""
    values = acquisition.values
    known = np.flatnonzero(np.isfinite(values).all(axis=1))
    if values.shape[1] == 1:
        return acquisition.rows[known[np.argsort(values[known, 0], kind="stable")[:n]]]
    return acquisition.rows[known[non_dominated(values[known])][:n]]
