"""The fidelity ladder: who is promoted, what a rung trains, and that a killed search climbs on as if never killed."""

from __future__ import annotations

import functools
import math
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from helpers.killing import in_a_process_that_is_killed
from helpers.marks import thorough_if

import searchkit
from searchkit import Choice, NetworkSpace, Space, plugins
from searchkit.errors import SearchkitError, StudyMismatchError
from searchkit.problem.objectives import Goals, Objective
from searchkit.problem.trial import State, Trial, observe, pareto_front
from searchkit.spaces.macro import macro
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.training.evaluator import Training, at_rung
from searchkit.training.fidelity import ETA, Ladder, Rung, check_cheaper, n_promoted, ranking, read_ladder
from searchkit.training.recipe import Recipe
from searchkit.training.reduced import narrower
from searchkit.types import Codes

DIGITS = searchkit.load_data("digits", limit=400)
CELLS = nas_bench_201(width=[4, 6, 8, 12], cells=1)
RUNGS = ({"epochs": 1}, {"epochs": 3, "data": 0.5})
FIRST, SECOND = "accuracy (epochs=1)", "accuracy (epochs=3, data=0.5)"


def search(strategy: str = "random", **given) -> searchkit.Result:
    call = {
        "space": CELLS,
        "data": DIGITS,
        "budget": 16,
        "batch": 4,
        "epochs": 4,
        "ladder": RUNGS,
        "storage": "memory",
    } | given
    return searchkit.run(strategy, **call)


def imagined(training: Training, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
    """An accuracy that costs nothing: that of a rung is near the full one, and of the candidate's own."""
    full = (code * np.arange(1, len(code) + 1)).sum() % 23 / 23
    return {"accuracy": float(full if rung is None else full * 0.9 + (seed % 7) / (100 * (rung + 1)))}


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Training, "__call__", imagined)


# Promotion


def test_ranking_is_front_after_front_and_each_is_spread_out_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    for n, k in [(n, k) for n in (1, 2, 3, 7, 12) for k in (1, 2, 3) for _ in range(5)]:
        losses = rng.integers(0, 6, (n, k)).astype(float)
        order, rest = ranking(losses), list(range(n))
        assert sorted(order) == rest
        while rest:
            best = [i for i in rest if not any(_dominates(losses[j], losses[i]) for j in rest)]
            found, order = order[: len(best)], order[len(best) :]
            assert sorted(found) == best
            span = [max(losses[best, j]) - min(losses[best, j]) or 1.0 for j in range(k)]
            assert found[0] == min(best, key=lambda i: losses[i, 0])
            for place in range(1, len(found)):
                gaps = {i: min(math.dist(losses[i] / span, losses[j] / span) for j in found[:place]) for i in best}
                assert gaps[found[place]] == pytest.approx(max(gaps[i] for i in found[place:]))
            rest = [i for i in rest if i not in best]


def _dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


def test_the_first_third_of_one_objective_is_the_best_third() -> None:
    losses = np.random.default_rng(1).permutation(12).astype(float)[:, None]
    assert losses[ranking(losses)[: n_promoted(12)], 0].tolist() == [0, 1, 2, 3]


def test_what_is_not_finite_comes_last_and_equal_rows_in_the_order_of_asking() -> None:
    assert ranking(np.array([[np.nan, np.nan], [1, 1], [0, 0], [0, 0], [1, 1]])) == [2, 3, 1, 4, 0]


def test_all_are_promoted_while_they_are_fewer_than_eta() -> None:
    assert ETA == 3
    assert [n_promoted(n) for n in range(8)] == [0, 1, 2, 1, 2, 2, 2, 3]


