"""MathNAS: block values are found again, their uncertainty is honest, and a search learns them as it goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import threadpoolctl
from scipy.stats import spearmanr

import searchkit
from searchkit import Choice, Space
from searchkit.blocks import gaussian_process as block_process
from searchkit.blocks.additive import Additive, blocks_of, read_additive
from searchkit.blocks.switching import switched, switched_codes
from searchkit.costs.counts import space_counts
from searchkit.errors import ProxyError, SearchkitError, SpaceError
from searchkit.problem.objectives import Goals, Objective
from searchkit.problem.observations import Observations
from searchkit.proxies.mathnas import MathNAS
from searchkit.proxy_layer.learning_proxies import Taught
from searchkit.proxy_layer.signals import Signals
from searchkit.runtime.threads import one_blas_thread
from searchkit.spaces.macro import macro
from searchkit.spaces.nas_bench_201 import nas_bench_201

SPACE = Space([Choice(f"c{i}", range(4)) for i in range(6)])
ALL = SPACE.enumerate()
SMALL = macro(width=4, layers=(2, 2), input_shape=(1, 8, 8))


def truth(seed: int = 0) -> Additive:
    rng = np.random.default_rng(seed)
    return read_additive([rng.normal(size=4) for _ in range(6)], base=70.0)


def some(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(ALL)[:n]


def rho(a: np.ndarray, b: np.ndarray) -> float:
    return float(spearmanr(a, b)[0])


def test_block_values_are_found_again_in_units_of_the_values() -> None:
    codes = some(60)
    proxy = MathNAS(SPACE).fit(codes, truth()(codes))
    assert proxy.fitted
    assert not proxy.model.on_ranks
    mean, std = proxy.predict(ALL)
    assert np.abs(mean - truth()(ALL)).max() < 0.1
    assert (std > 0).all()
    assert np.array_equal(mean, proxy.score(ALL))


@pytest.mark.parametrize("table", [None, truth(3)], ids=["without a table", "with a table"])
def test_a_sum_of_blocks_is_its_own_additive_form(table) -> None:
    codes = some(19)
    proxy = MathNAS(SPACE, table=table).fit(codes, truth()(codes) + np.random.default_rng(0).normal(size=19))
    assert proxy.model.pairwise == 0
    assert np.allclose(proxy.model.model(proxy.blocks.choose(ALL)), proxy.score(ALL))


def test_values_are_a_row_for_every_alternative_with_0_for_the_best_of_a_block() -> None:
    codes = some(60)
    values = MathNAS(SPACE).fit(codes, truth()(codes)).block_values
    assert list(values.columns) == ["block", "alternative", "value"]
    assert len(values) == 24
    known = np.concatenate([table - table.max() for table in truth().tables])
    assert np.abs(values.value - known).max() < 0.1
    assert (values.groupby("block").value.max() == 0).all()
    layers = MathNAS(SMALL, table=[np.zeros(n) for n in blocks_of(SMALL).sizes]).block_values
    assert layers.block.value_counts().to_dict() == {"stage_1": 9, "stage_2": 9}
    assert layers.alternative[1] == "identity, mb3_k3"


def test_pairs_are_fitted_once_there_are_labels_enough() -> None:
    rng = np.random.default_rng(3)
    pairs = [(i, j, rng.normal(size=(4, 4))) for i in range(6) for j in range(i)]

    def values(codes: np.ndarray) -> np.ndarray:
        return truth()(codes) + 0.7 * sum(table[codes[:, i], codes[:, j]] for i, j, table in pairs)

    few, many = some(19), some(400)
    assert MathNAS(SPACE).fit(few, values(few)).model.pairwise == 0
    proxy = MathNAS(SPACE).fit(many, values(many))
    rest = some(4096)[400:]
    assert proxy.model.pairwise > 0
    sums = proxy.model.model(proxy.blocks.choose(rest))
    assert rho(proxy.score(rest), values(rest)) > rho(sums, values(rest)) + 0.03


def test_pairs_are_not_fitted_where_there_are_none() -> None:
    found = []
    for seed in range(6):
        codes = some(60, seed)
        noisy = truth(seed)(codes) + np.random.default_rng(seed).normal(size=60)
        found.append(MathNAS(SPACE).fit(codes, noisy).model.pairwise)
    assert found.count(0) >= 3
    assert max(found) < 3


def by_macs(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values that fall with a sum over the MACs ratio, as in MathNAS, and the MACs."""
    blocks = blocks_of(SMALL)
    rng = np.random.default_rng(4)
    drops = read_additive([rng.uniform(1, 5, n) for n in blocks.sizes])
    macs = space_counts(SMALL, codes)["macs"]
    return 90 - drops(blocks.choose(codes)) * macs.mean() / macs, macs


