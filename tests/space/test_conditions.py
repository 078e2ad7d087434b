"""Parameters that exist under conditions: canonical rows, dictionaries, records, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import searchkit
from searchkit import Choice, Float, Int, Space
from searchkit.blocks.additive import blocks_of
from searchkit.errors import SpaceError


def _space() -> Space:
    return Space(
        [
            Float("momentum", 0, 1, when=("optimizer", ["sgd", "rmsprop"])),
            Choice("optimizer", ["sgd", "rmsprop", "adam"]),
            Choice("nesterov", [False, True], when=[("optimizer", "sgd"), ("momentum", ">", 0.5)]),
            Int("layers", 1, 4),
            Int("third", 8, 64, when=("layers", ">=", 3)),
        ]
    )


def test_a_dictionary_has_the_parameters_that_exist():
    space = _space()
    adam = {"optimizer": "adam", "layers": 2}
    assert space.decode(space.encode(adam)) == [adam]
    sgd = {"momentum": 0.9, "optimizer": "sgd", "nesterov": True, "layers": 3, "third": 32}
    assert space.decode(space.encode(sgd)) == [sgd]
    slow = sgd | {"momentum": 0.2}
    assert "nesterov" not in space.decode(space.encode(slow))[0], "it hangs on a number that decides, and is too small"


def test_candidates_that_differ_in_what_does_not_exist_are_one():
    space = _space()
    one = space.encode({"optimizer": "adam", "layers": 1, "momentum": 0.3, "third": 9})
    assert np.array_equal(one, space.encode({"optimizer": "adam", "layers": 1}))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**31))
def test_the_canonical_form_is_its_own_and_all_that_exists_is_kept(seed):
    space = _space()
    raw = np.random.default_rng(seed).integers(0, space.n_options, (20, 5))
    codes = space.canonical(raw)
    assert np.array_equal(space.canonical(codes), codes)
    exists = space.active(codes)
    assert (codes[~exists] == 0).all()
    assert np.array_equal(codes[exists], raw[exists])
    assert np.isnan(space.positions(codes)[~exists]).all()
    assert np.array_equal(space.encode(space.decode(codes)), codes)


def test_what_exists_and_is_not_said_is_refused():
    with pytest.raises(SpaceError, match=r"candidate 0 says nothing of 'third', which exists with its other values"):
        _space().encode({"optimizer": "adam", "layers": 4})


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (
            [Choice("a", list("xy"), when=("optimiser", 1)), Choice("optimizer", (1, 2))],
            "no such parameter.*'optimizer'",
        ),
        ([Choice("a", list("xy"), when=("a", "x"))], "exists when it has a value itself"),
        (
            [Choice("a", list("xy"), when=("b", "x")), Choice("b", list("xy"), when=("a", "x"))],
            "in a circle: whether 'a', 'b'",
        ),
        ([Choice("a", list("xy")), Float("f", 0, 1, when=("a", "z"))], "when of 'f': choice 'a' has no option 'z'"),
        ([Choice("a", list("xy")), Float("f", 0, 1, when=("a", ">", 1))], "has the option 'x', which is no number"),
    ],
)
def test_conditions_that_cannot_hold_are_refused(parameters, said):
    with pytest.raises(SpaceError, match=said):
        Space(parameters)


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("optimizer", "when of 'x' is"),
        (("optimizer",), "when of 'x' is"),
        (("layers", "=>", 3), "compares by <, <=, >, >=, == or !=, not by '=>'"),
        (("layers", ">", "3"), "with a number, not with '3'"),
        (("optimizer", []), "names no value"),
    ],
)
def test_a_condition_of_another_form_is_refused(when, said):
    with pytest.raises(SpaceError, match=said):
        Float("x", 0, 1, when=when)


def test_equal_and_other_values_are_conditions_too():
    space = Space([
        Choice("a", ("x", "y", "z")), Float("one", 0, 1, when=("a", "==", "x")),
        Float("two", 0, 1, when=("a", "in", ["x", "y"])), Float("other", 0, 1, when=("a", "!=", "x")),
    ])  # fmt: skip
    exists = space.active(space.canonical(np.array([[0, 1, 1, 1], [1, 1, 1, 1], [2, 1, 1, 1]])))
    assert exists[:, 1:].tolist() == [[True, True, False], [False, True, True], [False, False, True]]
    assert repr(space.choices[3]) == "Float('other', 0.0, 1.0, when=('a', '!=', 'x'))"
    with pytest.raises(SpaceError, match="has no option .* several values are a list"):
        Space([Choice("a", (1, 2)), Float("f", 0, 1, when=("a", (1, 2)))])


def test_rows_of_tables_are_candidates():
    space = _space()
    result = searchkit.run(
        "random", evaluate=lambda c: {"loss": 1.0}, space=space, objectives={"loss": "min"}, budget=12, seed=0,
        storage="memory",
    )  # fmt: skip
    rows = result.history[list(space.names)].to_dict("records")
    assert np.array_equal(space.encode(rows), np.array([trial.code for trial in result.trials]))
    assert str(result.history.third.dtype) == "Int64"


def test_choices_under_conditions_are_one_block():
    space = Space([Choice("a", list("xy")), Choice("b", list("pqr"), when=("a", "y")), Choice("c", (1, 2))])
    blocks = blocks_of(space)
    assert sorted(blocks.columns) == [(0, 1), (2,)]
    assert sorted(blocks.sizes) == [2, 4], "x, and y with each of three"


@pytest.mark.slow
def test_a_record_lacks_what_does_not_exist(tmp_path):
    space = _space()
    result = searchkit.run(
        "random", evaluate=lambda c: {"loss": c.get("momentum", 0.5)}, space=space, objectives={"loss": "min"},
        budget=30, seed=0, storage=tmp_path, name="conditional",
    )  # fmt: skip
    missing = result.history["momentum"].isna()
    assert missing.any()
    assert (missing == (result.history["optimizer"] == "adam")).all()
    loaded = searchkit.load("conditional", storage=tmp_path)
    pd.testing.assert_frame_equal(loaded.history[list(space.names)], result.history[list(space.names)])
    assert loaded.space.choices == space.choices
    page = result.report(tmp_path / "page.html").read_text()
    assert "momentum" in page
