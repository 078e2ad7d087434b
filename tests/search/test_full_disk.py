"""Trained weights that cannot be written stop the search, are nobody's failure, and the same call continues."""

from __future__ import annotations

import contextlib
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace, Space
from searchkit.errors import StorageError
from searchkit.execution.outcome import Outcome
from searchkit.execution.serialization import unpack_files
from searchkit.problem.trial import State
from searchkit.storage.paths import networks_folder
from searchkit.training.weights import weights_path

DIGITS = searchkit.load_data("digits", limit=150)
WIDTHS = (2, 3, 4, 5)


def build(choices: dict, input_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    n_in = input_shape[0] * input_shape[1] * input_shape[2]
    return nn.Sequential(nn.Flatten(), nn.Linear(n_in, choices["width"]), nn.Linear(choices["width"], n_classes))


SPACE = NetworkSpace([Choice("width", WIDTHS)], build, name="narrow")


def search(storage: Path, **given: Any) -> searchkit.Result:
    return searchkit.run(
        "random", space=SPACE, data=DIGITS, budget=len(WIDTHS), epochs=1, storage=storage, name="s", **given
    )


@pytest.mark.parametrize(
    ("how", "executor"),
    [
        *itertools.product(("no folder", "all but one"), (None, "interleaved", "threads")),
        pytest.param("all but one", 1, marks=[pytest.mark.slow, pytest.mark.thorough]),
    ],
)
def test_weights_that_cannot_be_written_stop_the_search_and_the_same_call_continues(
    how: str, executor: Any, tmp_path: Path
) -> None:
    folder = networks_folder(tmp_path, "s")
    partials = [weights_path(folder, np.array([i])).with_suffix(".partial") for i in range(len(WIDTHS))]
    if how == "no folder":
        folder.write_text("a file where the folder should be")
    else:
        folder.mkdir()
        for path in partials[1:]:  # only the network of the first option can be written
            path.mkdir()
    with contextlib.ExitStack() as stack:
        if executor == "threads":
            executor = stack.enter_context(ThreadPoolExecutor(2))
        with pytest.raises(
            StorageError, match=r"trained weights .* cannot be written .*make room.*same call continues"
        ):
            search(tmp_path, executor=executor)
        stopped = searchkit.load("s", tmp_path)
        assert not [trial for trial in stopped.trials if trial.state is State.FAILED]
        assert all(trial.code[0] == 0 for trial in stopped.trials if trial.finished)
        if how == "no folder":
            folder.unlink()
        for path in partials[1:] if how == "all but one" else ():
            path.rmdir()
        result = search(tmp_path, executor=executor)
    assert [trial.state for trial in result.trials] == [State.SCORED] * len(WIDTHS)
    assert result.build(0) is not None


def test_weights_of_another_machine_that_cannot_be_written_are_the_same_error(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    outcome = Outcome(files={str(tmp_path / "folder" / "a.safetensors"): b"weights"})
    with pytest.raises(StorageError, match="cannot be written .*same call continues"):
        unpack_files(outcome)


def test_an_oserror_of_the_users_is_the_candidates_failure() -> None:
    def function(choices: dict) -> dict:
        if choices["a"] == 2:
            raise OSError(28, "No space left on device")
        return {"loss": choices["a"]}

    result = searchkit.run(
        "random", evaluate=function, space=Space([Choice("a", range(6))]), objectives={"loss": "min"}, budget=6,
        storage="memory",
    )  # fmt: skip
    assert [trial.reason for trial in result.trials if trial.state is State.FAILED] == [
        "OSError: [Errno 28] No space left on device"
    ]
