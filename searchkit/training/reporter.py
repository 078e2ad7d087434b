"""What a training function of the user's calls to report, and how the numbers that it gives are checked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from searchkit.costs.metrics import BUILT_IN
from searchkit.costs.task_scores import AT
from searchkit.errors import CandidateError, TimeLimitError, TrainingStopped, message_of, printable
from searchkit.problem.numbers import number_of, shown
from searchkit.problem.trial import Report

COLUMNS = ("trial", "epoch")  # of ``result.reports``, beside the names that are reported
COSTS = tuple(metric.name for metric in BUILT_IN.values() if metric.stage in ("counted", "measured"))


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
        taken = [name for name in COLUMNS if name in values]
        if taken:
            raise CandidateError(
                f"report of epoch {reached:g}: {taken[0]} is a column of result.reports already, so leave it out or "
                "give it another name"
            )
        found = numbers(values, f"report of epoch {reached:g}", self._refused)
        lacking = [name for name in self._needed if name not in found]
        if lacking:
            raise CandidateError(
                f"early_stopping compares candidates by {' and '.join(self._needed)}, and the report of epoch "
                f"{reached:g} has no {lacking[0]}, only {', '.join(found)}: report it too"
            )
        return reached, found


def numbers(given: Mapping[object, object], where: str, refused: tuple[str, ...] = ()) -> dict[str, float]:
    """Values by name as finite numbers.

    Args:
        where: of the values, the beginning of a message.
        refused: names that are not for the function to say, beside those of costs, on any device.

    Raises:
        CandidateError: one is not; the message names it.
    """
    found: dict[str, float] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not name or printable(name) != name:
            raise CandidateError(
                f"{where}: {shown(name)} is no name of a score: a non-empty string that UTF-8 can write"
            )
        if name in refused or name.partition(AT)[0] in COSTS:
            raise CandidateError(f"{where}: {name} is measured by searchkit, so leave it out")
        try:
            found[name] = number_of(value)
        except ValueError as error:
            raise CandidateError(f"{where}: {name} is {message_of(error)}") from None
        if not math.isfinite(found[name]):
            raise CandidateError(f"{where}: {name} is {found[name]}")
    return found
