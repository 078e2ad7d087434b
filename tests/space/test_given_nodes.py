"""Nodes that a user gives a space as a list, and functions that are none."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from torch import nn

from searchkit import Choice, NetworkSpace, Node, Space
from searchkit.errors import SpaceError
from searchkit.sharing.keys import Keys

KERNEL = Node("first", ("kernel",), (1, 8, 8), (4, 8, 8), module="0")


def build(choices: Any, input_shape: Any, n_classes: int) -> nn.Module:
    kernel = choices["kernel"]
    first = nn.Conv2d(input_shape[0], 4, kernel, padding=kernel // 2)
    return nn.Sequential(first, nn.Flatten(), nn.LazyLinear(n_classes))


def space_of(**given: Any) -> NetworkSpace:
    return NetworkSpace([Choice("kernel", (1, 3))], build, name="own", **given)


@pytest.mark.parametrize("given", [[KERNEL], (KERNEL,), lambda space: [KERNEL]])
def test_nodes_of_a_space_may_be_given_as_a_list(given: Any) -> None:
    space = space_of(nodes=given).for_data((1, 8, 8), 10)
    assert space.nodes == (KERNEL,)
    assert Keys(space, "exact").of("0.weight", (4, 1, 3, 3), space.enumerate()[1]).options == (("kernel", 1),)


def test_a_space_with_a_list_of_nodes_is_sent_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(space_of(nodes=[KERNEL]))).nodes == (KERNEL,)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (KERNEL, "nodes are a list of searchkit.Node, or a function"),
        ("0", "nodes are a list of searchkit.Node, or a function"),
        ({"first": KERNEL}, "nodes are a list of searchkit.Node, or a function"),
        (["0"], "nodes are searchkit.Node objects, not str: '0'"),
        ([KERNEL, KERNEL], "two nodes have the name 'first'"),
        ([Node("first", ("kernl",), (1, 8, 8), (4, 8, 8))], "not 'kernl'; is 'kernel' meant"),
    ],
)
def test_what_is_no_list_of_nodes_is_refused_when_the_space_is_made(given: Any, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        space_of(nodes=given)


def test_a_function_that_returns_no_nodes_is_named() -> None:
    with pytest.raises(SpaceError, match="nodes= returns a list of searchkit.Node, not None"):
        space_of(nodes=lambda space: None).nodes  # noqa: B018


@pytest.mark.parametrize("name", ["count", "graph", "times", "reference"])
def test_a_table_in_place_of_a_function_of_a_space_is_refused_at_once(name: str) -> None:
    with pytest.raises(SpaceError, match=rf"{name} is a function \(.*, not \[1, 2\]"):
        space_of(**{name: [1, 2]})


def test_a_table_in_place_of_the_canonical_form_is_refused_at_once() -> None:
    with pytest.raises(SpaceError, match=r"canonical is a function \(codes\)"):
        Space([Choice("a", (1, 2))], canonical=[0, 1])  # type: ignore[arg-type]
