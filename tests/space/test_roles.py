"""Roles of options: what is refused, that they identify nothing, and what the bundled spaces say."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

import searchkit
from searchkit import Choice, NetworkSpace, Space
from searchkit.errors import SearchkitError, SpaceError
from searchkit.problem.ranks import rank_correlation
from searchkit.proxies.topology import Topology
from searchkit.runtime.fingerprint import fingerprint
from searchkit.scoring.scorer import Scorer
from searchkit.space.recipe_space import RecipeSpace
from searchkit.space.roles import amounts, has_roles, is_kind, times
from searchkit.spaces.cell_form import live_edges
from searchkit.surrogates.role_features import NAMES, role_features

CONVS = ({"kind": "conv", "kernel": 3}, {"kind": "conv", "kernel": 5})
BUNDLED = ("nas-bench-201", "macro", "mobilenet", "residual")


@pytest.mark.parametrize(
    ("roles", "sentence"),
    [
        (CONVS[:1], "choice 'kernel' has 2 options and 1 roles; give one for each option"),
        ("conv", "roles of choice 'kernel' are one for each option, a dictionary or None each, not 'conv'"),
        (CONVS[0], "roles of choice 'kernel' are one for each option"),
        (("conv", None), "role 0 of choice 'kernel' is a dictionary such as .*, not 'conv'"),
        (({"kind": "convolution"}, None), "unknown kind of a role 'convolution': .* Did you mean 'conv'"),
        (({"kernels": 3}, None), "unknown descriptor of a role 'kernels': .* Did you mean 'kernel'"),
        (({"kernel": "3"}, None), "kernel of role 0 of choice 'kernel' is a number of at least 0 .*, not '3'"),
        (({"params": float("nan")}, None), "params of role 0 .* is a number of at least 0"),
        (({"depthwise": 1}, None), "depthwise of role 0 of choice 'kernel' is True or False, not 1"),
    ],
)
def test_roles_that_make_no_sense_are_refused_in_one_sentence(roles: object, sentence: str) -> None:
    with pytest.raises(SearchkitError, match=sentence) as refused:
        Choice("kernel", (3, 5), roles=roles)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_roles_identify_nothing_and_travel_with_the_choice() -> None:
    plain, told = Choice("kernel", (3, 5), ordered=True), Choice("kernel", (3, 5), ordered=True, roles=CONVS)
    assert plain == told
    assert hash(plain) == hash(told)
    assert repr(plain) == repr(told)
    assert fingerprint(plain) == fingerprint(told)
    assert fingerprint(Space([plain])) == fingerprint(Space([told]))
    assert Space([plain]).describe() == Space([told]).describe()
    assert pickle.loads(pickle.dumps(told)).roles == CONVS
    assert not has_roles(Space([plain]))
    assert has_roles(Space([told, Choice("width", (8, 16))]))


@pytest.mark.parametrize("name", BUNDLED)
def test_the_bundled_spaces_say_what_their_options_mean(name: str) -> None:
    space = searchkit.load_space(name)
    codes = space.sample(50, np.random.default_rng(0))
    assert has_roles(space)
    assert times(space, codes).shape == codes.shape
    features = role_features(space, codes)
    assert features.shape == (50, len(NAMES))
    assert np.isfinite(features).all()
    assert features[:, 0].std() > 0
    assert np.isfinite(Topology(space).score(codes)).all()
    part = space.narrowed({space.names[-1]: space.choices[-1].options[1:]})
    codes[:, -1] = np.maximum(codes[:, -1], 1)
    features = role_features(space, codes)
    few = codes - np.eye(space.n_choices, dtype=np.int64)[-1]
    assert np.array_equal(role_features(part, few), features)
    wide = RecipeSpace(space, [Choice("lr", (0.1, 0.2))])
    wider = np.concatenate([codes, np.ones((50, 1), dtype=np.int64)], axis=1)
    assert np.array_equal(role_features(wide, wider), features)


def test_what_is_not_in_the_network_does_not_count() -> None:
    cells, layers = searchkit.load_space("nas-bench-201"), searchkit.load_space("mobilenet")
    codes = np.random.default_rng(0).integers(0, 5, size=(100, 6))
    convs = amounts(cells, codes, is_kind("conv")).sum(axis=1)
    assert np.array_equal(convs, (((codes == 2) | (codes == 3)) & live_edges(codes)).sum(axis=1))
    least, most = (layers.check(np.where(layers.n_options > 0, pick, 0)) for pick in (0, layers.n_options - 1))
    assert role_features(layers, least)[0, 0] == 5 * 2
    assert role_features(layers, most)[0, 0] == 5 * 4
    residual = searchkit.load_space("residual")
    deep = residual.encode(residual.decode(residual.sample(1, np.random.default_rng(0)))[0] | {
        "depth_1": 3, "depth_2": 1, "depth_3": 2
    })  # fmt: skip
    assert role_features(residual, deep)[0, 0] == 6


def test_the_longest_way_of_a_cell_is_that_with_most_convolutions() -> None:
    space = searchkit.load_space("nas-bench-201")
    none, skip, one, three = 0, 1, 2, 3
    rows = [
        ([three, none, three, none, none, three], 3.0),  # 0 -> 1 -> 2 -> 3
        ([three, none, none, three, three, none], 2.0),
        ([skip, none, skip, one, none, skip], 1.0),
        ([none, none, none, skip, none, none], 0.0),
    ]
    codes = np.array([row for row, _ in rows])
    assert role_features(space, codes)[:, NAMES.index("longest")].tolist() == [length for _, length in rows]


def test_topology_weighs_what_is_there_and_says_nothing_without_roles() -> None:
    cells, layers = searchkit.load_space("nas-bench-201"), searchkit.load_space("macro")
    cell = np.array([[3, 0, 2, 1, 0, 4]])  # 3x3, 1x1, skip, pooling; all on a way
    assert Topology(cells).score(cell).tolist() == [1 + 0.5 - 0.25 - 0.5]
    assert Topology(layers).score(np.array([[0, 1, 2, 0, 0, 0, 0, 0]])).tolist() == [1 + 1.5 - 6 * 0.25]
    plain = Space([Choice("x", (1, 2))], name="plain")
    with (
        pytest.warns(UserWarning, match="'topology' has no score .*: space 'plain' declares no roles of options"),
        Scorer(plain, ["topology"]) as scorer,
    ):
        assert np.isnan(scorer(plain.enumerate())).all()


def test_a_space_of_your_own_says_how_often_and_on_which_ways() -> None:
    def counted(codes: np.ndarray) -> np.ndarray:
        return np.column_stack([np.ones(len(codes)), 1.0 + codes[:, 0]])

    choices = [Choice("depth", (1, 2, 3), ordered=True), Choice("kernel", (3, 5), roles=CONVS)]
    space = NetworkSpace(choices, lambda choices, shape, n: None, times=counted)
    assert Topology(space).score(np.array([[0, 0], [2, 1]])).tolist() == [1.0, 4.5]
    wrong = NetworkSpace(choices, lambda choices, shape, n: None, times=lambda codes: np.ones(3))
    with pytest.raises(SpaceError, match=r"times of space 'custom' returned shape \(3,\) for codes of shape \(2, 2\)"):
        Topology(wrong).score(np.array([[0, 0], [2, 1]]))


def test_the_published_cells_are_ranked_as_the_documentation_says(real_data: Callable[[str], Path]) -> None:
    rows = pd.read_csv(real_data("nasbench201/nb201_cifar10.csv.gz"), dtype={"ops": str}).set_index("arch_index")
    unique = pd.read_csv(real_data("nasbench201/nb201_13_proxies_cifar10.csv.gz")).arch_index
    codes = np.array([list(map(int, ops)) for ops in rows.ops.loc[unique]])
    scores = Topology(searchkit.load_space("nas-bench-201")).score(codes)
    accuracy = rows.cifar10_test200.loc[unique].to_numpy()
    assert len(codes) == 9445
    assert round(float(kendalltau(scores, accuracy).statistic), 3) == 0.696
    assert round(rank_correlation(scores, accuracy), 3) == 0.864