def test_rivals_are_all_that_reached_the_rung_also_in_earlier_batches_and_whatever_became_of_them() -> None:
    goals = Goals((Objective("accuracy", "max"), Objective("params", "min")), ())
    ladder = Ladder((Rung(epochs=1),), ("accuracy",))
    states = [State.SCORED, State.DROPPED, State.FAILED, State.ASKED, State.INFEASIBLE]
    accuracies = [0.9, 0.8, 0.95, 0.7, None]
    trials = [
        Trial(i, i // 3, 3, np.array([i]), state, {"params": 5.0} | ({} if a is None else {FIRST: a}))
        for i, (state, a) in enumerate(zip(states, accuracies, strict=True))
    ]
    reasons = ladder.dropped(trials[3:4], trials, 0, goals)
    assert reasons == {3: "not promoted from epochs=1: 4th of 4"}
    trials[3].values["params"] = 1.0  # now nothing dominates it, and it is the farthest from the most accurate
    assert ladder.dropped(trials[3:4], trials, 0, goals) == {}


# What a user writes


@pytest.mark.parametrize(
    ("ladder", "sentence"),
    [
        ((), "ladder is rungs such as .* 'default' or 'econas'; not \\(\\)"),
        (3, "ladder is rungs such as .*; not 3"),
        ("fast", "ladder is rungs such as .*; not 'fast'"),
        (({},), "rung 1 of the ladder sets some of epochs, resolution, width, data; it is {}"),
        (({"epochs": 1}, 2), "rung 2 of the ladder sets some of .*; it is 2"),
        (({"epoch": 1},), "unknown setting of a rung 'epoch': .* Did you mean 'epochs'"),
        (({"epochs": 0},), "epochs in rung 1 of the ladder is a whole number of at least 1, not 0"),
        (({"epochs": 1.5},), "epochs in rung 1 of the ladder is a whole number"),
        (({"epochs": True},), "epochs in rung 1 of the ladder is a whole number"),
        (({"resolution": "8"},), "resolution in rung 1 of the ladder is a whole number"),
        (({"data": 0},), "data in rung 1 of the ladder is above 0 and at most 1, not 0"),
        (({"width": 1.5},), "width in rung 1 of the ladder is above 0 and at most 1, not 1.5"),
        (({"data": float("nan")},), "data in rung 1 of the ladder is above 0"),
        (({"epochs": 4},), r"ladder, rung 1 \(epochs=4\) is not cheaper than the full one \(epochs=4, .*\), which"),
        (({"epochs": 2}, {"epochs": 1}), r"rung 1 \(epochs=2\) is not cheaper than rung 2 \(epochs=1\)"),
        (({"data": 1},), "is not cheaper than the full one"),
        (({"epochs": 2, "data": 0.5}, {"epochs": 1}, {"epochs": 2, "data": 0.5}), "rung 1 .* not cheaper than rung 3"),
        (({"resolution": 8},), r"\(resolution=8\) is not cheaper than the full one \(epochs=4, resolution=8, .*\)"),
    ],
)
def test_a_ladder_that_cannot_be_climbed_is_refused_in_one_sentence(ladder, sentence) -> None:
    with pytest.raises(SearchkitError, match=sentence) as refused:
        search(ladder=ladder)
    assert "\n" not in str(refused.value)


def test_a_ladder_is_for_searches_that_train() -> None:
    with pytest.raises(
        SearchkitError, match="ladder trains .* trains none: its objectives and bounds are params, macs"
    ):
        search(objectives=("params", "macs"))
    with pytest.raises(SearchkitError, match="ladder set how networks are trained, but evaluate= was given"):
        searchkit.run(
            evaluate=lambda c: {"y": 1}, space=Space([Choice("x", (1, 2))]), objectives={"y": "min"}, ladder=RUNGS
        )


def test_default_is_a_tenth_and_a_third_of_the_epochs() -> None:
    assert [rung.label for rung in read_ladder("default", 30)] == ["epochs=3", "epochs=10"]
    assert [rung.label for rung in read_ladder("default", 5)] == ["epochs=1"]
    with pytest.raises(SearchkitError, match="ladder='default' trains for a third of the epochs first; 2 are too few"):
        read_ladder("default", 2)
    for epochs in range(3, 200):
        check_cheaper(read_ladder("default", epochs), epochs, 8)


def test_rungs_that_save_in_different_settings_are_compared_by_nobody() -> None:
    check_cheaper(read_ladder(({"epochs": 1}, {"epochs": 2, "data": 0.5}, {"epochs": 2, "width": 0.5}), 3), 3, 8)
    check_cheaper(read_ladder({"epochs": 9, "resolution": 4}, 3), 3, 8)


def test_one_rung_needs_no_tuple_and_lists_and_numpy_numbers_do() -> None:
    assert read_ladder({"epochs": 2}, 3) == read_ladder([{"epochs": np.int64(2)}], 3) == (Rung(epochs=2),)


# What a rung trains


def training(space: NetworkSpace, data: searchkit.Data = DIGITS) -> Training:
    space = space.for_data(data.input_shape, data.n_classes)
    return Training(space, data.without_test(), Recipe(epochs=3), "cpu", (), Path())


def test_a_part_of_the_data_is_stratified_seeded_and_within_a_larger_part() -> None:
    full = training(nas_bench_201(width=4, cells=1))
    half, quarter, same = (at_rung(full, Rung(data=share), 5).data for share in (0.5, 0.25, 0.5))
    counts = np.bincount(full.data.train.y)
    assert np.abs(np.bincount(half.train.y) - counts / 2).max() <= 0.5
    assert torch.equal(half.train.x, same.train.x)
    assert not torch.equal(half.train.x, at_rung(full, Rung(data=0.5), 6).data.train.x)
    rows = {row.numpy().tobytes() for row in half.train.x}
    assert (
        {row.numpy().tobytes() for row in quarter.train.x} < rows < {row.numpy().tobytes() for row in full.data.train.x}
    )
    assert half.val is full.data.val


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_resolution_resizes_what_is_trained_and_validated_on_and_keeps_the_kind_of_pixels(dtype) -> None:
    x = torch.randint(0, 256, (60, 3, 12, 18)).to(dtype)
    data = searchkit.load_data((x, torch.arange(60) % 3))
    small = at_rung(training(nas_bench_201(width=4, cells=1), data), Rung(resolution=6), 0)
    assert small.data.train.x.shape[1:] == small.data.val.x.shape[1:] == small.space.input_shape == (3, 6, 9)
    assert small.data.train.x.dtype == dtype
    assert abs(small.data.train.x.float().mean() - data.train.x.float().mean()) < 1
    assert 0 <= small(np.zeros(6, dtype=np.int64), 0)["accuracy"] <= 1


def n_params(space: NetworkSpace, code: list[int]) -> int:
    return sum(p.numel() for p in space.build(code).parameters())


def test_width_narrows_a_choice_and_an_option_of_that_name() -> None:
    cell = [3, 1, 3, 0, 2, 4]
    option, choice = nas_bench_201(width=8, cells=1), nas_bench_201(width=[4, 8], cells=1)
    expected = n_params(nas_bench_201(width=4, cells=1), cell)
    assert n_params(narrower(option, 0.5), cell) == n_params(narrower(choice, 0.5), [*cell, 1]) == expected
    assert n_params(option, cell) == n_params(choice, [*cell, 1]) > expected
    layers = [0] * macro().n_choices
    assert n_params(narrower(macro(width=32), 0.25), layers) == n_params(macro(width=8), layers)


def build(choices: dict, input_shape: tuple[int, int, int], n_classes: int, **options) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(math.prod(input_shape), n_classes))


