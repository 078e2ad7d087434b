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
from searchkit.errors import LONGEST_REASON, SearchkitError, message_of, readable

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


@pytest.mark.parametrize("make", RAISED.values(), ids=RAISED)
def test_what_evaluate_raises_fails_the_candidate_only(make: Callable[[], BaseException], tmp_path: Path) -> None:
    result = searchkit.run(
        "random", space=SPACE, evaluate=lambda choices: _raises(make, choices), objectives={"loss": "min"}, budget=12,
        storage=tmp_path, name="s",
    )  # fmt: skip
    assert {trial.state for trial in result.trials} == {"scored", "failed"}
    assert len(result.trials) == 12
    _assert_recorded_and_shown(result, tmp_path)


@pytest.mark.slow
def test_what_evaluate_raises_in_a_worker_process_fails_the_candidate_only(tmp_path: Path) -> None:
    """All of it in one search, since starting workers takes longer than all that they do."""
    kinds = list(RAISED.values())
    result = searchkit.run(
        "random", space=Space([Choice("i", range(2 * len(kinds)))]), objectives={"loss": "min"}, executor=2,
        evaluate=lambda choices: _raises(kinds[choices["i"] // 2], choices), budget=2 * len(kinds), storage=tmp_path,
        name="s", start=[{"i": 0}],
    )  # fmt: skip
    ended = {int(trial.code[0]): trial.state for trial in result.trials}
    assert ended == {i: "failed" if i % 2 else "scored" for i in range(2 * len(kinds))}
    _assert_recorded_and_shown(result, tmp_path)


def _assert_recorded_and_shown(result: searchkit.Result, folder: Path) -> None:
    for found in (result, searchkit.load("s", storage=folder)):
        for trial in found.trials:
            if trial.state == "failed":
                assert trial.reason
                assert len(trial.reason) <= LONGEST_REASON
        found.history.to_string().encode("utf-8")
        found.report(folder / "report.html")
    assert (folder / "s.journal").stat().st_size < 200_000
    assert main(["show", "s", "--storage", str(folder), "--history"]) == 0


@pytest.mark.filterwarnings("ignore:proxy 'naswot' has no score")
@pytest.mark.parametrize("executor", [None, pytest.param("interleaved", marks=pytest.mark.slow)])
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


@pytest.mark.parametrize("executor", [pytest.param(None, marks=pytest.mark.slow), "interleaved"])
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


def _one_that_is_not_built(make: Callable[[], BaseException]) -> NetworkSpace:
    def build(choices: Any, input_shape: Any, n_classes: int) -> nn.Module:
        if choices["width"] == 3:
            raise make()
        return nn.Sequential(nn.Flatten(), nn.Linear(64, choices["width"]), nn.ReLU(), nn.LazyLinear(n_classes))

    return NetworkSpace([Choice("width", (2, 3, 4, 5))], build, input_shape=(1, 8, 8), n_classes=10)


@pytest.mark.filterwarnings("ignore:proxy")
@pytest.mark.parametrize("make", RAISED.values(), ids=RAISED)
def test_a_network_that_cannot_be_built_takes_no_other_s_score(make: Callable[[], BaseException]) -> None:
    table = searchkit.score(_one_that_is_not_built(make), 4, proxies=("params", "macs", "structure"), seed=1)
    table = table.set_index("width")
    assert table.loc[[2, 4, 5], ["params", "macs"]].notna().all().all()
    assert table.loc[3, ["params", "macs"]].isna().all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:proxy")
@pytest.mark.parametrize(
    "proxies", [pytest.param("default", marks=pytest.mark.thorough), ("params", "macs"), ("grad_norm",)]
)
@pytest.mark.parametrize("make", RAISED.values(), ids=RAISED)
def test_what_build_raises_in_the_proxy_layer_fails_the_candidate_only(
    make: Callable[[], BaseException], proxies: Any
) -> None:
    result = searchkit.run(
        "random", space=_one_that_is_not_built(make), epochs=1, budget=4, batch=1, storage="memory", proxies=proxies,
    )  # fmt: skip
    assert sorted(trial.state for trial in result.trials) == ["failed", "scored", "scored", "scored"]


@pytest.mark.filterwarnings("ignore:proxy")
@pytest.mark.parametrize("make", RAISED.values(), ids=RAISED)
def test_a_proxy_that_raises_has_no_score_for_the_candidate(make: Callable[[], BaseException]) -> None:
    class Odd:
        name = "odd"

        def score(self, codes: Any) -> Any:
            if (codes[:, 0] % 2).any():
                raise make()
            return codes[:, 0].astype(float)

    table = searchkit.score(SPACE, 10, proxies=(Odd(),), seed=2)
    assert table.odd.notna().tolist() == [i % 2 == 0 for i in table.i]


@pytest.mark.parametrize("name", ["", None, 5, "caf\udce9", "a\0b"])
def test_a_name_that_no_table_can_hold_is_refused_where_it_is_given(name: Any) -> None:
    class Own:
        def score(self, codes: Any) -> Any:
            return codes[:, 0].astype(float)

    own = Own()
    own.name = name  # type: ignore[attr-defined]
    calls: list[Callable[[], Any]] = [
        lambda: Choice(name, (1, 2)),
        lambda: searchkit.Metric(name, lambda network: 1.0),
        lambda: searchkit.score(SPACE, 2, proxies=(own,)),
        lambda: searchkit.run(
            "random", space=SPACE, evaluate=lambda choices: {name: 1.0}, objectives={name: "min"}, storage="memory"
        ),
    ]
    for call in calls:
        with pytest.raises(SearchkitError, match="'s name (is a non-empty string|has characters)"):
            call()


def test_an_extra_value_of_any_name_and_kind_harms_nothing(tmp_path: Path) -> None:
    class Exits:
        def __float__(self) -> float:
            raise SystemExit

    result = searchkit.run(
        "random", space=SPACE, evaluate=lambda choices: {"loss": 1.0, "a\udcff": 2.0, "odd": Exits()}, budget=2,
        objectives={"loss": "min"}, storage=tmp_path, name="s",
    )  # fmt: skip
    for found in (result, searchkit.load("s", storage=tmp_path)):
        assert "a\\udcff" in found.history.columns
        found.history.to_string().encode("utf-8")
    assert main(["show", "s", "--storage", str(tmp_path), "--history"]) == 0


@pytest.mark.parametrize(
    "given",
    [
        {"budget": 10**400},
        {"budget": {"evaluations": 2, "seconds": 10**400}},
        {"constraints": {"loss": 10**400}},
        {"constraints": {"loss": (0, 10**400)}},
        {"time_limit": 10**400},
    ],
    ids=lambda given: next(iter(given)),
)
def test_a_number_beyond_every_float_is_refused_with_its_beginning(given: dict[str, Any]) -> None:
    with pytest.raises(SearchkitError, match="1000") as raised:
        searchkit.run(
            "random", space=SPACE, evaluate=lambda choices: {"loss": 1.0}, objectives={"loss": "min"},
            storage="memory", **{"budget": 2} | given,
        )  # fmt: skip
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("make", RAISED.values(), ids=RAISED)
def test_a_strategy_that_cannot_be_made_is_named(make: Callable[[], BaseException]) -> None:
    def strategy(problem: Any) -> Any:
        raise make()

    with pytest.raises(SearchkitError, match="strategy 'strategy' cannot be made for this search: ") as raised:
        searchkit.run(
            strategy, space=SPACE, evaluate=lambda choices: {"loss": 1.0}, objectives={"loss": "min"}, storage="memory"
        )
    assert len(str(raised.value)) < 2000


@pytest.mark.parametrize("where", ["on_start", "on_end"])
@pytest.mark.parametrize("error", [StopIteration, GeneratorExit, KeyError])
def test_what_a_callback_raises_around_a_search_is_passed_on_as_it_is(where: str, error: type[BaseException]) -> None:
    class Watching:
        def __call__(self, trial: Any, trials: Any) -> None: ...

    def raising(*_: object) -> None:
        raise error("mine")

    setattr(Watching, where, raising)
    with pytest.raises(error, match="mine"):
        searchkit.run(
            "random", space=SPACE, evaluate=lambda choices: {"loss": 1.0}, objectives={"loss": "min"}, budget=2,
            storage="memory", callbacks=Watching(),
        )  # fmt: skip
