"""The user's own training function: what it gets and may return, how its reports are kept, and when it is stopped."""

from __future__ import annotations

import functools
import logging
import math
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.killing import in_a_process_that_is_killed
from torch import nn

import searchkit
import searchkit.cli
from searchkit import Choice, NetworkSpace
from searchkit.errors import (
    ObjectiveError,
    SearchFailedError,
    SearchkitError,
    StudyMismatchError,
    TrainingStopped,
    UnknownNameError,
)
from searchkit.problem.trial import State
from searchkit.results.report.call import call
from searchkit.results.report.facts import Facts
from searchkit.training import Halving, Median

DIGITS = searchkit.load_data("digits", limit=200)


def linear(choices: dict[str, Any], shape: tuple[int, ...], n_classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(math.prod(shape), choices["width"]), nn.Tanh(), nn.Linear(choices["width"], n_classes)
    )


SPACE = NetworkSpace(
    [Choice("width", range(1, 13), ordered=True), Choice("twist", range(5))],
    build=linear, input_shape=(1, 8, 8), n_classes=10, name="linear",
)  # fmt: skip


def quality(network: nn.Module) -> float:
    """What training makes of a network, without training: a number of its own from its first weight and its size."""
    weight = next(network.parameters())
    return round(len(weight) / 16 + float(weight.detach().abs().mean()) % 0.2, 6)


def curve(network: nn.Module, epoch: int, epochs: int = 9) -> float:
    return quality(network) * (1 - math.exp(-3 * epoch / epochs))


def reporting(network, data, report, epochs: int = 9):
    """A training that takes no time, and stops when it is told to."""
    for epoch in range(1, epochs + 1):
        if report(epoch, {"accuracy": curve(network, epoch, epochs), "loss": 1 / epoch}):
            return
    return


def run(training, **given) -> searchkit.Result:
    given = {"space": SPACE, "data": DIGITS, "budget": 4, "storage": "memory", "proxies": (), "progress": False} | given
    return searchkit.run("random", training=training, **given)


def real(network, data, report):
    """A few steps of gradient descent on the raw images."""
    optimiser = torch.optim.Adam(network.parameters(), 0.05)
    for epoch in range(1, 9):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(data.train.x), data.train.y)
        loss.backward()
        optimiser.step()
        report(epoch, {"loss": loss})
    return {"gap": 0.5}


# What it gets, and what comes of what it returns


@pytest.mark.slow
def test_a_function_trains_networks_that_are_counted_scored_kept_and_exported_as_ours(tmp_path: Path) -> None:
    result = run(real, objectives=("accuracy", "params"), storage=tmp_path)
    assert (result.history.state == "scored").all()
    assert (
        result.history.params == [sum(p.numel() for p in SPACE.build(t.code).parameters()) for t in result.trials]
    ).all()
    best = result.best()
    assert best.accuracy > 0.5  # by searchkit, since the function did not return it
    assert (result.history.gap == 0.5).all()
    network = result.build(0)
    with torch.no_grad():
        right = (network(DIGITS.val.x).argmax(1) == DIGITS.val.y).float().mean()
    assert float(right) == pytest.approx(best.accuracy)
    assert best.test_accuracy > 0.4
    result.export(0, tmp_path / "best")
    assert (tmp_path / "best.onnx").exists()
    reports = result.reports
    assert list(reports.columns) == ["trial", "epoch", "loss"]
    assert len(reports) == 8 * len(result.trials)
    loaded = searchkit.load(result.name, tmp_path, space=SPACE)
    assert loaded.reports.equals(reports)
    with pytest.raises(SearchkitError, match=r"were trained by real, your function"):
        result.refit(0, epochs=2, data=DIGITS)


def test_it_gets_a_seeded_network_in_training_mode_and_data_without_their_test_part() -> None:
    seen: list[Any] = []

    def look(network, data, report):
        drawn = (float(torch.rand(1)), float(np.random.rand()), random.random())  # noqa: NPY002
        seen.append((network.training, len(data.test), report.device, report.seed, drawn, quality(network)))
        return {"accuracy": 0.5}

    torch.manual_seed(3)
    run(look, device="cpu", budget=2)
    after = float(torch.rand(1))
    torch.manual_seed(3)
    assert after == float(torch.rand(1))  # what the function drew is no business of the caller's
    first = list(seen)
    run(look, device="cpu", budget=2)
    assert seen[2:] == first
    assert first[0][:3] == (True, 0, "cpu")
    assert first[0][3:] != first[1][3:]


