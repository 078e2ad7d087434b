"""What a call is taken for: groups of arguments, and a name that differs where anything differs that counts."""

from __future__ import annotations

import functools
import inspect
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import searchkit
from searchkit import Choice, Proxies, SearchkitError, Space, Training
from searchkit.data.data import Data
from searchkit.option_reading import read_options
from searchkit.options import Options
from searchkit.proxies.eproxy import Eproxy
from searchkit.results.studies import read_study
from searchkit.types import Codes, Floats

SPACE = Space([Choice("a", range(8), ordered=True), Choice("b", range(4), ordered=True)], name="plain")
DEFAULTS = {name: p.default for name, p in inspect.signature(searchkit.run).parameters.items()}


def loss(choices: dict[str, Any]) -> dict[str, float]:
    return {"loss": float(choices["a"] + choices["b"])}


class Shifted:
    """A proxy with a setting."""

    name = "shifted"

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def score(self, codes: Codes) -> Floats:
        return codes[:, 0] + self.shift


def options(**given: Any) -> Options:
    call = {"space": SPACE, "evaluate": loss, "objectives": {"loss": "min"}}
    return read_options(**(DEFAULTS | call | given))


@functools.cache
def earlier(seed: int) -> searchkit.Result:
    return searchkit.run(
        "random",
        space=SPACE,
        evaluate=loss,
        objectives={"loss": "min"},
        budget=8,
        seed=seed,
        storage="memory",
        name="e",
    )


DIFFERENT = [
    {"strategy": "random"},
    {"strategy": functools.partial(searchkit.plugins.resolve("strategy", "nsga2"), population=6)},
    {"strategy": functools.partial(searchkit.plugins.resolve("strategy", "nsga2"), population=8)},
    {"seed": 1},
    {"batch": 1},
    {"batch": 4},
    {"start": [{"a": 1, "b": 1}]},
    {"start": [{"a": 1, "b": 2}]},
    {"start": [{"a": 1, "b": 1}, {"a": 1, "b": 2}]},
    {"proxies": [Shifted(1.0)]},
    {"proxies": [Shifted(2.0)]},
    {"proxies": [Shifted(1.0)], "screen": 4},
    {"earlier": earlier(0)},
    {"earlier": earlier(1)},
    {"constraints": {"loss": 9.0}},
    {"constraints": {"loss": 8.0}},
    {"objectives": {"loss": "max"}},
    {"time_limit": 3.0},
    {"space": Space([Choice("a", range(8)), Choice("b", range(4), ordered=True)], name="plain")},
    {"evaluate": lambda choices: {"loss": 1.0}},
    {"evaluate": lambda choices: {"loss": 2.0}},
]


