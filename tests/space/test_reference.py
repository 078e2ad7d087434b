"""Designs to begin with, which a space names."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from torch import nn

from searchkit.errors import SpaceError
from searchkit.space import Choice, NetworkSpace
from searchkit.types import Codes


def build(choices: Any, input_shape: Any, n_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(input_shape)), n_classes))


def first_ones(codes: Codes) -> Codes:
    """Under option 0 of the first choice the second does not matter."""
    return np.where(codes[:, :1] == 0, [0, 0], codes)


def by_classes(space: NetworkSpace) -> Codes:
    return space.encode([{"a": 2, "b": 1}, {"a": 0, "b": 1}, {"a": 0, "b": 0}, {"a": space.n_classes % 3, "b": 0}])


def space_with(reference: Any) -> NetworkSpace:
    choices = [Choice("a", (0, 1, 2)), Choice("b", (0, 1))]
    return NetworkSpace(choices, build, name="own", canonical=first_ones, reference=reference)


def test_a_space_that_names_none_has_none() -> None:
    none = space_with(None).reference
    assert none.shape == (0, 2)
    assert none.dtype == np.int64


def test_designs_come_in_their_order_each_once_and_follow_the_data() -> None:
    space = space_with(by_classes)
    assert space.reference.tolist() == [[2, 1], [0, 0], [1, 0]]  # 10 classes
    assert space.for_data((1, 8, 8), 5).reference.tolist() == [[2, 1], [0, 0], [2, 0]]
    again = pickle.loads(pickle.dumps(space.for_data((1, 8, 8), 5)))
    assert again.reference.tolist() == [[2, 1], [0, 0], [2, 0]]
    assert space.describe() == space_with(None).describe()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            [[2, 1], [0, 1]],
            r"reference= of space 'own' returns candidate 1 as \[0, 1\], whose canonical form is \[0, 0\]",
        ),
        (
            [[2, 5]],
            "reference= of space 'own' returns what are no candidates of it: candidate 0 takes option 5 of .*'b'",
        ),
        ([[2, 1, 0]], r"no candidates of it: candidates of space 'own' have 2 choices; got an array of shape \(1, 3\)"),
        (None, "no candidates of it: "),
        ([{"a": 2, "b": 1}], "no candidates of it: "),
    ],
)
def test_what_are_no_canonical_candidates_is_refused(given: Any, sentence: str) -> None:
    with pytest.raises(SpaceError, match=sentence):
        _ = space_with(lambda space: given).reference


def test_codes_instead_of_a_function_are_refused_when_the_space_is_made() -> None:
    with pytest.raises(SpaceError, match=r"reference is a function \(space\) -> codes \(s, 2\), not \[\[2, 1\]\]"):
        space_with([[2, 1]])
