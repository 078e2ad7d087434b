"""Targets: whatever a device answers, or does not, there is a measurement or a reason, and nothing is left running."""

from __future__ import annotations

import json
import math
import os
import re
import stat
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from searchkit.costs.targets.answers import read_output, read_value
from searchkit.costs.targets.asking import Question, ask, ask_all, run_command
from searchkit.costs.targets.prediction import LEAST, NO_MODEL, Measurement, predict
from searchkit.costs.targets.target import Target, read_targets, split_name
from searchkit.errors import DeviceError, SearchkitError, TargetError
from searchkit.runtime.torch_compat import no_onnx_log

ASKED = ("latency_ms",)


def python(code: str) -> tuple[str, ...]:
    """A command that runs Python code; its first argument is the file."""
    return (sys.executable, "-c", code, "{file}")


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    with warnings.catch_warnings(), no_onnx_log():
        warnings.simplefilter("ignore")  # of the tracing exporter, which is faster
        torch.onnx.export(layers.eval(), (torch.randn(1, 1, 8, 8),), path, dynamo=False)
    return path


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        ("4.25", 4.25),
        ("warm-up 3 runs\nmean: 4.25ms\n", 4.25),
        ("INFO 1 of 2\n1.5e-3", 0.0015),
        ("took 1,234.5 ms", 1234.5),
        ("conv2d_v3 took .5 s", 0.5),
    ],
)
def test_the_last_number_that_a_command_prints_is_its_answer(printed: str, found: float) -> None:
    assert read_output(printed, "latency_ms").values == {"latency_ms": found}


def test_an_object_names_several_metrics_and_texts_say_how() -> None:
    answer = read_output('starting 17\n{"latency_ms": 4.2, "energy_mj": 1, "runtime": "tflite 2"}\n', "latency_ms")
    assert answer.values == {"latency_ms": 4.2, "energy_mj": 1.0}
    assert answer.label == "runtime tflite 2"
    assert read_value(3, "energy_mj").values == {"energy_mj": 3.0}


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("", "printed nothing"),
        ("no device", "printed 'no device', in which there is no number"),
        ("0", "latency_ms = 0, which is no measurement"),
        ("took -3 ms", "latency_ms = -3, which is no measurement"),
        ("nan", "latency_ms = nan"),
        ("4 runs, mean inf", "latency_ms = inf"),
        ("took 4,2 ms", "a number has a point and no comma"),
        ('{"latency_ms": NaN}', "latency_ms = nan"),
        ('{"latency_ms": "4.2"}', "in which there is no number"),
        ('{"error": "battery is empty"}', "battery is empty"),
    ],
)
def test_nonsense_is_no_measurement(printed: str, said: str) -> None:
    with pytest.raises(TargetError, match=said.replace("(", r"\(")):
        read_output(printed, "latency_ms")


@pytest.mark.slow
@given(st.text(max_size=60))
def test_whatever_is_printed_there_is_a_positive_number_or_a_reason(printed: str) -> None:
    try:
        values = read_output(printed, "latency_ms").values
    except TargetError:
        return
    assert all(math.isfinite(value) and value >= 0 for value in values.values())


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_a_number_is_read_as_it_was_printed(value: float) -> None:
    assert read_output(f"latency: {value!r} ms", "latency_ms").values["latency_ms"] == pytest.approx(value, rel=1e-12)


def test_a_command_is_given_the_file_and_no_shell_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "a b; echo 9.onnx"
    path.write_bytes(b"x" * 42)
    size = Target(python("import os, sys; print(os.path.getsize(sys.argv[1]))"))
    assert ask(size, path, ASKED).values == {"latency_ms": 42.0}
    as_text = Target(f"{sys.executable} -c 'import sys; print(len(sys.argv), 7)' {{file}}")
    assert ask(as_text, path, ASKED).values == {"latency_ms": 7.0}


FAILS_TWICE = """
import pathlib, sys
seen = pathlib.Path(sys.argv[1] + ".seen")
n = len(seen.read_text()) if seen.exists() else 0
seen.write_text("x" * (n + 1))
sys.exit("device offline") if n < 2 else print(4.5)
"""


