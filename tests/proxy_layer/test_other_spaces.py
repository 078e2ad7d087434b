"""A study of one space as earlier knowledge for another: it helps where roles agree, and misleads for little."""

from __future__ import annotations

import numpy as np
import pytest

import searchkit
from searchkit import Choice, Space
from searchkit.errors import SearchkitError
from searchkit.problem.objectives import Goals, Objective
from searchkit.problem.ranks import rank_correlation
from searchkit.proxy_layer.transfer import Earlier

SKIP, POOL = {"kind": "skip"}, {"kind": "pool", "kernel": 3}
CONVS = {k: {"kind": "conv", "kernel": k, "params": k * k} for k in (1, 3, 5)}
CELL = Space(
    [Choice(f"edge_{j}", ("skip", "pool", "one", "three"), roles=(SKIP, POOL, CONVS[1], CONVS[3])) for j in range(5)]
)
LAYERS = Space([Choice(f"layer_{j}", ("identity", "k3", "k5"), roles=(SKIP, CONVS[3], CONVS[5])) for j in range(7)])
PLAIN = Space([Choice(f"layer_{j}", ("identity", "k3", "k5")) for j in range(7)])
WORTH = {"skip": 0.0, "pool": -0.5, "one": 0.5, "three": 1.0, "identity": 0.0, "k3": 1.0, "k5": 1.4, "none": 0.0}


def good(choices: dict) -> dict:
    """What is good has many convolutions, and a little of its own."""
    own = sum(hash_of(name, option) for name, option in choices.items())
    return {"accuracy": sum(WORTH[option] for option in choices.values()) + 0.2 * own}


def bad(choices: dict) -> dict:
    return {"accuracy": -good(choices)["accuracy"]}


def hash_of(name: str, option: str) -> float:
    return sum(map(ord, name + option)) % 17 / 17


def search(function, space: Space, strategy: str = "random", **given) -> searchkit.Result:
    given = {"objectives": {"accuracy": "max"}, "budget": 40, "batch": 5, "storage": "memory"} | given
    return searchkit.run(strategy, evaluate=function, space=space, **given)


@pytest.fixture(scope="module")
def cells() -> searchkit.Result:
    return search(good, CELL, name="cells")


def truth(space: Space, codes: np.ndarray) -> np.ndarray:
    return np.array([good(choices)["accuracy"] for choices in space.decode(codes)])


def test_a_study_of_another_space_ranks_networks_of_this_one(cells: searchkit.Result) -> None:
    goals = Goals((Objective("accuracy", "max"),), ())
    codes = LAYERS.enumerate()[::7]
    scores = Earlier(cells, LAYERS, goals).score(codes)
    assert rank_correlation(scores, truth(LAYERS, codes)) > 0.8
    back = search(good, LAYERS, name="layers")
    codes = CELL.enumerate()
    assert rank_correlation(Earlier(back, CELL, goals).score(codes), truth(CELL, codes)) > 0.6


@pytest.mark.slow
def test_a_search_learns_from_it_and_says_so(cells: searchkit.Result, tmp_path) -> None:
    result = search(good, LAYERS, earlier=cells, budget=10, storage=tmp_path, name="s")
    assert result.signals.proxy.tolist() == ["elsewhere:cells"]
    assert result.signals.rho[0] > 0.5
    assert searchkit.load("s", tmp_path).signals.equals(result.signals)
    helped = [search(good, LAYERS, earlier=cells, budget=8, seed=seed).best().accuracy for seed in range(4)]
    alone = [search(good, LAYERS, budget=8, seed=seed).best().accuracy for seed in range(4)]
    assert np.mean(helped) > np.mean(alone) + 0.5


@pytest.mark.slow
def test_a_misleading_study_loses_its_weight_and_does_no_harm() -> None:
    misleading = search(bad, CELL, name="misleading")
    result = search(good, LAYERS, earlier=misleading, budget=20)
    assert result.signals.weight[0] == 0
    misled = [search(good, LAYERS, earlier=misleading, seed=seed).best().accuracy for seed in range(3)]
    alone = [search(good, LAYERS, seed=seed).best().accuracy for seed in range(3)]
    assert np.mean(misled) > np.mean(alone) - 0.1


def test_studies_of_this_space_and_of_another_stand_side_by_side(cells: searchkit.Result) -> None:
    layers = search(good, LAYERS, name="layers", seed=3)
    both = search(good, LAYERS, earlier=[cells, layers], budget=10)
    assert set(both.signals.proxy) == {"elsewhere:cells", "earlier:layers"}


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        (PLAIN, "'cells' searched other choices than this one: choice 'edge_0' differs, and this space 'custom' decl"),
        (
            Space([Choice("x", ("k3", "k5"), roles=({}, {})), Choice("y", ("k3", "none"))]),
            "'cells' searched other choices than .*, and the roles of options that vary in one space do not vary in",
        ),
    ],
)
def test_where_nothing_is_in_common_it_is_refused_in_one_sentence(
    space: Space, sentence: str, cells: searchkit.Result
) -> None:
    with pytest.raises(SearchkitError, match=sentence) as refused:
        search(good, space, earlier=cells)
    assert "\n" not in str(refused.value)
    with pytest.raises(
        SearchkitError, match="searched other choices than this one: .*, and its space 'custom' declares"
    ):
        search(good, CELL, earlier=search(good, PLAIN, name="plain", budget=6))