@pytest.mark.slow
def test_in_regression_the_network_returns_values_in_the_unit_of_the_target() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)).astype(np.float32)
    data = searchkit.load_data((x, 1000 + 50 * x[:, 0]), task="regression")

    def fit(network, data, report):
        optimiser = torch.optim.Adam(network.parameters(), 0.05)
        for _ in range(80):
            optimiser.zero_grad()
            ((network(data.train.x) - data.train.y) / 50).square().mean().backward()
            optimiser.step()
        report(80, {"error": (network(data.val.x) - data.val.y).abs().mean()})

    rows = NetworkSpace(SPACE.choices, build=linear, input_shape=(5,), n_classes=1, name="rows")
    result = run(fit, space=rows, data=data, objectives="r2")
    assert result.best().r2 > 0.9
    assert result.best().error < 30


def test_scores_of_its_own_are_objectives_and_bounds_with_a_direction() -> None:
    def f1(network, data, report):
        return {"f1": quality(network), "note": 3}

    result = run(f1, objectives={"f1": "max", "params": "min"}, budget=8)
    assert result.goals.names == ("f1", "params")
    assert "accuracy" not in result.history
    assert result.best("f1").f1 == result.history.f1.max()
    kept = run(f1, objectives={"params": "min"}, constraints={"f1": (0.4, None)}, budget=8)
    assert (kept.front.f1 >= 0.4).all()


def test_without_a_return_the_last_report_counts_and_what_is_returned_counts_before_it() -> None:
    result = run(reporting)
    assert [t.values["accuracy"] for t in result.trials] == [t.reports[-1][1]["accuracy"] for t in result.trials]

    def returns(network, data, report):
        report(1, {"accuracy": 0.1})
        return {"accuracy": torch.tensor(0.25)}

    assert (run(returns).history.accuracy == 0.25).all()


def test_the_reports_of_a_training_that_fails_are_kept() -> None:
    def breaks(network, data, report):
        report(1, {"accuracy": 0.3})
        if quality(network) > 0.6:
            raise ValueError("no luck")

    result = run(breaks, budget=8)
    failed = [trial for trial in result.trials if trial.state is State.FAILED]
    assert failed
    assert all(t.reason == "ValueError: no luck" and t.reports == [(1.0, {"accuracy": 0.3})] for t in failed)


def test_a_function_without_a_scored_test_part_ends_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    space = NetworkSpace(
        [Choice("width", range(1, 9))], input_shape=(1, 8, 8), n_classes=10, name="codes",
        build=lambda choices, shape, n_classes: nn.Sequential(nn.Flatten(), nn.Linear(64, choices["width"])),
    )  # fmt: skip

    def autoencoder(network, data, report):
        return {"error": quality(network)}

    result = run(autoencoder, space=space, objectives={"error": "min"})
    assert len(result.front) == 1
    assert "has no score on the test part" in caplog.text


@pytest.mark.thorough
def test_worker_processes_report_and_stop_too() -> None:
    result = run(reporting, budget=16, executor=2, early_stopping="halving")
    states = result.history.state.value_counts()
    assert states["dropped"] >= 4
    assert len(result.reports) > 16
    given = {"budget": 12, "batch": 4, "early_stopping": "median"}
    here, there = run(reporting, **given), run(reporting, executor=2, **given)  # by batches, the executor is no matter
    assert there.history.drop(columns="seconds").equals(here.history.drop(columns="seconds"))
    assert there.reports.equals(here.reports)


# Early stopping


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["halving", "median", Halving(first=2, eta=2), Median(least=3)])
def test_the_worst_are_stopped_and_recorded_as_dropped(rule: Any, tmp_path: Path) -> None:
    result = run(reporting, budget=20, objectives="accuracy", early_stopping=rule, storage=tmp_path, name="s")
    plain = run(reporting, budget=20, objectives="accuracy")
    assert [t.code.tolist() for t in result.trials] == [t.code.tolist() for t in plain.trials]
    dropped = [trial for trial in result.trials if trial.state is State.DROPPED]
    assert len(dropped) >= 5
    assert result.best().trial == plain.best().trial
    for trial in dropped:
        assert trial.reason.startswith(f"stopped at epoch {trial.reports[-1][0]:g}: ")
        assert "accuracy" not in trial.values
    loaded = searchkit.load("s", tmp_path, space=SPACE)
    assert [t.reports for t in loaded.trials] == [t.reports for t in result.trials]
    assert not list(tmp_path.rglob("*.jsonl"))
    written = call(Facts(result))
    assert "training=training,  # reporting, your function" in written
    assert "early_stopping=" in written
    assert "not in the record" in written
    result.report(tmp_path / "page.html")