def test_width_is_refused_where_there_is_none_and_the_sentence_says_what_there_is() -> None:
    space = NetworkSpace([Choice("depth", (1, 2))], build, name="mine", options={"cells": 2})
    with pytest.raises(
        SearchkitError, match="space 'mine' has no choice of that name.* the option cells, the choice depth"
    ):
        search(space=space, ladder=({"width": 0.5},))
    named = NetworkSpace([Choice("width", ("thin", "wide"))], build, name="mine")
    with pytest.raises(SearchkitError, match="'thin', a width of space 'mine', is no number"):
        search(space=named, ladder=({"width": 0.5},))
    partial = functools.partial(build, width=1.5)
    assert narrower(NetworkSpace([Choice("depth", (1, 2))], partial, options={"width": 1.5}), 0.5).builder.keywords == {
        "width": 0.75
    }


@pytest.mark.slow
def test_only_full_trainings_keep_their_weights(tmp_path: Path) -> None:
    result = search(storage=tmp_path, name="study", budget=4)
    assert (result.history.state == "dropped").sum() == 2
    assert len(list(result.folder.glob("*.safetensors"))) == len(result.front)
    result.build(0)
    full = replace(training(nas_bench_201(width=4, cells=1)), folder=tmp_path / "none")
    at_rung(full, Rung(epochs=1), 0)(np.zeros(6, dtype=np.int64), 0)
    assert not (tmp_path / "none").exists()


