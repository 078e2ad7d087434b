"""The model of one objective, from full trainings alone or from those and the rungs of a ladder.

Losses at a rung are comparable among each other, and not with those of full trainings. Few full trainings say little
beside many short ones, so at first a dropped candidate counts with the loss that a straight line predicts for it
(:meth:`searchkit.training.fidelity.Ladder.hints`). From :data:`ENOUGH` full trainings on, each rung is a group of its
own (:mod:`searchkit.surrogates.grouped`), of all candidates that reached it, also of those that were promoted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.ranks import normal_scores
from searchkit.surrogates.gaussian_process import Gaussian
from searchkit.surrogates.grouped import Grouped
from searchkit.surrogates.refitting import (
    FITTED,
    KEPT,
    Examples,
    GroupedExamples,
    Refits,
    fitted_at,
    informative,
)
from searchkit.types import Codes, Floats

ENOUGH = 20  # full trainings from which rungs are groups; from measurements, docs/benchmarks.md

Inputs = Callable[[Codes], tuple[Sequence[Floats], Floats]]  # codes -> features, one matrix a kernel; known means


def placing(observed: Observations, believed: Observations, j: int) -> Floats:
    """``(m,)`` the losses in whose normal scores the model of objective j predicts.

    Args:
        observed: as told.
        believed: the same with hints in the place of missing losses.
    """
    told = observed if by_rungs(observed, j) else believed
    losses: Floats = told.losses[told.scored, j]
    return losses


def by_rungs(observed: Observations, j: int) -> bool:
    """Whether the rungs of a ladder are groups of labels for objective j."""
    if observed.rungs is None or int(observed.scored.sum()) < ENOUGH:
        return False
    return bool(np.isfinite(observed.rungs[:, :, j]).any())


def objective_model(
    refits: Refits, j: int, inputs: Inputs, observed: Observations, believed: Observations
) -> Gaussian | Grouped:
    """The model of objective j, whose hyperparameters are fitted anew when that is due; see :func:`placing`."""
    if by_rungs(observed, j):
        return _of_rungs(refits, j, inputs, observed)
    scored = believed[believed.scored]
    due, losses = fitted_at(len(scored)), scored.losses[:, j]

    def examples(n: int, most: int) -> Examples:
        """At most ``most`` of the first n observations."""
        rows = informative(losses[:n], most)
        return *inputs(scored.codes[rows]), normal_scores(losses[:n])[rows]

    return refits.process(j, due, lambda: examples(due, FITTED), examples(len(scored), KEPT))


def _of_rungs(refits: Refits, j: int, inputs: Inputs, observed: Observations) -> Grouped:
    assert observed.rungs is not None
    labels = np.column_stack([observed.losses[:, j], observed.rungs[:, :, j]])
    labels[~observed.scored, 0] = np.nan
    due = fitted_at(len(labels))

    def examples(n: int, most: int) -> GroupedExamples:
        """At most ``most`` labels of the first n observations, half of them of full trainings."""
        rows, groups = [], []
        for g, column in enumerate(labels[:n].T):
            known = np.flatnonzero(np.isfinite(column))
            share = most // 2 if g == 0 else most // (2 * (labels.shape[1] - 1))
            rows.append(known[informative(column[known], share)])
            groups.append(np.full(len(rows[-1]), g))
        row, group = np.concatenate(rows), np.concatenate(groups)
        return *inputs(observed.codes[row]), labels[row, group], group

    return refits.grouped(j, due, lambda: examples(due, FITTED), examples(len(labels), KEPT))