@pytest.mark.slow
def test_a_small_poor_network_is_not_stopped_by_a_large_good_one() -> None:
    result = run(reporting, budget=30, objectives=("accuracy", "params"), early_stopping="halving")
    plain = run(reporting, budget=30, objectives=("accuracy", "params"))
    smallest = min(plain.trials, key=lambda trial: (trial.values["params"], -trial.values["accuracy"]))
    assert result.trials[smallest.number].state is State.SCORED
    assert (result.history.state == "dropped").sum() >= 8


def test_the_rungs_of_a_ladder_are_epochs_of_halving() -> None:
    result = run(reporting, budget=20, objectives="accuracy", ladder=({"epochs": 2}, {"epochs": 5}))
    ends = {trial.reports[-1][0] for trial in result.trials if trial.state is State.DROPPED}
    assert ends == {2.0, 5.0}


@pytest.mark.slow
def test_reports_are_kept_in_a_database_too(tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path / 'studies.db'}"
    result = run(reporting, storage=place, name="s", early_stopping="halving", budget=6)
    assert searchkit.load("s", place, space=SPACE).reports.equals(result.reports)
    assert len(run(reporting, storage=place, name="s", early_stopping="halving", budget=8).trials) == 8


@pytest.mark.slow
@pytest.mark.parametrize(("count", "batch"), [(3, None), (24, None), (30, 4)])
def test_a_killed_search_goes_on_as_if_never_killed(count: int, batch: int | None, tmp_path: Path) -> None:
    def search(training, storage, **given):
        return run(
            training, budget=8, objectives=("accuracy", "params"), early_stopping="halving", storage=storage,
            name="s", batch=batch, **given,
        )  # fmt: skip

    whole = search(reporting, tmp_path / "whole")

    def killed(tick) -> None:
        def ticking(network, data, report):
            for epoch in range(1, 10):
                tick()
                if report(epoch, {"accuracy": curve(network, epoch), "loss": 1 / epoch}):
                    return

        search(ticking, tmp_path / "killed")

    in_a_process_that_is_killed("report", count, "report", killed)
    again = search(reporting, tmp_path / "killed")
    told = [(t.code.tolist(), t.state, t.reason, t.values, t.reports) for t in again.trials]
    assert told == [(t.code.tolist(), t.state, t.reason, t.values, t.reports) for t in whole.trials]


def test_strategies_learn_what_a_stopped_training_would_have_come_to(monkeypatch: pytest.MonkeyPatch) -> None:
    from searchkit.strategies.random import Random

    told = []
    monkeypatch.setattr(Random, "tell", lambda self, observations: told.append(observations))
    result = run(reporting, budget=20, objectives="accuracy", early_stopping="halving")
    for trial, observations in zip(result.trials, told, strict=True):
        (hint,) = observations.hints[0]
        if trial.state is State.DROPPED:
            assert math.isnan(observations.losses[0, 0])
            assert -1.2 < hint <= 0
        else:
            assert math.isnan(hint)


# What a function may do wrong


def goes_on(network, data, report, catch: type[BaseException] | tuple[type[BaseException], ...] = ()):
    for epoch in range(1, 10):
        try:
            report(epoch, {"accuracy": curve(network, epoch)})
        except catch:
            continue
    return {"accuracy": 1.0}  # what it made up must not win


@pytest.mark.slow
@pytest.mark.parametrize("catch", [(), Exception, TrainingStopped, BaseException])
def test_a_function_that_goes_on_counts_with_what_it_had(catch: Any, caplog: pytest.LogCaptureFixture) -> None:
    training = functools.partial(goes_on, catch=catch)
    result = run(training, budget=16, objectives="accuracy", early_stopping="halving")
    obedient = run(reporting, budget=16, objectives="accuracy", early_stopping="halving")
    assert [t.state for t in result.trials] == [t.state for t in obedient.trials]
    assert [len(t.reports) for t in result.trials] == [len(t.reports) for t in obedient.trials]
    assert caplog.text.count("goes_on went on after report(...) had returned True") == 1


def nothing(network, data, report):
    return {"accuracy": 0.5}


