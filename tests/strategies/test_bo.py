"""Bayesian optimisation: it finds optima in few evaluations, and nothing that losses do stops it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest
from helpers.marks import slow_if

import searchkit
from searchkit import Choice, Space
from searchkit.errors import SearchkitError
from searchkit.problem.observations import Observations
from searchkit.problem.pareto import hypervolume
from searchkit.problem.problem import Problem, Strategy
from searchkit.space import keys
from searchkit.strategies.acquisition import DRAWS, Acquisition
from searchkit.strategies.bo import BO
from searchkit.strategies.random import Random
from searchkit.strategies.surrogate import (
    ALL,
    FORM_GROWTH,
    FORMS,
    GROWTH,
    Surrogate,
    by_rank,
    by_value,
    fitted_at,
    informative,
)
from searchkit.surrogates.feasibility import Feasibility
from searchkit.surrogates.features import Features
from searchkit.types import Codes, Floats

SMALL = Space([Choice(f"c{j}", range(4)) for j in range(5)])  # 1,024 candidates: looked at whole
LARGE = Space([Choice(f"c{j}", range(5)) for j in range(6)])  # 15,625: sampled
SCALES = Space([Choice(f"c{j}", range(4), ordered=True) for j in range(6)])

Losses = Callable[[Codes], Floats]
Factory = Callable[[Problem], Strategy]


def none(problem: Problem) -> Codes:
    return np.empty((0, problem.space.n_choices), dtype=np.int64)


def observed(problem: Problem, codes: Codes, losses: Floats) -> Observations:
    return Observations(codes, losses, np.zeros((len(codes), problem.n_constraints)))


def ask(strategy: Strategy, problem: Problem, n: int, seed: int, pending: Codes | None = None) -> Codes:
    return strategy.ask(n, np.random.default_rng([9, seed]), none(problem) if pending is None else pending)


def searched(make: Factory, problem: Problem, losses: Losses, n: int, seed: int, batch: int = 1) -> Codes:
    """``(n, d)`` what a strategy proposes, told batch by batch."""
    strategy, asked = make(problem), []
    for step in range(n // batch):
        codes = strategy.ask(batch, np.random.default_rng([seed, step]), none(problem))
        strategy.tell(observed(problem, codes, losses(codes)))
        asked.append(codes)
    return np.concatenate(asked)


def sampled(space: Space, n: int, seed: int = 0) -> Codes:
    """``(n, d)`` distinct random candidates."""
    codes = np.unique(space.sample(2 * n, np.random.default_rng(seed)), axis=0)
    return np.random.default_rng(seed).permutation(codes)[:n]


@pytest.mark.slow
@pytest.mark.parametrize("seed", slow_if(bool, range(3)))
def test_the_best_of_1024_is_found_within_40(seed: int) -> None:
    value = np.random.default_rng(seed).normal(size=(5, 4))
    problem = Problem(SMALL, 1, budget=40)
    codes = searched(BO, problem, lambda codes: value[np.arange(5), codes].sum(axis=1)[:, None], 40, seed)
    assert value[np.arange(5), codes].sum(axis=1).min() == pytest.approx(value.min(axis=1).sum())


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 4])
def test_proposals_in_a_space_that_is_too_large_to_be_looked_at_are_all_different(batch: int) -> None:
    problem = Problem(LARGE, 1, budget=60)
    codes = searched(BO, problem, lambda codes: (codes.sum(axis=1) % 7)[:, None] * 1.0, 60, 0, batch)
    assert len(set(keys(codes))) == 60


def two(codes: Codes) -> Floats:
    """In conflict: small options cost little, large ones lose little."""
    return np.column_stack([codes.sum(axis=1) / 6, ((3 - codes) ** 2).sum(axis=1) / 20])


def volume(codes: Codes) -> float:
    return hypervolume(two(codes), np.array([3.2, 3.0]))


@pytest.mark.thorough
@pytest.mark.parametrize(("noise", "more"), [pytest.param(0.0, 0.4, marks=pytest.mark.thorough), (0.2, 0.05)])
def test_of_two_objectives_it_finds_more_than_random_search_noisy_or_not(noise: float, more: float) -> None:
    problem, found = Problem(SCALES, 2, budget=40), {BO: 0.0, Random: 0.0}
    for make in found:
        for seed in range(10):
            rng = np.random.default_rng(seed)
            noisy = functools.partial(lambda rng, codes: two(codes) + noise * rng.normal(size=(len(codes), 2)), rng)
            found[make] += volume(searched(make, problem, noisy, 40, seed, batch=2)) / 10
    assert found[BO] > found[Random] + more


def fronts(losses: Floats, codes: Codes) -> list[Floats]:
    problem = Problem(SCALES, losses.shape[1])
    told = Observations(codes, losses, np.empty((len(codes), 0)))
    rng = np.random.default_rng(0)
    return Acquisition(Surrogate(Features(SCALES), 40), told, Feasibility(problem), rng)._fronts


def test_fronts_are_drawn_where_losses_are_noisy_and_taken_at_their_word_where_not() -> None:
    codes = sampled(SCALES, 60)
    exact = codes @ np.random.default_rng(1).normal(size=(6, 2))
    at_their_word = fronts(exact, codes)
    assert len(at_their_word) == 1
    assert len(at_their_word[0]) == 60
    drawn = fronts(exact + np.random.default_rng(0).normal(size=exact.shape), codes)
    assert len(drawn) == DRAWS
    assert not np.allclose(drawn[0], drawn[1])
    one = fronts(exact[:, :1] + np.random.default_rng(0).normal(size=(60, 1)), codes)
    assert len(one) == DRAWS


def test_a_candidate_counts_by_its_chance_not_to_fail() -> None:
    codes = sampled(SCALES, 60)
    losses = np.where(codes[:, :1] == 3, np.nan, two(codes))
    problem, told = Problem(SCALES, 2), Observations(codes, losses, np.empty((60, 0)))
    learned, new = Feasibility(problem).fit(told), SCALES.enumerate()[::50]
    aware, blind = (
        Acquisition(Surrogate(Features(SCALES), 40), told, feasibility, np.random.default_rng(0))(new)
        for feasibility in (learned, Feasibility(problem))
    )
    assert aware - blind == pytest.approx(learned.log_chance(new))
    fails = new[:, 0] == 3
    assert (aware - blind)[fails].mean() < (aware - blind)[~fails].mean() - 1


def told_thirty(k: int = 2) -> tuple[Problem, BO]:
    problem = Problem(SMALL, k, budget=60)
    strategy = BO(problem)
    codes = sampled(SMALL, 30)
    losses = np.column_stack([codes.sum(axis=1) + j * codes[:, j] ** 2 for j in range(k)])
    strategy.tell(observed(problem, codes, losses * 1.0))
    return problem, strategy


@pytest.mark.parametrize("k", [1, 2])
def test_a_batch_is_distinct_and_each_takes_the_one_before_to_have_turned_out_as_predicted(k: int) -> None:
    problem, strategy = told_thirty(k)
    batch = ask(strategy, problem, 4, seed=0)
    assert len(set(keys(batch))) == 4
    assert np.array_equal(ask(strategy, problem, 1, seed=0), batch[:1])
    for n in (1, 2, 3):
        after = ask(strategy, problem, 1, seed=0, pending=batch[:n])
        assert np.array_equal(after, batch[n : n + 1]), "pending candidates are believed as those of a batch are"


def test_a_batch_is_not_the_best_few_of_one_acquisition() -> None:
    problem = Problem(SCALES, 1, budget=60)
    strategy, codes = BO(problem), sampled(SCALES, 30)
    noise = np.random.default_rng(1).normal(size=30)
    told = observed(problem, codes, (((codes - 2) ** 2).sum(axis=1) + noise)[:, None])
    strategy.tell(told)
    batch = ask(strategy, problem, 6, seed=0)
    rng = np.random.default_rng([9, 0])
    acquisition = Acquisition(Surrogate(Features(SCALES), 40), told, Feasibility(problem), rng)
    left = SCALES.enumerate()
    left = left[~np.isin(keys(left), keys(codes))]
    best = left[np.argsort(-acquisition(left), kind="stable")[:6]]
    assert np.array_equal(best[0], batch[0]), "the first is the best"
    assert set(keys(best)) != set(keys(batch))


@pytest.mark.slow
def test_four_objectives_are_searched_better_than_at_random() -> None:
    def four(codes: Codes) -> Floats:
        return np.column_stack([((codes - k) ** 2).sum(axis=1) for k in range(4)]) * 1.0

    problem = Problem(SCALES, 4, budget=30)
    reference = four(SCALES.enumerate()).max(axis=0) + 1
    bo, random = (hypervolume(four(searched(make, problem, four, 30, 0, 2)), reference) for make in (BO, Random))
    assert bo > 1.15 * random


def hidden(space: Space) -> Losses:
    """Fails where the options add up to nine or more, and says so only when it is tried."""
    options = np.array(space.choices[0].options)

    def losses(codes: Codes) -> Floats:
        total = options[codes].sum(axis=1)
        return np.where(total >= 9, np.nan, total)[:, None]

    return losses


NINE = Space([Choice(f"c{j}", (0, 1, 9)) for j in range(5)])  # 32 of 243 do not fail
NINE_OF_FOUR = Space([Choice(f"c{j}", (0, 1, 2, 9)) for j in range(5)])  # 232 of 1,024


def n_failed(space: Space, make: Factory, n: int, seed: int) -> int:
    return int(np.isnan(hidden(space)(searched(make, Problem(space, 1, budget=n), hidden(space), n, seed))).sum())


@pytest.mark.slow
def test_what_fails_is_learned_and_avoided() -> None:
    assert np.mean([n_failed(NINE, Random, 40, seed) for seed in range(4)]) > 30
    assert np.mean([n_failed(NINE, BO, 40, seed) for seed in range(4)]) < 25


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.thorough)])
def test_in_a_larger_space_most_do_not_fail_once_that_is_learned(seed: int) -> None:
    assert n_failed(NINE_OF_FOUR, BO, 100, seed) <= 60


def test_where_nothing_but_failures_is_left_it_goes_on_to_the_last() -> None:
    problem = Problem(NINE, 1, budget=243)
    strategy, everything = BO(problem), NINE.enumerate()
    losses = hidden(NINE)(everything)
    good = np.isfinite(losses[:, 0])
    assert good.sum() == 32
    strategy.tell(observed(problem, everything[good], losses[good]))
    strategy.tell(observed(problem, everything[~good][:20], losses[~good][:20]))
    seen = set(keys(everything[good])) | set(keys(everything[~good][:20]))
    for step in range(4):
        codes = ask(strategy, problem, 3, step)
        assert len(codes) == 3
        assert not seen.intersection(keys(codes))
        seen.update(keys(codes))
        strategy.tell(observed(problem, codes, np.full((3, 1), np.nan)))
    assert len(seen) == 64
    rest = ask(strategy, problem, 300, 9)
    assert len(rest) == 243 - 64
    assert len(seen.union(keys(rest))) == 243


DIFFICULT: dict[str, Losses] = {
    "no variance": lambda codes: np.ones((len(codes), 2)),
    "one without variance": lambda codes: np.column_stack([np.zeros(len(codes)), codes.sum(axis=1)]),
    "two values": lambda codes: codes[:, :2] % 2 * 1.0,
    "all alike but one": lambda codes: np.where(np.arange(len(codes)) == 0, 5.0, 1.0)[:, None].repeat(2, axis=1),
    "huge": lambda codes: 1e306 * (codes[:, :2] - 2.0) * (1 + codes[:, 2:4]),
    "of both ends": lambda codes: 8e307 * (codes[:, :2] - 2.0),
    "tiny": lambda codes: 1e-300 * codes[:, :2],
    "denormal": lambda codes: 5e-324 * codes[:, :2],
    "an outlier": lambda codes: np.where(codes[:, :2] == 4, 1e306, codes[:, :2] * 1e-3),
}


@pytest.mark.parametrize("name", DIFFICULT)
@pytest.mark.parametrize("k", slow_if(lambda k: k == 1, [1, 2]))
def test_whatever_losses_are_like_it_goes_on(name: str, k: int) -> None:
    problem = Problem(LARGE, k, budget=100)
    strategy, codes = BO(problem, pool=200), sampled(LARGE, 40)
    strategy.tell(observed(problem, codes, DIFFICULT[name](codes)[:, :k]))
    for step in range(2):
        new = ask(strategy, problem, 2, step)
        assert len(new) == 2
        assert not set(keys(new)).intersection(keys(codes))
        codes = np.concatenate([codes, new])
        strategy.tell(observed(problem, new, DIFFICULT[name](new)[:, :k]))


@pytest.mark.slow
def test_300_observations_of_two_distinct_values_are_no_error() -> None:
    problem = Problem(LARGE, 1, budget=400)
    strategy, codes = BO(problem, pool=500), sampled(LARGE, 300)
    strategy.tell(observed(problem, codes, (codes[:, :1] % 2) * 1.0))
    new = ask(strategy, problem, 2, 0)
    assert len(set(keys(new)) - set(keys(codes))) == 2
    assert (new[:, 0] % 2 == 0).all(), "of the better value"


@pytest.mark.parametrize("k", slow_if(lambda k: k > 1, [1, 2, 4]))
@pytest.mark.parametrize("scored", [True, False])
def test_where_everything_is_infeasible_it_goes_on(k: int, scored: bool) -> None:
    problem = Problem(LARGE, k, 1, budget=40)
    strategy = BO(problem)
    seen: set[bytes] = set()
    for step in range(6):
        codes = ask(strategy, problem, 4, step)
        assert len(set(keys(codes)) - seen) == 4
        seen.update(keys(codes))
        losses = np.repeat(codes.sum(axis=1, keepdims=True) * 1.0, k, axis=1)
        strategy.tell(Observations(codes, losses if scored else np.full_like(losses, np.nan), 1.0 + codes[:, :1]))


@pytest.mark.parametrize("n_scored", range(4))
def test_of_many_failures_and_few_scores_it_goes_on(n_scored: int) -> None:
    problem = Problem(LARGE, 2, budget=100)
    strategy, codes = BO(problem, pool=200), sampled(LARGE, 30)
    losses = np.full((30, 2), np.nan)
    losses[30 - n_scored :] = two(codes[30 - n_scored :])
    strategy.tell(observed(problem, codes, losses))
    new = ask(strategy, problem, 3, 0)
    assert len(set(keys(new)) - set(keys(codes))) == 3


@pytest.mark.slow
def test_pending_candidates_count_as_begun_and_are_not_proposed() -> None:
    problem = Problem(NINE, 1, budget=40)
    strategy = BO(problem)
    pending = NINE.enumerate()[:200]
    assert not set(keys(ask(strategy, problem, 5, 0, pending))).intersection(keys(pending))
    codes = NINE.enumerate()[200:212]
    strategy.tell(observed(problem, codes, codes.sum(axis=1)[:, None] * 1.0))
    new = ask(strategy, problem, 50, 0, pending)
    assert len(new) == 243 - 212
    assert not set(keys(new)).intersection([*keys(pending), *keys(codes)])


@pytest.mark.slow
def test_a_known_bound_is_kept_by_all_that_is_proposed() -> None:
    problem = Problem(LARGE, 1, 1, budget=40, known=lambda codes: np.maximum(codes.sum(axis=1, keepdims=True) - 6.0, 0))
    codes = searched(BO, problem, lambda codes: -codes[:, :1] * 1.0 - codes[:, 1:2], 30, 0, batch=3)
    assert codes.sum(axis=1).max() <= 6
    assert codes[:, :2].sum(axis=1).max() >= 5


@pytest.mark.parametrize(("first", "growth"), [(ALL, GROWTH), (1, FORM_GROWTH), (7, 1.3)])
def test_what_is_fitted_to_grows_with_what_was_told_and_never_ahead_of_it(first: int, growth: float) -> None:
    at = [fitted_at(n, first, growth) for n in range(1, 1500)]
    assert at[:first] == list(range(1, first + 1))
    assert at == sorted(at)
    for n, fitted in enumerate(at, start=1):
        assert 1 <= fitted <= n
        assert n < growth * fitted + growth + 1, "nor far behind"
    assert len(set(at)) < first + 2 + math.log(1500 / first) / math.log(growth), "and seldom changes"


@pytest.mark.slow
def test_equal_histories_give_equal_proposals_whatever_was_asked_in_between() -> None:
    problem = Problem(LARGE, 2, 0, budget=100)
    often, once = BO(problem, pool=300), BO(problem, pool=300)
    codes = sampled(LARGE, 84)
    losses = np.column_stack([codes.sum(axis=1) % 5, (codes[:, 0] - 2) ** 2]) * 1.0
    losses[::9] = np.nan
    for start in range(0, 84, 2):
        batch = observed(problem, codes[start : start + 2], losses[start : start + 2])
        often.tell(batch)
        once.tell(batch)
        if start > 60:
            ask(often, problem, 2, start)
    again = ask(often, problem, 3, 0)
    assert np.array_equal(ask(once, problem, 3, 0), again)
    assert np.array_equal(ask(once, problem, 3, 0), again), "asked again it says the same"


def test_a_fit_depends_on_what_was_told_and_not_on_when_a_model_was_asked_for() -> None:
    codes = sampled(LARGE, 90)[:84]
    losses = two(codes)[:, 0] + np.random.default_rng(0).normal(size=90)[:84]  # what form is best changes on the way
    often, once = Surrogate(Features(LARGE), 20), Surrogate(Features(LARGE), 20)
    for n in range(59, 84, 2):
        often.column("loss", codes[:n], losses[:n], FORMS)
        often.column("another", codes[:n], -losses[:n], FORMS)
    mine, theirs = (surrogate.column("loss", codes, losses, FORMS) for surrogate in (often, once))
    assert mine.groups == theirs.groups
    for name in ("constant", "noise", "weight"):
        assert getattr(mine.gaussian.setting, name) == getattr(theirs.gaussian.setting, name)
    assert np.array_equal(mine.gaussian.setting.amplitudes, theirs.gaussian.setting.amplitudes)
    assert len(mine.gaussian.y) == 84, "the observations since the fit are seen"


def test_the_observations_that_tell_most_are_the_best_and_some_of_all_others() -> None:
    losses = np.random.default_rng(0).permutation(1000) * 1.0
    rows = informative(losses, 100)
    assert len(set(rows)) == 100
    assert list(rows) == sorted(rows)
    assert set(range(50)) <= set(losses[rows])
    assert losses[rows].max() == 999
    assert np.diff(np.sort(losses[rows])[50:]).max() <= 20
    assert list(informative(losses[:30], 100)) == list(range(30))
    assert len(set(informative(np.zeros(300), 100))) == 100


def test_differences_are_seen_beside_an_outlier_and_whatever_the_scale() -> None:
    losses = np.random.default_rng(0).random(40)
    plain = by_value(losses)
    assert plain.mean() == pytest.approx(0, abs=1e-12)
    assert plain.std() == pytest.approx(1)
    assert (np.argsort(plain) == np.argsort(-losses)).all(), "higher is better"
    for scale in (1e-300, 1e306):
        assert by_value(losses * scale) == pytest.approx(plain, abs=1e-9)
        assert by_rank(losses * scale) == pytest.approx(by_rank(losses))
    assert np.isfinite(by_value(np.array([-1.7e308, 0.0, 1.7e308]))).all()
    losses[7] = 1e306
    others = np.arange(40) != 7
    for scale in (by_value, by_rank):
        assert np.ptp(scale(losses)[others]) > 1
        assert np.isfinite(scale(np.full(5, 1.7e308))).all()
        assert np.ptp(scale(np.zeros(5))) == 0


@pytest.mark.parametrize("given", [{"n_initial": 1}, {"pool": 0}, {"n_iterations": 0}])
def test_options_that_it_cannot_have_are_named_before_anything_is_evaluated(given: dict[str, int]) -> None:
    (name, value), calls = next(iter(given.items())), []

    def evaluate(choices: dict) -> dict:
        calls.append(choices)
        return {"loss": 1.0}

    with pytest.raises(ValueError, match=f"{name} {value}.*at least 2, 1 and 1"):
        BO(Problem(SMALL), **given)
    with pytest.raises(SearchkitError, match=f"strategy 'bo' cannot be made for this search: .*{name} {value}"):
        searchkit.run(
            functools.partial(BO, **given), space=SMALL, evaluate=evaluate, objectives={"loss": "min"}, budget=3,
            storage="memory",
        )  # fmt: skip
    assert not calls


def test_the_random_beginning_is_part_of_the_budget() -> None:
    assert [BO(Problem(SMALL, budget=budget)).n_initial for budget in (10, 40, 1000, None)] == [5, 8, 10, 10]
    assert BO(Problem(SMALL, budget=40), n_initial=3).n_initial == 3
