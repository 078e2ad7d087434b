"""Ordered choices have smooth effects in block values; intervals of block values hold what they say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from searchkit import Choice, Space
from searchkit.blocks.additive import blocks_of, read_additive
from searchkit.blocks.conformal import leave_out
from searchkit.blocks.exact import k_best
from searchkit.blocks.fit import fit_blocks
from searchkit.blocks.scales import scale_features
from searchkit.problem.ranks import scores_beyond, values_of
from searchkit.proxies.mathnas import MathNAS
from searchkit.spaces.mobilenet import mobilenet
from searchkit.spaces.nas_bench_201 import nas_bench_201


def sizes(ordered: bool, widths: int = 6) -> Space:
    return Space([Choice(f"width_{i}", range(8, 8 + 8 * widths, 8), ordered=ordered) for i in range(4)], name="sizes")


SIZES, ALL = sizes(ordered=True), sizes(ordered=True).enumerate()


def accuracies(seed: int, noise: float = 0.15) -> np.ndarray:
    """Of all of :data:`SIZES`: every width saturates, and of adjacent ones the narrower limits."""
    rng, share = np.random.default_rng(seed), (ALL + 1) / 6
    sums = sum(rng.uniform(1, 6) * (1 - np.exp(-rng.uniform(1, 5) * column)) for column in share.T)
    narrow = sum(rng.uniform(0, 4) * np.minimum(a, b) for a, b in pairwise(share.T))
    values = 70 + sums + narrow
    return values + noise * values.std() * rng.normal(size=len(values))


def rho(a: np.ndarray, b: np.ndarray) -> float:
    return float(spearmanr(a, b)[0])


@given(st.integers(3, 60))
def test_places_and_their_squares_are_centred_orthogonal_and_of_norm_1(n: int) -> None:
    features = scale_features(n)
    assert features.shape == (n, 2)
    assert np.allclose(features.mean(axis=0), 0)
    assert abs(features[:, 0] @ features[:, 1]) < 1e-9 * n
    assert np.mean((features**2).sum(axis=1)) == pytest.approx(1)
    assert (np.diff(features[:, 0]) > 0).all()


@pytest.mark.parametrize("n", [10, 25, 60])
def test_sizes_are_learned_from_far_fewer_networks_than_options_that_say_nothing_of_each_other(n: int) -> None:
    with_scale, without = [], []
    for seed in range(8):
        values = accuracies(seed)
        known = np.random.default_rng(seed).permutation(len(ALL))[:n]
        for ordered, found in ((True, with_scale), (False, without)):
            proxy = MathNAS(sizes(ordered=ordered)).fit(ALL[known], values[known])
            found.append(rho(proxy.score(ALL), values))
            assert ordered or proxy.model.smooth == 0
    assert np.mean(with_scale) > np.mean(without) + {10: 0.2, 25: 0.05, 60: 0.01}[n]
    assert np.mean(with_scale) > {10: 0.75, 25: 0.9, 60: 0.94}[n]


def test_an_option_that_is_off_its_scale_is_learned_nevertheless() -> None:
    jump = np.where(ALL[:, 1] == 3, -8.0, 0.0)
    values = accuracies(0, noise=0.02) + jump
    known = np.random.default_rng(0).permutation(len(ALL))[:150]
    proxy = MathNAS(SIZES).fit(ALL[known], values[known])
    table = proxy.block_values.query("block == 'width_1'").value.to_numpy()
    assert table[3] - (table[2] + table[4]) / 2 < -5
    assert rho(proxy.score(ALL), values) > 0.97


@pytest.mark.parametrize("seed", range(3))
def test_an_order_that_means_nothing_costs_next_to_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = read_additive([rng.normal(size=6) for _ in range(4)])(ALL)
    known = rng.permutation(len(ALL))[:80]
    found = [MathNAS(sizes(ordered=ordered)).fit(ALL[known], values[known]).score(ALL) for ordered in (True, False)]
    assert rho(found[0], values) > rho(found[1], values) - 0.01


@pytest.mark.parametrize("given_table", [False, True])
def test_the_sum_over_blocks_is_exact_and_its_best_network_is_the_best_of_all(given_table: bool) -> None:
    codes = np.random.default_rng(1).permutation(ALL)[:19]  # too few for pairwise terms
    values = accuracies(1)[(codes @ [216, 36, 6, 1])]
    assert np.array_equal(codes, ALL[codes @ [216, 36, 6, 1]])
    table = [np.random.default_rng(2).normal(size=6) for _ in range(4)] if given_table else None
    proxy = MathNAS(SIZES, table=table).fit(codes, values)
    assert proxy.model.smooth > 0
    assert proxy.model.pairwise == 0
    assert np.allclose(proxy.model.model(proxy.blocks.choose(ALL)), proxy.score(ALL))
    best = proxy.blocks.codes(k_best(proxy.losses, 5)[0])
    assert np.allclose(np.sort(proxy.score(best)), np.sort(proxy.score(ALL))[-5:])


def test_of_features_beside_the_blocks_the_sum_has_none() -> None:
    rng = np.random.default_rng(0)
    codes = rng.permutation(ALL)[:19]
    beside = (rng.random((19, 2)) < 0.5).astype(float)
    fit = fit_blocks(blocks_of(SIZES), codes, codes @ [4.0, 3, 2, 1], beside=beside, ranks=False)
    assert fit.smooth > 0
    picked = blocks_of(SIZES).choose(ALL)
    without = fit.predict(picked, beside=np.zeros((len(ALL), 2)))[0]
    assert np.allclose(fit.model(picked), without)


@pytest.mark.slow
def test_layers_that_are_left_out_have_no_place_on_a_scale() -> None:
    space = mobilenet()
    blocks = blocks_of(space)
    codes = space.sample(200, np.random.default_rng(0))
    for i, (columns, options) in enumerate(zip(blocks.columns, blocks.alternatives, strict=True)):
        ordered = [j for j in columns if space.choices[j].ordered and space.n_options[j] >= 3]
        assert blocks.smooth[i].shape == (len(options), 2 * len(ordered))
        assert blocks.ordered[i].shape == (blocks.features[i].shape[1],)
        nodes = {node.name: node for node in space.nodes}
        picked = blocks.choose(codes)[:, i]
        for place, j in enumerate(ordered):
            name, expected = space.names[j], scale_features(int(space.n_options[j]))[codes[:, j]]
            for node in (nodes[one] for one in blocks.nodes[i] if name in nodes[one].choices):
                if node.optional is not None:
                    gate = space.names.index(node.optional[0])
                    depths = np.array(space.choices[gate].options)[codes[:, gate]]
                    expected = expected * (depths >= node.optional[1])[:, None]
            assert np.array_equal(blocks.smooth[i][picked][:, 2 * place : 2 * place + 2], expected)
    fit = fit_blocks(blocks, codes[:30], codes[:30].sum(axis=1).astype(float))
    assert fit.smooth > 0
    assert rho(fit.predict(blocks.choose(codes))[0], codes.sum(axis=1)) > 0.8


def test_without_a_scale_nothing_is_smooth_and_two_options_are_none() -> None:
    cells = blocks_of(nas_bench_201())
    assert all(table.shape[1] == 0 for table in cells.smooth)
    assert not np.concatenate(cells.ordered).any()
    two = [Space([Choice(f"c{i}", (1, 2), ordered=ordered) for i in range(8)]) for ordered in (True, False)]
    codes = two[0].enumerate()
    values = codes @ np.arange(1.0, 9.0) + np.random.default_rng(0).normal(size=len(codes))
    scores = [MathNAS(space).fit(codes[::8], values[::8]).score(codes) for space in two]
    assert np.array_equal(*scores)


# Intervals


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=20, unique=True), st.floats(-1000, 1000))
def test_scores_of_any_values_lead_back_to_them(observed: list[float], value: float) -> None:
    known = np.array(observed)
    if np.diff(np.sort(known)).min() > 1e-3:
        scores = scores_beyond(np.array([value]), known)
        assert values_of(scores, known)[0] == pytest.approx(value, rel=1e-6, abs=1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize("n", [25, 50, 100])
def test_90_percent_intervals_hold_90_percent_of_new_results(n: int) -> None:
    held = []
    for seed in range(20):
        values = accuracies(seed)
        rows = np.random.default_rng([seed, n]).permutation(len(ALL))
        low, high = MathNAS(SIZES).fit(ALL[rows[:n]], values[rows[:n]]).interval(ALL[rows[n:]])
        held.append(np.mean((low <= values[rows[n:]]) & (values[rows[n:]] <= high)))
    assert 0.87 < np.mean(held) < (0.98 if n == 25 else 0.95)


@pytest.mark.slow
def test_intervals_hold_values_of_which_ranks_were_fitted() -> None:
    held, on_ranks = [], []
    for seed in range(8):
        values = np.exp((accuracies(seed % 4) - 70) / 2)
        rows = np.random.default_rng(seed).permutation(len(ALL))
        proxy = MathNAS(SIZES).fit(ALL[rows[:30]], values[rows[:30]])
        low, high = proxy.interval(ALL[rows[30:]])
        held.append(np.mean((low <= values[rows[30:]]) & (values[rows[30:]] <= high)))
        on_ranks.append(proxy.model.on_ranks)
    assert any(on_ranks)
    assert 0.83 < np.mean(held) < 0.98


@pytest.mark.parametrize("on_ranks", [False, True])
def test_errors_are_those_of_fits_that_did_not_know_the_network(on_ranks: bool) -> None:
    blocks, rows = blocks_of(SIZES), np.random.default_rng(0).permutation(len(ALL))[:12]
    codes, values = ALL[rows], accuracies(0)[rows]
    found = leave_out(blocks, codes, values, macs=None, trend=None, on_ranks=on_ranks)
    expected = []
    for i in range(12):
        others = np.delete(np.arange(12), i)
        fit = fit_blocks(blocks, codes[others], values[others], ranks="only" if on_ranks else False)
        mean, std = fit.predict(blocks.choose(codes[[i]]))
        true = scores_beyond(values[[i]], values[others]) if on_ranks else values[[i]]
        expected.append(abs(true - mean)[0] / fit.with_noise(std)[0])
    assert len(found.fits) == 12
    assert np.allclose(found.errors, np.sort(expected))
    wider = [np.subtract(*found.interval(blocks.choose(ALL), None, level)[::-1]) for level in (0.3, 0.6, 0.9)]
    assert (np.diff(wider, axis=0) >= 0).all()
    assert np.array(found.interval(blocks.choose(ALL[:0]), None, 0.9)).shape == (2, 0)
