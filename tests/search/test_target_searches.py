"""Searches that ask other devices for costs: what fails is repeated, then predicted, then measured; nothing is lost."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import searchkit
from searchkit import Target
from searchkit.cli import main
from searchkit.cli.values import read_targets
from searchkit.errors import DeviceError, DeviceGoneError, ObjectiveError, SearchkitError, TargetError, UnknownNameError
from tests.helpers.perceptrons import DIGITS, SPACE

PHONE = "latency_ms@phone"

OPTIONS = {  # of a target on the command line, and what is said of each
    "phone": "--target-option is NAME.SETTING=VALUE, such as phone.timeout=600, not 'phone'",
    "phone.how=rm": "--target-option is NAME.SETTING=VALUE",
    "fone.timeout=3": "unknown target 'fone'.*Did you mean 'phone'",
    "phone.timeot=3": "target 'phone': unknown setting of a target 'timeot'.*Did you mean 'timeout'",
    "phone.timeout=soon": "target 'phone': timeout of a target is a number of seconds above 0, not 'soon'",
    "phone.repeats=3": "--target-option sets phone.repeats twice",
    "phone.known=camera": "NAME.known.OTHER=STUDY:COLUMN or NAME.families.OTHER=FAMILY for what is known",
    "phone.known.pi=camera": "a known device is STUDY:COLUMN, such as camera:latency_ms@phone, not 'camera'",
}

# A device in a process of its own. It appends what it was asked to a file, and answers as the lines of a script say,
# which begins anew when it ends: "ok", "exit", "late", "nonsense".
DEVICE = """
import hashlib, itertools, os, pathlib, sys, time
path, folder = sys.argv[1], pathlib.Path(sys.argv[2])
asked = folder / "asked"
n = len(asked.read_text().splitlines()) if asked.exists() else 0
script = (folder / "script").read_text().split()
answer = script[n % len(script)]
size = os.path.getsize(path)
with asked.open("a") as file:
    file.write(f"{answer} {size}\\n")
if answer == "exit":
    sys.exit("error: device offline")
if answer == "late":
    time.sleep(600)
