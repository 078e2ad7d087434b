"""Policies of paths: within bounds, every option its turn, and the same draws from the same record."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchkit import Choice
from searchkit.errors import ProxyError
from searchkit.sharing.bounds import within
from searchkit.sharing.paths import Paths
from searchkit.sharing.policies.grouped import Grouped
from searchkit.sharing.policies.protocol import Policy
from searchkit.sharing.policies.shrinking import Shrinking
from searchkit.sharing.policies.table import POLICIES, made_policy
from searchkit.sharing.policies.uniform import Fair
from searchkit.space import NetworkSpace
from searchkit.spaces.macro import macro
from searchkit.types import Codes

SPACE = macro(width=4, layers=(2, 2), input_shape=(1, 8, 8))
PLAIN = NetworkSpace(
    [Choice("a", ("x", "y", "z")), Choice("b", (1, 2)), Choice("c", (1, 2, 3, 4))], lambda *given: None
)  # type: ignore[arg-type,return-value]


def value_of(code: Codes) -> float:
    return float((code * [0.01, 0.02, 0.03, 0.04][: len(code)]).sum())


def drawn(policy: Policy, seed: int, n: int) -> list[list[int]]:
    rng, found = np.random.default_rng(seed), []
    for _ in range(n):
        code, stay = policy.draw(rng)
        assert stay >= 1
        policy.tell(code, value_of(code))
        found.append(code.tolist())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", POLICIES)
@given(seed=st.integers(0, 50), n=st.integers(0, 30))
def test_the_same_record_gives_the_same_draws(name: str, seed: int, n: int) -> None:
    whole, first, second = (made_policy(name, Paths(PLAIN)) for _ in range(3))
    for policy in (whole, first, second):
        policy.begin(1000)
    assert drawn(whole, seed, n) == drawn(first, seed, n)
    second.restore(json.loads(json.dumps(first.state())))
    assert drawn(whole, seed + 1, 20) == drawn(second, seed + 1, 20)


@pytest.mark.parametrize("name", POLICIES)
def test_no_path_is_over_the_bounds_and_all_are_canonical(name: str) -> None:
    counts = SPACE.count(SPACE, SPACE.enumerate())["params"]  # type: ignore[misc]
    bounds = {"params": float(np.quantile(counts, 0.15))}
    policy = made_policy(name, Paths(SPACE, *within(SPACE, bounds)))
    codes = np.array(drawn(policy, 0, 150))
    assert (SPACE.count(SPACE, codes)["params"] <= bounds["params"]).all()  # type: ignore[misc]
    assert (SPACE.canonical(codes) == codes).all()


def test_fair_paths_use_every_option_of_every_choice_once() -> None:
    policy = Fair(Paths(PLAIN))
    assert policy.together == 4
    for _ in range(5):
        columns = np.array(drawn(policy, 1, 4)).T
        assert sorted(columns[2]) == [0, 1, 2, 3]
        assert sorted(columns[1]) == [0, 0, 1, 1]
        assert set(columns[0]) == {0, 1, 2}


def test_every_living_option_has_its_turn_in_each_round_and_the_least_falls() -> None:
    space = NetworkSpace([Choice(name, range(4)) for name in "abcd"], lambda *given: None)  # type: ignore[arg-type,return-value]
    policy = Shrinking(Paths(space), rounds=2, data=(0.25, 0.5, 1.0))
    policy.begin(policy.n_paths * 5)
    assert policy.share == 0.25
    for n in (4, 3, 2):
        living = [list(options) for options in policy.living]
        for r in range(2):
            columns = np.array(drawn(policy, r, n)).T
            for column, options in zip(columns, living, strict=True):
                assert sorted(column) == options
    assert policy.answer is not None
    assert policy.answer[3] == 3, "the choice that matters most, of which the last option is the best"
    assert policy.share == 1.0
    assert drawn(policy, 9, 2) == [policy.answer.tolist()] * 2


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_groups_are_halved_until_the_best_network_is_left(at_once: int) -> None:
    space = NetworkSpace([Choice(name, range(4)) for name in "abcd"], lambda *given: None)  # type: ignore[arg-type,return-value]
    policy = Grouped(Paths(space), at_once=at_once, members=30)
    drawn(policy, 0, policy.n_paths)
    assert policy.answer is not None
    assert policy.answer.tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (functools.partial(Shrinking, rounds=0), "rounds is a whole number"),
        (functools.partial(Shrinking, data=(0.0, 1.0)), "shares of the training examples"),
        (functools.partial(Grouped, at_once=0), "at_once is a whole number"),
        (functools.partial(Grouped, groups={"d": ((1,), (2,))}), "'d' is none of them"),
        (functools.partial(Grouped, groups={"b": ((1,), (3,))}), "the groups of 'b' are two"),
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[[Paths], Policy], said: str) -> None:
    with pytest.raises(ProxyError, match=said):
        made_policy(make, Paths(PLAIN))


@pytest.mark.parametrize("make", [Shrinking, functools.partial(Grouped, members=2)])
def test_what_is_left_keeps_the_bounds(make: Callable[..., Shrinking | Grouped]) -> None:
    counts = SPACE.count(SPACE, SPACE.enumerate())["params"]  # type: ignore[misc]
    most = float(np.quantile(counts, 0.15))
    policy = make(Paths(SPACE, *within(SPACE, {"params": most})))
    drawn(policy, 0, policy.n_paths)
    assert policy.answer is not None
    assert SPACE.count(SPACE, policy.answer[None])["params"][0] <= most  # type: ignore[misc]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (functools.partial(Shrinking, rounds=1.5), "rounds is a whole number of at least 1, not 1.5"),
        (functools.partial(Shrinking, rounds="2"), "rounds is a whole number of at least 1, not '2'"),
        (functools.partial(Shrinking, data=0.5), "data are shares of the training examples .*, not 0.5"),
        (functools.partial(Shrinking, data=("a",)), "data are shares of the training examples"),
        (functools.partial(Grouped, at_once=1.5), "at_once is a whole number from 1 to 10"),
        (functools.partial(Grouped, members="8"), "members one of at least 1, not 3, '8'"),
        (functools.partial(Grouped, groups=[("a", "b")]), "groups are a mapping from choices"),
        (lambda paths: "uniform", "policy= returns 'uniform', which is no policy: it has no 'reward'"),
    ],
)
def test_settings_of_policies_that_mean_nothing_are_refused(policy: Any, said: str) -> None:
    with pytest.raises(ProxyError, match=said):
        made_policy(policy, Paths(SPACE))
