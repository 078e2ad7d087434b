"""A candidate that ends the process while proxies score it, while it is counted, in turns, or while it is verified."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from helpers.forked import BEGINNING, Ran, ran

SEARCH = (
    BEGINNING
    + """
import signal, warnings
from torch import nn
from searchkit import Choice, NetworkSpace, Space

kind, how, folder, most = sys.argv[1:]
def die():
    os._exit(7) if how == "exit" else os.kill(os.getpid(), signal.SIGSEGV)
def inside(*names):
    return any(frame.filename.endswith(name) for frame in traceback.extract_stack() for name in names)
class Network(nn.Sequential):
    deadly = False
    def forward(self, x):
        where = {
            "scored": lambda: x.device.type != "meta" and inside("scoring/network.py"),
            "always": lambda: True,
            "trained": lambda: inside("training/train.py"),
        }[kind.split()[0]]
        if self.deadly and where():
            die()
        return super().forward(x)
def build(choices, input_shape, n_classes):
    width = choices["width"]
    network = Network(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, n_classes))
    network.deadly = width == 3
    return network
class Mine:
    name = "mine"
    def score(self, codes):
        if (codes[:, 0] == 1).any():
            die()
        return codes[:, 0].astype(float)

networks = dict(space=NetworkSpace([Choice("width", (2, 3, 4, 5))], build, input_shape=(1, 8, 8), n_classes=10),
                epochs=1, objectives=("accuracy",))
what = {
    "scored": networks | dict(proxies=("grad_norm",)),
    "always": networks | dict(proxies=("grad_norm", "params"), objectives=("accuracy", "params"),
                              constraints={"params": (0, 1e9)} if "bounded" in kind else None),
    "codes": dict(space=Space([Choice("width", (2, 3, 4, 5))]), evaluate=lambda choices: {"loss": choices["width"]},
                  objectives={"loss": "min"}, proxies=(Mine(),)),
    "trained": networks | (dict(executor="interleaved") if "interleaved" in kind else
                           dict(objectives=("grad_norm", "params"), verify=4, epochs=1)),
}[kind.split()[0]]
def search():
    warnings.simplefilter("always")
    result = searchkit.run("random", **what, budget=4, batch=2, storage=folder, name="s")
    for trial in sorted(result.trials, key=lambda trial: trial.code[0]):
        print(trial.code[0], trial.state, trial.reason)
    print(result.verifications, flush=True)

if kind != "codes":
    load_training()
forked(search, int(most), until=0)
"""
)


def searches(kind: str, how: str, folder: Path, most: int) -> Ran:
    """The same search again and again until it ended by itself: a line for each candidate, and the verified ones."""
    return ran(SEARCH, kind, how, str(folder), str(most))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "code"), [pytest.param("exit", 7, marks=pytest.mark.thorough), ("crash", -signal.SIGSEGV)]
)
def test_a_network_that_ends_the_process_while_it_is_scored_has_no_score(how: str, code: int, tmp_path: Path) -> None:
    ran = searches("scored", how, tmp_path, 4)
    assert ran.ends == [code, code, 0], ran.said
    assert ran.lines[:4] == [f"{i} scored None" for i in range(4)]
    said = "crashed in native code (SIGSEGV)" if how == "crash" else "died"
    assert ran.said.count("has no score for some candidates") == 1, "the others have scores"
    told = f"the process ended 2 times in the scoring of this candidate, and then its worker process {said}"
    assert f"proxy 'grad_norm' has no score for some candidates: {told}" in ran.said
    assert not list(tmp_path.glob("*.at-work"))


@pytest.mark.thorough
@pytest.mark.parametrize("kind", [pytest.param("always", marks=pytest.mark.thorough), "always bounded"])
def test_a_network_that_always_ends_the_process_has_failed_once_and_for_all(kind: str, tmp_path: Path) -> None:
    ran = searches(kind, "exit", tmp_path, 4)
    assert ran.ends == [7, 7, 0], ran.said
    lines = ran.lines
    assert [line for line in lines[:4] if line.endswith("scored None")] == [f"{i} scored None" for i in (0, 2, 3)]
    assert lines[1].startswith("1 failed the process ended 2 times in the ")
    again = searches(kind, "exit", tmp_path, 1)
    assert again.ends == [0]
    assert again.lines == lines


@pytest.mark.thorough
def test_a_proxy_of_codes_is_asked_one_by_one_after_the_process_ended(tmp_path: Path) -> None:
    ran = searches("codes", "exit", tmp_path, 5)
    assert ran.ends == [7, 7, 7, 0], ran.said  # once with several candidates, then twice with one
    assert ran.lines[:4] == [f"{i} scored None" for i in range(4)]
    assert "proxy 'mine' has no score for some candidates: the process ended 2 times in the scoring" in ran.said


@pytest.mark.thorough
def test_a_candidate_of_several_in_turns_that_ends_the_process_has_failed(tmp_path: Path) -> None:
    ran = searches("trained interleaved", "crash", tmp_path, 4)
    assert ran.ends == [-signal.SIGSEGV, -signal.SIGSEGV, 0], ran.said
    lines = ran.lines
    assert [lines[i] for i in (0, 2, 3)] == [f"{i} scored None" for i in (0, 2, 3)]
    assert lines[1].startswith("1 failed the process ended 2 times in the evaluation of this candidate, and then its")


@pytest.mark.thorough
def test_a_candidate_that_ends_the_process_while_it_is_verified_has_failed_there(tmp_path: Path) -> None:
    ran = searches("trained verify", "exit", tmp_path, 4)
    assert ran.ends == [7, 7, 0], ran.said
    verified: dict[int, dict[str, Any]] = eval(ran.lines[4])
    assert len(verified) == 4
    (reason,) = [one["reason"] for one in verified.values() if "reason" in one]
    assert reason.startswith("the process ended 2 times in the evaluation of this candidate, and then its worker")
