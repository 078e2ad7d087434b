"""Classes with too few examples to be in each part of a split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from searchkit.data.loading import load_data
from searchkit.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.array([0, 1, 2, 5] * 9 + [7, 8, 8, 9])


def rows_of(*parts: Any) -> set[bytes]:
    return {row.tobytes() for part in parts for row in part.x.numpy()}


def test_they_are_refused_where_nothing_is_said() -> None:
    with pytest.raises(DataError, match=r"class 7 has 1 example; 3 are needed.*\(3 classes have fewer\).*rare='drop'"):
        load_data((X, Y))


def test_they_are_left_out() -> None:
    data = load_data((X, Y), rare="drop")
    assert data.classes == (0, 1, 2, 5)
    assert data.fingerprint == load_data((X[:36], Y[:36])).fingerprint


def test_they_are_made_one_class() -> None:
    data = load_data((X, Y), rare="merge")
    assert data.classes == (0, 1, 2, 5, 10)
    parts = (data.train, data.val, data.test)
    assert len(rows_of(*parts)) == 40
    assert all(4 in part.y.tolist() for part in parts)
    texts = load_data((X, [f"class {y}" for y in Y]), rare="merge")
    assert texts.classes == ("class 0", "class 1", "class 2", "class 5", "other")


def test_those_of_a_test_set_follow() -> None:
    whole = (X[:36], Y[:36])
    both = (np.r_[X[:36], X[37:38]], np.r_[Y[:36], [8]])
    dropped = load_data((both, (X[32:40], np.r_[Y[32:36], [8, 8, 8, 8]])), rare="drop")
    assert dropped.fingerprint == load_data((whole, (X[32:36], Y[32:36]))).fingerprint
    with pytest.raises(DataError, match="in the test set, the labels hold class 9"):
        load_data((both, (X[36:40], [9] * 4)), rare="drop")


def test_where_nothing_is_rare_nothing_changes() -> None:
    plain = load_data((X[:36], Y[:36]))
    for rare in ("drop", "merge"):
        assert load_data((X[:36], Y[:36]), rare=rare).fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("y", "given", "said"),
    [
        ([0] * 20 + [1] * 19 + [2], {"rare": "merge"}, "1 rare class .2. together have 1 example, and 3 are needed"),
        ([0] * 38 + [1, 2], {"rare": "drop"}, "without 2 rare classes .1, 2., there is one class; two or more"),
        (["a"] * 20 + ["other"] * 17 + ["b", "c", "d"], {"rare": "merge"}, "class 'other' is there already"),
        (list(range(40)), {"rare": "leave"}, "rare is one of refuse, drop, merge, not 'leave'"),
        (
            np.arange(40.0),
            {"rare": "drop", "task": "regression"},
            "examples of one class each, and the task is regression",
        ),
    ],
)
def test_what_cannot_be_done_is_said(y: Any, given: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load_data((X, y), **given)


def test_data_that_are_split_are_refused() -> None:
    with pytest.raises(DataError, match="are split already"):
        load_data(load_data((X[:36], Y[:36])), rare="drop")
