"""``proxies="auto"``: signals judge networks where scoring is a small part of the time of the trainings."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import searchkit
from searchkit.cli.commands import main
from searchkit.errors import SearchFailedError, SearchkitError, StopSearch
from searchkit.proxy_layer.automatic import FEWEST, PICK, SHARE, choose, few, price_of, scored_in
from searchkit.results.result import Result

DATA = searchkit.load_data("digits", limit=120)
SPACE = searchkit.load_space("nas-bench-201", width=[4], cells=1)
N = FEWEST + 2
BEST = ("params", "macs", "jacov", "mathnas")  # in place of the default set
BIG, SMALL = ("a", "b", "c"), ("a",)


def priced(prices: dict[Sequence[str], float]) -> Any:
    return lambda names: prices[names]


@pytest.mark.parametrize(("candidates", "screen"), [(20, 16), (20, 4), (200, 16)])
def test_the_best_set_that_takes_a_small_part_of_the_time_is_taken(candidates: int, screen: int) -> None:
    fits = (SHARE * 60.0 - PICK) * candidates / scored_in(candidates, screen)
    both = (BIG, SMALL)
    assert choose(both, priced({BIG: 0.99 * fits, SMALL: 1e-6}), candidates, 60.0, screen).names == BIG
    assert choose(both, priced({BIG: 1.01 * fits, SMALL: 0.99 * fits}), candidates, 60.0, screen).names == SMALL
    none = choose(both, priced({BIG: 2 * fits, SMALL: 1.01 * fits}), candidates, 60.0, screen)
    assert none.names == ()
    assert "does not pay here" in none.why
    assert "\n" not in none.why


def test_sets_after_the_one_that_is_taken_are_not_timed() -> None:
    assert choose((BIG, SMALL), priced({BIG: 0.0}), 50, 10.0, 16).names == BIG


def test_few_trainings_are_not_judged_and_nothing_is_timed() -> None:
    chosen = few(FEWEST - 1)
    assert chosen is not None
    assert chosen.names == ()
    assert f"from {FEWEST} trainings on" in chosen.why
    assert few(FEWEST) is None


@pytest.mark.slow
def test_the_first_network_is_not_in_the_price() -> None:
    def score(codes: np.ndarray) -> np.ndarray:
        time.sleep(0.5 if len(calls) == 0 else 0.01 * len(codes))
        calls.append(len(codes))
        return np.zeros((len(codes), 1))

    calls: list[int] = []
    price = price_of(score, np.arange(4)[:, None])
    assert calls == [1, 3]
    assert 0.01 <= price < 0.4


def search(**given: Any) -> Result:
    call = {"space": SPACE, "data": DATA, "budget": N, "epochs": 1, "batch": 4, "storage": "memory"}
    return searchkit.run("random", **(call | given))


@pytest.fixture
def price(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What scoring a network is found to take; 0, where a test says nothing else."""
    said = {"seconds": 0.0}
    monkeypatch.setattr("searchkit.judged.price_of", lambda score, codes: said["seconds"])
    monkeypatch.setattr("searchkit.proxy_layer.signals.N_REFERENCE", 10)  # networks that are scored in any case
    monkeypatch.setattr("searchkit.judged.IN_SEARCH", BEST)
    monkeypatch.setattr("searchkit.proxy_layer.automatic.PICK", 0.0)
    return said


def judged_by(result: Result) -> set[str]:
    """The proxies whose weights decided."""
    table = result.signals
    return set(table.proxy[table.weight.notna()])


