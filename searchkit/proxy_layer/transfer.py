"""An earlier study as a proxy: its surrogate's prediction for every candidate of the new search.

Networks that are good on one data set tend to be good on another. The proxy layer uses the prediction in the prior mean
of its process (an idea of Poloczek, Wang and Frazier, Warm starting Bayesian optimization, WSC 2016), with a weight
that follows its correlation with what the new search observes; so a study that does not transfer loses its weight.

Of several studies each predicts its own labels, and learns from those of the others as far as they agree
(:mod:`searchkit.surrogates.grouped`): accuracies of other data or of other epochs are not comparable, and their order
within a study is.

Where options were added or left out since, or choices are in another order, the candidates that are of both spaces
count. A study of another space says something here where both spaces declare what their options mean
(:mod:`searchkit.space.roles`): then a linear model of :mod:`searchkit.surrogates.role_features` predicts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from searchkit.errors import SearchkitError, SpaceError
from searchkit.problem.objectives import Goals
from searchkit.problem.ranks import normal_scores
from searchkit.problem.trial import State, Trial
from searchkit.proxy_layer.comparisons import Compared, Comparisons
from searchkit.proxy_layer.votes import ELSEWHERE
from searchkit.runtime.fingerprint import fingerprint
from searchkit.space import Space
from searchkit.space.roles import has_roles
from searchkit.surrogates.features import Features
from searchkit.surrogates.gaussian_process import Gaussian, fit
from searchkit.surrogates.grouped import Grouped, fit_groups
from searchkit.surrogates.role_features import RoleFeatures
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    from searchkit.results.result import Result

Inputs = Features | RoleFeatures
Scored = list[tuple[Codes, Trial]]

FEWEST = 5  # scored candidates that a study must have
MOST = 400  # most candidates that it is fitted to: half of them the best, half evenly from the others
BESIDE = 400  # most candidates of other studies that it learns from as well
FITTED = 250  # of all these, to which hyperparameters are fitted where there are several studies
ROUNDS = 40  # iterations of the fit


class Earlier:
    """A proxy that learned from an earlier study; higher is better.

    It predicts the judged objective, where both studies have it, and otherwise the first objective that both have to
    learn.

    Attributes:
        study: the name of the earlier study.
        learned_from: a digest of the candidates that it learned from.

    Args:
        result: of the earlier study; its space has the same choices and options, whatever the input shapes, or choices
            with roles as the new one has, or at least five of its scored candidates are of the new space, too.
        space, goals: of the new one.
        known: names of the new one's objectives that need no training, and so no prediction.
        judged: the objective of the new one that its proxies predict.
        beside: other earlier studies, which it learns from as far as they agree with it, if all have the same choices.

    Raises:
        SearchkitError: other choices, no roles in common and too few candidates of the new space; no objective in
            common; or fewer than five scored candidates.
    """

    def __init__(
        self,
        result: Result,
        space: Space,
        goals: Goals,
        known: Collection[str] = (),
        judged: str | None = None,
        beside: Sequence[Result] = (),
    ) -> None:
        self.study = result.name
        found = _here(result, space)
        here = len(found) >= FEWEST or same_choices(result.space, space)
        self.name = f"earlier:{result.name}" if here else f"{ELSEWHERE}{result.name}"
        self._inputs, self._seen_as = (Features(space),) * 2 if here else _by_roles(result, space, len(found))
        of, found = (space, found) if here else (result.space, _here(result, result.space))
        others = [(one, _here(one, space)) for one in beside] if here else []
        learned = [_Labels(result, of, found, goals, known, judged)]
        learned += [_Labels(one, of, own, goals, known, judged) for one, own in others if len(own) >= FEWEST]
        self.learned_from = learned[0].digest  # differs once the study has more candidates
        self._model = self._fitted(learned)

    def score(self, codes: Codes) -> Floats:
        """``(n,)`` the predicted gain, in normal scores of the earlier study; higher is better."""
        return self._model.predict(self._inputs(codes), np.zeros(len(codes)))[0]

    def _fitted(self, learned: Sequence[_Labels]) -> Gaussian | Grouped:
        """The process of the labels of one study, or of those and of others' as groups of their own."""
        parts = [one.chosen(MOST if i == 0 else BESIDE // (len(learned) - 1)) for i, one in enumerate(learned)]
        codes, gains = (np.concatenate(column) for column in zip(*parts, strict=True))
        seen, nothing, kernels = self._seen_as(codes), np.zeros(len(codes)), self._inputs.kernels
        if len(learned) == 1:
            return fit(seen, nothing, gains, kernels=kernels, n_iterations=ROUNDS)
        groups = np.repeat(np.arange(len(parts)), [len(part[1]) for part in parts])
        rows = np.unique(np.linspace(0, len(codes) - 1, FITTED).astype(np.int64))
        return fit_groups(seen, nothing, gains, groups, kernels=kernels, target=0, n_iterations=ROUNDS, rows=rows)


class _Labels:
    """What an earlier study says of the objective that it shares with the new search.

    Attributes:
        codes, gains: ``(n, d)``, and normal scores ``(n,)``, higher is better.
        digest: of them.
    """

    def __init__(
        self, result: Result, space: Space, scored: Scored, goals: Goals, known: Collection[str], judged: str | None
    ) -> None:
        directions = {objective.name: objective.direction for objective in result.goals.objectives}
        shared = [o for o in goals.objectives if directions.get(o.name) == o.direction and o.name not in known]
        if not shared:
            raise SearchkitError(
                f"earlier study '{result.name}' has {', '.join(directions)} and this search {', '.join(goals.names)}: "
                "knowledge carries over where both have to learn an objective of the same name and direction"
            )
        shared.sort(key=lambda objective: objective.name != judged)
        if len(scored) < FEWEST:
            raise SearchkitError(
                f"earlier study '{result.name}' has {len(scored)} scored candidates; at least {FEWEST} are needed"
            )
        codes = space.check(np.stack([code for code, _ in scored]))
        values = np.array([trial.values[shared[0].name] for _, trial in scored])
        self.codes, self.digest = codes, fingerprint(codes, values)
        self.gains = normal_scores(values if shared[0].direction == "max" else -values)

    def chosen(self, most: int) -> tuple[Codes, Floats]:
        """At most so many: half of them the best, half evenly from the others."""
        order = np.argsort(-self.gains, kind="stable")
        rest = order[most // 2 :]
        step = max(1, -(-len(rest) // (most // 2)))
        rows = np.sort(np.concatenate([order[: most // 2], rest[::step]]))
        return self.codes[rows], self.gains[rows]


def read_earlier(
    given: object, space: Space, goals: Goals, known: Collection[str] = (), judged: str | None = None
) -> list[Earlier | Compared]:
    """Proxies from one or several results, and from comparisons.

    Raises:
        SearchkitError: something that is no result of a study and no comparisons, or one that does not fit
            (:class:`Earlier`, :class:`~searchkit.proxy_layer.comparisons.Compared`).
    """
    from searchkit.results.result import Result

    listed: object = () if given is None else (given,) if isinstance(given, Result | Comparisons) else given
    if isinstance(listed, str) or not isinstance(listed, list | tuple):
        raise SearchkitError(f"earlier= takes results, such as searchkit.load('name'), not {given!r}")
    for one in listed:
        if not isinstance(one, Result | Comparisons):
            raise SearchkitError(f"earlier= takes results, such as searchkit.load('name'), not {one!r}")
    pairs = [one for one in listed if isinstance(one, Comparisons)]
    if len(pairs) > 1:
        pairs = [Comparisons([pair for one in pairs for pair in one.pairs])]
    results = [one for one in listed if isinstance(one, Result)]
    others = [[*results[:i], *results[i + 1 :]] for i, _ in enumerate(results)]
    studies = [Earlier(one, space, goals, known, judged, rest) for one, rest in zip(results, others, strict=True)]
    return [*studies, *(Compared(one, space) for one in pairs)]


def same_choices(old: Space, new: Space) -> bool:
    """Whether two spaces have the same choices with the same options, in the same order."""
    return _difference(old, new) is None


def _difference(old: Space, new: Space) -> str | None:
    before = {choice.name: repr(choice.labels) for choice in old.choices}  # 1, 1.0 and True are three options
    now = {choice.name: repr(choice.labels) for choice in new.choices}
    differing = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if differing:
        return f"choice '{differing[0]}' differs"
    return "their order differs" if old.names != new.names else None


def _here(result: Result, space: Space) -> Scored:
    """The scored candidates of a study that are of a space, with their codes ``(d,)`` there.

    Of spaces with other options whose options all have roles, none: what these mean says more.
    """
    scored = [trial for trial in result.trials if trial.state is State.SCORED]
    if same_choices(result.space, space):
        return [(trial.code, trial) for trial in scored]
    if has_roles(result.space) and has_roles(space):
        return []
    found: Scored = []
    for trial in scored if set(result.space.names) <= set(space.names) else ():
        with suppress(SpaceError):
            found.append((space.encode(result.space.decode(trial.code))[0], trial))
    return found


def _by_roles(result: Result, new: Space, n: int) -> tuple[Inputs, Inputs]:
    """Features of the new space, and those of the space of an earlier study that mean the same.

    Args:
        n: scored candidates of that study that are of the new space.

    Raises:
        SearchkitError: there are none.
    """
    old = result.space
    said = f"earlier study '{result.name}' searched other choices than this one: {_difference(old, new)}"
    said += f", only {n} of its scored candidates {'is' if n == 1 else 'are'} of this space" if n else ""
    for space, whose in ((old, "its"), (new, "this")):
        if not has_roles(space):
            raise SearchkitError(f"{said}, and {whose} space '{space.name}' declares no roles of options to compare by")
    here, there = RoleFeatures(new), RoleFeatures(old)
    if not (here.varied & there.varied).any():
        raise SearchkitError(f"{said}, and the roles of options that vary in one space do not vary in the other")
    return here, there