# The search


@pytest.mark.usefixtures("no_training")
def test_a_dropped_candidate_stands_in_the_history_with_its_rungs_and_never_on_the_front() -> None:
    result = search("nsga2", budget=40, batch=8, constraints={"macs": 1e9})
    history = result.history
    assert Counter(history.state) == Counter(str(trial.state) for trial in result.trials)
    assert len(history) == 40
    dropped, scored = history[history.state == "dropped"], history[history.state == "scored"]
    assert len(dropped) > len(scored) > 0
    assert dropped.accuracy.isna().all()
    assert dropped[FIRST].notna().all()
    assert scored[[FIRST, SECOND, "accuracy"]].notna().all().all()
    assert dropped.reason.str.fullmatch(r"not promoted from epochs=(1|3, data=0.5): \d+(st|nd|rd|th) of \d+").all()
    second = dropped.reason.str.contains("data=0.5")
    assert (dropped[SECOND].notna() == second).all()
    assert set(result.front.trial) <= set(scored.trial)
    assert f"{len(dropped)} dropped" in repr(result)
    told = observe(result.trials, result.goals)
    assert (told.failed == (history.state == "dropped").to_numpy()).all()


@pytest.mark.usefixtures("no_training")
def test_who_is_promoted_is_a_third_of_all_so_far_batch_by_batch() -> None:
    result = search(objectives=("accuracy",), budget=20, batch=5, ladder=({"epochs": 1},))
    for number in range(4):
        so_far = [trial for trial in result.trials if trial.batch <= number]
        bar = sorted((trial.values[FIRST] for trial in so_far), reverse=True)[math.ceil(len(so_far) / ETA) - 1]
        for trial in so_far:
            if trial.batch == number and trial.values[FIRST] != bar:  # of equals the first asked is promoted
                assert (trial.state is State.SCORED) == (trial.values[FIRST] > bar)


