"""What a search has spent, the seeds it hands out, and which candidates it believes the best."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import searchkit
from searchkit import Choice, Space
from searchkit.problem.objectives import Goals, read_objectives
from searchkit.problem.trial import State, Trial
from searchkit.results.result import Result
from searchkit.search import loop
from searchkit.search.loop import evaluation_seed
from searchkit.search.verification import best

SPACE = Space([Choice("a", range(200))])


def slow(choices: dict) -> dict:
    time.sleep(0.05)
    return {"loss": choices["a"]}


def search(seconds: float, folder: Path) -> searchkit.Result:
    return searchkit.run(
        "random", space=SPACE, evaluate=slow, objectives={"loss": "min"}, budget={"seconds": seconds}, batch=1,
        storage=folder, name="s",
    )  # fmt: skip


@pytest.mark.slow
def test_a_continued_study_has_spent_the_seconds_of_earlier_runs(tmp_path: Path) -> None:
    first = search(0.5, tmp_path)
    again = search(0.5, tmp_path)
    assert len(again.history) <= len(first.history) + 1, (
        "the budget was spent, but for what came after the last outcome"
    )
    more = search(0.7, tmp_path)
    assert len(more.history) > len(first.history)
    elapsed = [trial.elapsed for trial in more.trials if trial.finished]  # the last may have come too late to begin
    assert elapsed == sorted(elapsed), "the clock goes on where it was"


def test_the_seed_of_an_evaluation_is_of_the_candidate_and_of_the_search() -> None:
    one, other = np.array([1, 2]), np.array([1, 3])
    assert evaluation_seed(5, one) == evaluation_seed(5, one.copy())
    assert evaluation_seed(5, one) != evaluation_seed(6, one)
    assert evaluation_seed(5, one) != evaluation_seed(5, other)


def test_searches_of_two_seeds_evaluate_one_candidate_with_two(monkeypatch: pytest.MonkeyPatch) -> None:
    made, kind = [], loop.Job

    def job(*given: Any) -> Any:
        made.append(kind(*given))
        return made[-1]

    monkeypatch.setattr(loop, "Job", job)
    single = Space([Choice("a", (1,))])
    for seed in (0, 1, 0):
        searchkit.run(
            space=single,
            evaluate=lambda c: {"loss": c["a"]},
            objectives={"loss": "min"},
            budget=1,
            seed=seed,
            storage="memory",
        )
    first, second, again = (one.seed for one in made)
    assert first == again != second


def test_the_best_are_those_of_the_first_fronts_the_last_one_cut() -> None:
    losses = [(3, 3), (0, 2), (1, 3), (2, 0), (3, 1), (9, 9)]
    trials = [
        Trial(number=i, batch=0, batch_size=7, code=np.array([i]), state=State.SCORED, values={"x": x, "y": y})
        for i, (x, y) in enumerate(losses)
    ]
    trials.append(Trial(number=6, batch=0, batch_size=7, code=np.array([6]), state=State.FAILED))
    goals = Goals(read_objectives({"x": "min", "y": "min"}))
    result = Result(SPACE, goals, trials, "s", "budget", {})
    assert [trial.number for trial in best(result, 2)] == [1, 3]
    assert [trial.number for trial in best(result, 3)] == [1, 3, 2]
    assert [trial.number for trial in best(result, 5)] == [1, 3, 2, 4, 0]
    assert [trial.number for trial in best(result, 99)] == [1, 3, 2, 4, 0, 5]