def says(*reports: tuple[Any, Any]):
    def training(network, data, report):
        for epoch, values in reports:
            try:
                report(epoch, values)
            except Exception:  # a fault is told even where the function hides it
                logging.getLogger("test").debug("hidden")
        return {"accuracy": 0.5}

    return training


@pytest.mark.parametrize(
    ("training", "given", "words"),
    [
        (
            nothing,
            {"early_stopping": "median"},
            "reported nothing: call report(epoch, {'accuracy': value}) after each epoch",
        ),
        (says((1, {"accuracy": float("nan")})), {}, "report of epoch 1: accuracy is nan"),
        (says((1, {"accuracy": "high"})), {}, "report of epoch 1: accuracy is 'high', not a number"),
        (says((1, {"params": 3})), {}, "report of epoch 1: params is measured by searchkit, so leave it out"),
        (says((1, {"\ud800": 3})), {}, "is no name of a score"),
        (says((1, {3: 3})), {}, "report of epoch 1: 3 is no name of a score"),
        (says((1, 0.5)), {}, "takes a mapping such as {'accuracy': 0.9}, not 0.5"),
        (
            says((2, {"accuracy": 1}), (1, {"accuracy": 1})),
            {},
            "report of epoch 1 after one of epoch 2: epochs have to rise",
        ),
        (
            says((2, {"accuracy": 1}), (2, {"accuracy": 1})),
            {},
            "report of epoch 2 after one of epoch 2: epochs have to rise",
        ),
        (says(("first", {"accuracy": 1})), {}, "epoch is a number, not 'first'"),
        (says((float("nan"), {"accuracy": 1})), {}, "epoch is a number, not nan"),
        (
            says((1, {"loss": 1})),
            {"early_stopping": "halving"},
            "by accuracy, and the report of epoch 1 has no accuracy, only loss",
        ),
        (lambda network, data, report: 0.5, {}, "returned float, not a mapping of scores by name, or None"),
        (lambda network, data, report: {"accuracy": math.inf}, {}, "the training function returned: accuracy is inf"),
        (
            lambda network, data, report: {"params": 1},
            {},
            "the training function returned: params is measured by searchkit",
        ),
        (nothing, {"objectives": {"f1": "max"}}, "gave no 'f1', which the search asks for, but only accuracy"),
        (
            lambda n, d, r: None,
            {"objectives": {"f1": "max"}},
            "returned None and reported nothing: return {'f1': value}",
        ),
    ],
)
def test_what_is_wrong_with_a_report_or_a_score_is_said_in_one_sentence(training, given, words: str) -> None:
    with pytest.raises(SearchFailedError) as failed:
        run(training, **({"objectives": ("accuracy", "params")} | given))
    assert words in str(failed.value)


def never(network, data, report):
    raise AssertionError("work began")


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"training": 3}, SearchkitError, "a function (network, data, report) -> scores, or a searchkit.Training"),
        (
            {"training": None, "early_stopping": "halving"},
            SearchkitError,
            "give training=function, or ladder= for trainings",
        ),
        ({"early_stopping": "halfing"}, UnknownNameError, "Did you mean 'halving'?"),
        ({"early_stopping": 3}, SearchkitError, "'halving' or 'median', or searchkit.training.Halving(...)"),
        ({"epochs": 3}, SearchkitError, "functools.partial(function, epochs=10)"),
        ({"recipe": {"lr": 0.1}}, SearchkitError, "recipe set how searchkit trains"),
        ({"executor": "interleaved"}, SearchkitError, "which a training function of yours cannot do"),
        ({"ladder": "default"}, SearchkitError, "write them, ladder=({'epochs': 3}, {'epochs': 10})"),
        ({"ladder": ({"epochs": 3, "data": 0.5},)}, SearchkitError, "rungs set epochs only"),
        ({"ladder": ({"epochs": 3}, {"epochs": 2})}, SearchkitError, "rise from rung to rung"),
        ({"ladder": ({"epochs": 3},), "early_stopping": "median"}, SearchkitError, "is another rule"),
        ({"objectives": ("f1", "params")}, ObjectiveError, "objectives={'f1': 'max'}"),
        ({"objectives": ("acuracy",)}, ObjectiveError, "Did you mean 'accuracy'?"),
        ({"objectives": {"f1": "up"}}, ObjectiveError, "say which direction is better"),
        ({"constraints": {"f1": 0.5}}, ObjectiveError, "constraints={'f1': (0.5, None)}"),
        ({"objectives": ("params", "macs")}, SearchkitError, "this search trains none"),
        (
            {"objectives": "params", "constraints": {"accuracy": 0.5}, "early_stopping": "median"},
            SearchkitError,
            "leave it out",
        ),
    ],
)
def test_what_does_not_fit_a_function_is_refused_before_any_work(given: dict, kind: type, words: str) -> None:
    with pytest.raises(kind) as raised:
        run(**({"training": never} | given))
    assert words in str(raised.value)