def test_the_exponent_of_the_macs_ratio_is_found() -> None:
    codes = SMALL.enumerate()
    values, macs = by_macs(codes)
    assert macs.max() > 1.5 * macs.min()
    known = np.random.default_rng(0).permutation(len(codes))[: len(codes) * 2 // 3]
    assert len(known) >= block_process.ENOUGH
    proxy = MathNAS(SMALL).fit(codes[known], values[known])
    assert proxy.model.exponent == 1.0
    assert rho(proxy.score(codes), values) > 0.97


def test_no_exponent_is_fitted_where_blocks_add_up_or_macs_are_not_known() -> None:
    codes = SMALL.enumerate()
    rng = np.random.default_rng(0)
    sums = read_additive([rng.normal(size=n) for n in blocks_of(SMALL).sizes])
    values = sums(blocks_of(SMALL).choose(codes)) + 0.1 * rng.normal(size=len(codes))
    assert MathNAS(SMALL).fit(codes, values).model.exponent == 0
    bare = some(60)
    assert MathNAS(SPACE).fit(bare, truth()(bare) ** 2).model.exponent == 0


@pytest.mark.slow
def test_of_a_bent_scale_the_order_is_fitted_and_predictions_are_values_again() -> None:
    values = np.exp(2 * (truth()(ALL) - 70))
    known = np.random.default_rng(1).permutation(len(ALL))[:60]
    proxy = MathNAS(SPACE).fit(ALL[known], values[known])
    assert proxy.model.on_ranks
    mean, std = proxy.predict(ALL)
    low, high = proxy.interval(ALL)
    assert rho(mean, values) > 0.97
    assert rho(mean, proxy.score(ALL)) > 0.999
    inside = (values > values[known].min()) & (values < np.quantile(values[known], 0.9))
    assert np.median(np.abs(mean / values - 1)[inside]) < 0.5
    middle = np.abs(proxy.score(ALL)) < 1.5
    assert mean[middle].min() > values[known].min()
    assert mean[middle].max() < values[known].max()
    assert (std >= 0).all()
    assert ((low <= mean) & (mean <= high)).all()


@pytest.mark.slow
def test_an_interval_holds_as_many_new_results_as_it_says() -> None:
    held = {0.5: [], 0.9: []}
    for seed in range(12):
        rng = np.random.default_rng(seed)
        values = truth(seed)(ALL) + rng.normal(size=len(ALL))
        known, others = np.split(rng.permutation(len(ALL))[:550], [50])
        proxy = MathNAS(SPACE).fit(ALL[known], values[known])
        for level in held:
            low, high = proxy.interval(ALL[others], level)
            rest = values[others]
            held[level].append(np.mean((low <= rest) & (rest <= high)))
    assert 0.85 < np.mean(held[0.9]) < 0.98
    assert min(held[0.9]) > 0.75
    assert 0.4 < np.mean(held[0.5]) < 0.65


@pytest.mark.parametrize("kind", ["sums", "pairs and a table", "ratio"])
def test_what_is_left_out_is_what_the_others_say(kind: str, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    if kind == "ratio":
        proxy, codes = MathNAS(SMALL), SMALL.enumerate()
        values = by_macs(codes)[0] + 0.2 * rng.normal(size=len(codes))
    else:
        table = None if kind == "sums" else [rng.normal(size=4) for _ in range(6)]
        proxy, codes = MathNAS(SPACE, table=table), some(45)
        values = truth()(codes) + rng.normal(size=45)
        if kind == "pairs and a table":
            values = values + 3 * rng.normal(size=(4, 4))[codes[:, 0], codes[:, 1]]
    proxy = proxy.fit(codes, values)
    full = proxy.model._full
    assert (proxy.model.exponent > 0) == (kind == "ratio")
    monkeypatch.setattr(block_process, "_unit", lambda inputs, pairwise: full.unit)  # of all networks, as the penalty
    targets = (full.targets - full.shift) / full.scale
    for i in range(0, len(codes), 5):
        rest = np.delete(np.arange(len(codes)), i)
        settings = (full.pairwise, full.exponent, proxy.model.penalty)
        others = block_process.fit_process(full.inputs.rows(rest), targets[rest], *settings)
        mean, _ = others.scaled(full.shift, full.scale).predict(full.inputs.rows(np.array([i])))
        assert proxy.model.left_out[i] == pytest.approx(mean[0], rel=1e-6, abs=1e-6)
    assert np.abs(proxy.left_out - proxy.score(codes)).max() > 1e-3, "what was learned from says otherwise"


def test_labels_that_are_noise_earn_neither_trust_nor_distrust() -> None:
    """The means of the others order networks the wrong way round: whoever is good lowers that of all but itself."""
    fits = []
    for seed in range(20):
        values = np.random.default_rng(seed).normal(size=15)
        fits.append((MathNAS(SPACE).fit(some(15, seed=seed), values), values))
    assert np.mean([rho(proxy.left_out, values) for proxy, values in fits]) > -0.25
    assert np.mean([rho(proxy.model.left_out, values) for proxy, values in fits]) < -0.4


def test_a_given_table_is_the_score_until_there_are_labels() -> None:
    proxy = MathNAS(SPACE, table=truth())
    assert proxy.fitted
    assert np.array_equal(proxy.score(ALL), truth()(ALL))
    assert len(proxy.left_out) == 0
    assert np.allclose(MathNAS(SPACE, table=truth().tables).score(ALL), truth()(ALL) - 70)


def test_a_table_is_corrected_by_labels_and_overruled_where_it_is_wrong() -> None:
    right, other = truth(), truth(5)
    near = right.mixed([other], np.array([1.0, 0.4]))
    wrong = right.mixed([], np.array([-1.0]))
    codes = some(12)
    noisy = right(codes) + 0.5 * np.random.default_rng(0).normal(size=12)
    bare = rho(MathNAS(SPACE).fit(codes, noisy).score(ALL), right(ALL))
    helped = rho(MathNAS(SPACE, table=near).fit(codes, noisy).score(ALL), right(ALL))
    assert helped > bare + 0.1
    assert rho(MathNAS(SPACE, table=wrong).score(ALL), right(ALL)) < -0.99
    assert rho(MathNAS(SPACE, table=wrong).fit(codes, noisy).score(ALL), right(ALL)) > 0.9
    many = some(80)
    corrected = MathNAS(SPACE, table=near).fit(many, right(many))
    assert rho(corrected.score(ALL), right(ALL)) > 0.99 > rho(near(ALL), right(ALL))
    assert rho(corrected.model.model(ALL), right(ALL)) > 0.99


def shifted(model: Additive) -> list[np.ndarray]:
    return [table - table.mean() for table in model.tables]


@pytest.mark.parametrize("contexts", [1, 3])
@pytest.mark.parametrize("space", [SPACE, nas_bench_201(), SMALL], ids=lambda space: space.name)
def test_switching_finds_values_that_add_up_exactly(space: Space, contexts: int) -> None:
    blocks = blocks_of(space)
    rng = np.random.default_rng(0)
    known = read_additive([rng.normal(size=n) for n in blocks.sizes], base=50.0)
    asked = []

    def evaluate(codes: np.ndarray) -> np.ndarray:
        asked.append(len(codes))
        return known(blocks.choose(codes))

    proxy = MathNAS.switching(space, evaluate, contexts=contexts)
    assert len(asked) == 1
    assert asked[0] <= contexts * (1 + sum(size - 1 for size in blocks.sizes))
    for found, own in zip(shifted(proxy.table), shifted(known), strict=True):
        assert np.allclose(found, own)
    codes = space.sample(50, rng)
    assert np.allclose(proxy.score(codes), known(blocks.choose(codes)))


def test_switching_in_several_contexts_averages_noise_away() -> None:
    def noisy(codes: np.ndarray) -> np.ndarray:
        return truth()(codes) + np.random.default_rng(0).normal(size=len(codes))

    errors = []
    for contexts in (1, 8):
        proxy = MathNAS.switching(SPACE, noisy, contexts=contexts)
        errors.append(np.std(proxy.score(ALL) - truth()(ALL)))
    assert errors[1] < 0.6 * errors[0]


def test_switching_takes_contexts_of_average_macs() -> None:
    space = nas_bench_201()
    codes = switched_codes(space, blocks_of(space), 1, 0, lambda codes: space_counts(space, codes)["macs"])
    assert len(codes) == 1 + 6 * 4
    context = np.array([np.bincount(column).argmax() for column in codes.T])[None]
    counts = space_counts(space, space.sample(2000, np.random.default_rng(1)))["macs"]
    assert abs(space_counts(space, context)["macs"][0] - counts.mean()) < 0.3 * counts.std()


def test_what_switching_cannot_do_is_said() -> None:
    blocks = blocks_of(SPACE)
    codes = switched_codes(SPACE, blocks, 1, 0, None)
    values = truth()(codes)
    column = codes[:, 2]
    rare = np.flatnonzero(column != np.bincount(column).argmax())[0]
    kept = np.arange(len(codes)) != rare
    with pytest.raises(SpaceError, match=r"differ in block 'c2' alone show 1 of its alternatives"):
        switched(blocks, codes[kept], values[kept])
    with pytest.raises(SpaceError, match=r"no two networks that differ in block 'c0' alone show 4 of its"):
        switched(blocks, codes[:1], values[:1])
    with pytest.raises(SpaceError, match="19 networks were to be evaluated and came back with shape"):
        MathNAS.switching(SPACE, lambda codes: truth()(codes)[:-1], contexts=1)
    with pytest.raises(SpaceError, match="or with NaN"):
        MathNAS.switching(SPACE, lambda codes: np.full(len(codes), np.nan))
    with pytest.raises(SearchkitError, match="at least 1, not 0"):
        MathNAS.switching(SPACE, truth(), contexts=0)


def test_learning_makes_a_new_proxy_and_leaves_the_old_one_as_it_was() -> None:
    codes = some(30)
    old = MathNAS(SPACE, table=truth(2)).fit(codes, truth()(codes))
    before, left_out = old.score(ALL), old.left_out
    new = old.fit(some(30, 1), -truth()(some(30, 1)))
    assert rho(new.score(ALL), before) < 0
    assert np.array_equal(old.score(ALL), before)
    assert np.array_equal(old.left_out, left_out)
    again = old.fit(codes, truth()(codes))
    assert np.array_equal(again.score(ALL), before), "learned afresh, and not on top of what it had learned"


@pytest.mark.parametrize("table", [None, truth()])
def test_fewer_than_five_labels_change_nothing(table) -> None:
    proxy = MathNAS(SPACE, table=table).fit(some(4), np.arange(4.0))
    assert proxy.fitted == (table is not None)
    assert np.array_equal(proxy.score(ALL), np.zeros(len(ALL)) if table is None else table(ALL))
    with pytest.raises(ProxyError, match="takes 5 evaluated networks or more"):
        proxy.predict(ALL)
    five = MathNAS(SPACE).fit(some(5), np.arange(5.0))
    assert five.fitted
    assert np.isfinite(np.concatenate([*five.predict(ALL), *five.interval(ALL), five.left_out])).all()


def test_one_network_with_many_results_is_no_trouble() -> None:
    codes = np.repeat(SPACE.sample(1, np.random.default_rng(0)), 30, axis=0)
    fitted = MathNAS(SPACE).fit(codes, np.random.default_rng(1).normal(size=30))
    assert np.isfinite(fitted.score(codes[:1])).all()


def test_values_that_are_all_the_same_are_no_trouble() -> None:
    proxy = MathNAS(SPACE).fit(some(25), np.full(25, 3.0))
    assert np.allclose(proxy.predict(ALL)[0], 3)
    assert np.isfinite(proxy.interval(ALL)).all()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: MathNAS(SPACE, table=[[1, 2]] * 6), SpaceError, r"the tables have \(2, 2.* but the blocks \(4, 4"),
        (lambda: MathNAS(SPACE, table=[[1, 2, 3, 4]]), SpaceError, r"the tables have \(4,\) values"),
        (lambda: MathNAS(SPACE, table=[[1, 2, 3, np.nan]] * 6), SpaceError, "table 0 holds 1 values that are NaN"),
        (lambda: MathNAS(SPACE).fit(some(6), np.zeros(5)), ProxyError, r"6 networks and values of shape \(5,\)"),
        (lambda: MathNAS(SPACE).fit(some(6), np.full(6, np.nan)), ProxyError, "one finite value each"),
        (lambda: MathNAS(SPACE).fit(some(6)[:, :5], np.zeros(6)), SpaceError, "have 6 choices"),
        (lambda: MathNAS(SPACE).block_values, ProxyError, "no block values yet"),
        (lambda: MathNAS(SPACE).model, ProxyError, "nothing was fitted"),
        (lambda: MathNAS(SPACE).fit(some(6), np.arange(6.0)).interval(ALL, 90), ProxyError, "such as 0.9, not 90"),
    ],
)
def test_what_cannot_be_used_is_refused(make: Callable[[], object], error, words) -> None:
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("attribute", ["names", "passes", "values"])
def test_nothing_of_it_is_taken_for_a_proxy_of_passes(attribute: str) -> None:
    assert not hasattr(MathNAS(SPACE), attribute), "Python 3.11 asks for these in any order"


