"""Verification: after a search without training, its best candidates are trained, to compare their accuracies."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from searchkit.data.data import Data
from searchkit.errors import readable
from searchkit.execution.executors import Pool, as_they_finish
from searchkit.execution.outcome import Job
from searchkit.problem.trial import State, Trial, pareto_front
from searchkit.results.result import Result
from searchkit.search.loop import evaluation_seed
from searchkit.storage.record import Record
from searchkit.training.evaluator import Training, score_kept
from searchkit.training.weights import weights_path

log = logging.getLogger("searchkit")

Open = Callable[[Training, tuple[str, ...]], Pool]


@dataclass(frozen=True)
class Verification:
    """Trains the best ``n`` candidates, each once in a study, however often the study is continued.

    What they are worth are the scores of the task: accuracy of classes, r2 and rmse of quantities, miou of masks.

    These are the candidates of the front, then of the front of the remaining ones, and so on, each front in the order
    of the first objective; so no single objective decides.

    Attributes:
        test: the data with their test part; None if they have none.
        device: the device on which trained networks are scored on the test part.
    """

    n: int
    training: Training
    test: Data | None
    seed: int
    device: str

    def __call__(self, result: Result, record: Record, open_workers: Open) -> None:
        """Train them; the record and the result get ``{trial: scores and that on the test part, or {"reason"}}``.

        The scores are those of the task, such as ``{"accuracy", "test_accuracy"}`` or ``{"r2", "rmse", "test_r2"}``.
        """
        found: dict[str, dict[str, Any]] = dict(record.notes("verified") or {})
        wanted = [trial for trial in best(result, self.n) if str(trial.number) not in found]
        if wanted:
            log.info("verification: %d of the best are trained", len(wanted))
        workers = open_workers(self.training, self.training.scored[:1])
        try:
            jobs = [Job(trial.code, evaluation_seed(self.seed, trial.code)) for trial in wanted]
            for i, outcome in as_they_finish(workers, jobs):
                trial, outcomes = wanted[i], dict(outcome.values)
                if not outcome.reason and self.test is not None:
                    outcomes[result.tested] = self._test(trial)
                found[str(trial.number)] = {"reason": readable(outcome.reason)} if outcome.reason else outcomes
                record.note("verified", found)
                told = ", ".join(f"{name} {x:.4g}" for name, x in outcomes.items() if isinstance(x, float))
                log.info("verified candidate %d: %s", trial.number, outcome.reason or told)
        finally:
            workers.close()
        reasons = [entry["reason"] for entry in found.values() if entry.get("reason")]
        if reasons and len(reasons) == len(found):
            log.warning(
                "%s of verify= failed; the first reason: %s",
                "the training" if len(found) == 1 else f"all {len(found)} trainings",
                reasons[0],
            )
        result.verifications = {int(number): entry for number, entry in found.items()}

    def _test(self, trial: Trial) -> float:
        assert self.test is not None
        path = weights_path(self.training.folder, trial.code)
        return score_kept(self.training.space, trial.code, path, self.test, self.device)


def best(result: Result, n: int) -> list[Trial]:
    """The n best trials: the front, the front of the remaining ones, and so on; the last front perhaps in part."""
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
