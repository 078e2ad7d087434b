"""Evaluation of a candidate by a training function of the user's, which reports as it goes and may be told to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from searchkit.data.data import Data
from searchkit.errors import PASSED_ON, CandidateError, TimeLimitError, TrainingStopped, message_of, printable
from searchkit.problem.numbers import number_of, shown
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import Report
from searchkit.random_state import seeded, untouched
from searchkit.runtime.copies import own_copy
from searchkit.runtime.devices import device_errors
from searchkit.training.evaluation import Reported
from searchkit.training.evaluator import Training, metric_value
from searchkit.training.normalised import Normalised, normalised
from searchkit.training.recipe import Recipe
from searchkit.training.reports import Curve, Reports
from searchkit.training.scores import scores
from searchkit.training.stopping_rules import Rule
from searchkit.training.train import build_seeded
from searchkit.training.turns import Course
from searchkit.training.weights import own_state, save_weights
from searchkit.types import Codes


class Reporter:
    """The third argument of a training function: ``report(epoch, {name: value})``, which returns whether to stop.

    Attributes:
        device: where the network is, such as "cpu" or "cuda:0"; the data are on the CPU.
        seed: of this candidate; torch, numpy and Python are seeded with it.
        reports: what was reported so far.
        stopped: why the training is to stop; empty while it is not.
        ignored: whether it was told to stop, and reported again.
    """

    def __init__(
        self,
        device: str,
        seed: int,
        write: Callable[[Report], None],
        why: Callable[[tuple[Report, ...]], str],
        needed: tuple[str, ...] = (),
        refused: tuple[str, ...] = (),
        limit: float | None = None,
    ) -> None:
        self.device, self.seed = device, seed
        self.reports: list[Report] = []
        self.stopped = ""
        self.ignored = False
        self.fault: CandidateError | None = None
        self._write, self._why, self._needed, self._refused = write, why, needed, refused
        self._limit, self._began = limit, time.perf_counter()

    def __call__(self, epoch: float, values: Mapping[str, object]) -> bool:
        """Report values after an epoch.

        Args:
            epoch: a number that rises from report to report, such as the number of epochs that are done.
            values: numbers by name: scores on the validation part by which candidates are compared, and others.

        Returns:
            True where the training is to stop now: return from the function then.

        Raises:
            CandidateError: the report is none; the message says why. The candidate has failed.
            TrainingStopped: the training was told to stop before.
        """
        if self._limit is not None and time.perf_counter() - self._began > self._limit:
            raise TimeLimitError(f"over its time limit of {self._limit:g} s")
        if self.stopped:
            self.ignored = True
            raise TrainingStopped("report returned True before, which is to end the training")
        try:
            reported = self._checked(epoch, values)
        except CandidateError as error:
            self.fault = self.fault or error  # also where the function catches it
            raise
        self.reports.append(reported)
        self._write(reported)
        self.stopped = self._why(tuple(self.reports))
        return bool(self.stopped)

    def _checked(self, epoch: object, values: object) -> Report:
        try:
            reached = number_of(epoch)
        except ValueError:
            reached = math.nan
        if not math.isfinite(reached):
            raise CandidateError(f"report(epoch, values): epoch is a number, not {shown(epoch)}")
        if self.reports and reached <= self.reports[-1][0]:
            last = self.reports[-1][0]
            raise CandidateError(f"report of epoch {reached:g} after one of epoch {last:g}: epochs have to rise")
        if not isinstance(values, Mapping) or not values:
            raise CandidateError(
                f"report(epoch, values) takes a mapping such as {{'accuracy': 0.9}}, not {shown(values)}"
            )
        found = numbers(values, f"report of epoch {reached:g}", self._refused)
        lacking = [name for name in self._needed if name not in found]
        if lacking:
            raise CandidateError(
                f"early_stopping compares candidates by {' and '.join(self._needed)}, and the report of epoch "
                f"{reached:g} has no {lacking[0]}, only {', '.join(found)}: report it too"
            )
        return reached, found


TrainingFunction = Callable[[nn.Module, Data, Reporter], Mapping[str, object] | None]


@dataclass(frozen=True, kw_only=True)
class OwnTraining(Training):
    """Trains one candidate with a function of the user's; picklable where the function is.

    Attributes:
        function: ``function(network, data, report)`` trains the network in place, which takes raw inputs, as that of
            ``result.build`` does, and is on ``report.device``. The function returns scores by name, or None, which
            stands for those of its last report.
        goals: objectives and bounds of the search.
        named: scores that only the function knows; those in ``scored`` are computed where it does not return them.
        rule: when trainings stop early; None: never.
    """

    takes_turns: ClassVar[bool] = False

    function: TrainingFunction
    goals: Goals
    named: tuple[str, ...] = ()
    rule: Rule | None = None

    @property
    def user_function(self) -> object:
        """See :class:`~searchkit.training.evaluation.Evaluation`."""
        return self.function

    @property
    def compared(self) -> tuple[str, ...]:
        """The objectives by which a rule compares reports, beside costs."""
        return tuple(name for name in self.goals.names if name in (*self.scored, *self.named))

    def __call__(
        self,
        code: Codes,
        seed: int,
        rung: int | None = None,
        within: float | None = None,
        final: Recipe | None = None,
    ) -> Reported:
        """Train, and return the scores and the metrics; an exception fails the candidate."""
        device = torch.device(self.device)
        network = build_seeded(self.space, code, seed)
        whole = normalised(network, self.data).to(device).train()
        report = self._reporting(code, seed)
        try:
            return self._evaluated(whole, report, code, seed, device)
        finally:
            whole.to("cpu")
            if device.type == "cuda":
                torch.cuda.empty_cache()

    def _evaluated(self, whole: Normalised, report: Reporter, code: Codes, seed: int, device: torch.device) -> Reported:
        returned = self._trained(whole, report, seed, device)
        if report.fault is not None:
            raise report.fault
        if report.stopped:
            return Reported({}, report.reports, report.stopped, report.ignored)
        values = self._scores(returned, report)
        whole.zero_grad(set_to_none=True)
        whole.eval()
        network = whole.network
        lacking = [name for name in self.scored if name not in values]
        if lacking:
            with untouched():
                found = scores(network, self.data.val, self.data, device)
            values |= {name: found[name] for name in lacking}
        whole.to("cpu")
        values |= {
            metric.name: metric_value(metric, normalised(own_copy(network), self.data)) for metric in self.metrics
        }
        if self.keep:
            save_weights(own_state(network), self.written(code))
        return Reported(values, report.reports)

    def in_turns(
        self,
        code: Codes,
        seed: int,
        rung: int | None = None,
        within: float | None = None,
        final: Recipe | None = None,
    ) -> Course[dict[str, float]]:
        """The same as a single turn."""
        yield None
        return self(code, seed)

    def _trained(self, whole: nn.Module, report: Reporter, seed: int, device: torch.device) -> object:
        """What the function returns; None where it was told to stop, however it ended then."""
        try:
            with device_errors(device), seeded(seed, device):
                return self.function(whole, self.data, report)
        except PASSED_ON:
            raise
        except BaseException:
            if report.stopped:
                return None
            if report.fault is not None:  # what came of it is of no interest
                raise report.fault from None
            raise

    def _reporting(self, code: Codes, seed: int) -> Reporter:
        shared = Reports(self.folder)
        known = shared.begin(code)

        def write(report: Report) -> None:
            if known is not None:
                shared.add(code, report)

        def why(reports: tuple[Report, ...]) -> str:
            if self.rule is None or known is None:
                return ""
            own = Curve(known.batch, known.costs, reports)
            if not self.rule.due(own):
                return ""
            said = self.rule.why(own, shared.others(code, known.batch), self.goals)
            return f"stopped at epoch {reports[-1][0]:g}: {said}" if said else ""

        needed = self.compared if self.rule is not None else ()
        return Reporter(self.device, seed, write, why, needed, self._not_reported, self.limit)

    @property
    def _not_reported(self) -> tuple[str, ...]:
        """Metrics that searchkit computes, whatever a function says of them."""
        own = (*self.scored, *self.named)
        return (*(name for name in self.goals.metrics if name not in own), *(metric.name for metric in self.metrics))

    def _scores(self, returned: object, report: Reporter) -> dict[str, float]:
        """The scores that the function gave."""
        if self.rule is not None and not report.reports:
            raise CandidateError(
                "early_stopping compares what training functions report, and this one reported nothing: call "
                f"report(epoch, {{{self.compared[0]!r}: value}}) after each epoch, and return where that is True"
            )
        if returned is None and not report.reports and self.named:
            raise CandidateError(
                f"the training function returned None and reported nothing: return {{{self.named[0]!r}: value}}"
            )
        if returned is not None and not isinstance(returned, Mapping):
            kind = type(returned).__name__
            raise CandidateError(f"the training function returned {kind}, not a mapping of scores by name, or None")
        values = {} if returned is None else numbers(returned, "the training function returned", self._not_reported)
        if not values and report.reports:
            values = dict(report.reports[-1][1])
        lacking = [name for name in self.named if name not in values]
        if lacking:
            what = "nothing" if not values else f"only {', '.join(values)}"
            raise CandidateError(
                f"the training function gave no {lacking[0]!r}, which the search asks for, but {what}: return it"
            )
        return values


def numbers(given: Mapping[object, object], where: str, refused: tuple[str, ...] = ()) -> dict[str, float]:
    """Values by name as finite numbers.

    Args:
        where: of the values, the beginning of a message.
        refused: names that are not for the function to say.

    Raises:
        CandidateError: one is not; the message names it.
    """
    found: dict[str, float] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not name or printable(name) != name:
            raise CandidateError(
                f"{where}: {shown(name)} is no name of a score: a non-empty string that UTF-8 can write"
            )
        if name in refused:
            raise CandidateError(f"{where}: {name} is measured by searchkit, so leave it out")
        try:
            found[name] = number_of(value)
        except ValueError as error:
            raise CandidateError(f"{where}: {name} is {message_of(error)}") from None
        if not math.isfinite(found[name]):
            raise CandidateError(f"{where}: {name} is {found[name]}")
    return found