# In a search


def evaluate(choices: dict) -> dict:
    code = np.array([list(choices.values())])
    return {"accuracy": float(truth()(code)[0] + np.sin(code.sum()))}


def search(**given) -> searchkit.Result:
    given = {"budget": 24, "batch": 4, "storage": "memory", "name": "s"} | given
    return searchkit.run(
        "nsga2", space=SPACE, evaluate=evaluate, objectives={"accuracy": "max"}, proxies=("mathnas",), **given
    )


def test_a_search_learns_block_values_and_trusts_them_by_what_they_said_before() -> None:
    signals = search(budget=32).signals.set_index("proxy")
    assert 0 < signals.rho["mathnas"] < 1
    assert signals.weight["mathnas"] > 0


@pytest.mark.slow
def test_a_search_is_better_with_block_values() -> None:
    with_it = [search(seed=seed).best().accuracy for seed in range(12)]
    without = [
        searchkit.run(
            "nsga2", space=SPACE, evaluate=evaluate, objectives={"accuracy": "max"}, budget=24, batch=4, seed=seed,
            storage="memory",
        ).best().accuracy
        for seed in range(12)
    ]  # fmt: skip
    assert np.mean(with_it) > np.mean(without)


@pytest.mark.slow
@pytest.mark.parametrize("first", [4, 12])
def test_a_search_that_is_continued_has_the_history_of_one_that_was_not_stopped(first: int, tmp_path: Path) -> None:
    search(budget=first, storage=tmp_path)
    continued = search(storage=tmp_path)
    whole = search()
    assert continued.history.drop(columns="seconds").equals(whole.history.drop(columns="seconds"))
    assert continued.signals.equals(whole.signals)


