"""Predictions of every objective, with uncertainty, from several proxies; and how well each proxy predicts.

Before anything is observed the proxies' ranks are aggregated without labels (:mod:`searchkit.proxy_layer.aggregation`).
From then on the aggregate is the prior mean of a Gaussian process (:mod:`searchkit.surrogates.gaussian_process`) over
two groups of features: the signals' quantiles, and the structure of the candidate (its choices and option counts). The
weights in the aggregate follow the proxies' correlation with what was observed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr

from searchkit.problem.objectives import Goals
from searchkit.problem.observations import Observations
from searchkit.problem.ranks import scores_of, values_of
from searchkit.proxy_layer.aggregation import Trust, log_rank, trusts
from searchkit.proxy_layer.learning_proxies import Taught
from searchkit.proxy_layer.objective_model import objective_model, placing
from searchkit.proxy_layer.prepared import Prepared, Ranked
from searchkit.proxy_layer.trust_table import trust_table
from searchkit.scoring.protocols import Learner
from searchkit.space import Space, distinct_rows
from searchkit.surrogates.features import structure as choices_and_counts
from searchkit.surrogates.gaussian_process import Gaussian
from searchkit.surrogates.grouped import Grouped
from searchkit.surrogates.refitting import FITTED, KEPT, Examples, Refits, fitted_at, of_both
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    import pandas as pd

N_REFERENCE = 100
FIRST_FIT = 5  # observations from which the process is fitted; before, the label-free aggregate is used

Score = Callable[[Codes], Floats]
Known = Callable[[Codes], Mapping[str, Floats]]


class Signals:
    """Predicts losses from the signals of proxies, and learns from observations; see the module.

    Args:
        space: of the candidates.
        names: of the proxies' signals, p of them.
        score: ``codes (n, d) -> (n, p)``, higher is better, NaN where a proxy cannot.
        goals: the objectives to predict.
        known: ``codes -> {objective: (n,)}``, raw values of the objectives that need no evaluation; they are exact.
        structure: ``codes -> (n, q)`` features besides the signals; :func:`searchkit.surrogates.features.structure`
            where not given.
        baselines: ``codes -> {name: (n,)}``, free counts (params, macs) that are compared with the proxies in
            :attr:`trust`.
        reference: ``(r, d)`` the sample within which scores are ranked, scored when the first prediction is made, until
            which it may be set; drawn at random where not given.
        seed: of the sample, where it is drawn.
        learners: column of ``score`` -> a proxy that learns from what is observed of the judged objective; see
            :mod:`searchkit.proxy_layer.learning_proxies`.
        judged: the objective that the proxies predict, such as the accuracy; where not given, or known exactly, the
            first that is not known exactly.

    The aggregate predicts how good a network is: it is the prior mean of the judged objective. Further objectives that
    are not known exactly are learned from observations alone.
    """

    def __init__(
        self,
        space: Space,
        names: tuple[str, ...],
        score: Score,
        goals: Goals,
        *,
        known: Known | None = None,
        structure: Callable[[Codes], Floats] | None = None,
        baselines: Known | None = None,
        reference: Codes | None = None,
        seed: int = 0,
        learners: Mapping[int, Learner] | None = None,
        judged: str | None = None,
    ) -> None:
        self.space, self.names, self.goals = space, names, goals
        self._learners = dict(learners or {})
        self._score, self._known, self._baselines, self._name = score, known, baselines, judged
        self._structure = structure or functools.partial(choices_and_counts, space)
        self.reference, self._seed = reference, seed
        self._told = Observations.empty(space.n_choices, len(goals.objectives), len(goals.bounds))
        self._observed = self._told  # the same without hints
        self._models: dict[int, Gaussian | Grouped] | None = None  # made from these when they are needed
        self._trusts: dict[int, list[Trust]] = {}  # by the number of observations at which a fit was due
        self._ranked: dict[int, Ranked] = {}  # by the number of observations that the learning proxies are fitted to
        self._refits = Refits()
        self._prepared: Prepared | None = None

    def observe(self, told: Observations) -> None:
        """Learn one batch of outcomes, with the hints of a fidelity ladder; draws no random numbers."""
        self._told, self._observed = self._told + told.believed(), self._observed + told
        self._models = None

    @property
    def sample(self) -> Codes:
        """``(r, d)`` the reference sample: distinct candidates, the same for every search with this seed."""
        if self.reference is None:
            drawn = self.space.sample(4 * N_REFERENCE, np.random.default_rng([self._seed, 20_230_215]))
            self.reference = distinct_rows(drawn)[:N_REFERENCE]
        return self.reference

    def quality(self, codes: Codes) -> Floats:
        """``(n,)`` the aggregate of the proxies alone, higher is better, standardised over the reference sample.

        Its weights are label-free at first and then follow :attr:`trust`.
        """
        return self._aggregate(self.features(codes))

    def features(self, codes: Codes) -> Floats:
        """``(n, p)`` quantiles of the signals within the reference sample, in (0, 1)."""
        return self._quantiles(codes, self._ranking)

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and standard deviation ``(n, k)`` of the losses, in units of the objectives (minimised).

        Exact objectives have deviation 0. With fewer than five observations the others are NaN, since proxies have no
        unit; use :meth:`quality` then.
        """
        mean, std = self.latent(codes)
        for j in self._learned:
            observed = self._placing(j)
            if len(observed) < FIRST_FIT:
                mean[:, j] = std[:, j] = np.nan
                continue
            centre = values_of(mean[:, j], observed)
            above, below = (values_of(mean[:, j] + sign * std[:, j], observed) for sign in (1, -1))
            mean[:, j], std[:, j] = centre, (above - below) / 2
        return mean, std

    def latent(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and standard deviation ``(n, k)`` of the losses: learned ones in normal scores, exact ones raw."""
        n, k = len(codes), len(self.goals.objectives)
        mean, std = np.zeros((n, k)), np.zeros((n, k))
        for j, values in self._exact(codes).items():
            mean[:, j] = values
        if self._learned:
            groups, aggregate = self._groups(codes)
            for j in self._learned:
                model = self._fitted().get(j)
                prior = -aggregate if j == self._judged else np.zeros(n)
                mean[:, j], std[:, j] = model.predict(groups, prior) if model else (prior, np.full(n, 1.0))
        return mean, std

    def placed(self, told: Observations) -> Floats:
        """``(n, k)`` observed losses in the coordinates of :meth:`latent`."""
        losses = told.losses.copy()
        fitted = self._fitted()
        for j in self._learned:
            if j in fitted:
                losses[:, j] = scores_of(losses[:, j], self._placing(j))
            elif len(told):
                losses[:, j] = -self.quality(told.codes) if j == self._judged else 0.0
        return losses

    def log_chance(self, codes: Codes) -> Floats:
        """``(n,)`` log probability that a candidate is scored and feasible; 0 before the first bad outcome."""
        model = self._fitted().get(-1)
        if model is None:
            return np.zeros(len(codes))
        mean, std = model.predict(self._groups(codes)[0], np.zeros(len(codes)))
        return np.asarray(log_ndtr(mean / np.sqrt(std**2 + model.noise)))

    @property
    def trust(self) -> pd.DataFrame:
        """How well each proxy predicts: one row per proxy, largest weight first.

        Columns: ``rho``, rank correlation with the judged objective as observed (above 0: higher scores are better),
        ``low`` and ``high``, its 95 % interval, ``top``, the same with the best candidates counting most, ``ndcg``, how
        good the tenth is that it says is best (0 to 1), ``belief``, the estimate that includes the prior, ``weight``,
        its share in the aggregate. Free counts that are no proxies of this search follow without a weight, to compare.
        """
        told = self._evidence
        counts = self._baselines(told.codes) if self._baselines and len(told) else {}
        return trust_table(self.names, self._trust_of(len(told)), counts, self._good)

    @property
    def _learned(self) -> list[int]:
        exact = self._ready.exact
        return [j for j, objective in enumerate(self.goals.objectives) if objective.name not in exact]

    @property
    def _judged(self) -> int:
        """Column of the objective that the proxies predict; used only where some objective has to be learned."""
        learned = self._learned
        return next((j for j in learned if self.goals.names[j] == self._name), learned[0])

    def _exact(self, codes: Codes) -> dict[int, Floats]:
        """Losses of the objectives that are known without evaluation, by column."""
        if self._known is None or not self._ready.exact.intersection(self.goals.names):
            return {}
        values, objectives = self._known(codes), enumerate(self.goals.objectives)
        signs = {"max": -1.0, "min": 1.0}
        return {j: signs[o.direction] * values[o.name] for j, o in objectives if o.name in values}

    @property
    def _ready(self) -> Prepared:
        if self._prepared is None:
            self._prepared = Prepared.of(self.sample, self._score, self._structure, self._known)
        return self._prepared

    @property
    def _ranking(self) -> Ranked:
        return self._ranking_at(fitted_at(len(self._evidence)))

    def _ranking_at(self, n: int) -> Ranked:
        """The ranks of the reference sample with the learning proxies fitted to the first n scored candidates."""
        n = n if self._learners else 0  # without learning proxies the ranks never change
        if n not in self._ranked:
            ready = self._ready
            alone = len(self._learners) == len(self.names)
            taught = Taught(self._learners, self._evidence.codes[:n], self._good[:n], alone)
            self._ranked = dict(list(self._ranked.items())[-1:])
            self._ranked[n] = Ranked.of(self.names, self.space, ready, taught)
        return self._ranked[n]

    def _quantiles(self, codes: Codes, ranking: Ranked) -> Floats:
        return ranking.reference.quantiles(ranking.taught.complete(codes, self._score(codes)))

    def _aggregate(self, quantiles: Floats) -> Floats:
        weights = np.array([t.weight for t in self._trust()])
        known = log_rank(self._ranking.quantiles, weights)
        aggregate: Floats = (log_rank(quantiles, weights) - known.mean()) / (known.std() or 1.0)
        return aggregate

    @property
    def _evidence(self) -> Observations:
        """The scored candidates that proxies are compared with; none where no objective has to be learned."""
        told = self._told[self._told.scored]
        return told if self._learned else told[:0]

    @property
    def _good(self) -> Floats:
        told = self._evidence
        return -told.losses[:, self._judged] if len(told) else np.empty(0)

    def _trust(self) -> list[Trust]:
        """Trust when a fit was last due: what it says changes little from one observation to the next."""
        due = fitted_at(len(self._evidence))
        if due not in self._trusts:
            self._trusts = {due: self._trust_of(due)}
        return self._trusts[due]

    def _trust_of(self, n: int) -> list[Trust]:
        """Trust in each proxy after the first n scored candidates."""
        told = self._evidence[:n]
        quantiles = self.features(told.codes) if len(told) else np.empty((0, len(self.names)))
        return trusts(quantiles, self._good[:n], self._ranking.votes.after(len(told)))

    def _groups(self, codes: Codes) -> tuple[list[Floats], Floats]:
        """The features of the process, each group with a mean square distance near 1, and the aggregate."""
        quantiles = self.features(codes)
        return self._scaled(codes, quantiles), self._aggregate(quantiles)

    def _scaled(self, codes: Codes, quantiles: Floats) -> list[Floats]:
        return self._ready.groups(quantiles, self._structure(codes))

    def _placing(self, j: int) -> Floats:
        return placing(self._observed, self._told, j)

    def _fitted(self) -> dict[int, Gaussian | Grouped]:
        """The process of each learned objective, and under -1 that of feasibility if any outcome was bad."""
        if self._models is None:
            self._models = {}
            if self._told.scored.sum() >= FIRST_FIT:
                for j in self._learned:
                    self._models[j] = self._of_objective(j)
            if len(self._told) >= FIRST_FIT and not self._told.feasible.all():
                self._models[-1] = self._of_feasibility()
        return self._models

    def _of_objective(self, j: int) -> Gaussian | Grouped:
        def inputs(codes: Codes) -> tuple[list[Floats], Floats]:
            quantiles = self.features(codes)
            prior = -self._aggregate(quantiles) if j == self._judged else np.zeros(len(codes))
            return self._scaled(codes, quantiles), prior

        return objective_model(self._refits, j, inputs, self._observed, self._told)

    def _of_feasibility(self) -> Gaussian:
        feasible, due = self._told.feasible, fitted_at(len(self._told))

        def examples(n: int, most: int) -> Examples:
            rows = of_both(feasible[:n], most)
            seen = int(self._told.scored[:n].sum()) if self._learned else 0
            quantiles = self._quantiles(self._told.codes[rows], self._ranking_at(fitted_at(seen)))
            values = np.where(feasible[rows], 1.0, -1.0)
            return self._scaled(self._told.codes[rows], quantiles), np.zeros(len(rows)), values

        return self._refits.process(-1, due, lambda: examples(due, FITTED), examples(len(feasible), KEPT))
