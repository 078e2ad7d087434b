"""The name that is suggested in place of one that there is not."""

from __future__ import annotations

import pytest

import searchkit
from searchkit.errors import ObjectiveError, UnknownNameError, nearest
from searchkit.problem.objectives import read_objectives


@pytest.mark.parametrize(
    ("written", "names", "near"),
    [
        ("acc", ("macs", "accuracy", "params"), "accuracy"),
        ("Lat", ("flat", "latency_ms"), "latency_ms"),
        ("bal", ("val", "balanced_accuracy"), "balanced_accuracy"),
        ("ener", ("genera", "energy_mj"), "energy_mj"),
        ("acc", ("accuracy@int8", "accuracy"), "accuracy"),
        ("ac", ("macs", "accuracy"), "macs"),  # too short to say where a name begins
        ("--e", ("--epochs", "--n"), "--n"),
        ("--epo", ("--epochs", "--repo"), "--epochs"),
        ("acuracy", ("macs", "accuracy"), "accuracy"),
        ("zzz", ("macs", "accuracy"), None),
    ],
)
def test_names_that_begin_so_come_first(written: str, names: tuple[str, ...], near: str | None) -> None:
    assert nearest(written, names) == near


def test_of_objectives() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'accuracy'"):
        searchkit.run(objectives=("acc", "params"), budget=2, storage="memory")


@pytest.mark.parametrize("given", [("accuracy", "accuracy"), ["params", "accuracy", "params"]])
def test_objectives_named_twice_are_refused_of_networks(given: tuple[str, ...]) -> None:
    with pytest.raises(ObjectiveError, match=f"objective {given[0]} is named more than once"):
        searchkit.run(objectives=given, budget=2, storage="memory")


def test_and_of_functions() -> None:
    with pytest.raises(ObjectiveError, match="more than once"):
        read_objectives(("y", "y"), {"y": "min"})
