"""An earlier study as a proxy: its surrogate's prediction for every candidate of the new search.

Networks that are good on one data set tend to be good on another. The proxy layer uses the prediction in the prior mean
of its process (an idea of Poloczek, Wang and Frazier, Warm starting Bayesian optimization, WSC 2016), with a weight
that follows its correlation with what the new search observes; so a study that does not transfer loses its weight.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from searchkit.errors import SearchkitError
from searchkit.problem.objectives import Goals
from searchkit.problem.ranks import normal_scores
from searchkit.problem.trial import State
from searchkit.runtime.fingerprint import fingerprint
from searchkit.space import Space
from searchkit.surrogates.features import Features
from searchkit.surrogates.gaussian_process import fit
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    from searchkit.results.result import Result

FEWEST = 5  # scored candidates that a study must have
MOST = 400  # most candidates that it is fitted to: half of them the best, half evenly from the others
ROUNDS = 40  # iterations of the fit


class Earlier:
    """A proxy that learned from an earlier study; higher is better.

    It predicts the judged objective, where both studies have it, and otherwise the first objective that both have to
    learn.

    Attributes:
        study: the name of the earlier study.
        learned_from: a digest of the candidates that it learned from.

    Args:
        result: of the earlier study; its space must have the same choices and options; input shapes may differ.
        space, goals: of the new one.
        known: names of the new one's objectives that need no training, and so no prediction.
        judged: the objective of the new one that its proxies predict.

    Raises:
        SearchkitError: other choices, no objective in common, or fewer than five scored candidates.
    """

    def __init__(
        self, result: Result, space: Space, goals: Goals, known: Collection[str] = (), judged: str | None = None
    ) -> None:
        _check_choices(result.space, space, result.name)
        directions = {objective.name: objective.direction for objective in result.goals.objectives}
        shared = [o for o in goals.objectives if directions.get(o.name) == o.direction and o.name not in known]
        if not shared:
            raise SearchkitError(
                f"earlier study '{result.name}' has {', '.join(directions)} and this search {', '.join(goals.names)}: "
                "knowledge carries over where both have to learn an objective of the same name and direction"
            )
        shared.sort(key=lambda objective: objective.name != judged)
        scored = [trial for trial in result.trials if trial.state is State.SCORED]
        if len(scored) < FEWEST:
            raise SearchkitError(
                f"earlier study '{result.name}' has {len(scored)} scored candidates; at least {FEWEST} are needed"
            )
        self.name = f"earlier:{result.name}"
        self.study = result.name
        codes = space.check(np.stack([trial.code for trial in scored]))
        values = np.array([trial.values[shared[0].name] for trial in scored])
        self.learned_from = fingerprint(codes, values)  # differs once the study has more candidates
        gains = normal_scores(values if shared[0].direction == "max" else -values)
        order = np.argsort(-gains, kind="stable")
        rest = order[MOST // 2 :]
        step = max(1, -(-len(rest) // (MOST // 2)))
        rows = np.sort(np.concatenate([order[: MOST // 2], rest[::step]]))
        self._inputs = Features(space)
        seen = self._inputs(codes[rows])
        self._model = fit(seen, np.zeros(len(rows)), gains[rows], kernels=self._inputs.kernels, n_iterations=ROUNDS)

    def score(self, codes: Codes) -> Floats:
        """``(n,)`` the predicted gain, in normal scores of the earlier study; higher is better."""
        return self._model.predict(self._inputs(codes), np.zeros(len(codes)))[0]


def read_earlier(
    given: object, space: Space, goals: Goals, known: Collection[str] = (), judged: str | None = None
) -> list[Earlier]:
    """Proxies from one or several results.

    Raises:
        SearchkitError: something that is no result of a study, or one that does not fit (:class:`Earlier`).
    """
    from searchkit.results.result import Result

    listed: object = () if given is None else (given,) if isinstance(given, Result) else given
    if isinstance(listed, str) or not isinstance(listed, list | tuple):
        raise SearchkitError(f"earlier= takes results, such as searchkit.load('name'), not {given!r}")
    for one in listed:
        if not isinstance(one, Result):
            raise SearchkitError(f"earlier= takes results, such as searchkit.load('name'), not {one!r}")
    return [Earlier(result, space, goals, known, judged) for result in listed]


def _check_choices(old: Space, new: Space, name: str) -> None:
    before = {choice.name: repr(choice.labels) for choice in old.choices}  # 1, 1.0 and True are three options
    now = {choice.name: repr(choice.labels) for choice in new.choices}
    differing = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if differing or old.names != new.names:
        what = f"choice '{differing[0]}' differs" if differing else "their order differs"
        raise SearchkitError(f"earlier study '{name}' searched other choices than this one: {what}")