def test_what_a_search_has_seen_is_judged_by_what_the_other_results_say() -> None:
    told, values = some(30), truth()(some(30)) + np.random.default_rng(0).normal(size=30)
    new = some(60)[30:]
    scores = np.column_stack([np.arange(60.0), np.zeros(60)])
    completed = Taught({1: MathNAS(SPACE)}, told, values).complete(np.concatenate([new, told]), scores)
    fitted = MathNAS(SPACE).fit(told, values)
    assert np.array_equal(completed[:, 0], scores[:, 0])
    assert np.allclose(completed[:30, 1], fitted.score(new), rtol=1e-12)
    assert np.array_equal(completed[30:, 1], fitted.left_out)
    assert (scores[:, 1] == 0).all(), "what was given is left alone"
    untaught = Taught({1: MathNAS(SPACE)}, told[:4], values[:4]).complete(told, scores[30:])
    assert np.array_equal(untaught, scores[30:])


def test_signals_give_a_candidate_that_was_told_the_left_out_value() -> None:
    told, values = some(30), truth()(some(30)) + np.random.default_rng(0).normal(size=30)
    signals = Signals(
        SPACE, ("mathnas",), lambda codes: np.full((len(codes), 1), np.nan), Goals((Objective("accuracy", "max"),)),
        learners={0: MathNAS(SPACE)},
    )  # fmt: skip
    assert np.ptp(signals.quality(ALL)) == 0
    signals.observe(Observations(told, -values[:, None], np.empty((30, 0))))
    fitted = MathNAS(SPACE).fit(told, values)
    assert signals.trust.rho[0] == pytest.approx(rho(fitted.left_out, values), abs=0.02)
    assert signals.trust.rho[0] < rho(fitted.score(told), values) - 0.02
    assert rho(signals.features(ALL[:500])[:, 0], fitted.score(ALL[:500])) > 0.98


