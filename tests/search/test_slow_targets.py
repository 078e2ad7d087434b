"""Targets that measure a few networks first: how many, which others, what is predicted, and what is refused."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch import nn

import searchkit
from searchkit import Metric, NetworkSpace, Target
from searchkit.blocks.latency_tables import measure_latency
from searchkit.cli import main
from searchkit.errors import DeviceError, SearchkitError, SpaceError, TargetError, UnknownNameError
from searchkit.problem.ranks import rank_correlation
from searchkit.search.first_networks import EXPECTED, FIRST
from searchkit.search.known_costs import read_known
from searchkit.search.target_columns import may_win
from tests.helpers.killing import in_a_process_that_is_killed
from tests.helpers.perceptrons import DIGITS, SPACE

BOARD, MARK = "latency_ms@board", "latency_ms@board_predicted"


def quality(network: nn.Module) -> float:
    """A score that grows with the network, and is not known by its size alone."""
    n = sum(parameter.numel() for parameter in network.parameters())
    return float(np.log(n) + 0.6 * np.sin(n))


QUALITY = Metric("quality", quality, direction="max")


def true_ms(size: int) -> float:
    """The made device: by the size of the file, and up to 4 % off that."""
    return float(size / 1e3 * (1 + 0.08 * ((size * 7919 % 1000) / 1000 - 0.5)))


# The device in a process of its own. It appends what it was asked to a file, and answers as the lines of a script say.
DEVICE = """
import os, pathlib, signal, sys
size, folder = os.path.getsize(sys.argv[1]), pathlib.Path(sys.argv[2])
asked = folder / "asked"
n = len(asked.read_text().splitlines()) if asked.exists() else 0
script = (folder / "script").read_text().split()
answer = script[min(n, len(script) - 1)]
with asked.open("a") as file:
    file.write(f"{answer} {size}\\n")
if answer == "kill":
    os.kill(os.getppid(), signal.SIGKILL)
if answer != "ok":
    sys.exit("error: battery is empty")