def test_a_candidate_that_fails_on_a_rung_has_failed_and_is_nobodys_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(training: Training, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
        if rung == 0 and code[0] == 0:
            raise RuntimeError("too small")
        return imagined(training, code, seed, rung)

    monkeypatch.setattr(Training, "__call__", fails)
    result = search(budget=24, batch=6, ladder=({"epochs": 1},))
    failed = [trial for trial in result.trials if trial.state is State.FAILED]
    assert failed
    assert all(trial.reason == "RuntimeError: too small" and FIRST not in trial.values for trial in failed)
    totals = {int(trial.reason.split()[-1]) for trial in result.trials if trial.state is State.DROPPED}
    assert max(totals) <= 24 - len(failed)


@pytest.mark.usefixtures("no_training")
def test_a_bound_on_accuracy_is_of_the_full_training_and_one_on_a_cost_is_kept_before_any() -> None:
    result = search(budget=20, constraints={"params": 20_000, "accuracy": 0.99})
    assert set(result.history.state) == {"scored", "dropped"}
    assert result.history.params.max() <= 20_000
    assert result.front.empty


@pytest.mark.slow
def test_a_proxy_that_is_an_objective_is_exact_on_every_rung() -> None:
    result = search(budget=4, objectives=("accuracy", "naswot"), ladder=({"epochs": 1, "width": 0.5},))
    assert result.history.naswot.notna().all()
    assert (result.history.state == "dropped").sum() == 2
    assert not any("naswot (" in column for column in result.history)


@pytest.mark.slow
@pytest.mark.usefixtures("no_training")
def test_a_budget_of_seconds_ends_between_candidates_of_a_rung_and_the_search_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search(storage=tmp_path / "whole", name="study").history.drop(columns="seconds")
    calls: list[int | None] = []

    def counted(training: Training, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
        calls.append(rung)
        return imagined(training, code, seed, rung)

    monkeypatch.setattr(Training, "__call__", counted)
    part = search(storage=tmp_path, name="study", budget={"evaluations": 16, "seconds": 1e-9 + 1e-12})
    assert part.stopped == "the budget is spent"
    assert not [trial for trial in part.trials if trial.finished]
    n_before = len(calls)
    again = search(storage=tmp_path, name="study").history.drop(columns="seconds")
    assert again.equals(whole)
    assert n_before + len(calls[n_before:]) == 16 + sum(whole[SECOND].notna()) + (whole.state == "scored").sum()


@pytest.mark.usefixtures("no_training")
def test_in_optuna_a_dropped_candidate_is_pruned_with_an_intermediate_value_a_rung_and_comes_back(
    tmp_path: Path,
) -> None:
    result = search(storage=tmp_path, name="study", constraints={"macs": (None, 1e9)})
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
    study = optuna.load_study(study_name="study", storage=optuna.storages.JournalStorage(backend))
    states = {"dropped": "PRUNED", "scored": "COMPLETE"}
    for row, trial in zip(result.history.to_dict("records"), study.trials, strict=True):
        assert trial.state.name == states[row["state"]]
        rungs = [row[FIRST], row[SECOND]]
        assert trial.intermediate_values == {i: value for i, value in enumerate(rungs) if not math.isnan(value)}
    loaded = searchkit.load("study", tmp_path)
    assert loaded.history.equals(result.history)
    assert repr(loaded).count("dropped") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("no_training")
def test_the_ladder_is_part_of_what_a_study_is(tmp_path: Path) -> None:
    search(storage=tmp_path, name="with")
    with pytest.raises(StudyMismatchError, match=r"it differs in ladder \(recorded .*0.5.*, asked .*'epochs': 2"):
        search(storage=tmp_path, name="with", ladder=({"epochs": 2},))
    with pytest.raises(StudyMismatchError, match=r"it differs in ladder \(recorded .*, asked None\)"):
        search(storage=tmp_path, name="with", ladder=None)
    search(storage=tmp_path, name="without", ladder=None)
    with pytest.raises(StudyMismatchError, match=r"it differs in ladder \(recorded None, asked"):
        search(storage=tmp_path, name="without")


@pytest.mark.thorough
def test_worker_processes_give_the_same_history() -> None:
    alone, beside = (search("nsga2", budget=8, executor=executor).history for executor in (None, 2))
    assert {"scored", "dropped"} == set(alone.state)
    assert beside.drop(columns="seconds").equals(alone.drop(columns="seconds"))


# Resume


def killed(strategy: str, folder: Path, log: Path, kind: str, count: int) -> None:
    """Run the search in a fork that gets SIGKILL in its n-th training, or in the middle of its n-th write."""

    def run(tick: Callable[[], None]) -> None:
        def counted(training: Training, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
            tick()
            return logged(log)(training, code, seed, rung)

        Training.__call__ = counted  # type: ignore[method-assign]
        search(strategy, storage=folder, name="study")

    in_a_process_that_is_killed(kind, count, "training", run)


def logged(log: Path):
    def function(training: Training, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
        with open(log, "a") as file:
            file.write(f"{code.tolist()} {rung}\n")
        return imagined(training, code, seed, rung)

    return function


# a batch of four: trainings 1 to 4 are its first rung, 5 and 6 its second, 7 and 8 in full
KILLS = [("training", 3), ("training", 5), ("training", 7), ("training", 15), ("write", 5), ("write", 11)]


@pytest.mark.slow
@pytest.mark.usefixtures("no_training")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize(
    "strategy",  # search/test_resume.py kills all of them without rungs
    thorough_if(lambda name: name not in ("nsga2", "tpe", "exact", "evolution"), plugins.names("strategy")),
)
def test_killed_between_rungs_and_continued_the_history_is_the_same(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search(strategy, storage=tmp_path / "whole", name="study").history.drop(columns="seconds")
    assert {"scored", "dropped"} <= set(whole.state)
    log = tmp_path / "trainings"
    for kind, count in KILLS:
        folder = tmp_path / f"{kind}{count}"
        log.write_text("")
        killed(strategy, folder, log, kind, count)
        monkeypatch.setattr(Training, "__call__", logged(log))
        again = search(strategy, storage=folder, name="study").history.drop(columns="seconds")
        assert again.equals(whole), f"killed in {kind} {count}"
        times = Counter(log.read_text().splitlines())
        assert sum(times.values()) - len(times) <= (kind == "write"), "a recorded training was done again"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["SQLite", "an Optuna storage", "memory"])
@pytest.mark.usefixtures("no_training")
def test_interrupted_between_rungs_in_any_storage_and_continued(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = {"SQLite": f"sqlite:///{tmp_path}/s.db", "an Optuna storage": optuna.storages.InMemoryStorage()}
    calls = []

    def interrupted(training: Training, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
        calls.append(rung)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return imagined(training, code, seed, rung)

    whole = search("nsga2").history.drop(columns="seconds")
    with monkeypatch.context() as patch:
        patch.setattr(Training, "__call__", interrupted)
        first = search("nsga2", storage=storage.get(kind, "memory"), name="study")
        assert first.stopped == "interrupted"
        assert any(trial.state is State.ASKED and FIRST in trial.values for trial in first.trials)
    again = search("nsga2", storage=storage.get(kind, "memory"), name="study")
    assert again.history.drop(columns="seconds").equals(whole)


@pytest.mark.usefixtures("no_training")
def test_the_front_is_of_full_trainings_only() -> None:
    result = search(budget=20)
    assert all("accuracy" in trial.values for trial in pareto_front(result.trials, result.goals))


@pytest.mark.slow
def test_the_front_shows_no_columns_of_rungs_and_the_history_does() -> None:
    result = search(budget=4, epochs=2, ladder=({"epochs": 1},))
    assert "accuracy (epochs=1)" in result.history
    assert "accuracy (epochs=1)" not in result.front


def test_the_strategy_is_told_what_each_rung_said(no_training: None) -> None:
    ladder = Ladder((Rung(epochs=1), Rung(epochs=3, data=0.5)), ("accuracy",))
    result = search(budget=12)
    goals = Goals((Objective("accuracy", "max"), Objective("params", "min")), ())
    observed = ladder.observed(result.trials, goals)
    assert observed.shape == (12, 2, 2)
    for trial, row in zip(result.trials, observed, strict=True):
        assert row[0, 0] == -trial.values[FIRST]
        assert row[1, 0] == -trial.values[SECOND] if SECOND in trial.values else np.isnan(row[1, 0])
        assert np.isnan(row[:, 1]).all()  # costs are no cheaper there
