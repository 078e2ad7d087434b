"""What goes wrong in a user's strategy, space, function or network is said in one sentence, with what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import searchkit
from searchkit import Choice, NetworkSpace, Space
from searchkit.errors import SearchkitError, SpaceError

SPACE = Space([Choice("i", range(6)), Choice("j", range(3))])


def loss(choices: dict[str, Any]) -> dict[str, float]:
    return {"loss": choices["i"]}


class Faulty:
    """A strategy of a user's that fails at its n-th call."""

    def __init__(self, problem: Any, where: str, what: BaseException | None) -> None:
        self.problem, self.where, self.what, self.n = problem, where, what, 0

    def ask(self, n: int, rng: np.random.Generator, pending: Any) -> Any:
        self.fail("ask")
        return np.full((n, 7), 9) if self.what is None and self.n > 2 else self.problem.sample(n, rng)

    def tell(self, told: Any) -> None:
        self.fail("tell")

    def fail(self, where: str) -> None:
        self.n += where == self.where
        if self.n > 2 and where == self.where and self.what is not None:
            raise self.what


def faulty(where: str, what: BaseException | None) -> Any:
    def mine(problem: Any) -> Faulty:
        return Faulty(problem, where, what)

    return mine


@pytest.mark.parametrize("where", ["ask", "tell"])
@pytest.mark.parametrize("what", [ValueError("no idea"), SystemExit(3), SpaceError("no idea")])
def test_a_strategy_that_fails_is_named_and_the_record_is_kept(where: str, what: BaseException, tmp_path: Path) -> None:
    def search(strategy: Any) -> Any:
        return searchkit.run(
            strategy, space=SPACE, evaluate=loss, objectives={"loss": "min"}, budget=6, batch=1, storage=tmp_path,
            name="s",
        )  # fmt: skip

    with pytest.raises(SearchkitError, match=rf"strategy '.*mine.*' failed in {where}: .*the same name=") as raised:
        search(faulty(where, what))
    assert raised.value.__cause__ is what
    done = len(searchkit.load("s", tmp_path).history)
    assert done >= 2
    assert len(search("random").history) == 6


def test_what_a_strategy_proposes_that_is_no_candidate_is_its_fault() -> None:
    with pytest.raises(SpaceError, match="strategy '.*mine.*' failed in ask: candidates of space 'custom' have 2"):
        searchkit.run(
            faulty("ask", None), space=SPACE, evaluate=loss, objectives={"loss": "min"}, budget=6, batch=1,
            storage="memory",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("canonical", "said"),
    [
        (lambda codes: codes[:, 9], r"raised IndexError: .* it is a function of codes \(n, d\)"),
        (lambda codes: None, r"returned shape \(\) and type object for codes of shape \(1, 2\)"),
        (lambda codes: codes[:, :1], r"returned shape \(1, 1\)"),
        (lambda codes: codes + 0.5, r"returned shape \(1, 2\) and type float64"),
        (lambda codes: codes + 100, "returned an option that a choice does not have"),
        (lambda codes: [["a", "b"]], "returned shape"),
    ],
)
def test_a_canonical_that_raises_or_returns_something_else(canonical: Any, said: str) -> None:
    space = Space(SPACE.choices, canonical=canonical, name="mine")
    with pytest.raises(SpaceError, match=f"canonical of space 'mine' {said}"):
        space.check([[1, 1]])


def test_a_canonical_that_changes_what_it_is_given_changes_no_codes() -> None:
    def canonical(codes: Any) -> Any:
        codes[:, 1] = 0
        return codes

    codes = np.array([[1, 1]])
    assert Space(SPACE.choices, canonical=canonical).check(codes).tolist() == [[1, 0]]
    assert codes.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (pd.Series({"loss": 1.0}), r"evaluate returned Series, not a mapping of loss: return dict\(series\)"),
        ({"loss": 1.0, 1: 2.0, "1": 3.0}, "evaluate returned values for 1 and for '1', which are both recorded as '1'"),
    ],
)
def test_what_evaluate_returns(returned: Any, said: str) -> None:
    with pytest.raises(SearchkitError, match=said):
        searchkit.run(
            "random", space=SPACE, evaluate=lambda choices: returned, objectives={"loss": "min"}, budget=1,
            storage="memory",
        )  # fmt: skip


class Network(nn.Module):
    def __init__(self, width: int, dtype: Any = None, decides: bool = False) -> None:
        super().__init__()
        layers = nn.Linear(64, width, dtype=dtype), nn.ReLU(), nn.Linear(width, 10, dtype=dtype)
        self.layers, self.decides = nn.Sequential(nn.Flatten(), *layers), decides

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return 2 * y if self.decides and y.sum() > 0 else y


def networks(**given: Any) -> NetworkSpace:
    def build(choices: dict[str, Any], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        return Network(choices["width"], **given)

    return NetworkSpace([Choice("width", (2, 3))], build, input_shape=(1, 8, 8), n_classes=10)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("objective", ["accuracy", "naswot"])
def test_a_network_in_half_precision_is_told_what_inputs_are(dtype: torch.dtype, objective: str) -> None:
    with pytest.raises(SearchkitError, match=r"Inputs are float32: .* converts them in its forward .* or is built in"):
        searchkit.run("random", space=networks(dtype=dtype), objectives=objective, budget=1, epochs=1, storage="memory")


@pytest.mark.slow
def test_an_export_that_depends_on_values_prints_nothing_of_torchs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = searchkit.run(
        "random", space=networks(decides=True), objectives="accuracy", budget=1, epochs=1, storage="memory"
    )
    capfd.readouterr()
    with pytest.raises(SearchkitError, match="cannot be exported as ONNX: .*ata-dependent"):
        result.export(0, tmp_path / "x")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_nothing_is_written_in_the_place_of_a_pipe_or_a_device(kind: str, tmp_path: Path) -> None:
    result = searchkit.run("random", space=SPACE, evaluate=loss, objectives={"loss": "min"}, budget=3, storage="memory")
    page, picture = tmp_path / "x.html", tmp_path / "x.png"
    for path in (page, picture):
        if kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/null")
    for write, path in ((result.report, page), (result.plot, page), (result.plot, picture)):
        with pytest.raises(SearchkitError, match=f"'{path}' is a {kind}, which the .* would replace: give"):
            write(path)
        assert path.is_fifo() if kind == "pipe" else path.is_char_device()


def test_an_export_does_not_replace_a_pipe(tmp_path: Path) -> None:
    result = searchkit.run("random", space=networks(), objectives="accuracy", budget=1, epochs=1, storage="memory")
    os.mkfifo(tmp_path / "x.onnx")
    with pytest.raises(SearchkitError, match=r"x.onnx' is a pipe, which a file would replace"):
        result.export(0, tmp_path / "x")
    assert (tmp_path / "x.onnx").is_fifo()
    assert os.listdir(tmp_path) == ["x.onnx"]
