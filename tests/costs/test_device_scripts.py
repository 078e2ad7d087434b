"""The scripts of the page on devices, with stand-ins for the programs that reach a device."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from searchkit.cli import main
from searchkit.costs.targets.asking import ask
from searchkit.costs.targets.target import Target

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "devices.md").read_text()
SCRIPTS = [block for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE) if block[0] == "#"]
PHONE, BOARD, LAB = SCRIPTS

# what the programs on a device print, with a time that depends on the file
PERF_TEST = """for file; do :; done
echo "Session creation time cost: 0.0101 s"
echo "First inference time cost: 9 ms"
echo "Total inference time cost: 0.06 s"
echo "Average inference time cost{kind}: $(stat -c %s $file).5 ms"
echo "Inferences per second: 8.8"
"""
TRTEXEC = """file=${1#--onnx=}
time=$(stat -c %s $file).5
echo "[11/30/2026-10:00:00] [I] Latency: min = 0.1 ms, max = 9 ms, mean = 0.7 ms, median = 0.7 ms"
echo "[11/30/2026-10:00:00] [I] GPU Compute Time: min = 0.1 ms, max = 9 ms, mean = $time ms, median = 0.6 ms"
echo "a warning" >&2
"""


@pytest.fixture
def reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder first on the path, where a test puts programs; the device's files are in ``tmp_path / "device"``."""
    programs, device = tmp_path / "programs", tmp_path / "device"
    programs.mkdir()
    device.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return programs


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\nset -e\n{text}")
    path.chmod(0o755)
    return path


def script(tmp_path: Path, name: str, text: str) -> Path:
    """A script of the page, whose folders on the device are folders of the test."""
    path = tmp_path / name
    path.write_text(re.sub(r"(/data/local/tmp|/shared/bench|(?<=[:= ])/tmp)\b", str(tmp_path / "device"), text))
    path.chmod(0o755)
    return path


def with_adb(reach: Path, device: Path, kind: str) -> None:
    program(device / "onnxruntime_perf_test", PERF_TEST.replace("{kind}", kind))
    program(reach / "adb", 'what=$1; shift\ncase $what in push) cp "$1" "$2";; shell) sh -c "$*";; esac\n')


def with_ssh(reach: Path) -> None:
    """``ssh`` and ``scp`` that take this machine for every host, with a ``python3`` that has what a host needs."""
    program(reach / "python3", f'exec {shlex.quote(sys.executable)} "$@"\n')
    program(reach / "ssh", 'while [ "${1#-}" != "$1" ]; do case $1 in -o|-p) shift;; esac; shift; done\n'
            '[ "$1" != -- ] || shift\nshift\nexec sh -c "$*"\n')  # fmt: skip
    program(reach / "scp", 'for to; do :; done\nwhile [ "$1" = -q ] || [ "$1" = -o ]; do '
            'if [ "$1" = -o ]; then shift; fi; shift; done\ncp "$1" "${to#*:}"\n')  # fmt: skip
    program(reach / "trtexec", TRTEXEC)


def with_sbatch(reach: Path) -> None:
    program(reach / "bench", 'echo "Average of 200 runs: $(stat -c %s $2).5"\n')
    program(reach / "sbatch", 'for word; do case $word in --output=*) log=${word#*=};; --wrap=*) job=${word#*=};; '
            '--partition=*) [ "$word" = --partition=stm32 ];; esac; done\nsh -c "$job" > $log\n')  # fmt: skip


@pytest.mark.parametrize("kind", ["", " total"])
def test_the_script_for_a_phone_prints_milliseconds_and_leaves_nothing(reach: Path, tmp_path: Path, kind: str) -> None:
    with_adb(reach, tmp_path / "device", kind)
    assert asked(tmp_path, script(tmp_path, "phone.sh", PHONE)) == 3.5
    assert [file.name for file in (tmp_path / "device").iterdir()] == ["onnxruntime_perf_test"]


def test_the_script_for_a_board_prints_milliseconds_and_leaves_nothing(reach: Path, tmp_path: Path) -> None:
    with_ssh(reach)
    assert asked(tmp_path, script(tmp_path, "board.sh", BOARD)) == 3.5
    assert not list((tmp_path / "device").iterdir())


def test_the_script_for_a_queue_prints_milliseconds_and_leaves_nothing(reach: Path, tmp_path: Path) -> None:
    with_sbatch(reach)
    assert asked(tmp_path, script(tmp_path, "lab.sh", LAB), "stm32") == 3.5
    assert not list((tmp_path / "device").iterdir())


@pytest.mark.slow
def test_the_command_of_the_page_asks_all_three(
    reach: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_adb(reach, tmp_path / "device", "")
    with_ssh(reach)
    with_sbatch(reach)
    script(tmp_path, "phone.sh", PHONE)
    script(tmp_path, "lab.sh", LAB)
    monkeypatch.chdir(tmp_path)
    (command,) = re.findall(r"^searchkit (run .*?[^\\])$", PAGE, re.DOTALL | re.MULTILINE)
    words = shlex.split(command.replace("\\\n", " ").replace("<=8", "<=1e9"))  # the files have more bytes than 8
    assert (
        main([*words, "--budget", "2", "--epochs", "1", "--workers", "1", "--no-baselines", "--proxies", "none"]) == 0
    )
    told = capsys.readouterr().out
    assert all(f"latency_ms@{name}" in told for name in ("phone", "lab", "pi"))


def asked(tmp_path: Path, path: Path, *more: str) -> float:
    """What a script answers of a file of three bytes."""
    file = tmp_path / "candidate.onnx"
    file.write_bytes(b"abc")
    return ask(Target([str(path), "{file}", *more], repeats=1), file, ("latency_ms",)).values["latency_ms"]
