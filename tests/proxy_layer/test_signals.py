"""The proxy layer: ranks, votes, trust, predictions, and what a search does with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import ndcg_score

import searchkit
from searchkit import Choice, Space
from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.problem.objectives import Goals, Objective
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.proxy_layer.aggregation import PRIOR_RHO, Reference, log_rank, top_correlation, trusts
from searchkit.proxy_layer.screening import Screen
from searchkit.proxy_layer.signals import Signals
from searchkit.surrogates.gaussian_process import fit

CELLS = searchkit.load_space("nas-bench-201", width=[4, 6, 8, 12], cells=1)
SPACE = Space([Choice(f"c{j}", range(5), ordered=True) for j in range(5)])
OBJECTIVES = {"accuracy": Objective("accuracy", "max"), "params": Objective("params", "min")}
ORDERS = (("accuracy", "params"), ("params", "accuracy"))


@pytest.fixture(params=ORDERS, ids=["accuracy first", "cost first"], autouse=True)
def _order(request: pytest.FixtureRequest) -> None:
    """Every test of the layer, with the objectives in both orders."""
    global GOALS, A, S
    names = request.param
    GOALS = Goals(tuple(OBJECTIVES[name] for name in names), ())
    A, S = names.index("accuracy"), names.index("params")


# for tests on which the order of the objectives has no influence
ONE_ORDER = pytest.mark.parametrize("_order", ORDERS[:1], ids=["accuracy first"], indirect=True)
MOSTLY_ONE_ORDER = pytest.mark.parametrize(  # for dear ones
    "_order",
    [ORDERS[0], pytest.param(ORDERS[1], marks=pytest.mark.thorough)],
    ids=["accuracy first", "cost first"],
    indirect=True,
)
GOALS = Goals(())
A = S = 0  # columns of the accuracy and of the cost


def truth(codes: np.ndarray) -> np.ndarray:
    return 50 + 10 * np.tanh(codes[:, 0] - 2) + 3 * codes[:, 1] - (codes[:, 2] - 2) ** 2


def size(codes: np.ndarray) -> np.ndarray:
    return 100.0 + 7 * codes.sum(axis=1)


class Hint:
    """A proxy that says half of the truth, and counts how many candidates it was asked for."""

    def __init__(self, name: str = "hint", sign: float = 1.0, fails: bool = False) -> None:
        self.name, self.sign, self.fails = name, sign, fails

    def score(self, codes: np.ndarray) -> np.ndarray:
        CALLS.append(len(codes))
        if self.fails:
            raise RuntimeError("no hint today")
        return self.sign * (np.tanh(codes[:, 0] - 2.0) * 10 + 3 * codes[:, 1])


class Noise:
    name = "noise"

    def score(self, codes: np.ndarray) -> np.ndarray:
        return np.random.default_rng(3).permutation(5**5)[codes @ 5 ** np.arange(5)].astype(float)


CALLS: list[int] = []


def layer(*proxies, known: bool = True, seed: int = 0) -> Signals:
    def score(codes: np.ndarray) -> np.ndarray:
        return np.column_stack([proxy.score(codes) for proxy in proxies])

    names = tuple(proxy.name for proxy in proxies)
    return Signals(
        SPACE,
        names,
        score,
        GOALS,
        known=(lambda codes: {"params": size(codes)}) if known else None,
        seed=seed,
        judged="accuracy",
    )


def observed(n: int, seed: int = 0) -> Observations:
    codes = np.unique(SPACE.sample(3 * n, np.random.default_rng(seed)), axis=0)
    codes = np.random.default_rng(seed).permutation(codes)[:n]
    return Observations(
        codes,
        np.column_stack([size(codes), -truth(codes)] if A else [-truth(codes), size(codes)]),
        np.empty((len(codes), 0)),
    )


def test_quantiles_keep_the_order_also_beyond_the_sample_and_put_what_has_no_score_last() -> None:
    known = np.array([[1.0], [2.0], [2.0], [5.0], [np.nan]])
    new = np.array([-9.0, 0.5, 1.0, 1.5, 2.0, 4.0, 5.0, 6.0, 60.0])
    quantiles = Reference(known).quantiles(np.append(new, np.nan)[:, None])[:, 0]
    assert (np.diff(quantiles[:-1]) > 0).all()
    assert quantiles[-1] <= quantiles[:-1].min() + 0.1
    assert quantiles[4] == pytest.approx(0.6), "one without score and one below; of the two alike, half"
    assert ((quantiles > 0) & (quantiles < 1)).all()


def test_quantiles_do_not_depend_on_the_scale_of_a_proxy() -> None:
    rng = np.random.default_rng(0)
    scores, new = rng.normal(size=(50, 1)), rng.uniform(-1, 1, (20, 1))
    plain = Reference(scores).quantiles(new)
    assert np.allclose(Reference(1e6 * scores - 3).quantiles(1e6 * new - 3), plain)


def test_a_bad_rank_outweighs_a_good_one() -> None:
    judged = log_rank(np.array([[0.5, 0.5], [0.99, 0.01]]), np.array([0.5, 0.5]))
    assert judged[0] > judged[1]


@pytest.mark.parametrize("seed", range(5))
def test_a_flipped_or_vanished_sign_loses_its_weight_within_20_observations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    good = rng.normal(size=20)
    right = good + 0.7 * rng.normal(size=20)
    quantiles = np.column_stack([1 / (1 + np.exp(-x)) for x in (right, -right, rng.normal(size=20))])
    before = trusts(quantiles[:0], good[:0], np.full(3, 1 / 3))
    assert [t.weight for t in before] == pytest.approx([1 / 3] * 3)
    assert [t.belief for t in before] == [PRIOR_RHO] * 3
    assert all(np.isnan(t.rho) for t in before)
    after = trusts(quantiles, good, np.full(3, 1 / 3))
    assert after[1].weight == 0
    assert after[2].weight < 0.35 * after[0].weight
    for trust, column in zip(after, quantiles.T, strict=True):
        assert trust.low < trust.rho < trust.high
        assert trust.rho == pytest.approx(spearmanr(column, good)[0])
        assert trust.top == pytest.approx(top_correlation(column, good))
        assert trust.ndcg == pytest.approx(ndcg_score([(good - good.min()) / np.ptp(good)], [column], k=2))


@pytest.mark.parametrize("n", [3, 4, 12])
def test_the_interval_of_a_correlation_is_fishers_with_fiellers_variance(n: int) -> None:
    rng = np.random.default_rng(n)
    observed = rng.normal(size=n)
    signal = observed + rng.normal(size=n)
    (trust,) = trusts(signal[:, None], observed, np.ones(1))
    if n == 3:
        assert (trust.low, trust.high, trust.belief) == (-1, 1, PRIOR_RHO)
        return
    z, deviation = np.arctanh(np.clip(trust.rho, -0.999, 0.999)), np.sqrt(1.06 / (n - 3))
    assert np.arctanh([trust.low, trust.high]) == pytest.approx([z - 1.959964 * deviation, z + 1.959964 * deviation])
    prior = np.arctanh(PRIOR_RHO)
    top = np.arctanh(np.clip(top_correlation(signal, observed), -0.999, 0.999))
    seen = (2 * z + top) / 3
    assert np.arctanh(trust.belief) == pytest.approx((4 * prior + seen / deviation**2) / (4 + 1 / deviation**2))


def test_the_correlation_at_the_top_counts_each_candidate_by_its_rank() -> None:
    rng = np.random.default_rng(0)
    observed = rng.permutation(9).astype(float)
    signal = observed + 3 * rng.normal(size=9)
    repeated = np.repeat(np.arange(9), observed.astype(int) + 1)  # the best nine times, the worst once
    places = [values.argsort().argsort()[repeated] for values in (signal, observed)]
    assert top_correlation(signal, observed) == pytest.approx(np.corrcoef(*places)[0, 1])
    assert top_correlation(observed**3, observed) == pytest.approx(1)
    assert top_correlation(-observed, observed) == pytest.approx(-1)
    assert top_correlation(np.ones(9), observed) == top_correlation(signal, np.ones(9)) == 0


def test_of_two_signals_that_predict_alike_the_one_that_knows_the_best_counts_more() -> None:
    observed = np.arange(40.0)
    half, rng = np.arange(40) < 20, np.random.default_rng(1)
    mixed = rng.permutation(20)
    knows_best = np.where(half, np.concatenate([mixed, mixed]), observed)
    knows_worst = np.where(half, observed, np.concatenate([mixed, mixed]) + 20.0)
    best, worst = trusts(np.column_stack([knows_best, knows_worst]) / 50, observed, np.full(2, 0.5))
    assert best.rho == pytest.approx(worst.rho, abs=0.01)
    assert best.belief > worst.belief + 0.02
    assert best.weight > worst.weight


def test_the_process_follows_what_was_observed_and_is_unsure_elsewhere() -> None:
    x = np.linspace(-1, 1, 12)[:, None]
    model = fit([x], np.zeros(12), np.sin(3 * x[:, 0]))
    mean, std = model.predict([np.array([[0.05], [4.0]])], np.zeros(2))
    assert mean[0] == pytest.approx(np.sin(0.15), abs=0.15)
    assert std[1] > 2 * std[0]
    assert model.predict([np.empty((0, 1))], np.empty(0))[0].shape == (0,)


def test_without_observations_the_layer_ranks_by_its_proxies_and_knows_no_unit() -> None:
    codes = SPACE.enumerate()
    signals = layer(Hint())
    assert spearmanr(signals.quality(codes), truth(codes))[0] > 0.8
    mean, std = signals.predict(codes)
    assert np.isnan(mean[:, A]).all()
    assert np.isnan(std[:, A]).all()
    assert (mean[:, S] == size(codes)).all(), "what is known exactly is known from the start"
    assert (std[:, S] == 0).all()


def test_observations_sharpen_the_prediction_and_give_it_units() -> None:
    codes = SPACE.enumerate()
    signals = layer(Hint(), Noise())
    before = spearmanr(signals.quality(codes), truth(codes))[0]
    signals.observe(observed(40))
    mean, std = signals.predict(codes)
    assert spearmanr(-mean[:, A], truth(codes))[0] > max(before, 0.95)
    assert np.abs(-mean[:, A] - truth(codes)).mean() < 0.25 * truth(codes).std()
    assert (std[:, A] > 0).mean() > 0.9, "zero only between equal observations"
    assert list(signals.trust.proxy) == ["hint", "noise"]
    assert signals.trust.weight[1] < 0.1


def test_what_is_not_known_exactly_is_learned_for_every_objective() -> None:
    codes = SPACE.enumerate()
    signals = layer(Hint(), known=False)
    signals.observe(observed(40))
    mean, std = signals.predict(codes)
    assert spearmanr(mean[:, S], size(codes))[0] > 0.95
    assert (std > 0).mean() > 0.9


def test_free_counts_stand_beside_the_proxies() -> None:
    signals = Signals(
        SPACE, ("hint",), lambda codes: Hint().score(codes)[:, None], GOALS, known=lambda codes: {"params": size(codes)},  # noqa: E501
        baselines=lambda codes: {"macs": size(codes), "hint": size(codes)}, judged="accuracy",
    )  # fmt: skip
    assert list(signals.trust.proxy) == ["hint"], "nothing is observed yet"
    told = observed(20)
    signals.observe(told)
    assert list(signals.trust.proxy) == ["hint", "macs"]
    assert signals.trust.rho[1] == pytest.approx(spearmanr(size(told.codes), truth(told.codes))[0])
    assert np.isnan(signals.trust.weight[1])


def test_a_proxy_that_says_the_same_of_everything_changes_nothing() -> None:
    signals = layer(Hint("constant", sign=0.0))
    assert (signals.quality(SPACE.enumerate()) == 0).all()
    result = search(proxies=[Hint("constant", sign=0.0)], budget=10)
    assert len(result.history) == 10
    assert result.signals.weight.tolist() == [0]


def test_a_misleading_proxy_does_less_harm_than_it_did_unobserved() -> None:
    codes = SPACE.enumerate()
    signals = layer(Hint(sign=-1))
    assert spearmanr(signals.quality(codes), truth(codes))[0] < -0.8
    signals.observe(observed(40))
    assert spearmanr(-signals.predict(codes)[0][:, A], truth(codes))[0] > 0.9


def test_where_candidates_fail_the_chance_falls() -> None:
    told = observed(60)
    losses = told.losses.copy()
    losses[told.codes[:, 4] >= 3] = np.nan
    signals = layer(Hint())
    assert (signals.log_chance(told.codes) == 0).all()
    signals.observe(Observations(told.codes, losses, told.violations))
    codes = SPACE.enumerate()
    chance = signals.log_chance(codes)
    assert chance[codes[:, 4] >= 3].mean() < chance[codes[:, 4] < 2].mean() - 0.5


def test_told_at_once_or_in_batches_is_the_same() -> None:
    told = observed(30)
    at_once, in_batches = layer(Hint()), layer(Hint())
    at_once.observe(told)
    for start in range(0, 30, 7):
        in_batches.observe(told[start : start + 7])
        in_batches.predict(told.codes[:2])
    codes = SPACE.enumerate()
    assert np.array_equal(at_once.predict(codes)[0], in_batches.predict(codes)[0])


def function(choices: dict) -> dict:
    code = np.array([list(choices.values())])
    return {"accuracy": float(truth(code)[0]), "params": float(size(code)[0])}


def search(strategy: str = "nsga2", **given) -> searchkit.Result:
    given = {"objectives": {o.name: o.direction for o in GOALS.objectives}, "budget": 16, "storage": "memory"} | given
    return searchkit.run(strategy, space=SPACE, evaluate=function, **given)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["nsga2", "bo", "tpe", "random"])
def test_every_strategy_is_better_with_a_good_proxy(strategy: str) -> None:
    objectives = {"accuracy": "max"}
    with_it = [
        search(strategy, objectives=objectives, proxies=[Hint()], batch=4, seed=s).best().accuracy for s in (0, 1)
    ]
    without = [search(strategy, objectives=objectives, batch=4, seed=s).best().accuracy for s in (0, 1)]
    assert np.mean(with_it) > np.mean(without)


def continued_and_whole(
    strategy: str, n_before: int, folder: Path, **given: object
) -> tuple[searchkit.Result, searchkit.Result]:
    """A search that was stopped after n_before candidates and continued, and the same without a stop."""

    class EndError(Exception):
        pass

    def end(trial, trials) -> None:
        if sum(t.finished for t in trials) == n_before:
            raise EndError

    given = {"proxies": [Hint(), Noise()], "name": "s"} | given
    with pytest.raises(EndError):
        search(strategy, storage=folder, callbacks=[end], **given)
    return search(strategy, storage=folder, **given), search(strategy, storage="memory", **given)


@MOSTLY_ONE_ORDER
@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "n_before"), [("nsga2", 1), ("nsga2", 6), ("nsga2", 9), ("bo", 6), ("tpe", 6), ("random", 6)]
)
def test_a_continued_search_with_proxies_equals_an_uninterrupted_one(strategy, n_before, tmp_path: Path) -> None:
    continued, whole = continued_and_whole(strategy, n_before, tmp_path, batch=4, budget=14)
    assert [t.code.tolist() for t in continued.trials] == [t.code.tolist() for t in whole.trials]
    assert continued.signals.equals(whole.signals)


@pytest.mark.thorough
@ONE_ORDER
@pytest.mark.parametrize("n_before", [pytest.param(21, marks=pytest.mark.thorough), 26])
def test_turns_go_on_as_they_were_in_a_continued_search(n_before: int, tmp_path: Path) -> None:
    continued, whole = continued_and_whole("bo", n_before, tmp_path, batch=1, budget=32)
    assert [t.code.tolist() for t in continued.trials] == [t.code.tolist() for t in whole.trials]


def test_scores_are_on_record_and_not_made_again(tmp_path: Path) -> None:
    CALLS.clear()
    search(proxies=[Hint()], storage=tmp_path, name="s", budget=8, batch=4)
    scored = sum(CALLS)
    assert scored > 30
    CALLS.clear()
    search(proxies=[Hint()], storage=tmp_path, name="s", budget=8, batch=4)
    assert not CALLS
    assert searchkit.load("s", tmp_path).signals.proxy.tolist() == ["hint"]


def test_scores_of_other_settings_are_not_taken_from_the_record(tmp_path: Path) -> None:
    search(proxies=[Hint()], storage=tmp_path, name="s", budget=8, batch=4)
    CALLS.clear()
    search(proxies=[Hint(sign=-1.0)], storage=tmp_path, name="s", budget=9, batch=4)
    assert sum(CALLS) > 30


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:proxy")
def test_a_proxy_that_raises_costs_a_warning_and_not_the_search() -> None:
    with pytest.warns(UserWarning, match="proxy 'hint' has no score .*no hint today"):
        result = search(proxies=[Hint(fails=True), Noise()])
    assert len(result.history) == 16
    assert result.signals.set_index("proxy").weight["hint"] == 0


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"proxies": ["synflo"]}, UnknownNameError, "unknown proxy 'synflo'.*Did you mean 'synflow'"),
        ({"proxies": [3]}, SearchkitError, "a proxy is a name or an object with score"),
        ({"proxies": ["jacov"]}, SearchkitError, "builds no networks, which 'jacov' would need. Proxies that work"),
        ({"proxies": [Hint()], "screen": 0}, SearchkitError, "screen must be a whole number of at least 1"),
        ({"verify": 3}, SearchkitError, "verify set how networks are trained"),
    ],
)
def test_what_the_layer_cannot_use_is_said_before_work(given, error, words) -> None:
    with pytest.raises(error, match=words):
        search(**given)


@pytest.mark.slow
@ONE_ORDER
def test_a_search_without_training_ranks_by_proxies_and_verifies_the_best(tmp_path: Path) -> None:
    given = {"objectives": ("naswot", "params"), "budget": 6, "epochs": 1, "storage": tmp_path, "name": "s"}
    given["space"] = CELLS
    result = searchkit.run("random", verify=2, **given)
    assert list(result.front.columns[:2]) == ["naswot", "params"]
    assert len(result.verified) == 2
    assert result.verified.accuracy.is_monotonic_decreasing
    assert result.verified.test_accuracy.between(0, 1).all()
    assert result.build(trial=int(result.verified.trial[0])).training is False
    before = result.verified
    again = searchkit.run("random", verify=3, **given)
    assert len(again.verified) == 3
    assert set(before.accuracy) < set(again.verified.accuracy), "what was trained is not trained again"
    assert searchkit.load("s", tmp_path).verified.equals(again.verified)


def test_verifying_a_search_that_trains_is_refused() -> None:
    with pytest.raises(
        SearchkitError, match="verify trains the best candidates of a search without training.*accuracy"
    ):
        searchkit.run("random", verify=3)


@pytest.mark.slow
@ONE_ORDER
def test_a_signal_can_be_an_objective_beside_a_trained_accuracy() -> None:
    result = searchkit.run(
        "random", space=CELLS, objectives=("accuracy", "naswot"), budget=2, epochs=1, storage="memory"
    )
    assert {"accuracy", "naswot", "test_accuracy"} <= set(result.front.columns)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:proxy")  # of networks that tell no small images apart
@ONE_ORDER
def test_networks_are_screened_by_several_proxies_at_once(tmp_path: Path) -> None:
    result = searchkit.run(
        "nsga2",
        space=CELLS,
        proxies=("params", "naswot", "az_nas"),
        screen=4,
        budget=3,
        epochs=1,
        storage=tmp_path,
        name="s",
    )
    assert len(result.history) == 3
    assert {"params", "naswot", "az_expressivity"} <= set(result.signals.proxy)


def test_a_study_with_proxies_is_not_continued_without_them(tmp_path: Path) -> None:
    from searchkit.errors import StudyMismatchError

    search(proxies=[Hint()], storage=tmp_path, name="s", budget=4)
    with pytest.raises(StudyMismatchError, match="differs in proxies"):
        search(storage=tmp_path, name="s", budget=6)
    search(storage=tmp_path, name="t", budget=4)
    with pytest.raises(StudyMismatchError, match="differs in proxies"):
        search(proxies=[Hint()], storage=tmp_path, name="t", budget=6)


@MOSTLY_ONE_ORDER
@pytest.mark.slow
def test_what_is_counted_is_known_without_a_bound_and_not_judged() -> None:
    def searched(constraints: dict | None) -> searchkit.Result:
        return searchkit.run(
            "random", space=CELLS, objectives=GOALS.names, constraints=constraints, proxies=("macs", "structure"),
            budget=6, epochs=1, storage="memory", batch=3, screen=2,
        )  # fmt: skip

    for constraints in (None, {"params": 1e9}):
        result = searched(constraints)
        told = result.history
        rho = result.signals.set_index("proxy").rho["macs"]
        assert rho == pytest.approx(spearmanr(told.macs, told.accuracy)[0], abs=0.05)


@pytest.mark.parametrize(
    ("objectives", "judged"),
    [
        (("params", "accuracy"), "accuracy"),
        (("latency_ms", "accuracy"), "accuracy"),
        (("naswot", "log_loss"), "log_loss"),
        ((searchkit.Metric("mine", lambda network: 1.0), "accuracy"), "accuracy"),
        (("params", searchkit.Metric("mine", lambda network: 1.0, trained=True)), "mine"),
        (("params", "naswot"), "naswot"),
        (("params", "macs"), None),
        (("latency_ms", "params"), "latency_ms"),
    ],
)
def test_the_layer_judges_the_first_objective_that_is_trained(objectives: tuple, judged: str | None) -> None:
    from searchkit.search.network_setup import network_task

    task = network_task(None, None, objectives, None, "cpu", "cpu", 0, 0, 1, None)
    assert task.judged == judged
    assert (task.counted is not None) == bool({"params", "macs"}.intersection(objectives))


@pytest.mark.parametrize("lost", [0, 3, 9])
def test_a_candidate_whose_cost_is_not_known_comes_last_and_the_others_keep_their_order(lost: int) -> None:
    def counted(codes: np.ndarray) -> dict[str, np.ndarray]:
        return {"params": np.where((codes == pool[lost]).all(axis=1), np.nan, size(codes))}

    pool = observed(10, seed=3).codes
    exact, gaps = layer(Hint()), layer(Hint())
    gaps._known = counted
    rest = np.delete(np.arange(10), lost)
    for told in (observed(2), observed(20)):
        for signals in (exact, gaps):
            signals.observe(told)
        screens = [Screen(Problem(SPACE, 2), signals, 4, 0) for signals in (exact, gaps)]
        for screen in screens:
            screen._told.append(told)
        want = rest[screens[0].choose(pool[rest], 9, pool[:0])]
        assert screens[1].choose(pool, 10, pool[:0]) == [*want, lost]
        assert screens[1].choose(pool[rest], 9, pool[[lost]]) == screens[0].choose(pool[rest], 9, pool[:0])