def test_one_thread_inside_and_as_many_as_before_afterwards() -> None:
    def threads() -> set[int]:
        found = [info["num_threads"] for info in threadpoolctl.threadpool_info() if info["user_api"] == "blas"]
        assert found
        return set(found)

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = threads()
        for _ in range(2):
            with one_blas_thread():
                assert threads() == {1}
            assert threads() == before
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            _ = 1 / 0
        assert threads() == before == {2}


# Published figures


@pytest.fixture
def published(real_data) -> tuple[np.ndarray, np.ndarray]:
    """Raw codes ``(15625, 6)`` of all NAS-Bench-201 cells, and their CIFAR-10 validation accuracy."""
    table = pd.read_csv(real_data("nasbench201/nb201_cifar10.csv.gz"), dtype={"ops": str})
    return np.array([list(map(int, ops)) for ops in table.ops]), table.cifar10valid_val200_mean.to_numpy()


def test_the_authors_table_ranks_cells_as_well_as_they_do(published, real_data) -> None:
    codes, accuracy = published
    drops = np.load(real_data("blockwise_ratings/mathnas_block_tables.npz"))["nasbench201__blockacc"]
    score = MathNAS(nas_bench_201(), table=-drops).score(codes)
    connected = (codes != 0).all(axis=1)
    assert connected.sum() == 4096
    assert round(rho(score[connected], accuracy[connected]), 2) == 0.90
    assert round(rho(score, accuracy), 2) == 0.60