@pytest.mark.slow
@pytest.mark.parametrize(
    "budget",
    [
        pytest.param(N, marks=pytest.mark.thorough),
        {"evaluations": N, "seconds": 3600},
        {"seconds": 3},
    ],
    ids=str,
)
def test_what_judges_is_said_in_one_line_and_used(
    budget: Any, price: dict[str, float], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searchkit.judged._trainings", lambda *_: (N, 1.0))  # whatever the speed of the machine
    with caplog.at_level(logging.INFO, "searchkit"):
        result = search(budget=budget)
    (line,) = [line for line in caplog.messages if line.startswith("proxies: ")]
    assert ", ".join(BEST) in line
    if len(result.history) == N:  # in three seconds a busy machine may have no results to judge proxies by
        assert judged_by(result) == set(BEST)
    assert judged_by(result) <= set(BEST)


@pytest.mark.slow
def test_where_trainings_are_short_nothing_judges(caplog: pytest.LogCaptureFixture) -> None:
    """Measured: a network of this space trains for one epoch in less time than it takes to choose one."""
    with caplog.at_level(logging.INFO, "searchkit"):
        result = search()
    (line,) = [line for line in caplog.messages if line.startswith("proxies: ")]
    assert "none, since judging before training does not pay here" in line
    assert result.signals.empty


@pytest.mark.thorough
@pytest.mark.parametrize(
    "then", [pytest.param(0.0, id="as quick", marks=pytest.mark.thorough), pytest.param(1e9, id="slow by then")]
)
def test_a_continued_study_is_judged_as_it_was_begun(then: float, price: dict[str, float], tmp_path: Path) -> None:
    own = ["seconds", "test_accuracy"]  # the first part's front was scored on the test part too
    whole = search(storage=tmp_path / "whole").history.drop(columns=own)

    def stop(trial: Any, trials: Sequence[Any]) -> None:
        if len(trials) >= 12:
            raise StopSearch

    search(storage=tmp_path / "parts", callbacks=[stop])
    price["seconds"] = then
    assert search(storage=tmp_path / "parts").history.drop(columns=own).equals(whole)


@pytest.mark.slow
def test_the_reason_of_a_strategy_says_that_proxies_judge(price: dict[str, float]) -> None:
    call: dict[str, Any] = {"space": SPACE, "data": DATA, "epochs": 1, "storage": "memory"}

    def stop(trial: Any, trials: Sequence[Any]) -> None:
        raise StopSearch

    judged = searchkit.run("auto", budget=N, callbacks=[stop], **call)
    assert "the proxies judge what it proposes" in judged.strategy
    assert "proxies" not in searchkit.run("auto", budget=2, callbacks=[stop], **call).strategy


@pytest.mark.slow
def test_a_study_that_was_begun_without_stays_without(price: dict[str, float], tmp_path: Path) -> None:
    assert len(search(budget=2, storage=tmp_path).history) == 2
    longer = search(storage=tmp_path)
    assert len(longer.history) == N
    assert longer.signals.empty


def test_none_are_none_and_another_study(price: dict[str, float], tmp_path: Path) -> None:
    given: dict[str, Any] = {"budget": 2, "storage": tmp_path}
    free, none = search(**given), search(proxies=(), **given)
    assert free.name != none.name
    assert search(proxies=None, **given).name == search(proxies="none", **given).name == none.name
    assert none.context["call"]["proxies"] == []
    assert "proxies=()," in none.report(tmp_path / "page.html").read_text()


@pytest.mark.slow
def test_the_command_line_has_them_by_default_and_turns_them_off(price: dict[str, float], tmp_path: Path) -> None:
    where = ["--storage", str(tmp_path), "--workers", "1", "--no-baselines"]
    call = ["run", "--strategy", "random", "--space", "nas-bench-201", "--space-option", "width=4", "--epochs", "1"]
    call += ["--space-option", "cells=1", "--budget", str(FEWEST), *where]
    np.savez(tmp_path / "d.npz", X=DATA.train.x.numpy(), y=DATA.train.y.numpy())
    call += ["--data", str(tmp_path / "d.npz")]
    assert main([*call, "--name", "free"]) == 0
    assert main([*call, "--name", "none", "--proxies", "none"]) == 0
    free, none = (searchkit.load(name, tmp_path) for name in ("free", "none"))
    assert judged_by(free) >= {"jacov"}
    assert none.signals.empty
    assert main(["resume", "none", "--budget", "+1", *where]) == 0
    assert searchkit.load("none", tmp_path).signals.empty


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [{"ladder": ({"epochs": 1},), "epochs": 2}, {"objectives": ("naswot", "params"), "epochs": None}],
    ids=["a ladder", "nothing is trained"],
)
def test_other_searches_have_nothing_to_decide(
    given: dict[str, Any], price: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "searchkit"):
        search(**given)
    assert "proxies: " not in caplog.text


def test_it_stands_alone() -> None:
    with pytest.raises(SearchkitError, match="give it alone"):
        search(proxies=("auto", "params"))


def test_a_study_that_ended_before_its_first_candidate_is_new(price: dict[str, float], tmp_path: Path) -> None:
    class Down:
        def __call__(self, trial: Any, trials: Sequence[Any]) -> None: ...

        def on_start(self, result: Result) -> None:
            raise RuntimeError("the tracker is down")

    price["seconds"] = 1e9
    with pytest.raises(RuntimeError, match="down"):
        search(storage=tmp_path, callbacks=[Down()], proxies=("params",), name="s")
    record = searchkit.load("s", tmp_path)
    assert not record.trials
    with pytest.raises(RuntimeError, match="down"):
        search(storage=tmp_path, callbacks=[Down()], name="t")
    assert search(storage=tmp_path, name="t", budget=1).signals.empty  # as it was decided


