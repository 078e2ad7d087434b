"""A part of a space is a space of its own, and all about its networks is asked of the whole."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import searchkit
from searchkit import Choice, NetworkSpace, Space, plugins
from searchkit.blocks import blocks_of
from searchkit.costs.counts import space_counts
from searchkit.errors import SpaceError, UnknownNameError
from searchkit.space import keys
from searchkit.space.narrower_space import NarrowerSpace, narrowed, narrowed_as, part_of
from searchkit.space.precision_space import precision_choice
from searchkit.space.recipe_space import RecipeSpace, with_settings

CELLS = searchkit.load_space("nas-bench-201", width=8, cells=1)


def a_part(space: Space, seed: int) -> Space:
    """Each choice without some of its options, drawn by the seed."""
    rng = np.random.default_rng(seed)
    kept = []
    for n in space.n_options:
        kept.append(tuple(np.flatnonzero(rng.permutation(n) < rng.integers(1, n + 1)).tolist()))
    return part_of(space, tuple(kept))


@pytest.mark.parametrize("name", sorted({*plugins.names("space")} - {"encoder-decoder"}))  # it lists for seconds
def test_candidates_of_a_part_are_the_same_networks_as_in_the_whole(name: str) -> None:
    whole = searchkit.load_space(name)
    part = a_part(whole, 1)
    assert isinstance(part, NarrowerSpace)
    assert part.size < whole.size
    codes = part.sample(6, np.random.default_rng(0))
    same = whole.encode(part.decode(codes))
    for mine, of_whole in zip(space_counts(part, codes).values(), space_counts(whole, same).values(), strict=True):
        np.testing.assert_array_equal(mine, of_whole)
    if whole.graph_features is not None and part.graph_features is not None:
        np.testing.assert_array_equal(part.graph_features(codes), whole.graph_features(same))
    assert part.nodes == whole.nodes
    assert np.array_equal(part.canonical(codes), codes)
    assert str(part.build(codes[0])) == str(whole.build(same[0]))
    blocks = blocks_of(part)
    assert np.array_equal(blocks.codes(blocks.choose(codes)), codes)
    again = pickle.loads(pickle.dumps(part))
    assert again.describe() == part.describe()
    assert narrowed_as(whole, part.describe()).describe() == part.describe()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_equal_cells_are_one_candidate_of_a_part_as_they_are_of_the_whole(seed: int) -> None:
    part = a_part(CELLS, seed)
    if part is CELLS:
        return
    codes = part.sample(60, np.random.default_rng(seed))
    same = CELLS.encode(part.decode(codes))
    assert len(set(keys(codes))) == len(set(keys(same)))
    assert np.array_equal(part.canonical(codes), codes)
    assert set(keys(part.enumerate())) >= set(keys(codes))


def test_layers_that_are_left_out_are_one_candidate_also_in_a_part_too_large_to_be_listed() -> None:
    whole = searchkit.load_space("mobilenet")
    kept = tuple(
        (0, 1) if len(c.options) == 3 and c.name.startswith("depth") else tuple(range(1, len(c.options)))
        for c in whole.choices
    )
    part = part_of(whole, kept)
    rows = part.check(np.random.default_rng(0).integers(0, part.n_options, (200, part.n_choices)))
    other = rows.copy()
    dead = rows == 0
    other[dead] = np.random.default_rng(1).integers(0, np.broadcast_to(part.n_options, rows.shape)[dead])
    equal = (whole.encode(part.decode(other)) == whole.encode(part.decode(rows))).all(axis=1)
    assert np.array_equal(part.canonical(other)[equal], rows[equal])


def test_designs_of_the_whole_that_are_in_the_part_stay() -> None:
    whole = searchkit.load_space("residual")
    assert len(whole.reference) > 1
    first = whole.decode(whole.reference[0])[0]
    part = narrowed(whole, {name: [option] for name, option in first.items()})
    assert isinstance(part, NetworkSpace)
    assert part.decode(part.reference) == [first]


def test_a_part_of_a_part_is_a_part_of_the_whole() -> None:
    once = narrowed(CELLS, {CELLS.names[0]: CELLS.choices[0].options[1:], CELLS.names[1]: CELLS.choices[1].options[:2]})
    twice = narrowed(once, {CELLS.names[0]: CELLS.choices[0].options[3:]})
    assert isinstance(twice, NarrowerSpace)
    assert twice.whole is CELLS
    assert twice.choices[0].options == CELLS.choices[0].options[3:]
    assert twice.choices[1].options == CELLS.choices[1].options[:2]
    assert narrowed(CELLS, {}) is CELLS
    plain = Space([Choice("a", (1, 2, 3)), Choice("b", ("x", "u", "v"))], canonical=first_zero)
    thrice = narrowed(narrowed(plain, {"a": (2, 3)}), {"b": ("u", "v")})
    assert thrice.decode(thrice.enumerate()) == [{"a": 2, "b": "u"}, {"a": 3, "b": "u"}]


def test_a_part_with_settings_of_the_training_and_one_with_precisions() -> None:
    settings_too = RecipeSpace(CELLS, [Choice("lr", (0.1, 0.2, 0.3))], {"lr": 0.2})
    part = narrowed(settings_too, {CELLS.names[2]: CELLS.choices[2].options[:3], "lr": (0.2, 0.3)})
    assert isinstance(part, RecipeSpace)
    assert isinstance(part.networks, NarrowerSpace)
    assert part.settings[0].options == (0.2, 0.3)
    assert with_settings(narrowed_as(CELLS, part.describe()), part.describe()).describe() == part.describe()
    precise = searchkit.load_space("macro", width=8, precisions=True)
    half = narrowed(precise, {"stage_1.precision": ["int8"]})
    assert isinstance(half, NetworkSpace)
    assert half.with_precisions() is half
    assert precision_choice(half, "stage_1") == "stage_1.precision"
    half.build(half.sample(1, np.random.default_rng(0))[0])


def test_other_shapes_of_data_reach_the_whole() -> None:
    part = narrowed(CELLS, {CELLS.names[0]: CELLS.choices[0].options[2:4]})
    assert isinstance(part, NetworkSpace)
    other = part.for_data((1, 16, 16), 7)
    assert isinstance(other, NarrowerSpace)
    assert other.whole.input_shape == other.input_shape == (1, 16, 16)
    assert other.n_classes == other.whole.n_classes == 7
    assert other.choices == part.choices


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"layer": [1]}, UnknownNameError, "unknown choice 'layer': choose from"),
        ({"a": [4]}, SpaceError, "choice 'a' has no option 4"),
        ({"a": []}, SpaceError, "no option is left of choice 'a'"),
        ({"a": "1"}, SpaceError, "the options left of choice 'a' are a list of its options, not '1'"),
        ({"a": 1}, SpaceError, "the options left of choice 'a' are a list of its options, not 1"),
    ],
)
def test_what_is_no_part_is_refused(options: dict, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Space([Choice("a", (1, 2, 3)), Choice("b", (1, 2))]).narrowed(options)


def test_options_outside_are_refused() -> None:
    part = narrowed(Space([Choice("a", (1, 2, 3)), Choice("b", (1, 2))]), {"a": (1, 3)})
    with pytest.raises(SpaceError, match="choice 'a' has no option 2"):
        part.encode({"a": 2, "b": 1})
    with pytest.raises(SpaceError, match="candidate 0 takes option 2 of choice 'a', which has 2"):
        part.check([[2, 0]])


def first_zero(codes: np.ndarray) -> np.ndarray:
    """The second choice makes no difference."""
    return codes * np.array([1, 0])
