"""A candidate that ends the process is a failed candidate after the second time, and the search goes on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from helpers.forked import BEGINNING, Ran, ran

import searchkit
from searchkit import Choice, Space

SEARCH = (
    BEGINNING
    + """
import ctypes, signal
from searchkit import Choice, Space

how, storage, batch, times = sys.argv[1:]
def evaluate(choices):
    if choices["i"] == 3:
        {"exit": lambda: os._exit(7), "crash": lambda: ctypes.string_at(0), "interrupt": lambda: os.kill(os.getpid(),
         signal.SIGINT)}[how]()
        import time; time.sleep(5)
    return {"loss": choices["i"]}
def search():
    result = searchkit.run("random", space=Space([Choice("i", range(6))]), evaluate=evaluate,
                           objectives={"loss": "min"}, budget=6, storage=storage, name="s", batch=int(batch))
    print(result.stopped)
forked(search, int(times))
"""
)


def searches(how: str, storage: object, batch: int, times: int) -> Ran:
    return ran(SEARCH, how, str(storage), str(batch), str(times))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "code", "batch"),
    [
        pytest.param("exit", 7, 4, marks=pytest.mark.thorough),
        ("crash", -signal.SIGSEGV, 1),
        pytest.param("exit", 7, 1, marks=pytest.mark.thorough),
        pytest.param("crash", -signal.SIGSEGV, 4, marks=pytest.mark.thorough),
    ],
)
def test_a_candidate_that_ends_the_process_twice_has_failed(how: str, code: int, batch: int, tmp_path: Path) -> None:
    ended = searches(how, tmp_path, batch, 4)
    assert ended.ends == [code, code, 0, 0], ended.said
    space = Space([Choice("i", range(6))])
    trials = searchkit.load("s", tmp_path, space=space).trials
    assert sorted(trial.code[0] for trial in trials) == list(range(6))
    failed = {trial.code[0]: trial.reason for trial in trials if trial.state == "failed"}
    assert list(failed) == [3]
    how = "crashed in native code (SIGSEGV)" if how == "crash" else "died"
    told = "the process ended 2 times in the evaluation of this candidate, and then its worker process "
    assert failed[3] == told + how
    assert all(trial.state == "scored" for trial in trials if trial.code[0] != 3)


@pytest.mark.slow
def test_an_interrupted_candidate_is_evaluated_again(tmp_path: Path) -> None:
    ended = searches("interrupt", tmp_path, 1, 3)
    assert (ended.ends, ended.lines) == ([0] * 3, ["interrupted"] * 3), ended.said
    space = Space([Choice("i", range(6))])
    result = searchkit.run(
        "random", space=space, evaluate=lambda choices: {"loss": choices["i"]}, objectives={"loss": "min"}, budget=6,
        storage=tmp_path, name="s", batch=1,
    )  # fmt: skip
    assert all(trial.state == "scored" for trial in result.trials)
    assert len(result.trials) == 6
    assert not list(tmp_path.glob("*.at-work"))


@pytest.mark.slow
def test_workers_evaluate_what_ended_the_process_before(tmp_path: Path) -> None:
    assert searches("exit", tmp_path, 1, 2).ends == [7, 7]
    space = Space([Choice("i", range(6))])
    result = searchkit.run(
        "random", space=space, evaluate=lambda choices: {"loss": choices["i"]}, objectives={"loss": "min"}, budget=6,
        storage=tmp_path, name="s", batch=1, executor=1,
    )  # fmt: skip
    assert all(trial.state == "scored" for trial in result.trials)


@pytest.mark.thorough
@pytest.mark.parametrize("executor", ["None", pytest.param("1", marks=pytest.mark.thorough)])
def test_a_network_whose_building_ends_the_process_has_failed_too(executor: str, tmp_path: Path) -> None:
    code = f"""
from torch import nn
from searchkit import Choice, NetworkSpace
load_training()
def build(choices, input_shape, n_classes):
    if choices["width"] == 3:
        os._exit(7)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, choices["width"]), nn.Linear(choices["width"], n_classes))
def search():
    space = NetworkSpace([Choice("width", (2, 3, 4))], build, input_shape=(1, 8, 8), n_classes=10)
    result = searchkit.run("random", space=space, objectives=("accuracy", "params"), epochs=1, budget=3, batch=1,
                           storage={str(tmp_path)!r}, name="s", executor={executor})
    print(sorted(str(trial.state) for trial in result.trials), [t.reason for t in result.trials if t.reason])
forked(search, 3)
"""
    ended = ran(BEGINNING + code)
    assert ended.ends == [7, 7, 0], ended.said
    assert ended.lines[0].startswith("['failed', 'scored', 'scored'] ['the process ended 2 times in the measurement")
    assert "worker process died" in ended.lines[0]


TWICE = (
    BEGINNING
    + """
import signal
from pathlib import Path
from torch import nn
from searchkit import Choice, NetworkSpace, Space

kind, folder = sys.argv[1:]
def killed_twice(i):
    kills = Path(folder, "kills")
    if i == 3 and (not kills.exists() or kills.stat().st_size < 2):
        with open(kills, "a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
def evaluate(choices):
    killed_twice(choices["i"])
    return {"loss": choices["i"]}
def build(choices, input_shape, n_classes):
    killed_twice(choices["i"])
    return nn.Sequential(nn.Flatten(), nn.Linear(64, choices["i"] + 1), nn.Linear(choices["i"] + 1, n_classes))
choices = [Choice("i", range(4))]
what = dict(
    function=dict(space=Space(choices), evaluate=evaluate, objectives={"loss": "min"}),
    network=dict(space=NetworkSpace(choices, build, input_shape=(1, 8, 8), n_classes=10), epochs=1,
                 objectives=("accuracy", "params")),
)[kind]
def search():
    result = searchkit.run("random", **what, budget=4, batch=1, storage=folder, name="s")
    print(sorted(str(trial.state) for trial in result.trials), [t.reason for t in result.trials if t.reason])
if kind == "network":
    load_training()
forked(search, 3)
"""
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["function", pytest.param("network", marks=pytest.mark.thorough)])
def test_two_kills_from_outside_do_not_make_a_candidate_fail(kind: str, tmp_path: Path) -> None:
    ended = ran(TWICE, kind, str(tmp_path))
    assert ended.ends == [-signal.SIGKILL, -signal.SIGKILL, 0], ended.said
    assert ended.lines == [f"{['scored'] * 4} []"]


@pytest.mark.slow
def test_a_database_in_a_folder_without_studies_notes_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = searches("exit", f"sqlite:///{tmp_path}/studies.db", 1, 3)
    assert ended.ends == [7, 7, 0], ended.said
    assert not list(tmp_path.rglob("*.at-work"))