print("it is warm" if answer == "nonsense" else '{"latency_ms": %r, "energy_mj": 2, "firmware": "7"}' % (size / 1e3))
"""


class Device:
    """The target, and what it was asked."""

    def __init__(self, folder: Path, script: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.says(script)

    def says(self, script: str) -> None:
        (self.folder / "script").write_text(script)

    def target(self, **settings: Any) -> Target:
        how = (sys.executable, "-S", "-c", DEVICE, "{file}", str(self.folder))
        return Target(how, **({"timeout": 20} | settings))

    @property
    def asked(self) -> list[tuple[str, int]]:
        lines = (self.folder / "asked").read_text().splitlines()
        return [(line.split()[0], int(line.split()[1])) for line in lines]


def search(device: Device | None, settings: dict[str, Any] | None = None, **given: Any) -> searchkit.Result:
    targets = {} if device is None else {"targets": {"phone": device.target(**settings or {})}}
    defaults = {"space": SPACE, "data": DIGITS, "budget": 6, "storage": "memory", "progress": False}
    return searchkit.run("random", **(defaults | {"objectives": ("params", PHONE)} | targets | given))


@pytest.mark.slow
def test_costs_of_targets_are_columns_that_are_measured_once(tmp_path: Path) -> None:
    device, seen = Device(tmp_path / "device", "ok"), list[int]()

    def lab(path: Path) -> float:
        seen.append(path.stat().st_size)
        return path.stat().st_size / 1e6

    given = {"targets": {"phone": device.target(), "lab": lab, "this": "here"}, "constraints": {"latency_ms@lab": 1}}
    result = search(None, **given, storage=tmp_path / "runs", name="columns", objectives=("params", PHONE))
    table = result.history
    assert len(table) == 6
    for column in (PHONE, "energy_mj@phone", "latency_ms@lab", "latency_ms@this"):
        assert (table[column] > 0).all()
    np.testing.assert_allclose(table[PHONE], 1000 * table["latency_ms@lab"])  # both of one file
    assert "latency_ms@phone_predicted" not in table
    assert result.methods[PHONE] == ["firmware 7"]
    sizes = Counter(size for _, size in device.asked)
    assert len(device.asked) == len(seen) <= 7  # six candidates, and one before the search unless it is among them
    assert max(sizes.values()) <= 1 + 1
    again = search(None, **given, storage=tmp_path / "runs", name="columns", budget=6)
    assert again.history.equals(table)
    assert len(device.asked) == len(seen) <= 7
    assert result.report(tmp_path / "report.html")


@pytest.mark.thorough
def test_nothing_is_lost_on_a_target_that_fails_a_third_of_the_time(tmp_path: Path) -> None:
    """In bursts longer than the repeats, too, so that measurements are missing for a while."""
    rng = np.random.default_rng(0)
    script = np.where(rng.random(60) < 1 / 3, rng.choice(["exit", "nonsense"], 60), "ok").tolist()
    script[:2] = ["ok"] * 2
    script[10:14] = ["exit"] * 4
    device = Device(tmp_path / "device", " ".join(script))
    result = search(device, {"repeats": 3}, budget=40, storage=tmp_path / "runs", name="third")
    table = result.history
    assert len(table) == 40
    assert (table.state == "scored").all()
    assert "latency_ms@phone_predicted" not in table  # everything is measured in the end
    good = [size for answer, size in device.asked if answer == "ok"]
    np.testing.assert_allclose(np.sort(np.unique(table[PHONE])), np.unique(good) / 1e3)
    assert 40 <= len(good) <= 41  # each candidate once, and the network before the search
    loaded = searchkit.load("third", tmp_path / "runs")
    np.testing.assert_array_equal(loaded.history[PHONE], table[PHONE])
    assert "latency_ms@phone_predicted" not in loaded.history


@pytest.mark.slow
def test_a_target_that_stays_away_is_predicted_and_measured_when_the_search_is_called_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    device = Device(tmp_path / "device", "ok " * 9 + "exit " * 200)
    given = {"storage": tmp_path / "runs", "name": "away", "budget": 16}
    result = search(device, {"repeats": 2}, **given)
    table = result.history
    predicted = table["latency_ms@phone_predicted"].notna()
    assert (table.state == "scored").all()
    assert 7 <= predicted.sum() <= 8
    assert "of 16 candidates" not in caplog.text
    assert "target 'phone' ended with exit code 1: error: device offline (2 attempts)" in caplog.text
    assert any("predicted from" in text and "device offline" in text for text in result.methods[PHONE])
    attempts = [size for answer, size in device.asked if answer == "exit"]
    assert len(attempts) <= predicted.sum() + 2  # it is repeated only until it is known to be away
    shown = result.front
    assert shown["latency_ms@phone_predicted"].notna().any() == ("on the front is predicted" in caplog.text)

    device.says("ok")
    before = len(device.asked)
    again = search(device, {"repeats": 2}, **given)
    assert len(device.asked) - before == predicted.sum()
    assert "latency_ms@phone_predicted" not in again.history
    measured = ~predicted
    np.testing.assert_array_equal(again.history[PHONE][measured], table[PHONE][measured])
    error = np.abs(np.log(again.history[PHONE][predicted] / table[PHONE][predicted]))
    assert error.max() < 0.5  # the model was no nonsense


@pytest.mark.slow
def test_a_bound_is_judged_by_a_prediction_that_is_sure(tmp_path: Path) -> None:
    device = Device(tmp_path / "device", "ok " * 25 + "exit " * 200)
    result = search(device, {"repeats": 1}, budget=40, constraints={PHONE: 6})
    table = result.history
    predicted = table["latency_ms@phone_predicted"].notna()
    broken = table.state == "infeasible"
    assert 0 < (broken & predicted).sum() < predicted.sum()
    assert table.reason[broken & predicted].str.contains("predicted").all()
    assert (table[PHONE][broken] > 6).all()
    assert not (~broken & ~predicted & (table[PHONE] > 6)).any()
    sure = table[PHONE][broken & predicted] / np.exp(2 * table["latency_ms@phone_predicted"][broken & predicted])
    assert (sure > 6).all()


@pytest.mark.slow
def test_a_late_answer_is_missing(tmp_path: Path) -> None:
    device = Device(tmp_path / "device", "ok ok late ok")
    result = search(device, {"repeats": 1, "timeout": 3}, budget=3)
    assert "latency_ms@phone_predicted" not in result.history
    assert [answer for answer, _ in device.asked].count("late") == 1


@pytest.mark.slow
def test_a_killed_search_measures_no_candidate_twice(tmp_path: Path) -> None:
    device = Device(tmp_path / "device", "ok")

    def killed(network: nn.Module) -> float:
        if len(device.asked) == 4:
            raise KeyboardInterrupt
        return 1.0

    given = {"storage": tmp_path / "runs", "name": "killed", "budget": 5, "epochs": 1}
    metric = searchkit.Metric("after", killed, trained=True)
    asked = {"objectives": ("accuracy", metric, PHONE)}
    first = search(device, **given, **asked)
    assert first.stopped == "interrupted"
    n = len(device.asked)
    with (device.folder / "asked").open("a") as file:
        file.write("other 0\n")  # so that the metric goes on
    again = search(device, **given, **asked)
    assert len(again.history) == 5
    sizes = [size for answer, size in device.asked if answer == "ok"]
    assert len(sizes) <= 6
    assert n == 4


@pytest.mark.slow
def test_bad_input_is_one_sentence_before_the_search(tmp_path: Path) -> None:
    device = Device(tmp_path / "device", "nonsense")
    with pytest.raises(
        TargetError, match=r"target 'phone' cannot measure.*'it is warm'.*no number \(3 attempts\)"
    ) as raised:
        search(device, storage=tmp_path / "runs", name="none")
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "runs").glob("*.journal"))  # nothing was begun
    with pytest.raises(UnknownNameError, match="unknown target 'phne'.*Did you mean 'phone'"):
        search(device, objectives=("params", "latency_ms@phne"))
    with pytest.raises(ObjectiveError, match="measured on the target 'phone', and none is given"):
        search(None)
    with pytest.raises(ObjectiveError, match="params is not measured on a target: write 'params'"):
        search(device, objectives=("params@phone", "macs"))
    with pytest.raises(ObjectiveError, match="write 'energy_mj' in place of 'energy_mj@this'"):
        search(None, targets={"this": "here"}, objectives=("params", "energy_mj@this"))
    device.says("ok")
    with pytest.raises(TargetError, match="and not latncy_ms; did you mean latency_ms"):
        search(device, objectives=("params", "latncy_ms@phone"))
    with pytest.raises(SearchkitError, match="targets"):
        searchkit.run(space=SPACE, evaluate=lambda c: {"loss": 0.0}, objectives={"loss": "min"}, targets={"a": "here"})
    with pytest.raises(DeviceError, match="target 'phone' is not of the form 'phone=bench.sh {file}'"):
        read_targets(["phone"], [])
    with pytest.raises(DeviceError, match="target 'phone' is given twice"):
        read_targets(["phone=a {file}", "phone=b {file}"], [])
    for option, said in OPTIONS.items():
        with pytest.raises(SearchkitError, match=said):
            search(None, targets=read_targets(["phone=ls {file}"], ["phone.repeats=2", option]))


def test_settings_of_targets_are_given_on_the_command_line() -> None:
    options = ["pi.first=10", "pi.timeout=2.5", "pi.known.phone=runs/a.jsonl:latency_ms@phone", "pi.families.phone=arm"]
    options += ["pi.python=venv/bin/python", "pi.device=1"]
    assert read_targets(["pi=ssh://pi@host", "lab=here"], options) == {
        "lab": {"how": "here"},
        "pi": {
            "how": "ssh://pi@host", "first": 10, "timeout": 2.5, "families": {"phone": "arm"},
            "known": {"phone": ("runs/a.jsonl", "latency_ms@phone")}, "python": "venv/bin/python", "device": "1",
        },
    }  # fmt: skip
    assert read_targets([], []) is None


@pytest.mark.slow
def test_a_continued_study_says_another_target_and_refuses_another_runtime(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"storage": tmp_path / "runs", "name": "continued", "objectives": ("params", "latency_ms@pi")}
    version = ["1.20.1"]

    def board(path: Path) -> dict[str, object]:
        return {"latency_ms": path.stat().st_size, "onnxruntime": version[0]}

    search(None, targets={"pi": board}, budget=3, **given)
    version[0] = "1.19.0"
    said = "target 'pi' has onnxruntime 1.19.0, and .* measured with onnxruntime 1.20.1: install that version"
    with pytest.raises(DeviceGoneError, match=said):
        search(None, targets={"pi": board}, budget=5, **given)
    version[0] = "1.20.1"
    assert "another target" not in caplog.text
    search(None, targets={"pi": lambda path: 1.0}, budget=4, **given)
    assert "is continued with another target 'pi'" in caplog.text


@pytest.mark.slow
def test_the_command_line_takes_targets_and_resumes_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "size.py").write_text("import os, sys; print(os.path.getsize(sys.argv[1]) / 1e3)")
    how = f"phone={sys.executable} -S size.py {{file}}"
    small = ["--space", "nas-bench-201", "--space-option", "width=4", "--space-option", "cells=1", "--workers", "1"]
    asked = ["--objectives", f"params,{PHONE}", "--constraint", f"{PHONE}<=1000", "--target", how]
    asked += ["--target-option", "phone.timeout=40"]
    assert main(["run", *small, *asked, "--budget", "2", "--name", "tiny", "--no-baselines", "--json"]) == 0
    assert main(["resume", "tiny", "--budget", "3", "--workers", "1", "--no-baselines"]) == 0
    capsys.readouterr()
    assert main(["show", "tiny", "--history", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 3
    assert all(row[PHONE] > 1 for row in rows)
    assert main(["run", *small, *asked, "--target", "board", "--name", "other"]) == 2
    assert "target 'board' is not of the form" in capsys.readouterr().err


@pytest.mark.slow
def test_a_study_with_a_function_as_target_is_not_resumed_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    search(None, space="nas-bench-201", data="digits", budget=1, targets={"phone": lambda path: 1.0}, storage=None,
           name="own", baselines=False)  # fmt: skip
    assert main(["resume", "own", "--budget", "2"]) == 2
    assert "was begun in Python with its targets given as objects" in capsys.readouterr().err


@pytest.mark.slow
def test_what_is_only_to_be_seen_is_predicted_and_measured_later_as_well(tmp_path: Path) -> None:
    device = Device(tmp_path / "device", "ok " * 8 + "exit " * 200)
    given = {"storage": tmp_path / "runs", "name": "seen", "objectives": ("params", "macs"), "budget": 10}
    first = search(device, {"repeats": 1}, **given)
    assert first.history[PHONE].notna().all()
    assert 3 <= first.history["latency_ms@phone_predicted"].notna().sum() <= 4
    device.says("ok")
    again = search(device, {"repeats": 1}, **given)
    assert "latency_ms@phone_predicted" not in again.history
    assert again.history[PHONE].notna().all()


@pytest.mark.slow
def test_weights_are_kept_of_what_may_win_and_of_nothing_else_in_the_end(tmp_path: Path) -> None:
    device = Device(tmp_path / "device", "ok " * 6 + "exit " * 200)
    given = {"storage": tmp_path / "runs", "name": "kept", "objectives": ("accuracy", PHONE), "budget": 10, "epochs": 1}
    first = search(device, {"repeats": 1}, **given)
    missing = first.history["latency_ms@phone_predicted"].notna().to_numpy()
    files = sorted((tmp_path / "runs").rglob("*.safetensors"))
    assert len(files) >= missing.sum() >= 4
    for row in range(len(first.front)):
        first.build(row)
    device.says("ok")
    second = search(device, {"repeats": 1}, **given)
    for row in range(len(second.front)):
        second.build(row)
    assert len(sorted((tmp_path / "runs").rglob("*.safetensors"))) == len(second.front)


@pytest.mark.slow
def test_a_file_of_known_size_is_as_it_is_delivered_for_targets_too(tmp_path: Path) -> None:
    sizes: list[int] = []
    given = {"targets": {"phone": lambda path: sizes.append(path.stat().st_size) or 1.0}}
    result = search(None, **given, objectives=("params", "file_bytes", PHONE), budget=2)
    assert set(result.history["file_bytes"]) <= set(sizes)


def test_the_report_writes_the_targets_of_the_call_down(tmp_path: Path) -> None:
    device = Device(tmp_path / "device", "ok")
    targets = {"phone": device.target(), "own": lambda path: path.stat().st_size / 1e4}
    result = search(None, targets=targets, budget=1, objectives=("params", PHONE, "latency_ms@own"))
    text = result.report(tmp_path / "page.html").read_text()
    assert "measure}" in text
    assert "measure: your function, which is not in the record" in text
    assert "device offline" in text  # of the command
    assert "give your own Metric" not in text
