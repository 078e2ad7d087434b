"""Evaluation of a candidate by a training function of the user's, which reports as it goes and may be told to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from searchkit.data.data import Data
from searchkit.errors import PASSED_ON, CandidateError
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import Report
from searchkit.random_state import seeded, untouched
from searchkit.runtime.copies import own_copy
from searchkit.runtime.devices import device_errors
from searchkit.training.as_given import Structure, Untouched
from searchkit.training.evaluation import Reported
from searchkit.training.evaluator import Training, metric_value
from searchkit.training.normalised import Normalised, normalised
from searchkit.training.recipe import Recipe
from searchkit.training.reporter import Reporter, numbers
from searchkit.training.reports import Curve, Reports
from searchkit.training.scores import scores
from searchkit.training.stopping_rules import Rule
from searchkit.training.turns import Course
from searchkit.training.weights import own_state, save_weights
from searchkit.types import Codes

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
        network, taken = self.begun(code, seed)
        whole = normalised(network, self.data).to(device).train()
        report, structure = self._reporting(code, seed), Structure(whole)
        try:
            done = self._evaluated(whole, structure, report, code, seed, device)
            done.update(taken)
            return done
        finally:
            whole.to("cpu")
            if device.type == "cuda":
                torch.cuda.empty_cache()

    def _evaluated(
        self,
        whole: Normalised,
        structure: Structure,
        report: Reporter,
        code: Codes,
        seed: int,
        device: torch.device,
    ) -> Reported:
        returned = self._trained(whole, report, seed, device)
        if report.fault is not None:
            raise report.fault
        if report.stopped:
            return Reported({}, report.reports, report.stopped, report.ignored)
        structure.check(whole)
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
        untouched_data = Untouched(self.data)
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
        finally:
            untouched_data.check()

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
