"""Structure features say what the choices add up to."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.operations import operations

import searchkit
from searchkit import Choice, Space
from searchkit.space.indicators import indicators, width
from searchkit.spaces.cell_graph import cell_graph
from searchkit.surrogates.features import Features, structure


def test_options_are_counted_over_the_choices_that_share_them() -> None:
    space = Space([Choice("a", ("xyz", "u", "v")), Choice("b", ("xyz", "u", "v")), Choice("n", (1, 2, 3), True)])
    features = structure(space, np.array([[0, 0, 2], [0, 1, 0]]))
    assert features.shape == (2, 3 + 3 + 1 + 3)
    assert features[0, 6] == 1, "the ordered choice"
    assert features[:, 7:].tolist() == [[1, 0, 0], [0.5, 0.5, 0]]


def test_a_cell_graph_counts_paths_by_operation_set() -> None:
    # 0->1 conv3x3, 1->3 conv3x3, 0->3 skip, the rest none
    code = np.array([[3, 0, 0, 1, 3, 0]])
    by_set = cell_graph(code)[0].reshape(15, 7)
    paths, shortest, longest, out_of_input, *_, into_output = by_set[14]  # all four operations
    assert (paths, shortest, longest, out_of_input, into_output) == (2, 1, 2, 2, 2)
    paths, shortest, longest, *_ = by_set[2]  # conv3x3 alone
    assert (paths, shortest, longest) == (1, 2, 2)
    assert by_set[3].tolist() == [0, 4, 0, 0, 0, 0, 0], "no pooling"


def test_the_space_hands_its_graph_to_the_layer() -> None:
    space = searchkit.load_space("nas-bench-201", width=[4, 8])
    codes = space.sample(5, np.random.default_rng(0))
    assert structure(space, codes).shape == (5, 30 + 1 + 5 + 105)


@pytest.mark.slow
@pytest.mark.parametrize(
    "n",
    [2, 1024, 1025, pytest.param(16_129, marks=pytest.mark.thorough), pytest.param(20_000, marks=pytest.mark.thorough)],
)
def test_every_option_has_features_of_its_own_and_the_same_norm(n: int) -> None:
    made = indicators(np.arange(n), n)
    assert made.shape == (n, width(n))
    assert np.allclose((made**2).sum(axis=1), 1)
    assert len(np.unique(made, axis=0)) == n
    products = made[:: max(1, n // 500)] @ made.T
    assert (products > 1e-9).mean() < (1 / n + 1e-9 if n <= 1024 else 1 / 40), "nearly all are equally far apart"


def test_the_features_of_thousands_of_options_are_a_few_hundred() -> None:
    options = [f"option {i}" for i in range(12_000)]
    space = Space([Choice("a", options), Choice("b", options), Choice("n", range(5000), ordered=True)])
    codes = space.sample(50, np.random.default_rng(0))
    near, by_choice, blocks = Features(space)(codes)
    assert near.shape[1] == structure(space, codes).shape[1] == 3 * 254 + 1
    assert by_choice.shape[1] == 2 * 254 + 1
    assert blocks.shape[1] == 3 * 254


def test_features_of_many_choices_with_the_same_options_are_read_once() -> None:
    space = Space([Choice(name, [f"option {i}" for i in range(2000)]) for name in "ab"])
    codes = space.sample(5, np.random.default_rng(0))
    structure(space, codes)
    assert operations(lambda: structure(space, codes)) < 500, "no step for each of 4,000 options"