print(repr(size / 1e3 * (1 + 0.08 * ((size * 7919 % 1000) / 1000 - 0.5))))
"""


class Device:
    """The target, and what it was asked."""

    def __init__(self, folder: Path, script: str = "ok") -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.says(script)

    def says(self, script: str) -> None:
        (self.folder / "script").write_text(script)

    def target(self, **settings: Any) -> Target:
        how = (sys.executable, "-S", "-c", DEVICE, "{file}", str(self.folder))
        return Target(how, **({"timeout": 20, "repeats": 1, "first": 10, "known": {"pi": pi}} | settings))

    @property
    def answers(self) -> list[str]:
        return [line.split()[0] for line in (self.folder / "asked").read_text().splitlines()]

    @property
    def measured(self) -> Counter[int]:
        lines = [line.split() for line in (self.folder / "asked").read_text().splitlines()]
        return Counter(int(size) for answer, size in lines if answer == "ok")


def pi(choices: dict[str, Any]) -> float:
    """Another device, which minds depth more."""
    return float(3 + choices["width"] * (0.4 + choices["depth"] * (1 + choices["width"] / 20)))


def search(target: Target | None, **given: Any) -> searchkit.Result:
    targets = {} if target is None else {"targets": {"board": target}}
    defaults = {"space": SPACE, "data": DIGITS, "budget": 30, "storage": "memory", "progress": False}
    return searchkit.run("random", **(defaults | {"objectives": (QUALITY, BOARD)} | targets | given))


@pytest.mark.slow
def test_ten_networks_are_measured_first_and_then_what_may_win_and_nothing_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "searchkit")
    device = Device(tmp_path / "device")
    seen: list[int] = []

    def count(trial: object, trials: object) -> None:
        seen.append(sum(device.measured.values()))

    result = search(device.target(), callbacks=[count], progress=None)
    assert seen == [10] * 30  # before the search, and none in it
    assert max(device.measured.values()) == 1
    assert 10 < sum(device.measured.values()) < 10 + 15
    assert "target 'board' measures 10 networks before the search" in caplog.text
    assert re.search(r"target 'board' took [\d.]+ m?s for a network, so that the other 8 take about \d", caplog.text)
    assert re.search(r"candidate \d+ .*: quality [\d.]+, latency_ms@board [\d.]+ \(predicted\)", caplog.text)
    assert "latency_ms@board is predicted from 10 networks and pi: leaving each out in turn, rank" in caplog.text

    table = result.history
    predicted = table[MARK].notna()
    assert predicted.sum() >= 10
    assert MARK not in result.front or result.front[MARK].isna().all()
    asked = {round(true_ms(size), 9) for size in device.measured}
    assert {round(value, 9) for value in table[BOARD][~predicted]} <= asked
    left = {t.number for t in result.trials if MARK in t.values}
    assert not left & {t.number for t in may_win(result.trials, result.goals, {BOARD: 2.0})}
    assert any("what is known of pi: expected rank correlation" in text for text in result.methods[BOARD])

    every = search(device.target(first=None, known={}))  # the same candidates, all measured
    assert list(every.front["trial"]) == list(result.front["trial"])
    pd.testing.assert_series_equal(every.front[BOARD], result.front[BOARD])
    off = np.log(table[BOARD][predicted] / every.history[BOARD][predicted])
    assert rank_correlation(table[BOARD][predicted], every.history[BOARD][predicted]) > 0.95
    assert np.mean(np.abs(off) < 2 * table[MARK][predicted]) > 0.85


@pytest.mark.slow
def test_a_search_that_is_killed_after_five_of_the_ten_asks_for_none_of_them_again(tmp_path: Path) -> None:
    device = Device(tmp_path / "device", "ok " * 5 + "kill ok")
    given = {"storage": tmp_path / "runs", "name": "killed", "budget": 8}
    in_a_process_that_is_killed("device", 0, "work", lambda tick: search(device.target(), **given))
    assert device.answers == ["ok"] * 5 + ["kill"]
    seen: list[int] = []
    result = search(
        device.target(), **given, callbacks=[lambda trial, trials: seen.append(sum(device.measured.values()))]
    )
    assert seen[0] == 10
    assert max(device.measured.values()) == 1
    n = len(device.answers)
    again = search(device.target(), **given)
    assert len(device.answers) == n
    pd.testing.assert_frame_equal(again.history, result.history)
    loaded = searchkit.load("killed", tmp_path / "runs")
    pd.testing.assert_frame_equal(loaded.history, result.history)
    with_more = search(device.target(), **(given | {"budget": 12}))
    assert len(with_more.history) == 12
    assert MARK not in with_more.front or with_more.front[MARK].isna().all()
    assert max(device.measured.values()) == 1
    record = result.open_record()
    assert len(record.noted(FIRST)) == 9  # and the network that the target was tried with
    assert record.notes(EXPECTED)[BOARD]["n"] == 10
    record.close()


@pytest.mark.slow
def test_what_is_delivered_keeps_a_bound_and_predictions_near_it_leave_nothing_out(tmp_path: Path) -> None:
    device, bound = Device(tmp_path / "device"), 10.0
    result = search(device.target(first=6), objectives=(QUALITY, "params"), constraints={BOARD: bound}, budget=40)
    assert len(result.front) > 3
    assert (result.front[BOARD] <= bound).all()
    assert MARK not in result.front or result.front[MARK].isna().all()
    broken = result.history[result.history.state == "infeasible"]
    assert len(broken) > 3
    sure = broken[BOARD] / np.exp(2 * broken[MARK].fillna(0.0))
    assert (sure > bound).all()
    assert max(device.measured.values()) == 1


@pytest.mark.slow
def test_a_device_that_is_away_at_the_end_is_asked_by_the_same_call_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    device = Device(tmp_path / "device", "ok " * 10 + "exit " * 200)
    given = {"storage": tmp_path / "runs", "name": "away", "budget": 15}
    first = search(device.target(), **given)
    assert "on the front is predicted" in caplog.text
    assert first.front[MARK].notna().any()
    assert device.answers.count("exit") == 3  # it is not asked for all, one after the other
    device.says("ok")
    again = search(device.target(), **given)
    assert MARK not in again.front or again.front[MARK].isna().all()
    assert max(device.measured.values()) == 1


@pytest.mark.slow
def test_a_candidate_that_the_device_cannot_measure_keeps_no_other_from_being_measured(tmp_path: Path) -> None:
    device = Device(tmp_path / "device", "ok " * 10 + "exit ok")
    result = search(device.target(), budget=20)
    assert device.answers.count("exit") == 1
    assert sum(device.measured.values()) > 11
    assert result.history[MARK].notna().any()
    assert result.front[MARK].notna().sum() <= 1 if MARK in result.front else True


@pytest.mark.slow
def test_another_network_is_measured_in_the_place_of_one_that_cannot_be(tmp_path: Path) -> None:
    device = Device(tmp_path / "device", "ok ok exit exit ok")
    search(device.target(), budget=1, objectives=("params", BOARD))
    assert device.answers[:12] == ["ok"] * 2 + ["exit"] * 2 + ["ok"] * 8
    assert len(set(device.measured)) >= 10
    broken = Device(tmp_path / "broken", "ok " * 4 + "exit " * 200)
    given = {"storage": tmp_path / "runs", "name": "broken", "budget": 1, "objectives": ("params", BOARD)}
    with pytest.raises(TargetError, match=r"battery is empty; 4 of its first 10 networks are measured and on record"):
        search(broken.target(), **given)
    broken.says("ok")
    search(broken.target(), **given)
    assert max(broken.measured.values()) == 1
    assert sum(broken.measured.values()) <= 11


@pytest.mark.slow
def test_other_targets_are_known_devices_and_measure_the_first_networks_too(tmp_path: Path) -> None:
    device, lab = Device(tmp_path / "device"), Counter[int]()

    def measure(path: Path) -> float:
        lab[path.stat().st_size] += 1
        return path.stat().st_size / 2e3

    result = search(device.target(known={}), targets={"board": device.target(known={}), "lab": measure}, budget=12)
    assert (result.history["latency_ms@lab"] > 0).all()
    assert any("what is known of latency_ms@lab" in text for text in result.methods[BOARD])
    assert max(lab.values()) == 1
    assert set(device.measured) <= set(lab)


@pytest.mark.slow
def test_where_no_device_is_known_macs_stand_for_one(tmp_path: Path) -> None:
    device = Device(tmp_path / "device")
    result = search(device.target(known={}), budget=20)
    predicted = result.history[MARK].notna()
    assert predicted.any()
    assert MARK not in result.front or result.front[MARK].isna().all()
    assert any(text.startswith("predicted from") and "what is known of MACs:" in text for text in result.methods[BOARD])


@pytest.mark.slow
def test_choices_of_the_training_are_no_matter_of_the_device(tmp_path: Path) -> None:
    device = Device(tmp_path / "device")
    given = {"objectives": ("accuracy", BOARD), "budget": 5, "recipe": {"lr": [0.02, 0.1], "epochs": 1}}
    frame = pd.DataFrame(SPACE.decode(SPACE.enumerate()))
    frame["ms"] = [pi(choices) for choices in SPACE.decode(SPACE.enumerate())]
    result = search(device.target(known={"pi": pi, "table": frame}), **given)
    assert set(result.history["lr"]) <= {0.02, 0.1}
    assert MARK not in result.front or result.front[MARK].isna().all()
    for row in range(len(result.front)):
        result.build(row)


@pytest.mark.slow
def test_what_is_known_may_be_a_function_a_table_a_result_a_study_or_a_sum_of_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    codes = SPACE.enumerate()
    true = np.array([pi(choices) for choices in SPACE.decode(codes)])
    space = SPACE.for_data(DIGITS.input_shape, DIGITS.n_classes)
    np.testing.assert_allclose(read_known(pi, "", space).values(codes), true)

    frame = pd.DataFrame(SPACE.decode(codes[::2])).assign(ms=true[::2])
    larger = pd.concat(
        [frame, pd.DataFrame({"width": [999], "depth": [0], "ms": [1.0]}), frame.assign(ms=3 * frame.ms)]
    )
    found = read_known(larger, "", space)
    np.testing.assert_allclose(found.values(codes)[::2], 2 * true[::2])  # the mean of two rows of one network
    assert np.isnan(found.values(codes)[1::2]).all()
    assert len(found.listed) == len(frame)

    def twice(path: Path) -> float:
        return 2 * true_ms(path.stat().st_size)

    study = search(
        None, targets={"pi": twice}, objectives=("params", "latency_ms@pi"), storage=None, name="pi", budget=12
    )
    asked = np.stack([trial.code for trial in study.trials])
    for given in (
        study,
        (study, "latency_ms@pi"),
        ["pi", "latency_ms@pi"],
        ("searchkit-runs/pi.journal", "latency_ms@pi"),
    ):
        values = read_known(given, "latency_ms@pi", space).values(asked)
        np.testing.assert_allclose(values, study.history["latency_ms@pi"])
    with pytest.raises(UnknownNameError, match=r"is study 'pi': unknown column 'latency_ms@phone'.*'latency_ms@pi'"):
        read_known(study, "latency_ms@phone", space)

    cells = searchkit.load_space("macro", width=4).for_data((1, 8, 8), 10)
    blocks = measure_latency(
        cells, measure=lambda module, shape: 1 + 1e-3 * sum(p.numel() for p in module.parameters())
    )
    some = cells.sample(20, np.random.default_rng(0))
    np.testing.assert_allclose(read_known(blocks, "", cells).values(some), blocks.model(blocks.blocks.choose(some)))
    with pytest.raises(SpaceError, match="is a table of the blocks of another space than 'mlp'"):
        read_known(blocks, "", space)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"first": 2}, DeviceError, "whole number from 3 on, not 2"),
        ({"first": 2.5}, DeviceError, "whole number from 3 on, not 2.5"),
        ({"first": 61}, DeviceError, "target 'board' has first=61, and space 'mlp' has 60 networks"),
        ({"first": None}, DeviceError, "a target with known has first"),
        ({"known": [1, 2]}, DeviceError, "known of a target is a mapping of names of other devices"),
        ({"known": {"pi": 3}}, DeviceError, "known device 'pi' of target 'board' is 3: what is known is a function"),
        ({"families": {"p": "arm"}}, UnknownNameError,
         "unknown device in families of target 'board' 'p'.*Did you mean 'pi'"),
        ({"known": {"pi": lambda choices: -1.0}}, DeviceError,
         "known device 'pi' of target 'board' has -1 of {'width'"),
        ({"known": {"pi": lambda choices: choices["hight"]}}, DeviceError, "raised KeyError: 'hight', for {'width'"),
        ({"known": {"pi": lambda choices: "fast"}}, DeviceError, "returned 'fast', not a number, for {'width'"),
        ({"known": {"pi": lambda choices: float("nan")}}, DeviceError, "has values of 0 candidates .* at least 10"),
        ({"known": {"pi": lambda choices: 4.0}}, DeviceError, "'pi' has the same latency of all candidates"),
        ({"known": {"pi": pd.DataFrame({"widht": [4], "depth": [0], "ms": [1.0]})}}, UnknownNameError,
         "known device 'pi' of target 'board' has no column 'width'.* it has widht, depth, ms"),
        ({"known": {"pi": pd.DataFrame({"width": [4], "depth": [0], "ms": [1.0], "mj": [1.0]})}}, DeviceError,
         "has the columns ms, mj beside the choices of space 'mlp': one is allowed"),
        ({"known": {"pi": pd.DataFrame({"width": [5], "depth": [0], "ms": [1.0]})}}, DeviceError,
         "is a table without any candidate of space 'mlp' .*no option 5"),
        ({"known": {"pi": ("nothing", "latency_ms")}}, UnknownNameError,
         "known device 'pi' of target 'board' is to be read from a study, and that fails: unknown study .*'nothing'"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_before_the_device_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], error: type[SearchkitError], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "searchkit-runs").mkdir()
    device = Device(tmp_path / "device")
    with pytest.raises(error, match=said) as raised:
        search(device.target(**settings), storage=tmp_path / "runs", name="none")
    assert "\n" not in str(raised.value)
    assert not (device.folder / "asked").exists()
    assert not list((tmp_path / "runs").glob("*.journal"))


def test_this_machine_has_no_first_networks_and_a_space_that_cannot_be_built_has_none_either(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="this machine measures every candidate: first is for a device elsewhere"):
        Target("here", first=10)

    def broken(choices: dict[str, Any], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        raise ValueError("no such layer")

    device = Device(tmp_path / "device")
    space = NetworkSpace(SPACE.choices, broken, name="broken")
    said = r"target 'board' has first=10, and of 60 random candidates of space 'broken' only 0 can be built"
    with pytest.raises(DeviceError, match=said):
        search(device.target(known={}), space=space)


@pytest.mark.thorough
def test_the_command_line_continues_a_study_whose_devices_are_known_by_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    device = Device(tmp_path / "device")
    cells = searchkit.load_space("nas-bench-201", width=4, cells=1)
    given = {"space": cells, "data": "digits", "storage": None, "baselines": False}
    space = {"targets": {"pi": lambda path: path.stat().st_size / 1e3}, "objectives": ("params", "latency_ms@pi")}
    search(None, **given, **space, name="pi", budget=12)
    target = device.target(first=4, known={"pi": ("pi", "latency_ms@pi")})
    search(target, **given, name="own", objectives=("params", BOARD), budget=2)
    assert main(["resume", "own", "--budget", "3", "--workers", "1", "--no-baselines"]) == 0
    result = searchkit.load("own")
    assert len(result.history) == 3
    assert max(device.measured.values()) == 1
    report = result.report(tmp_path / "page.html").read_text()
    assert "first" in report
    target = device.target(first=4, known={"pi": lambda choices: 1.0 + len(str(choices))})
    search(target, **given, name="other", objectives=("params", BOARD), budget=1)
    capsys.readouterr()
    assert main(["resume", "other", "--budget", "2"]) == 2
    assert "was begun in Python with its targets given as objects" in capsys.readouterr().err
