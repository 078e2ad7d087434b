"""Whatever a user's code raises is the candidate's failure, and whatever it says can be recorded and shown."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace, Space
from searchkit.cli import main
from searchkit.errors import LONGEST_REASON, message_of, readable

SPACE = Space([Choice("i", range(40))])


class UnsaidError(Exception):
    """Its message cannot be made."""

    def __str__(self) -> str:
        raise ValueError("no message")


class OwnBaseError(BaseException):
    """Not even an Exception."""


RAISED: dict[str, Callable[[], BaseException]] = {
    "cancelled": asyncio.CancelledError,
    "generator exit": GeneratorExit,
    "system exit": lambda: SystemExit(3),
    "own": lambda: OwnBaseError("own words"),
    "unsaid": UnsaidError,
    "stop iteration": StopIteration,
    "surrogate": lambda: ValueError("no file 'caf\udce9.png'"),
    "null": lambda: ValueError("a\0b"),
    "long": lambda: ValueError("x" * 2_000_000),
}


def _raises(make: Callable[[], BaseException], choices: dict[str, Any]) -> dict[str, float]:
    if choices["i"] % 2:
        raise make()
    return {"loss": float(choices["i"])}


@pytest.mark.parametrize("executor", [None, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("make", RAISED.values(), ids=RAISED)
def test_what_evaluate_raises_fails_the_candidate_only(
    make: Callable[[], BaseException], executor: Any, tmp_path: Path
) -> None:
    result = searchkit.run(
        "random", space=SPACE, evaluate=lambda choices: _raises(make, choices), objectives={"loss": "min"}, budget=12,
        executor=executor, storage=tmp_path, name="s",
    )  # fmt: skip
    assert {trial.state for trial in result.trials} == {"scored", "failed"}
    assert len(result.trials) == 12
    for found in (result, searchkit.load("s", storage=tmp_path)):
        for trial in found.trials:
            if trial.state == "failed":
                assert trial.reason
                assert len(trial.reason) <= LONGEST_REASON
        found.history.to_string().encode("utf-8")
        found.report(tmp_path / "report.html")
    assert (tmp_path / "s.journal").stat().st_size < 200_000
    assert main(["show", "s", "--storage", str(tmp_path), "--history"]) == 0


@pytest.mark.filterwarnings("ignore:proxy 'naswot' has no score")
@pytest.mark.parametrize("executor", [None, "interleaved"])
@pytest.mark.parametrize("make", RAISED.values(), ids=RAISED)
def test_what_build_raises_fails_the_candidate_only(make: Callable[[], BaseException], executor: Any) -> None:
    def build(choices: Any, input_shape: Any, n_classes: int) -> nn.Module:
        if choices["width"] == 3:
            raise make()
        width = choices["width"]
        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, n_classes))

    space = NetworkSpace([Choice("width", (2, 3, 4, 5))], build, input_shape=(1, 8, 8), n_classes=10)
    result = searchkit.run(
        "random", space=space, objectives=("accuracy", "params"), epochs=1, budget=4, batch=1, storage="memory",
        proxies=["naswot"], executor=executor,
    )  # fmt: skip
    assert sorted(trial.state for trial in result.trials) == ["failed", "scored", "scored", "scored"]


class _Stubborn(nn.Module):
    def forward(self, x: Any) -> Any:
        raise RuntimeError("this layer is not ready")


@pytest.mark.parametrize("executor", [None, "interleaved"])
def test_every_candidate_without_a_signal_has_the_reason_and_not_the_first_alone(executor: Any) -> None:
    def build(choices: Any, input_shape: Any, n_classes: int) -> nn.Module:
        middle = _Stubborn() if choices["width"] > 7 else nn.ReLU()
        return nn.Sequential(nn.Flatten(), nn.Linear(64, choices["width"]), middle, nn.Linear(choices["width"], 10))

    space = NetworkSpace([Choice("width", range(2, 10))], build, input_shape=(1, 8, 8), n_classes=10, count=_params)
    result = searchkit.run(
        "random", space=space, objectives=("grad_norm", "params"), budget=8, storage="memory", executor=executor
    )
    failed = [trial for trial in result.trials if trial.state == "failed"]
    assert len(failed) == 2
    assert {trial.reason for trial in failed} == {
        "proxy 'grad_norm' has no score for it: RuntimeError: this layer is not ready"
    }


def _params(space: NetworkSpace, codes: Any) -> dict[str, Any]:
    return {"params": 10.0 + codes[:, 0], "macs": 10.0 + codes[:, 0]}


def test_ctrl_c_still_ends_a_search() -> None:
    def evaluate(choices: Any) -> dict[str, float]:
        raise KeyboardInterrupt

    assert searchkit.run("random", space=SPACE, evaluate=evaluate, objectives={"loss": "min"}).stopped == "interrupted"


def test_a_reason_of_an_older_record_is_shown_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    searchkit.run(
        "random", space=SPACE, evaluate=lambda choices: _raises(lambda: ValueError("REASON"), choices), budget=12,
        objectives={"loss": "min"}, storage=tmp_path, name="s",
    )  # fmt: skip
    path = tmp_path / "s.journal"
    older = re.sub(',"checksum":"[0-9a-f]{8}"', "", path.read_text())
    path.write_text(older.replace("REASON", json.dumps("caf\udce9" + "y" * 5000)[1:-1]))
    result = searchkit.load("s", storage=tmp_path)
    result.history.to_string().encode("utf-8")
    assert max(len(trial.reason or "") for trial in result.trials) <= LONGEST_REASON
    assert main(["show", "s", "--storage", str(tmp_path), "--history"]) == 0
    capsys.readouterr().out.encode("utf-8")


def test_messages_are_made_readable() -> None:
    assert message_of(UnsaidError()) == "its message cannot be made: ValueError"
    assert message_of(ValueError("as it is")) == "as it is"
    assert readable("caf\udce9\0") == "caf\\udce9\\x00"
    assert readable("first\nsecond\tthird") == "first\nsecond\tthird"
    long = readable("a" * 5000 + "end")
    assert len(long) == LONGEST_REASON
    assert long.endswith("end")


@pytest.mark.parametrize("executor", [None, "interleaved"])
@pytest.mark.parametrize("make", RAISED.values(), ids=RAISED)
def test_what_a_forward_pass_raises_fails_the_candidate_only(make: Callable[[], BaseException], executor: Any) -> None:
    class Raises(nn.Module):
        def __init__(self, now: bool) -> None:
            super().__init__()
            self.layer, self.now = nn.Linear(64, 10), now

        def forward(self, x: Any) -> Any:
            if self.now:
                raise make()
            return self.layer(x.flatten(1))

    space = NetworkSpace(
        [Choice("now", (False, True)), Choice("other", (1, 2))],
        lambda choices, input_shape, n_classes: Raises(choices["now"]), input_shape=(1, 8, 8), n_classes=10,
    )  # fmt: skip
    result = searchkit.run(
        "random",
        space=space,
        objectives=("accuracy",),
        epochs=1,
        budget=4,
        batch=1,
        storage="memory",
        executor=executor,
    )
    assert sorted(trial.state for trial in result.trials) == ["failed", "failed", "scored", "scored"]