def test_calls_that_differ_in_what_decides_the_outcome_have_names_of_their_own() -> None:
    names = [options(**given).name for given in [{}, *DIFFERENT]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("given", [{}, *DIFFERENT], ids=lambda given: "-".join(given) or "plain")
def test_the_same_call_has_the_same_name(given: dict[str, Any]) -> None:
    assert options(**given).name == options(**given).name


def test_what_a_study_may_be_continued_with_does_not_change_its_name() -> None:
    name = options().name
    for given in ({"budget": 99}, {"budget": {"seconds": 3}}, {"executor": 2}, {"progress": False}):
        assert options(**given).name == name


def test_networks_have_names_by_epochs_and_split_and_settings_of_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    def named(**given: Any) -> str:
        return read_options(**(DEFAULTS | {"space": "macro"} | given)).name

    setting = Eproxy(searchkit.proxies.eproxy.DEFAULT)
    calls: list[dict[str, Any]] = [
        {},
        {"split_seed": 1},
        {"seed": 1},
        {"epochs": 3},
        {"training": Training(epochs=4)},
        {"ladder": [{"epochs": 2}]},
        {"proxies": ["eproxy"]},
        {"proxies": [setting]},
        {"proxies": ["params"]},
        {"objectives": ("params", "accuracy")},
        {"objectives": ("params", "macs"), "verify": 2},
        {"objectives": ("params", "macs")},
    ]
    names = [named(**call) for call in calls]
    assert len(set(names)) == len(names)
    assert named(epochs=3) == named(training=Training(epochs=3))


def test_the_split_follows_its_own_seed_and_the_search_its_own() -> None:
    def data(**given: Any) -> Data:
        images = read_options(**(DEFAULTS | {"space": "macro"} | given)).task.images
        assert images is not None
        return images

    assert data(seed=5).fingerprint == data(seed=0).fingerprint
    assert data(split_seed=5).fingerprint != data(split_seed=0).fingerprint


def test_a_network_that_another_study_began_with_was_never_trained_on_the_test_part() -> None:
    """Whatever the seeds of two searches, the test part of one is no train part of the other."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (120, 1, 8, 8)).astype(np.uint8), np.arange(120) % 3
    tests, trains = [], []
    for seed in (0, 7):
        task: Any = read_options(**(DEFAULTS | {"space": "macro", "data": pictures, "seed": seed})).task
        tests.append({row.numpy().tobytes() for row in task.data.test.x})
        trains.append({row.numpy().tobytes() for row in task.data.train.x})
    assert tests[0] == tests[1]
    assert not tests[0] & trains[1]


def test_groups_say_the_same_as_flat_arguments() -> None:
    flat = options(proxies=[Shifted(1.0)], screen=4, earlier=earlier(0))
    grouped = options(proxies=Proxies([Shifted(1.0)], screen=4, earlier=earlier(0)))
    assert flat.name == grouped.name
    assert (grouped.screen, [p if isinstance(p, str) else p.name for p in grouped.proxies]) == (
        4,
        ["shifted", "earlier:e"],
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"training": Training(epochs=3), "epochs": 3}, "epochs was given twice, as epochs= and in training="),
        ({"training": Training(ladder="default"), "ladder": "default"}, "ladder was given twice"),
        ({"training": Training(time_limit=3), "time_limit": 4}, "time_limit was given twice"),
        ({"proxies": Proxies("default", screen=3), "screen": 3}, "screen was given twice, as screen= and in proxies="),
        ({"proxies": Proxies(earlier=earlier(0)), "earlier": earlier(0)}, "earlier was given twice"),
        (
            {"training": {"epochs": 3}},
            r"or a searchkit.Training\(epochs=, ladder=, time_limit=, recipe=\)",
        ),
        ({"split_seed": -1}, "split_seed must be a whole number from 0"),
        ({"split_seed": None}, "split_seed must be a whole number from 0"),
        ({"split_seed": 1.5}, "split_seed must be a whole number from 0"),
    ],
)
def test_one_thing_given_twice_or_wrongly_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SearchkitError, match=said):
        read_options(**(DEFAULTS | {"space": "macro"} | given))


def test_a_function_takes_no_training() -> None:
    with pytest.raises(SearchkitError, match="training set how networks are trained"):
        options(training=Training())


def test_a_changed_call_begins_a_study_of_its_own(tmp_path: Path) -> None:
    def search(**given: Any) -> searchkit.Result:
        call = {"space": SPACE, "evaluate": loss, "objectives": {"loss": "min"}, "budget": 6, "storage": tmp_path}
        return searchkit.run("random", **(call | given))

    plain, started = search(), search(start=[{"a": 7, "b": 3}])
    assert started.name != plain.name
    assert started.history.loc[0, ["a", "b"]].tolist() == [7, 3]
    assert search(start=[{"a": 7, "b": 3}]).history.equals(started.history)


def test_what_changed_under_a_name_of_the_users_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def search(**given: Any) -> None:
        call = {"space": SPACE, "evaluate": loss, "objectives": {"loss": "min"}, "storage": tmp_path, "name": "s"}
        searchkit.run("random", **(call | {"proxies": [Shifted(1.0)], "budget": 4} | given))

    search()
    caplog.clear()
    search(budget=5)
    assert "continued with" not in caplog.text
    for given, said in (
        ({"batch": 2}, "another batch"),
        ({"batch": 2, "start": [{"a": 1, "b": 1}]}, "other candidates to start with"),
        (
            {"batch": 2, "start": [{"a": 1, "b": 1}], "proxies": [Shifted(2.0)]},
            "other proxies, or other settings of them",
        ),
    ):
        caplog.clear()
        search(budget=6, **given)
        assert f"continued with {said}" in caplog.text


def test_the_record_tells_proxies_that_were_objects(tmp_path: Path) -> None:
    searchkit.run(
        "random", space=SPACE, evaluate=loss, objectives={"loss": "min"}, budget=6, storage=tmp_path, name="s",
        proxies=[Shifted(1.0)], earlier=earlier(0),
    )  # fmt: skip
    context = read_study("s", tmp_path).header["context"]
    assert context["objects"] == ["shifted"]
    assert context["earlier"] == ["e"]


class Slotted:
    """A proxy whose setting is in a slot."""

    __slots__ = ("setting",)
    name = "slotted"

    def __init__(self, setting: Any) -> None:
        self.setting = setting

    def score(self, codes: Codes) -> Floats:
        return codes[:, 0].astype(float)


@pytest.mark.parametrize(
    "settings",
    [
        (1.0, 2.0),
        (torch.ones(2), torch.zeros(2)),
        (np.array([1, "a"], dtype=object), np.array([2, "a"], dtype=object)),
        (deque([1]), deque([2])),
    ],
    ids=["slot", "tensor", "array of objects", "deque"],
)
def test_settings_of_proxies_are_told_apart_wherever_they_are(settings: tuple[Any, Any]) -> None:
    first, second = (options(proxies=[Slotted(setting)]).name for setting in settings)
    assert first != second
    assert options(proxies=[Slotted(settings[0])]).name == first


def test_numbers_of_numpy_are_the_same_call() -> None:
    assert options(time_limit=np.float64(3), batch=np.int64(2)).name == options(time_limit=3, batch=2).name


def test_pictures_that_proxies_look_at_are_part_of_the_call() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (120, 1, 8, 8)).astype(np.uint8), np.arange(120) % 3
    names = {options(proxies=[Shifted(1.0)], data=pictures, split_seed=seed).name for seed in (0, 5)}
    assert len(names) == 2


def test_the_order_of_bounds_and_of_a_set_of_proxies_does_not_count() -> None:
    both = {"objectives": {"loss": "min", "other": "min"}}
    assert (
        options(constraints={"loss": 5, "other": 3}, **both).name
        == options(constraints={"other": 3, "loss": 5}, **both).name
    )
    named = read_options(**(DEFAULTS | {"space": "macro", "proxies": {"params", "macs", "naswot"}})).proxies
    assert named == ("macs", "naswot", "params")


@pytest.mark.parametrize("limit", [float("inf"), 1e9, float("nan"), 0, -1, "60", True])
def test_a_time_limit_that_no_timer_holds_is_refused(limit: Any) -> None:
    with pytest.raises(SearchkitError, match="time_limit must be a number of seconds above 0"):
        searchkit.run(
            "random", space=SPACE, evaluate=lambda choices: {"loss": 0}, objectives={"loss": "min"}, time_limit=limit,
            storage="memory",
        )  # fmt: skip


def test_a_split_seed_of_data_that_are_split_already_is_refused() -> None:
    data = searchkit.load_data("digits", limit=200)
    for call in (
        lambda: searchkit.run("random", data=data, split_seed=3, storage="memory"),
        lambda: searchkit.score(data=data, split_seed=3),
        lambda: searchkit.run(
            "random", space=SPACE, evaluate=lambda choices: {"loss": 0}, objectives={"loss": "min"}, data=data,
            proxies=["structure"], split_seed=3, storage="memory",
        ),
    ):  # fmt: skip
        with pytest.raises(SearchkitError, match="which are split already"):
            call()


@pytest.mark.parametrize("name", ["seed", "split_seed"])
@pytest.mark.parametrize("value", [-1, 2**32, 1.5, "1", None, True])
def test_seeds_of_scores_are_checked_as_those_of_searches(name: str, value: Any) -> None:
    for call in (searchkit.run, searchkit.score):
        with pytest.raises(SearchkitError, match=f"^{name} must be a whole number from 0 to 4,294,967,295, not"):
            call(**{name: value})
