"""Verification: the best candidates of a search without training are trained, and told apart by what they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from searchkit.execution.executors import Pool, as_they_finish
from searchkit.execution.outcome import Job
from searchkit.problem.trial import State, Trial, pareto_front
from searchkit.results.result import Result
from searchkit.search.loop import evaluation_seed
from searchkit.storage.record import Record
from searchkit.training.evaluator import Training
from searchkit.training.train import score
from searchkit.training.weights import load_weights, weights_path

Open = Callable[[Training], Pool]


@dataclass(frozen=True)
class Verification:
    """Trains the best ``n`` candidates, each once in the life of a study.

    The best are those of the front, then those of the front of what remains, and so on, in the order of the first
    objective: no signal's best is believed by itself.

    Attributes:
        device: of this process, which scores on the test part what was trained.
    """

    n: int
    training: Training
    test: Any  # Data with its test part, or None
    seed: int
    device: str

    def __call__(self, result: Result, record: Record, open_workers: Open) -> None:
        """Train them and put ``{trial: {"accuracy", "test_accuracy"} or {"reason"}}`` on record and in the result."""
        found: dict[str, dict[str, Any]] = dict(record.notes("verified") or {})
        wanted = [trial for trial in best(result, self.n) if str(trial.number) not in found]
        workers = open_workers(self.training)
        try:
            jobs = [Job(trial.code, evaluation_seed(self.seed, trial.code)) for trial in wanted]
            for i, outcome in as_they_finish(workers, jobs):
                trial, outcomes = wanted[i], dict(outcome.values)
                if not outcome.reason and self.test is not None:
                    outcomes["test_accuracy"] = self._test(trial)
                found[str(trial.number)] = {"reason": outcome.reason} if outcome.reason else outcomes
                record.note("verified", found)
        finally:
            workers.close()
        result.verifications = {int(number): entry for number, entry in found.items()}

    def _test(self, trial: Trial) -> float:
        network = self.training.space.build(trial.code)
        load_weights(network, weights_path(self.training.folder, trial.code))
        return score(network, self.test.test, self.test, self.device)


def best(result: Result, n: int) -> list[Trial]:
    """The n best trials: whole fronts, peeled off one after another, the last one cut."""
    chosen: list[Trial] = []
    rest = [trial for trial in result.trials if trial.state is State.SCORED]
    while len(chosen) < n:
        layer = pareto_front(rest, result.goals)
        if not layer:
            break
        chosen += layer
        taken = {trial.number for trial in layer}
        rest = [trial for trial in rest if trial.number not in taken]
    return chosen[:n]
