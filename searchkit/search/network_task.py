"""The task of a search over networks: space, data, metrics and training."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from searchkit.costs.counts import space_counts
from searchkit.costs.metrics import BUILT_IN, Metric
from searchkit.costs.targets.target import Target
from searchkit.costs.task_scores import in_float
from searchkit.data.data import Data
from searchkit.data.frames import keep
from searchkit.errors import CandidateError, plural
from searchkit.execution.executors import Pool
from searchkit.problem.objectives import Goals
from searchkit.problem.problem import LISTABLE, Problem
from searchkit.problem.trial import pareto_front
from searchkit.results.baselines import Source
from searchkit.results.block_costs import finish_timings
from searchkit.results.notes import NOTE, TESTED
from searchkit.results.result import Result
from searchkit.search.cost_meter import CostMeter
from searchkit.search.early_stopping import Reporting
from searchkit.search.estimate import Estimate, estimate
from searchkit.search.evaluations import Scoring
from searchkit.search.finals import not_shorter, planned_finals, scoring_seconds, train_finals, winners_of
from searchkit.search.kept_weights import KeepFront
from searchkit.search.network_bounds import Known, within
from searchkit.search.network_identity import identity_of
from searchkit.search.one_shot import Shared
from searchkit.search.own_training import Own, reporting_of
from searchkit.search.plan import Plan
from searchkit.search.planning import make_plan
from searchkit.search.sanity import beside
from searchkit.search.start_weights import Telling, say_taken, shares_taken
from searchkit.search.task import OpenPool, Task
from searchkit.search.verification import Verification
from searchkit.space import NetworkSpace
from searchkit.storage.record import Record
from searchkit.training.evaluation import Evaluate
from searchkit.training.evaluator import Training, score_kept
from searchkit.training.fidelity import Ladder
from searchkit.training.recipe import Recipe
from searchkit.training.speed import Within
from searchkit.training.weights import delivered_path
from searchkit.types import Codes, Floats

log = logging.getLogger("searchkit")

COUNTABLE = 500  # candidates that may all be built (about 20 ms each) to find out whether the bounds can be met


@dataclass(frozen=True)
class NetworkTask(Task):
    """A search over networks, each built, measured, trained and scored.

    Attributes:
        data: with its test part, which is used at the end only.
        training: the full training of a candidate.
        trains: whether the search trains candidates at all.
        metrics: the metrics that are objectives or have a bound.
        needed: names of the values that an evaluation has to return.
        device: the device of this process; trainings may have another.
        verification: trains the best candidates of a search without training; may be None.
        planned: whether the time of the search decides how candidates are trained (:mod:`searchkit.search.planning`).
        plannable: whether it could, since nothing else says how long they are trained.
        source: where the data come from.
        targets: other devices on which costs are measured, by name.
        trained_by: the user's training function; None: searchkit trains.
        shared: shared weights of the user's that candidates are evaluated with, or the settings of those that the
            search makes; None: none, or those of the usual settings.
    """

    space: NetworkSpace
    goals: Goals
    data: Data
    training: Training
    trains: bool
    metrics: dict[str, Metric]
    needed: tuple[str, ...]
    device: str
    split_seed: int | None
    evaluate: Evaluate
    context: dict[str, Any]
    ladder: Ladder | None = None
    verification: Verification | None = None
    source: Source | None = None
    folder: Path | None = None
    planned: bool = False
    plannable: bool = False
    targets: Mapping[str, Target] = field(default_factory=dict)
    trained_by: Own | None = None
    shared: Shared | None = None

    @property
    def identity(self) -> dict[str, Any]:  # type: ignore[override]
        """See :class:`Task`."""
        return identity_of(self)

    @property
    def label(self) -> str:  # type: ignore[override]
        """The name of the data."""
        return self.data.name

    @cached_property
    def images(self) -> Data:  # type: ignore[override]
        """The data without their test part."""
        return self.data.without_test()

    @cached_property
    def costs(self) -> CostMeter:  # type: ignore[override]
        """Counts and measures, in this process, what is known without training."""
        limit, bounds = self.training.limit, self.goals.bounds
        return CostMeter(self.space, self.metrics, self.device, self.data, limit, self.targets, bounds)

    @property
    def known(self) -> Callable[[Codes], Floats] | None:
        """See :class:`Task`."""
        bounds = tuple((i, b) for i, b in enumerate(self.goals.bounds) if self.metrics[b.name].stage == "counted")
        return Known(self.costs, bounds, len(self.goals.bounds)) if bounds else None

    @property
    def _within(self) -> Within:
        """The bounds on what is known without training, for networks that are looked at before the search."""
        problem = Problem(self.space, known=self.known, listable=self.listable)
        return within(problem, self.costs, self.goals.bounds)

    @property
    def counted(self) -> Callable[[Codes], dict[str, Floats]] | None:
        """See :class:`Task`."""
        asked = any(self.metrics[name].stage == "counted" for name in self.goals.metrics)
        return self.costs.counted if asked else None

    @property
    def untrained(self) -> tuple[str, ...]:
        """See :class:`Task`: everything but what is trained; where nothing is, what is counted."""
        stages = {name: self.metrics[name].stage for name in self.goals.names}
        trains = "trained" in stages.values()
        return tuple(name for name, stage in stages.items() if (stage != "trained" if trains else stage == "counted"))

    @property
    def listable(self) -> int:  # type: ignore[override]
        """See :class:`Task`."""
        return LISTABLE if self.costs.vectorised else COUNTABLE

    @property
    def callbacks(self) -> tuple[KeepFront | Telling, ...]:
        """What deletes the weights of networks that are not on the front, and what says how many began with others."""
        telling = () if self.training.start is None or not self.trains else (Telling(),)
        return (*([KeepFront(self.goals, self.folder)] if self.trains and self.folder is not None else []), *telling)

    @property
    def reporting(self) -> Reporting | None:
        """See :class:`Task`."""
        return reporting_of(self.training, self.metrics) if self.trains else None

    @property
    def keeps_files(self) -> bool:
        """Whether networks or proxies are trained, whose weights are files, or a frame is encoded."""
        learned = isinstance(self.evaluate, Scoring) and self.evaluate.scorer.trains
        return self.trains or learned or self.verification is not None or self.data.encoder is not None

    def begin(self) -> None:
        """See :class:`Task`."""
        keep(self.data.encoder, self.folder)

    def in_folder(self, folder: Path) -> NetworkTask:
        """The same task, with the weights of its networks in a folder."""
        made = replace(self._with(folder=folder), folder=folder)
        if isinstance(made.evaluate, Scoring):
            return replace(made, evaluate=replace(made.evaluate, scorer=made.evaluate.scorer.in_folder(folder)))
        return made

    def designs(self, plan: Plan | None, n: int = 0) -> Codes:
        """See :class:`Task`; under bounds on what is measured, of networks that were found to meet them."""
        designs = self.space.reference
        if plan is None:
            return designs[: n if self.trains and not self._within.measured else 0]
        if plan.most_macs is None:
            return plan.start(designs)
        if len(designs):
            designs = designs[space_counts(self.space, designs)["macs"] <= plan.most_macs]
        return plan.start(designs if len(designs) else np.array(plan.found, dtype=np.int64))

    def plan(self, seconds: float, workers: int, most: int | None, spent: float = 0.0) -> Plan:
        """See :class:`Task`."""
        return make_plan(self.training, seconds, workers, most, len(self.data.test), self._within, spent)

    def estimate(self, candidates: int | None, workers: int, seconds: float | None = None) -> Estimate:
        """See :class:`Task`; of a search that trains nothing, it is not known."""
        if not self.trains or self.trained_by is not None:
            return super().estimate(candidates, workers, seconds)
        return estimate(self.training, candidates, workers, self._within, seconds)

    def with_time(self) -> NetworkTask:
        """See :class:`Task`."""
        return replace(self, planned=True)

    def with_recipe(self, recipe: Recipe) -> NetworkTask:
        """The same task, with another recipe for its candidates."""
        return self._with(recipe=recipe)

    def _with(self, **changed: Any) -> NetworkTask:
        """The same task, with other attributes of its training."""
        training, evaluate = replace(self.training, **changed), self.evaluate
        if isinstance(evaluate, Scoring) and evaluate.then is not None:
            evaluate = replace(evaluate, then=replace(evaluate.then, **changed))
        elif isinstance(evaluate, Training):
            evaluate = replace(evaluate, **changed)
        verification = None if self.verification is None else replace(self.verification, training=training)
        return replace(self, training=training, evaluate=evaluate, verification=verification)

    @property
    def score(self) -> Metric | None:
        """The score of trained networks that the search asks for first; None if it asks for none."""
        asked = [in_float(name) for name in self.goals.metrics]
        names = [name for name in asked if name in self.training.scored]
        return (self.metrics | BUILT_IN)[names[0]] if names else None

    def train_finals(self, record: Record, pool: Pool, plan: Plan, elapsed: float, seed: int) -> None:
        """Train the winners in what is left of the planned time; see :mod:`searchkit.search.finals`.

        Args:
            elapsed: seconds of the study so far.
            seed: of the search.
        """
        score, folder = self.score, self.training.folder
        if score is None or self.folder is None:
            return
        winners = winners_of(record.trials, self.goals, folder, score)
        began = time.perf_counter()
        until = plan.finals_until(scoring_seconds(winners, self.training, len(self.data.test), self.device), elapsed)
        left = until - elapsed - (time.perf_counter() - began)
        finals = planned_finals(winners, self.training, left, pool.workers, plan.passes)
        earlier = dict(record.notes(NOTE) or {})
        longer = not_shorter(finals, earlier, folder)
        if longer:
            log.info("%s trained longer, until %.0f s", plural(len(longer), "winner is", "winners are"), until)
        elif winners:
            why = "they have had longer final trainings" if finals else f"{max(0.0, left):.0f} s of the time are left"
            log.warning("no winner is trained longer: %s; result.refit(0, seconds=...) does it at any time", why)
        finals = longer
        trained = train_finals(finals, self.training, record, pool, seed, score.name)
        done = {str(number) for number, entry in trained.items() if entry != earlier.get(str(number))}
        scores = record.notes(TESTED) or {}
        if done & set(scores):
            record.note(TESTED, {number: value for number, value in scores.items() if number not in done})

    def verify(self, result: Result, record: Record, open_pool: OpenPool) -> None:
        """See :class:`Task`."""
        if self.verification is not None:
            self.verification(result, record, open_pool)

    def compare(self, result: Result, record: Record, seconds: float) -> None:
        """See :class:`Task`; where nothing is trained, there is nothing to compare."""
        if self.trains or self.verification is not None:
            result.source = self.source
            beside(result, record, self.data, seconds)

    def finish(self, result: Result, record: Record) -> None:
        """Score the networks of the front on the test part, each once in a study; other weights are deleted."""
        for cleaner in self.callbacks:  # late measurements have shown which candidates do not win
            cleaner.clean(record.trials)
        result.finals = {int(number): entry for number, entry in (record.notes(NOTE) or {}).items()}
        finish_timings(result, record, self.metrics, self.device)
        if not self.trains and self.training.start is not None:
            codes = np.array([trial.code for trial in record.trials])
            say_taken(shares_taken(self.space, self.training.start, codes))
        if not self.trains or not len(self.data.test):
            return
        scores: dict[str, float] = dict(record.notes(TESTED) or {})
        for trial in pareto_front(record.trials, result.goals):
            path = delivered_path(result.folder or Path(), trial.code)
            if str(trial.number) in scores or not path.exists():
                continue
            try:
                scores[str(trial.number)] = score_kept(self.space, trial.code, path, self.data, self.device)
            except CandidateError as error:
                if self.trained_by is None:
                    raise
                log.warning("candidate %d has no score on the test part: %s", trial.number, error)
        record.note(TESTED, scores)
        result.test_accuracy = {int(number): accuracy for number, accuracy in scores.items()}


def no_training(code: Codes, seed: int) -> dict[str, float]:
    """The evaluation of a search whose objectives and bounds are all costs: it adds no values."""
    return {}