@pytest.mark.parametrize("wrong", [{"first": 0}, {"first": "a"}, {"eta": 1}, {"epochs": ()}, {"epochs": (0, 1)}])
def test_settings_of_halving_are_checked(wrong: dict) -> None:
    with pytest.raises(SearchkitError, match="of Halving"):
        Halving(**wrong)


@pytest.mark.parametrize("wrong", [{"first": 0}, {"least": 0}, {"least": 1.5}])
def test_settings_of_the_median_are_checked(wrong: dict) -> None:
    with pytest.raises(SearchkitError, match="of Median"):
        Median(**wrong)


def test_with_evaluate_early_stopping_is_refused() -> None:
    with pytest.raises(SearchkitError, match="early_stopping set how networks are trained"):
        searchkit.run(space=SPACE, evaluate=never, objectives={"loss": "min"}, early_stopping="median")


# Studies


def test_a_study_is_continued_only_by_the_same_kind_of_training_and_rule(tmp_path: Path) -> None:
    run(reporting, storage=tmp_path, name="s", early_stopping="halving")
    for other in ({"early_stopping": "median"}, {"early_stopping": None}):
        with pytest.raises(StudyMismatchError, match="early_stopping"):
            run(reporting, storage=tmp_path, name="s", **other)
    with pytest.raises(StudyMismatchError, match="training"):
        run(None, storage=tmp_path, name="s", epochs=1)


@pytest.mark.slow
def test_another_function_makes_another_study_and_under_a_name_it_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = {run(f, storage=tmp_path).name for f in (reporting, nothing, functools.partial(reporting, epochs=3))}
    assert len(names) == 3
    run(reporting, storage=tmp_path, name="s")
    run(nothing, storage=tmp_path, name="s", budget=6)
    assert "is continued with another version of the evaluated function" in caplog.text


@pytest.mark.slow
def test_with_a_time_candidates_begin_until_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "searchkit")

    def slow(network, data, report):
        time.sleep(0.1)
        return {"accuracy": 0.5}

    result = run(slow, budget={"seconds": 1.0})
    assert result.stopped == "the budget is spent"
    assert 1 <= len(result.trials) <= 10
    assert not result.finals
    assert "slow decides how long it trains, so candidates begin until 1 s" in caplog.text


def test_a_search_without_training_verifies_with_the_function() -> None:
    result = run(reporting, objectives=("params", "macs"), verify=2)
    assert len(result.verified) == 2
    assert result.verified.accuracy.notna().all()


def test_a_call_longer_than_the_time_limit_has_failed() -> None:
    def slow(network, data, report):
        for epoch in range(1, 100):
            time.sleep(0.02)
            report(epoch, {"accuracy": 0.5})

    with pytest.raises(SearchFailedError, match=r"over its time limit of 0\.1 s"):
        run(slow, time_limit=0.1)


def test_a_plan_says_that_the_time_of_a_function_is_not_known() -> None:
    made = searchkit.plan(training=reporting, space=SPACE, data=DIGITS, proxies=(), budget={"seconds": 20})
    assert made.lines == [
        "plan: candidates, 1 at a time, none begun after 20 s; how long their evaluations take is not known"
    ]


@pytest.mark.slow
def test_proxies_as_objectives_stand_beside_what_the_function_returns() -> None:
    result = run(reporting, objectives=("accuracy", "grad_norm"), early_stopping="halving", budget=8)
    assert result.history.grad_norm.notna().all()
    assert set(result.history.state) == {"scored", "dropped"}


@pytest.mark.slow
def test_proxies_judge_before_a_function_trains(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "searchkit")
    result = run(reporting, proxies="params", budget=6, screen=4)
    assert len(result.signals) >= 1


@pytest.mark.slow
def test_the_command_line_says_that_it_has_no_function_to_resume_with(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run(reporting, storage=tmp_path, name="s", space="macro", data="digits", budget=1)
    assert searchkit.cli.main(["resume", "s", "--storage", str(tmp_path), "--budget", "6"]) != 0
    assert "was begun in Python with its training function given as objects" in capsys.readouterr().err
