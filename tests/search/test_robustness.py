"""What users' code, executors and losses do at their worst ends in a sentence or a recorded failure."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace, Space
from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.execution.executors import Workers, open_executor

SPACE = Space([Choice(name, range(6)) for name in "abc"])
DIGITS = searchkit.load_data("digits", limit=300)


def loss(choices: dict) -> dict:
    return {"loss": sum(choices.values())}


def search(function=loss, strategy="random", **given):
    given = {"budget": 12, "storage": "memory", "objectives": {"loss": "min"}} | given
    return searchkit.run(strategy, space=SPACE, evaluate=function, **given)


def test_a_candidate_that_calls_exit_has_failed_and_the_search_goes_on() -> None:
    history = search(lambda c: sys.exit(3) if c["a"] == 1 else loss(c), budget=40).history
    assert len(history) == 40
    assert set(history[history.a == 1].reason) == {"SystemExit: 3"}
    assert set(history[history.a != 1].state) == {"scored"}


def processes() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


@pytest.mark.slow
def test_a_plain_process_pool_takes_lambdas_and_unpacks_the_task_once() -> None:
    count: list[int] = []
    here = search(lambda c: loss(c), batch=4).history
    with processes() as pool:
        there = search(lambda c: count.append(1) or loss(c) | {"calls": len(count)}, batch=4, executor=pool).history
    assert count == []
    assert there.calls.max() == 12  # the worker kept what it had unpacked
    assert there.drop(columns=["seconds", "calls"]).equals(here.drop(columns="seconds"))


@pytest.mark.thorough
def test_a_broken_process_pool_is_said_and_the_same_call_continues(tmp_path: Path) -> None:
    def deadly(choices: dict) -> dict:
        if choices["a"] == 3:
            os._exit(9)
        return loss(choices)

    given = {"storage": tmp_path, "name": "s", "batch": 4, "budget": 20}
    with processes() as pool, pytest.raises(SearchkitError, match="BrokenProcessPool.*record is intact") as raised:
        search(deadly, executor=pool, **given)
    assert "\n" not in str(raised.value)
    assert len(search(**given, executor=None).history) == 20


def test_a_closed_executor_is_said() -> None:
    with ThreadPoolExecutor(2) as pool:
        pass
    with pytest.raises(
        SearchkitError, match="ThreadPoolExecutor, no longer accepts .*after shutdown.*record is intact"
    ):
        search(executor=pool)


def test_whatever_a_users_executor_raises_becomes_one_line() -> None:
    class Broken:
        def submit(self, *given: object) -> None:
            raise OSError("no more processes\nand a page of details")

    with pytest.raises(SearchkitError, match=r"a Broken, .*\(OSError: no more processes\); the record is intact"):
        search(executor=Broken())


def test_an_executor_that_is_closed_meanwhile_returns_what_it_had(tmp_path: Path) -> None:
    pool = ThreadPoolExecutor(2)
    with pytest.raises(SearchkitError, match="after shutdown"):
        search(executor=pool, batch=4, storage=tmp_path, name="s", callbacks=[lambda *_: pool.shutdown(wait=False)])
    assert (searchkit.load("s", tmp_path).history.state == "scored").sum() == 4


def test_what_a_process_pool_cannot_get_is_said_before_work() -> None:
    lock = threading.Lock()
    with processes() as pool, pytest.raises(SearchkitError, match="cannot be sent to worker processes"):
        search(lambda choices: loss(choices) if lock else {}, executor=pool)


def test_whole_numbers_of_numpy_are_numbers_of_processes() -> None:
    assert isinstance(open_executor(np.int64(2), lambda code, seed: {}, ()), Workers)
    for wrong in (True, np.True_, 0, np.int64(-1), 1.0):
        with pytest.raises(SearchkitError, match="is not known"):
            open_executor(wrong, lambda code, seed: {}, ())


def build(choices: dict, input_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, choices["width"]), nn.Dropout(0.5), nn.Linear(choices["width"], 10)
    )


NETWORKS = NetworkSpace([Choice("width", (8, 12, 16, 20, 24, 28, 32, 36))], build, name="dropout")


@pytest.mark.slow
def test_threads_train_to_the_same_accuracies_as_one_process() -> None:
    given = {"space": NETWORKS, "data": DIGITS, "budget": 8, "batch": 8, "epochs": 2, "storage": "memory"}
    here = searchkit.run("random", **given).history.drop(columns="seconds")
    with ThreadPoolExecutor(4) as pool:
        there = searchkit.run("random", executor=pool, **given).history.drop(columns="seconds")
    assert there.equals(here)


@pytest.mark.slow
def test_waiting_for_another_thread_is_not_a_candidates_time() -> None:
    given = {"space": NETWORKS, "data": DIGITS, "budget": 8, "batch": 8, "epochs": 4, "storage": "memory"}
    seconds = searchkit.run("random", **given).history.seconds
    with ThreadPoolExecutor(8) as pool:
        history = searchkit.run("random", executor=pool, time_limit=4 * seconds.max(), **given).history
    assert set(history.state) == {"scored"}


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem, self.first, self.second = nn.Linear(64, width), nn.Linear(width, width), nn.Linear(width, width)
        self.second.weight = self.first.weight
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x.flatten(1)))
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))))


def tied(choices: dict, input_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    return Tied(choices["width"])


@pytest.mark.slow
def test_a_network_with_tied_weights_is_trained_rebuilt_and_exported(tmp_path: Path) -> None:
    space = NetworkSpace([Choice("width", (8, 16))], tied, name="tied")
    result = searchkit.run("random", space=space, data=DIGITS, budget=2, epochs=4, storage=tmp_path / "runs")
    assert set(result.history.state) == {"scored"}
    row, network = result.front.iloc[0], result.build(0)
    assert sum(p.numel() for p in network.parameters()) == row.params
    with torch.inference_mode():
        assert (network(DIGITS.val.x).argmax(1) == DIGITS.val.y).double().mean().item() == pytest.approx(row.accuracy)
    assert len(result.export(0, tmp_path / "best")) == 3


@pytest.mark.slow
def test_an_ending_given_with_the_path_is_not_doubled(tmp_path: Path) -> None:
    result = searchkit.run("random", space=NETWORKS, data=DIGITS, budget=1, epochs=1, storage="memory")
    for given, stem in {"q": "q", "q.onnx": "q", "q.json": "q", "q.safetensors": "q", "q.v2": "q.v2"}.items():
        folder = tmp_path / f"of {given}"
        written = result.export(0, folder / given)
        assert [path.name for path in written] == [f"{stem}.onnx", f"{stem}.safetensors", f"{stem}.json"]
        assert {path.name for path in folder.iterdir()} == {path.name for path in written}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["bo", "nsga2"])
def test_losses_near_the_largest_float_do_not_stop_a_search(strategy: str) -> None:
    def huge(choices: dict) -> dict:
        return {"loss": 1e306 * (choices["a"] - 2.5) * (1 + choices["b"]), "other": -1e307 * choices["c"]}

    history = search(huge, strategy, objectives={"loss": "min", "other": "min"}, budget=16).history
    assert set(history.state) == {"scored"}
    assert len(history) == 16


def test_bo_sees_differences_beside_an_outlier_and_whatever_the_scale() -> None:
    from searchkit.strategies.surrogate import by_value

    losses = np.random.default_rng(0).random(40)
    plain = by_value(losses)
    assert plain.mean() == pytest.approx(0, abs=1e-12)
    assert plain.std() == pytest.approx(1)
    for scale in (1e-300, 1e306):
        assert by_value(losses * scale) == pytest.approx(plain, abs=1e-9)
    losses[7] = 1e306
    others = np.arange(40) != 7
    assert np.ptp(by_value(losses)[others]) > 1
    assert np.isfinite(by_value(np.full(5, 1.7e308))).all()


def test_the_progress_bar_ends_with_the_last_candidate(capsys: pytest.CaptureFixture[str]) -> None:
    values = iter([3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2])
    search(lambda choices: {"loss": next(values)}, progress=True)  # all within one look at the front
    last = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()[-1]
    assert "12/12 evaluated [" in last
    assert last.endswith("front 1, best loss 2]")


@pytest.mark.parametrize("shown", [True, None])
def test_a_search_without_a_console_or_with_one_that_is_gone_goes_on(
    shown: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert len(search(progress=shown).trials) == 12
    reading, writing = os.pipe()
    with contextlib.suppress(BrokenPipeError), open(writing, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)

        def closing(choices: dict) -> dict:
            os.close(reading) if not closed else None
            closed.append(True)
            time.sleep(0.02)  # so that the bar is drawn again
            return loss(choices)

        closed: list[bool] = []
        assert len(search(closing, progress=shown).trials) == 12
    monkeypatch.setattr(sys, "stderr", terminal)  # closed
    assert len(search(progress=None).trials) == 12


@pytest.mark.slow
def test_the_progress_bar_counts_the_seconds_down(capsys: pytest.CaptureFixture[str]) -> None:
    search(lambda c: time.sleep(0.35) or loss(c), budget={"seconds": 1.2}, batch=9, progress=True)
    shown = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()
    assert any("1 s left" in line for line in shown)
    assert "left" not in shown[-1]


def two(choices: dict) -> dict:
    if choices["c"] == 0:
        raise ValueError("no")
    return {"loss": choices["a"] + choices["b"], "size": 10 - choices["a"]}


BOTH = {"loss": "min", "size": "min"}


def test_infeasible_candidates_are_drawn_apart() -> None:
    result = search(two, objectives=BOTH, constraints={"loss": 5}, budget=40)
    axes = result.plot().axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    broken = int((result.history.loss > 5).sum())
    others = int((result.history.loss <= 5).sum()) - len(result.front)
    assert labels == [f"{broken} infeasible", f"{others} other candidates", f"{len(result.front)} on the front"]


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["png", "html", "PNG"])
def test_a_history_without_a_feasible_candidate_is_drawn(ending: str, tmp_path: Path) -> None:
    result = search(two, objectives=BOTH, constraints={"loss": -1}, budget=20)
    assert result.front.empty
    figure = result.plot(tmp_path / f"picture.{ending}")
    assert (tmp_path / f"picture.{ending}").stat().st_size > 10_000
    n = (result.history.state == "scored").sum()
    if ending == "html":
        assert [trace.name for trace in figure.data] == [f"{n} infeasible"]


@pytest.mark.slow
def test_a_candidate_that_was_never_trained_is_drawn_where_both_metrics_are_costs() -> None:
    result = searchkit.run(
        "random", space=NETWORKS, data=DIGITS, objectives=("accuracy", "params", "peak_memory"), budget=8, epochs=1,
        constraints={searchkit.Metric("twice", lambda n: 2 * sum(p.numel() for p in n.parameters())): 2500},
        storage="memory",
    )  # fmt: skip
    n = int((result.history.state == "infeasible").sum())
    assert n
    assert f"{n} infeasible" in [
        t.get_text() for t in result.plot(x="params", y="twice").axes[0].get_legend().get_texts()
    ]
    assert "infeasible" not in str([t.get_text() for t in result.plot().axes[0].get_legend().get_texts()])


def test_what_cannot_be_drawn_is_said() -> None:
    result = search(two, objectives=BOTH, budget=8)
    with pytest.raises(UnknownNameError, match="unknown metric to plot 'sise': choose from loss, size, trial.*'size'"):
        result.plot(x="sise")
    nothing = search(lambda c: {"loss": c["a"] if c["a"] else float("nan")}, budget=8)
    nothing.trials[:] = [trial for trial in nothing.trials if trial.state == "failed"]
    with pytest.raises(SearchkitError, match="has no candidate with trial and loss to plot"):
        nothing.plot()


def test_metrics_named_like_columns_of_the_record_are_drawn() -> None:
    result = search(lambda c: {"state": c["a"], "trial": c["b"]}, objectives={"state": "min", "trial": "min"})
    axes = result.plot().axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("trial", "state")


@pytest.mark.slow
@pytest.mark.parametrize("constraints", [None, {"params": 5000}])
@pytest.mark.parametrize(
    "error", [pytest.param(ValueError("bad width"), marks=pytest.mark.slow), SystemExit("bad width")]
)
def test_a_network_that_cannot_be_built_is_a_recorded_failure_also_beside_a_bound(error, constraints) -> None:
    def fragile(choices: dict, input_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
        if choices["width"] > 28:
            raise error
        return build(choices, input_shape, n_classes)

    space = NetworkSpace([*NETWORKS.choices, Choice("unused", range(2))], fragile, name="fragile")
    history = searchkit.run(
        "random", space=space, data=DIGITS, budget=16, epochs=1, storage="memory", constraints=constraints
    ).history
    failed = history[history.width > 28]
    assert len(failed) == 4
    assert failed.reason.str.contains(r"(?:ValueError|SystemExit): bad width").all()
    assert set(history[history.width <= 28].state) == {"scored"}


def test_where_no_network_can_be_built_the_search_says_why_and_not_that_a_bound_is_broken() -> None:
    def broken(choices: dict, input_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
        raise TypeError("wrong argument")

    space = NetworkSpace(NETWORKS.choices, broken, name="broken")
    with pytest.raises(SearchkitError, match="TypeError: wrong argument"):
        searchkit.run("random", space=space, data=DIGITS, epochs=1, storage="memory", constraints={"params": 5000})


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("strategy", ["random", "bo", "nsga2", "tpe", "evolution", "exact"])
def test_an_exhausted_space_ends_a_search_with_proxies(strategy: str, fails: bool) -> None:
    space = searchkit.Space([searchkit.Choice("a", (1, 2)), searchkit.Choice("b", (1, 2))])

    def evaluate(choices: Any) -> dict[str, float]:
        if fails and choices["a"] + choices["b"] == 4:
            raise ValueError("not this one")
        return {"loss": choices["a"] * choices["b"]}

    result = searchkit.run(
        strategy, space=space, evaluate=evaluate, objectives={"loss": "min"}, budget=9, proxies=["structure"],
        storage="memory",
    )  # fmt: skip
    assert (len(result.trials), result.stopped) == (4, "every candidate of the space has been evaluated")