def test_a_measurement_is_repeated_a_bounded_number_of_times(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    assert ask(Target(python(FAILS_TWICE)), path, ASKED).values == {"latency_ms": 4.5}
    (tmp_path / "network.onnx.seen").unlink()
    with pytest.raises(TargetError, match=r"^ended with exit code 1: device offline \(2 attempts\)$"):
        ask(Target(python(FAILS_TWICE), repeats=2), path, ASKED)
    assert (tmp_path / "network.onnx.seen").read_text() == "xx"


@pytest.mark.slow
def test_a_late_command_is_ended_with_what_it_has_started(tmp_path: Path) -> None:
    left = tmp_path / "pid"
    code = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(left)!r}).write_text(str(child.pid))\n"
        "time.sleep(600)"
    )
    with pytest.raises(TargetError, match=r"gave no answer within 3 s$"):
        ask(Target(python(code), timeout=3, repeats=1), tmp_path, ASKED)
    assert gone(int(left.read_text()))


def gone(pid: int) -> bool:
    for _ in range(200):
        stat_file = Path(f"/proc/{pid}/stat")
        try:
            os.kill(pid, 0)
            if stat_file.exists() and stat_file.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_function_measures_is_repeated_and_is_not_waited_for(tmp_path: Path) -> None:
    calls: list[Path] = []

    def flaky(path: Path) -> dict[str, object]:
        calls.append(path)
        if len(calls) == 1:
            raise OSError("queue is full")
        return {"latency_ms": 2.0, "energy_mj": 0.5}

    assert ask(Target(flaky), tmp_path, ("energy_mj",)).values == {"latency_ms": 2.0, "energy_mj": 0.5}
    assert calls == [tmp_path, tmp_path]
    with pytest.raises(TargetError, match="answered None, which is no number"):
        ask(Target(lambda path: None, repeats=1), tmp_path, ASKED)
    with pytest.raises(TargetError, match=r"gave no answer within 0.2 s \(2 attempts\)"):
        ask(Target(lambda path: time.sleep(2), timeout=0.2, repeats=2), tmp_path, ASKED)
    with pytest.raises(TargetError, match="answered latency_ms, and not latencyms; did you mean latency_ms"):
        ask(Target(lambda path: 1.0, repeats=1), tmp_path, ("latencyms",))


@pytest.mark.slow
def test_a_program_that_takes_its_input_late_gets_all_of_it() -> None:
    code = "import sys, time; time.sleep(1); print(len(sys.stdin.buffer.read()))"
    assert run_command([sys.executable, "-c", code], 60, b"x" * 3_000_000) == "3000000\n"
    assert run_command([sys.executable, "-c", "import sys; print(sys.stdin.read() == '')"], 60) == "True\n"


def questions(**targets: Target) -> dict[str, Question]:
    return {name: Question(target, ASKED) for name, target in targets.items()}


def test_several_devices_are_asked_at_the_same_time_and_one_fails_alone(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=60)  # passed only by two at once

    def meet(path: Path) -> float:
        both.wait()
        return 1.0

    asked = questions(a=Target(meet, device="a"), bad=Target(lambda path: -1.0), b=Target(meet, device="b"))
    answers = ask_all(asked, tmp_path)
    assert list(answers) == ["a", "bad", "b"]
    assert [str(answers["bad"]), answers["a"], answers["b"]] == [
        "answered latency_ms = -1, which is no measurement: it has to be above 0 and finite (3 attempts)",
        read_value(1.0, "latency_ms"),
        read_value(1.0, "latency_ms"),
    ]


def test_targets_that_may_be_on_one_device_are_asked_one_after_another(tmp_path: Path) -> None:
    measuring = threading.Lock()

    def alone(path: Path) -> float:
        assert measuring.acquire(blocking=False)
        time.sleep(0.05)
        measuring.release()
        return 1.0

    for device in (None, "phone"):
        asked = questions(**{name: Target(alone, device=device, repeats=1) for name in "abc"})
        assert [answer.values for answer in ask_all(asked, tmp_path).values()] == [{"latency_ms": 1.0}] * 3
    assert Target("ssh://me@pi:22").place == Target("ssh://you@pi").place == Target("x {file}", device="pi").place
    assert Target("ssh://a").place != Target("ssh://b").place != Target("x {file}").place


def test_what_was_started_elsewhere_ends_with_an_interruption(tmp_path: Path) -> None:
    left = tmp_path / "pid"
    code = f"import os, time; open({str(left)!r}, 'w').write(str(os.getpid())); time.sleep(600)"

    def interrupted(path: Path) -> float:
        while not (left.exists() and left.read_text()):
            time.sleep(0.01)
        raise KeyboardInterrupt

    slow = Target(python(code), device="slow", timeout=600)
    hangs = Target(lambda path: time.sleep(60), device="hangs", timeout=600)
    with pytest.raises(KeyboardInterrupt):
        ask_all(questions(slow=slow, hangs=hangs, own=Target(interrupted)), tmp_path)
    assert gone(int(left.read_text()))


