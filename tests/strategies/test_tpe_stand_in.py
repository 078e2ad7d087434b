"""The TPE over arrays suggests what Optuna's TPESampler suggests, to the last bit, whatever the trials were."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import optuna
import pytest
from helpers.marks import slow_if
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.trial import FrozenTrial, TrialState

from searchkit.storage.optuna_compat import quiet
from searchkit.strategies.optuna_seeds import seed_sampler
from searchkit.strategies.optuna_storage import Shelf
from searchkit.strategies.tpe_density import Density
from searchkit.strategies.tpe_stand_in import StandIn, quick
from searchkit.strategies.tpe_steps import axis_of

pytestmark = pytest.mark.filterwarnings("ignore")  # of Optuna, on both

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(-5, 5), "rate": FloatDistribution(1e-5, 1e-1, log=True), "n": IntDistribution(0, 20),
    "share": FloatDistribution(0, 1, step=0.05), "width": IntDistribution(1, 300, log=True),
    "kind": CategoricalDistribution(("a", "b", None)), "c": CategoricalDistribution(range(5)),
    "many": CategoricalDistribution(range(200)),
    "coarse": IntDistribution(0, 9, step=3), "y": FloatDistribution(0, 1e-300), "odd": IntDistribution(-2, 61, step=7),
    "wide": IntDistribution(-(2**40), 2**40),
    "one": FloatDistribution(2, 2), "z": FloatDistribution(0, 1),
}  # fmt: skip


STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def drawn(distribution: BaseDistribution, rng: np.random.Generator) -> Any:
    """A random value, at an end now and then."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(rng.integers(len(distribution.choices)))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if rng.random() < 0.1:
        return low if rng.random() < 0.5 else high
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if distribution.log else rng.uniform(low, high)
    if step is not None:
        value = min(low + round((value - low) / step) * step, high)
    return int(value) if isinstance(distribution, IntDistribution) else value


def history(names: list[str], n: int, k: int, seed: int, lacking: bool = False) -> Shelf:
    """A shelf with trials of every state, tied and constrained ones among them."""
    rng, shelf = np.random.default_rng([seed, n]), Shelf(k)
    for i in range(n):
        of = {name: SPACE[name] for name in names if not lacking or name == names[0] or rng.random() < 0.7}
        state = STATES[rng.choice(3, p=[0.8, 0.17, 0.03])]
        values = np.round(rng.normal(size=k), 2).tolist() if state is TrialState.COMPLETE else None
        reports = {int(s): float(rng.normal()) if s else math.nan for s in rng.integers(4, size=rng.integers(3))}
        shelf.finish(
            optuna.create_trial(
                state=state, values=values, distributions=of, params={name: drawn(d, rng) for name, d in of.items()},
                intermediate_values=reports if k == 1 and state is TrialState.PRUNED else {},
                constraints={"a": float(np.round(rng.normal() - 0.7, 1))} if i % 3 == 0 else {},
            )
        )  # fmt: skip
    return shelf


def suggested(sampler: TPESampler, shelf: Shelf, names: list[str], running: int, seed: int) -> list[dict[str, Any]]:
    """Two suggestions one after the other, parameters that are not searched together included."""
    rng, found = np.random.default_rng(seed), []
    sampler = sampler.seeded(rng) if isinstance(sampler, StandIn) else copy.deepcopy(sampler)
    seed_sampler(sampler, rng) if not isinstance(sampler, StandIn) else None
    others = np.random.default_rng([seed, 7])
    study = optuna.Study("searchkit", shelf, sampler)
    with shelf.running():
        for i in range(running):
            trial, some = shelf.begin(), {name: SPACE[name] for name in names[: len(names) - i]}
            trial.params.update({name: drawn(d, others) for name, d in some.items()})
            trial.distributions.update(some)
        for _ in range(2):
            trial = shelf.begin()
            given = sampler.sample_relative(study, trial, sampler.infer_relative_search_space(study, trial))
            for name in names:
                if name not in given and not SPACE[name].single():
                    given[name] = sampler.sample_independent(study, trial, name, SPACE[name])
                if name in given:
                    trial.params[name], trial.distributions[name] = given[name], SPACE[name]
            found.append(given)
    return found


