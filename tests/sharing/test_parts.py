"""Weights of a whole space for searches of a part of it, or with precisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import searchkit
from searchkit import Choice, NetworkSpace, SharedWeights
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.errors import SpaceError
from searchkit.proxies.one_shot import OneShot
from searchkit.search.start_weights import read_weights
from searchkit.sharing.keys import Keys
from searchkit.sharing.parts import Into
from searchkit.space.recipe_space import RecipeSpace
from searchkit.spaces.macro import macro
from searchkit.training.starts import Trained

WHOLE = macro(width=4, layers=(2, 1), input_shape=(1, 8, 8))
NARROW = WHOLE.narrowed({"layer_1": ["mb6_k5"], "layer_3": ["mb6_k5", "mb3_k3"]})
PRECISE = WHOLE.with_precisions()
SEARCH: dict[str, Any] = {"storage": "memory", "proxies": (), "progress": False}


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits", limit=400)


@pytest.fixture(scope="module")
def shared(digits: Data) -> SharedWeights:
    return SharedWeights(WHOLE, digits, epochs=8).fit()


@pytest.mark.slow
def test_other_networks_and_other_data_than_those_of_the_weights_are_said(
    shared: SharedWeights, digits: Data, caplog: pytest.LogCaptureFixture
) -> None:
    ask = SEARCH | {"evaluation": shared, "budget": 2, "strategy": "random"}
    searchkit.run(**ask, space=WHOLE, data=digits)
    assert not [one for one in caplog.messages if "shared weights" in one]
    searchkit.run(**ask, space=macro(width=8, layers=(2, 1), input_shape=(1, 8, 8)), data=digits)
    assert "of networks of macro with " in caplog.text
    assert "other data" not in caplog.text
    searchkit.run(**ask, space=WHOLE, data=load_data("digits", limit=300))
    assert "trained on other data than those of this search" in caplog.text


def test_candidates_with_precisions_are_scored_outside_of_a_search(shared: SharedWeights, digits: Data) -> None:
    assert searchkit.score(PRECISE, 3, proxies=[shared], data=digits)["one-shot"].notna().all()


@pytest.mark.slow
def test_bounds_that_are_none_of_the_search_are_said(digits: Data, caplog: pytest.LogCaptureFixture) -> None:
    ask = SEARCH | {"space": WHOLE, "data": digits, "budget": 1, "strategy": "random"}
    settings = {"epochs": 8, "bounds": {"params": 1e9}}
    searchkit.run(**ask, evaluation=settings, constraints={"params": 1e9})
    assert "bounds of the shared weights" not in caplog.text
    searchkit.run(**ask, evaluation=settings)
    assert "bounds of the shared weights on params keep networks from their training" in caplog.text


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt", "weights"])
def test_a_file_of_any_name_is_loaded_again(shared: SharedWeights, digits: Data, tmp_path: Path, name: str) -> None:
    shared.save(tmp_path / name)
    again = SharedWeights(WHOLE, digits, epochs=8).load(tmp_path / name)
    code = np.zeros((1, WHOLE.n_choices), dtype=np.int64)
    assert again.score(code) == shared.score(code)


def names_of(space: Any, code: Any) -> dict[str, Any]:
    return {name: option for name, option in space.decode(code)[0].items() if name in WHOLE.names}


@pytest.mark.parametrize(
    "space", [NARROW, PRECISE, PRECISE.narrowed({"layer_1": ["mb3_k3"]}), NARROW.with_precisions()]
)
def test_codes_of_a_part_are_told_in_the_whole(space: Any) -> None:
    into = Into(space, WHOLE)
    codes = space.sample(20, np.random.default_rng(0))
    for code, row in zip(codes, into(codes), strict=True):
        assert names_of(space, code[None]) == WHOLE.decode(row[None])[0]
        assert into(code).tolist() == row.tolist()


@pytest.mark.parametrize("space", [NARROW, PRECISE])
def test_networks_of_a_part_begin_with_shared_weights_of_the_whole(space: NetworkSpace, shared: SharedWeights) -> None:
    start = read_weights(shared, space)
    assert isinstance(start, Trained)
    code = space.sample(1, np.random.default_rng(3))[0]
    whole = WHOLE.encode(names_of(space, code[None]))[0]
    expected = shared.start(whole)
    assert set(start.start(code)) == {name for name, _ in space.build(code).named_parameters()}
    assert all(tensor.equal(expected[name]) for name, tensor in start.start(code).items())
    assert all(tensor.equal(shared.initial(whole)[name]) for name, tensor in start.initial(code).items())
    assert read_weights(shared, WHOLE) is shared


def test_a_part_is_searched_by_shared_weights_of_the_whole(shared: SharedWeights, digits: Data) -> None:
    result = searchkit.run("random", space=NARROW, data=digits, evaluation=shared, budget=4, **SEARCH)
    for trial in result.trials:
        code = WHOLE.encode(names_of(NARROW, trial.code[None]))
        assert trial.values["one-shot"] == -shared.losses(code)[0]


@pytest.mark.slow
def test_shared_weights_as_a_proxy_judge_networks_of_a_part_and_with_settings(
    shared: SharedWeights, digits: Data
) -> None:
    proxy = OneShot(WHOLE, digits, epochs=8).fit()
    given = SEARCH | {"space": NARROW, "data": digits, "proxies": (proxy,), "epochs": 1, "recipe": {"lr": [0.02, 0.1]}}
    result = searchkit.run("random", budget=6, screen=2, **given)
    assert isinstance(result.space, RecipeSpace)
    assert "one-shot" in set(result.signals.proxy)


@pytest.mark.slow
def test_networks_of_a_part_begin_where_those_of_the_whole_ended(digits: Data) -> None:
    first = searchkit.run("random", space=WHOLE, data=digits, epochs=1, budget=2, start=[[1, 2, 1]], **SEARCH)
    part = WHOLE.narrowed({"layer_1": [WHOLE.choices[0].options[1]], "layer_2": [WHOLE.choices[1].options[2]]})
    start = read_weights(first, part)
    assert start is not None
    code = part.check([[0, 0, 1]])[0]
    state = first.build(trial=0, i=0).network.state_dict()
    assert all(tensor.equal(state[name]) for name, tensor in start.start(code).items())
    with pytest.raises(SpaceError, match="know no option 'identity' of 'layer_1'"):
        read_weights(searchkit.run("random", space=part, data=digits, epochs=1, budget=1, **SEARCH), WHOLE)


def test_weights_are_shared_between_the_precisions_of_a_block() -> None:
    keys, code = Keys(PRECISE, "exact"), np.zeros(PRECISE.n_choices, dtype=np.int64)
    other = np.where(np.char.endswith(PRECISE.names, ".precision"), 1, code)
    name, shape = "stages.0.0.0.weight", (4, 4, 1, 1)
    assert keys.of(name, shape, code) == keys.of(name, shape, other)
    assert "precision" not in str(keys.of(name, shape, code))


def test_weights_of_a_part_are_refused_for_the_whole(digits: Data) -> None:
    with pytest.raises(SpaceError, match="whose choices are not those .* they know no option 'identity' of 'layer_1'"):
        read_weights(SharedWeights(NARROW, digits), WHOLE)
    apart = NetworkSpace([Choice("a", (1, 2))], WHOLE.builder, name="apart", input_shape=(1, 8, 8))
    with pytest.raises(SpaceError, match="of space 'apart', whose choices are not those of space 'macro'"):
        Into(WHOLE, apart)


def test_settings_and_not_what_was_learned_identify_shared_weights(digits: Data) -> None:
    from searchkit.runtime.fingerprint import fingerprint

    proxy = OneShot(WHOLE, digits, epochs=0.2)
    before = fingerprint(proxy)
    proxy.fit()
    assert fingerprint(proxy) == before
    assert fingerprint(OneShot(WHOLE, digits, epochs=0.3)) != before