STAND_IN = """#!{python}
import os, subprocess, sys
arguments = sys.argv[1:]
host, command = arguments[-2:]
if "away" in host:
    sys.exit("ssh: Could not resolve hostname away: Name or service not known")
os.chdir({folder!r})
sys.exit(subprocess.run(["sh", "-c", command], env={{"PATH": {path!r}}}).returncode)
"""


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `ssh` on the path that runs the command on this machine, in another folder and without searchkit."""
    folder, there = tmp_path / "bin", tmp_path / "there"
    folder.mkdir()
    there.mkdir()
    program = folder / "ssh"
    program.write_text(STAND_IN.format(python=sys.executable, folder=str(there), path=os.environ["PATH"]))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return there


@pytest.mark.slow
def test_an_ssh_target_is_sent_its_runner_and_says_its_versions(ssh: Path, network: Path) -> None:
    answer = ask(Target("ssh://me@pi:2222", python=sys.executable), network, ASKED)
    assert 0 < answer.values["latency_ms"] < 100
    assert answer.values["latency_ms_spread"] >= 0
    assert answer.texts["onnxruntime"] == onnxruntime.__version__
    assert not list(ssh.iterdir())  # nothing is left there


def test_what_an_ssh_target_lacks_is_said_in_a_sentence(ssh: Path, network: Path, tmp_path: Path) -> None:
    once = {"repeats": 1, "python": sys.executable}
    with pytest.raises(TargetError, match="exit code 1: ssh: Could not resolve hostname away"):
        ask(Target("ssh://away", **once), network, ASKED)
    with pytest.raises(TargetError, match="nopython"):
        ask(Target("ssh://pi", repeats=1, python="nopython"), network, ASKED)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(TargetError, match=f"its onnxruntime {onnxruntime.__version__} cannot run the network"):
        ask(Target("ssh://pi", **once), broken, ASKED)
    bare = tmp_path / "bare"  # a Python without the libraries
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(TargetError, match="lacks numpy: install numpy and onnxruntime there"):
        ask(Target("ssh://pi", repeats=1, python=str(bare)), network, ASKED)


def test_the_runner_needs_nothing_but_its_two_libraries(network: Path) -> None:
    from searchkit.costs.targets.asking import RUNNER

    assert "import searchkit" not in RUNNER.read_text()
    ended = subprocess.run([sys.executable, "-I", "-"], input=RUNNER.read_bytes(), capture_output=True, check=True)
    assert "cannot run the network" in json.loads(ended.stdout)["error"]


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (["phone"], "targets are a mapping"),
        ({"a phone": "x {file}"}, "the name of a target has letters"),
        ({"phone": "adb-bench.sh"}, "as in 'adb-bench.sh {file}'"),
        (
            {"phone": "no-such-program {file}"},
            "target 'phone' is asked with 'no-such-program', a program that this machine",
        ),
        ({"phone": "echo '{file}"}, "cannot be read: No closing quotation"),
        ({"pi": "ssh://"}, "an ssh target is ssh://user@host"),
        ({"pi": "ssh://me:secret@pi"}, "an ssh target is ssh://user@host"),
        ({"pi": "ssh://-oProxyCommand=x"}, "an ssh target is ssh://user@host"),
        ({"pi": 3}, "target 'pi': a target is a command with {file} in it"),
        ({"pi": {"how": "here", "timeuot": 3}}, "unknown setting of a target 'timeuot'.*Did you mean 'timeout'"),
        ({"pi": {"timeout": 3}}, "its settings lack how"),
        ({"pi": {"how": "here", "timeout": 0}}, "timeout of a target is a number of seconds above 0, not 0"),
        ({"pi": {"how": "here", "repeats": 0}}, "repeats of a target is a whole number from 1 to 100, not 0"),
        ({"pi": {"how": "here", "metric": "a b"}}, "metric of a target is a name"),
        ({"pi": {"how": "here", "device": ""}}, "device of a target is a name such as 'phone', not ''"),
    ],
)
def test_a_target_that_cannot_be_is_refused_in_a_sentence(targets: object, said: str) -> None:
    pattern = ".*".join(re.escape(part) for part in said.split(".*"))
    with pytest.raises(SearchkitError, match=pattern) as raised:
        read_targets(targets)
    assert "\n" not in str(raised.value)
    assert raised.value.__class__ is not SearchkitError


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(SearchkitError, match="an ssh target is ssh://user@host") as raised:
        read_targets({"pi": "ssh://me:secret@pi"})
    assert "secret" not in str(raised.value)


def test_a_target_is_described_for_the_record_and_can_be_given_again() -> None:
    given = {"pi": Target("ssh://me@pi", timeout=5), "lab": Target(lambda path: 1.0), "cat": ("cat", "{file}")}
    read = read_targets({**given, "pi": Target("here", timeout=5)})
    assert read["pi"].given == {"how": "here", "timeout": 5}
    assert read_targets({"pi": read["pi"].given})["pi"] == read["pi"]
    assert read["cat"].given == ["cat", "{file}"]
    assert read["lab"].given is None
    assert read["lab"].described != Target(lambda path: 2.0).described
    assert Target("ssh://me@pi:22").address == ("me@pi", "22")
    assert Target("ssh://[fe80::1]").address == ("fe80::1", None)
    assert split_name("latency_ms@phone") == ("latency_ms", "phone")
    assert split_name("latency_ms") is None


def measurements(n: int, noise: float) -> list[Measurement]:
    """Latencies of 0.2 ms and 1 ns per MAC, half of the candidates with a slow operation that doubles the latter."""
    rng = np.random.default_rng(0)
    macs, slow = 10 ** rng.uniform(5, 8, n), rng.integers(2, size=n)
    latency = (0.2 + 1e-6 * macs * (1 + slow)) * np.exp(noise * rng.standard_normal(n))
    codes = np.column_stack([slow, rng.integers(3, size=(n, 2))])
    return [Measurement(code, m / 10, m, v) for code, m, v in zip(codes, macs.tolist(), latency.tolist(), strict=True)]


def test_a_prediction_is_nearer_than_the_mean_and_knows_its_error() -> None:
    every = measurements(80, 0.05)
    known, others = every[:40], every[40:]
    made = [predict(known, one.code, one.params, one.macs) for one in others]
    errors = np.log([one.value for one in made]) - np.log([one.value for one in others])
    assert np.std(errors) < 0.5 * np.std(np.log([one.value for one in others]))
    stated = made[0].error
    assert 0.5 < np.std(errors) / stated < 2
    assert made[0].n == 40


def test_without_a_few_measurements_the_mean_stands_in_and_decides_nothing() -> None:
    known = measurements(LEAST - 1, 0.0)
    made = predict(known, known[0].code, 1.0, 1.0)
    assert made.value == pytest.approx(np.exp(np.mean(np.log([one.value for one in known]))))
    assert made.error == NO_MODEL
    alike = [Measurement(np.zeros(3, dtype=np.int64), 5.0, 5.0, 2.0)] * LEAST
    assert predict(alike, alike[0].code, 7.0, 7.0).value == pytest.approx(2.0)


def test_a_program_that_is_gone_by_now_is_a_reason() -> None:
    with pytest.raises(TargetError, match="cannot be asked: FileNotFoundError"):
        run_command(["no-such-program"], 5)
    with pytest.raises(DeviceError, match="no-such-program"):
        read_targets({"phone": ["no-such-program", "{file}"]})


@pytest.mark.parametrize(
    "output",
    [
        "{'latency_ms': 4.2, 'runs': 100}",
        'log\n{\n "latency_ms": 4.2,\n "runs": 100\n}',
        '[{"latency_ms": 4.2, "runs": 100}]',
        '{"latency_ms": 4.2}\nDone in 12 s',
        '{"latency_ms": 1' + 5000 * "0" + "}",
        '{"a":' * 50_000 + "1",
        '{"latency_ms": 1' + 400 * "0" + "}",
        '{"error": 5, "latency_ms": 3}',
        "1_000",
        "12_000 us",
    ],
)
def test_what_may_be_another_number_than_meant_is_refused(output: str) -> None:
    with pytest.raises(TargetError, match=r"."):
        read_output(output, "latency_ms")


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ("config {'threads': 4}\n4.2", 4.2),
        ("1,234.5 us", 1234.5),
        ("took 4.2ms", 4.2),
        ("-> 1e-3", 1e-3),
        ("x" * 99_999 + "\n7", 7.0),
    ],
)
def test_the_last_number_counts_whatever_was_printed_before(output: str, value: float) -> None:
    assert read_output(output, "latency_ms").values == {"latency_ms": value}