CASES: list[tuple[dict[str, Any], list[str], int, int, int, bool]] = [
    # options, parameters, trials, objectives, running, whether trials lack some
    ({"multivariate": True}, ["x"], 12, 1, 1, False),
    ({"multivariate": True}, list(SPACE), 9, 1, 0, False),
    ({"multivariate": True}, list(SPACE), 30, 1, 2, False),
    ({"multivariate": True}, list(SPACE), 150, 2, 1, False),
    ({"multivariate": True}, ["kind", "c", "n"], 200, 1, 3, False),
    ({"multivariate": True}, ["n", "width", "share", "wide", "coarse"], 400, 1, 0, False),
    ({"multivariate": True}, ["x", "rate", "z", "n"], 900, 1, 1, False),
    ({"multivariate": True}, ["wide", "x"], 500, 1, 0, False),
    ({"multivariate": True, "group": True}, ["c", "x", "n", "rate"], 120, 1, 2, True),
    ({"multivariate": True}, ["c", "x", "n"], 60, 2, 1, True),
    ({}, ["x", "c", "width"], 70, 2, 1, True),
    ({"multivariate": False, "constant_liar": False}, ["x", "c"], 40, 1, 2, False),
    ({"multivariate": True, "prior_weight": 0.5, "consider_magic_clip": False, "consider_endpoints": True,
      "gamma": lambda n: n // 4, "weights": lambda n: np.linspace(0.1, 1, n), "n_ei_candidates": 5},
     ["x", "share", "kind"], 50, 1, 1, False),
]  # fmt: skip


@pytest.mark.parametrize("case", slow_if(lambda case: case in (3, 4, 5, 7), range(len(CASES))))
def test_suggestions_are_those_of_optunas_tpe(case: int) -> None:
    options, names, n, k, running, lacking = CASES[case]
    shelf = history(names, n, k, case, lacking)
    with quiet():
        theirs = TPESampler(**options)
        ours = quick(copy.deepcopy(theirs))
        assert isinstance(ours, StandIn)
        for seed in range(2):
            pair = [suggested(sampler, shelf, names, running, seed) for sampler in (theirs, ours)]
            assert pair[0] == pair[1]
            more = history(names, 3, k, 99 + seed, lacking)  # what is kept of earlier calls serves later ones
            for trial in more.get_all_trials(0):
                shelf.finish(trial)
        shelf.keep(range(0, len(shelf.get_all_trials(0)), 2))
        fresh = Shelf(k)
        for trial in copy.deepcopy(shelf.get_all_trials(0)):
            fresh.finish(trial)
        assert suggested(ours, shelf, names, running, 5) == suggested(theirs, fresh, names, running, 5)


@pytest.mark.parametrize("n", slow_if(lambda n: n > 2000, [0, 1, 5, 130, 2100]))
def test_densities_are_optunas_to_the_last_bit(n: int) -> None:
    shelf, names = (
        history(list(SPACE), n, 1, 3),
        [name for name in SPACE if name != "one" and (n < 2000 or name not in ("wide", "width"))],
    )
    theirs, ours = TPESampler(), quick(TPESampler())
    assert isinstance(ours, StandIn)
    space = {name: SPACE[name] for name in names}
    finished = shelf.get_all_trials(0, deepcopy=False)
    axes = shelf.columns.axes(space) if n else [axis_of(d) for d in space.values()]
    assert axes is not None
    for part in (slice(None), slice(1, None, 2), slice(None)):  # the widths change, and change back
        rows = np.arange(n)[part]
        rows, values = shelf.columns.values(axes, rows)
        trials: list[FrozenTrial] = [finished[i] for i in rows]
        internal = {k: np.array([d.to_internal_repr(t.params[k]) for t in trials]) for k, d in space.items()}
        peer = _ParzenEstimator(internal, space, theirs._parzen_estimator_parameters)
        density = ours._density(axes, rows, values, None)
        assert isinstance(density, Density)
        candidates = density.sample(np.random.RandomState(5), 24)
        expected = peer.sample(np.random.RandomState(5), 24)
        assert {name: column.tolist() for name, column in zip(space, candidates, strict=True)} == {
            name: column.tolist() for name, column in expected.items()
        }
        assert density.log_density(candidates).tolist() == peer.log_pdf(expected).tolist()
