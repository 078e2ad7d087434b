"""The models of Bayesian optimisation: their form, when they are fitted, and to which observations.

Hyperparameters are fitted as :mod:`searchkit.surrogates.refitting` says. The form (scale and kernels) is chosen anew
when the number of observations has grown by half. All this is a function of what was told, so that a continued search
has the same models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from searchkit.problem.numbers import halved
from searchkit.problem.ranks import normal_scores, rank_correlation
from searchkit.strategies.gaussian_process import Column
from searchkit.surrogates.features import Features
from searchkit.surrogates.gaussian_process import Gaussian, Hyperparameters, fit
from searchkit.surrogates.refitting import ALL, GROWTH, MOST, fitted_at, informative
from searchkit.types import Codes, Floats

FEWER = 120  # most observations on which forms are compared
FORM_GROWTH = 1.5  # growth of the number of observations after which the form is chosen anew
CLEARLY = 0.02  # gain in rank correlation that a form needs to be preferred to the first


@dataclass(frozen=True)
class Form:
    """The form of a model: the scale of the losses (higher is better) and the groups of features used."""

    scale: Callable[[Floats], Floats]
    groups: tuple[int, ...]


class Surrogate:
    """Fits processes to columns of losses, and keeps form and hyperparameters of each by name.

    Args:
        inputs: features and kernels.
        n_iterations: at most so many steps of a fit.
    """

    def __init__(self, inputs: Features, n_iterations: int) -> None:
        self.inputs = inputs
        self.n_iterations = n_iterations
        self._settings: dict[tuple[str, int, Form], Hyperparameters] = {}
        self._forms: dict[tuple[str, int], Form] = {}
        self._features: tuple[Codes, list[Floats]] | None = None

    def column(self, name: str, codes: Codes, losses: Floats, forms: tuple[Form, ...]) -> Column:
        """The process of one column of losses ``(n,)`` of candidates ``(n, d)``; of gains, higher is better.

        Args:
            name: of the column, under which fits are kept; codes and losses are those of earlier calls with new ones
                appended.
            forms: from which one is chosen.
        """
        groups = self._groups(codes)
        n, chosen = len(codes), fitted_at(len(codes), ALL, GROWTH)
        at = fitted_at(n, 1, FORM_GROWTH)
        if (name, at) not in self._forms:
            self._forms[name, at] = forms[0] if len(forms) == 1 else self._best(groups, losses[:at], forms)
        form = self._forms[name, at]
        if (name, chosen, form) not in self._settings:
            self._settings[name, chosen, form] = self._fit(groups, losses[:chosen], form, MOST).setting
        kernels = [self.inputs.kernels[g] for g in form.groups]
        seen = [groups[g] for g in form.groups]
        known = np.zeros(n)
        gaussian = Gaussian.of(seen, kernels, self._settings[name, chosen, form], known, form.scale(losses))
        return Column(gaussian, form.groups)

    def _best(self, groups: list[Floats], losses: Floats, forms: tuple[Form, ...]) -> Form:
        """The form with the best leave-one-out rank correlation; the first, unless another is clearly better."""
        worth = []
        for form in forms:
            model = self._fit(groups, losses, form, FEWER)
            worth.append(rank_correlation(model.left_out()[0], model.y))
        best = int(np.argmax(worth))
        return forms[best if worth[best] > worth[0] + CLEARLY else 0]

    def _fit(self, groups: list[Floats], losses: Floats, form: Form, most: int) -> Gaussian:
        """The process of the first observations, as many as there are losses, with a subset for its hyperparameters."""
        rows = informative(losses, most)
        kernels = [self.inputs.kernels[g] for g in form.groups]
        seen = [groups[g][rows] for g in form.groups]
        gains = form.scale(losses)[rows]
        return fit(seen, np.zeros(len(rows)), gains, kernels=kernels, n_iterations=self.n_iterations)

    def _groups(self, codes: Codes) -> list[Floats]:
        if self._features is None or not np.array_equal(self._features[0], codes):
            self._features = (codes, self.inputs(codes))
        return self._features[1]


def by_rank(losses: Floats) -> Floats:
    """Normal scores ``(n,)``, the best highest; robust against outliers."""
    return -normal_scores(losses)


def by_value(losses: Floats) -> Floats:
    """Standardised gains ``(n,)``, with the worst tail compressed, so that a few bad candidates do not set the scale.

    Scaled to [-1, 1] before each step, by powers of two and so without rounding: sums, differences and squares of
    losses around 1e306 would overflow, and those of losses beside one such outlier would vanish.
    """
    losses = halved(losses)
    low, high = np.quantile(losses, [0.25, 0.75])
    reach = high - low if high > low else high - losses.min()
    drawn = halved(np.minimum(losses, high + 3 * reach) if reach > 0 else losses)
    spread = float(drawn.std())
    standard: Floats = (drawn.mean() - drawn) / (spread if spread > 0 else 1.0)
    return standard


STRUCTURE, PARTS = 0, 2  # indices of these groups of features in Features.kernels
FORMS = tuple(Form(scale, groups) for scale in (by_rank, by_value) for groups in ((STRUCTURE,), (STRUCTURE, PARTS)))