@pytest.mark.thorough
def test_a_note_that_was_not_written_is_made_up_for(
    price: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("searchkit.api.note_judges", killed)
        with pytest.raises(KeyboardInterrupt):
            search(storage=tmp_path)
    assert judged_by(search(storage=tmp_path)) == set(BEST)


def test_another_screen_is_another_study_and_resumed(price: dict[str, float], tmp_path: Path) -> None:
    given: dict[str, Any] = {"budget": 2, "storage": tmp_path}
    narrow = search(screen=3, **given)
    assert narrow.name not in {search(**given).name, search(screen=30, **given).name}
    assert search(screen=16, **given).name == search(**given).name
    assert narrow.context["call"]["screen"] == 3
    assert "screen=3" in narrow.report(tmp_path / "page.html").read_text()


def test_in_a_space_whose_networks_are_all_trained_nothing_judges(
    price: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    space = searchkit.NetworkSpace([searchkit.Choice("width", (4, 8))], perceptron)
    with caplog.at_level(logging.INFO, "searchkit"):
        search(space=space)
    assert "none, since all 2 networks of the space are trained" in caplog.text


def perceptron(choices: Any, shape: tuple[int, ...], n_classes: int) -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, choices["width"]), torch.nn.Linear(choices["width"], n_classes)
    )


def test_a_space_that_cannot_be_built_is_said_by_the_search_with_its_cause() -> None:
    def broken(choices: Any, shape: tuple[int, ...], n_classes: int) -> torch.nn.Module:
        raise RuntimeError("no network")

    space = searchkit.NetworkSpace([searchkit.Choice("width", range(1, 100))], broken)
    with pytest.raises(SearchFailedError, match="no network"):
        search(space=space)


@pytest.mark.slow
def test_networks_that_no_signal_scores_are_judged_by_counts(
    price: dict[str, float], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searchkit.judged.IN_SEARCH", ("naswot",))
    monkeypatch.setattr("searchkit.judged.QUICK", ("naswot", "params"))
    space = searchkit.NetworkSpace([searchkit.Choice("width", range(1, 100))], perceptron)  # without ReLUs
    with caplog.at_level(logging.INFO, "searchkit"):
        result = search(space=space)
    assert judged_by(result) == {"params", "macs", "mathnas"}


@pytest.mark.thorough
def test_bounds_on_what_is_measured_are_not_measured_to_decide(price: dict[str, float]) -> None:
    calls: list[int] = []

    def cost(network: torch.nn.Module) -> float:
        calls.append(1)
        return 1.0

    search(constraints={searchkit.Metric("slow", cost): 5.0}, objectives=("accuracy", "params"))
    assert len(calls) == N


class Deadly(torch.nn.Module):
    """A network that never answers, or that ends its process, where it has 5 units or more."""

    def __init__(self, network: torch.nn.Module, how: str) -> None:
        super().__init__()
        self.network, self.how = network, how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not x.is_meta and self.how == "ends":
            os._exit(7)
        while not x.is_meta:
            time.sleep(0.01)
        out: torch.Tensor = self.network(x)
        return out


def deadly(how: str) -> Any:
    def build(choices: Any, shape: tuple[int, ...], n_classes: int) -> torch.nn.Module:
        network = perceptron(choices, shape, n_classes)
        return Deadly(network, how) if choices["width"] >= 5 else network

    return searchkit.NetworkSpace([searchkit.Choice("width", range(1, 40))], build, name=f"width-{how}")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("how", "protection", "why"),
    [("hangs", {"time_limit": 1}, "over its time limit"), ("ends", {"executor": 1}, "its worker process died")],
)
def test_networks_that_a_search_survives_are_survived_when_proxies_are_measured(
    how: str, protection: Any, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    def stop(trial: Any, trials: Sequence[Any]) -> None:
        raise StopSearch

    small = {"width": 1}
    with caplog.at_level(logging.INFO, "searchkit"):
        result = search(space=deadly(how), start=[small], callbacks=[stop], batch=1, **protection)
    (line,) = [line for line in caplog.messages if line.startswith("proxies: ")]
    assert "none, since what they take could not be measured" in line
    assert why in line
    assert (result.history.state == "scored").all()
