"""Structure features say what the choices add up to."""

from __future__ import annotations

import numpy as np

import searchkit
from searchkit import Choice, Space
from searchkit.spaces.cell_graph import cell_graph
from searchkit.surrogates.features import structure


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
