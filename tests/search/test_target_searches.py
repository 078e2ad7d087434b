"""Searches whose costs are measured on a device elsewhere, by a program that fails, is late, and answers nonsense."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import searchkit
from searchkit import Choice, NetworkSpace
from searchkit.errors import SearchkitError, TargetError
from searchkit.storage.measured_notes import PREDICTED

DATA = searchkit.load_data("digits", limit=60)
COLUMN = "latency_ms@board"

# Its answer is the size of the file; every call is written down, and each of the ways to fail takes its turn.
BOARD = """
import hashlib, pathlib, sys, time
file, calls, every = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
content = file.read_bytes()
before = calls.read_text().splitlines() if calls.exists() else []
fails = every and len(before) % every == every - 1
how = "failed" if fails else "measured"
with calls.open("a") as out:
    out.write(hashlib.sha256(content).hexdigest() + " " + how + "\\n")
if fails:
    way = (len(before) // every) % 3
    if way == 0:
        sys.exit("the board is busy")
    print("nan" if way == 1 else "no number today")
else:
    print("latency:", len(content) / 1000, "ms")
"""


def build(choices: dict, input_shape: tuple[int, ...], n_classes: int):  # type: ignore[no-untyped-def]
    from torch import nn

    width = choices["width"]
    layers = [nn.Flatten(), nn.Linear(int(np.prod(input_shape)), width), nn.ReLU()]
    for _ in range(choices["depth"]):
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, n_classes))


SPACE = NetworkSpace(
    [
        Choice("width", [4, 8, 12, 16, 24, 32, 40, 48], ordered=True),
        Choice("depth", [0, 1, 2, 3], ordered=True),
    ],
    build,
    name="layers",
)


def board(folder: Path, every: int, **settings: object) -> dict[str, object]:
    program = folder / "board.py"
    program.write_text(BOARD)
    how = [sys.executable, str(program), "{file}", str(folder / "calls.txt"), str(every)]
    return {"board": {"how": how, **settings}}


def calls(folder: Path) -> list[tuple[str, str]]:
    return [(line.split()[0], line.split()[1]) for line in (folder / "calls.txt").read_text().splitlines()]


def search(folder: Path, targets: dict[str, object], budget: int, **given: object) -> searchkit.Result:
    arguments = {"objectives": ("accuracy", COLUMN), "name": "board", "storage": folder, "batch": 4} | given
    return searchkit.run(  # type: ignore[arg-type]
        "random", space=SPACE, data=DATA, budget=budget, epochs=1, targets=targets, progress=False, **arguments
    )


@pytest.mark.slow
def test_a_target_that_fails_a_third_of_the_time_loses_nothing_and_measures_nothing_twice(tmp_path: Path) -> None:
    result = search(tmp_path, board(tmp_path, every=3), budget=24)
    history = result.history
    assert set(history.state) == {"scored"}
    assert np.isfinite(history[COLUMN]).all()
    made = calls(tmp_path)
    assert sum(how == "failed" for _, how in made) >= len(made) // 4
    twice = Counter(file for file, how in made if how == "measured")
    assert max(twice.values()) == 1
    assert len(twice) in (24, 25)  # and the network that was measured before the search, where it is no candidate

    again = search(tmp_path, board(tmp_path, every=3), budget=24)
    assert calls(tmp_path) == made
    assert again.history[COLUMN].tolist() == history[COLUMN].tolist()


@pytest.mark.slow
def test_what_a_target_that_went_away_has_missed_is_predicted_marked_and_measured_when_it_is_back(
    tmp_path: Path,
) -> None:
    away = tmp_path / "away"
    program = tmp_path / "board.py"
    program.write_text(
        "import pathlib, sys\n"
        f"if pathlib.Path({str(away)!r}).exists(): sys.exit('no route to board')\n"
        "print(pathlib.Path(sys.argv[1]).stat().st_size / 1000)\n"
    )
    targets: dict[str, object] = {"board": {"how": [sys.executable, str(program), "{file}"], "repeats": 2}}

    def unplug(trial: object, trials: list) -> None:  # type: ignore[type-arg]
        if len([one for one in trials if one.finished]) == 6:
            away.touch()

    first = search(tmp_path, targets, budget=12, callbacks=(unplug,), batch=1)
    assert np.isfinite(first.history[COLUMN]).all()
    marked = first.history[COLUMN + PREDICTED].notna()
    assert 4 <= marked.sum() <= 7
    away.unlink()
    second = search(tmp_path, targets, budget=13, batch=1)
    assert len(second.history) == 13
    assert COLUMN + PREDICTED not in second.history or not second.history[COLUMN + PREDICTED].notna().any()
    kept = ~marked.to_numpy()
    assert (second.history[COLUMN][:12][kept] == first.history[COLUMN][kept]).all()


@pytest.mark.slow
def test_a_bound_on_a_target_is_kept_and_its_name_is_checked(tmp_path: Path) -> None:
    targets = board(tmp_path, every=0)
    free = search(tmp_path, targets, budget=6, name="free")
    most = float(free.history[COLUMN].median())
    bounded = search(tmp_path, targets, budget=6, name="bounded", constraints={COLUMN: most})
    assert (bounded.front[COLUMN] <= most).all()
    with pytest.raises(SearchkitError, match="unknown target 'bord'.*Did you mean 'board'"):
        search(tmp_path, targets, budget=1, name="wrong", objectives=("accuracy", "latency_ms@bord"))
    with pytest.raises(TargetError, match="target 'board' cannot measure a first small network"):
        search(tmp_path, board(tmp_path, every=1, repeats=2), budget=1, name="broken")
    assert not list(tmp_path.glob("broken*"))


@pytest.mark.slow
def test_targets_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from searchkit.cli import main

    monkeypatch.chdir(tmp_path)
    board(tmp_path, every=0)
    how = f"{sys.executable} board.py {{file}} calls.txt 0"
    common = ["run", "--space", "macro", "--budget", "2", "--epochs", "1", "--strategy", "random", "--name", "s"]
    asked = ["--objectives", f"accuracy,{COLUMN}", "--constraint", f"{COLUMN}<=1e9", "--target", f"board={how}"]
    assert main([*common, *asked]) == 0
    assert COLUMN in capsys.readouterr().out
    assert main(["resume", "s", "--budget", "+1"]) == 0
    assert len(set(calls(tmp_path))) == len(calls(tmp_path))
    assert main([*common, "--target", "board"]) == 2
    assert "target 'board' is not of the form" in capsys.readouterr().err


def test_the_report_writes_the_targets_of_the_call_down(tmp_path: Path) -> None:
    targets = {**board(tmp_path, every=0), "own": lambda path: path.stat().st_size / 1e4}
    result = search(tmp_path, targets, budget=1, objectives=("accuracy", COLUMN, "latency_ms@own"))
    text = result.report(tmp_path / "page.html").read_text()
    assert "measure}" in text
    assert "measure: your function, which is not in the record" in text
    assert "board.py" in text
