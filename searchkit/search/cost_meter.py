"""The costs of a network that need no training: counted and measured in the process that searches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from torch import nn

from searchkit.costs.counts import count, space_counts, space_peak_memory
from searchkit.costs.int8_file import mixed_exported
from searchkit.costs.measure import IN_INT8, measured
from searchkit.costs.metrics import Metric
from searchkit.costs.one_method import OneMethod, warn_of_speed
from searchkit.costs.onnx_file import LABEL, exported, file_bytes
from searchkit.costs.targets.target import Target
from searchkit.costs.task_scores import AT
from searchkit.data.data import Data
from searchkit.errors import PASSED_ON, TimeLimitError
from searchkit.execution.at_work import COUNTING, noted, suspicion
from searchkit.execution.time_limits import within
from searchkit.problem.objectives import Bound, Goals
from searchkit.problem.trial import Trial
from searchkit.random_state import untouched
from searchkit.runtime.copies import own_copy
from searchkit.runtime.processor import Clocks
from searchkit.search.confirmation import LONGER, confirmed
from searchkit.search.measured_costs import Checked, Columns
from searchkit.search.slow_targets import SlowTarget
from searchkit.search.target_costs import TargetCosts
from searchkit.space import NetworkSpace, keys
from searchkit.space.precision_space import rest_precision
from searchkit.training.evaluator import metric_value
from searchkit.training.normalised import normalised
from searchkit.training.train import build_seeded
from searchkit.types import Codes, Floats

LOOKS = 8  # random candidates, of which the smallest is measured on targets before the search
LATE = "the measurement of its costs is {}"  # the reason of a candidate over its time limit there


@cache
def _load_counting() -> None:
    count(nn.Linear(1, 1), (1,))


@dataclass(frozen=True)
class CostMeter:
    """Measures the costs that need no training, in this process, one candidate at a time.

    Attributes:
        metrics: the metrics of the search by name; values always include params and macs.
        device: the device on which latency, energy and memory are measured.
        data: the data whose mean and deviation are part of the networks that the user's metrics are given.
        limit: seconds for what the user's code does: networks that it builds, and its own metrics.
        targets: other devices, by name, and the bounds of the search.
    """

    space: NetworkSpace
    metrics: Mapping[str, Metric]
    device: str
    data: Data
    limit: float | None = None
    targets: Mapping[str, Target] = field(default_factory=dict)
    bounds: tuple[Bound, ...] = ()

    def __call__(self, code: Codes) -> tuple[dict[str, float], dict[str, str]]:
        """``{name: value}`` and ``{name: method}``; a timed value is accompanied by its relative spread."""
        self.get_ready()
        try:
            values = within(self.limit, self.own_values, code)
        except TimeLimitError as error:
            raise TimeLimitError(LATE.format(error)) from None
        return self.measured_beside(code, values)

    def get_ready(self) -> None:
        """Load what counting needs, so that no candidate's time is spent on it."""
        if self.limit is not None:
            _load_counting()

    @property
    def own(self) -> list[Metric]:
        """The user's own metrics that are costs."""
        return [one for one in self.metrics.values() if one.stage == "measured" and one.function is not None]

    def own_values(self, code: Codes) -> dict[str, float]:
        """What the user's code says: the counts of the network that it builds, and the values of the own metrics."""
        values = {name: float(column[0]) for name, column in self._counted(code[None]).items()}
        network: nn.Module | None = None
        for metric in self.own:
            network = network or build_seeded(self.space, code, 0).eval()
            values[metric.name] = metric_value(metric, normalised(own_copy(network), self.data))
        return values

    def measured_beside(self, code: Codes, values: Mapping[str, float]) -> tuple[dict[str, float], dict[str, str]]:
        """As a call, with the values of :meth:`own_values` as they are given."""
        self._uncounted.discard(keys(code[None])[0])
        values, methods = dict(values), dict[str, str]()
        network: nn.Module | None = None
        for name, metric in self.metrics.items():
            if metric.stage != "measured" or metric.function is not None or AT in name or name == "file_bytes":
                continue
            network = network or self._timed(code)
            if name in IN_INT8:  # counted on the network alone, in whose input its normalisation is folded there
                found, methods[name] = measured(name, self._built(code), self.space.input_shape, self.device)
            elif name == "latency_ms":
                with untouched():
                    found, methods[name] = self.timing(network)
            else:
                found, methods[name] = measured(name, network, self.space.input_shape, self.device)
            values |= found
        for columns, said in (self._here(code, values, methods), self._of_file(code, values)):
            values |= columns
            methods |= said
        return values, methods

    def _timed(self, code: Codes) -> nn.Module:
        """The network whose costs are measured: as it is delivered, with the normalisation of its inputs.

        In spaces made of a trained network it is as the network was given, beside which it is timed.
        """
        network = self._built(code)
        return network if self.space.teacher is not None else normalised(network, self.data)

    def _built(self, code: Codes) -> nn.Module:
        return build_seeded(self.space, code, 0).eval()

    def on_this_machine(self, code: Codes) -> dict[str, float]:
        """The columns of a candidate on the targets that are this machine."""
        return self._here(code, {}, {})[0]

    def _here(self, code: Codes, values: Mapping[str, float], methods: Mapping[str, str]) -> Columns:
        """The latency on this machine, once more under the names of targets that are this machine."""
        names = [name for name, target in self.targets.items() if target.kind == "here"]
        if names and "latency_ms" not in values:
            with untouched():
                values, label = self.timing(self._timed(code))
            methods = {"latency_ms": label}
        both = [(f"{AT}{name}", ending) for name in names for ending in ("", "_spread")]
        columns = {f"latency_ms{at}{ending}": values[f"latency_ms{ending}"] for at, ending in both}
        return columns, {f"latency_ms{AT}{name}": methods["latency_ms"] for name in names}

    def _of_file(self, code: Codes, values: Mapping[str, float]) -> Columns:
        """What needs the ONNX file, which is written once: its size, and what targets measure."""
        if "file_bytes" not in self.metrics and self.on_targets.complete(code):
            return self.on_targets(code, values, Path())
        with self.exported(code) as path:
            columns, said = self.on_targets(code, values, path)
            if "file_bytes" in self.metrics:
                size = file_bytes(*self._delivered(code)) if rest_precision(self.space) else path.stat().st_size
                columns, said = columns | {"file_bytes": float(size)}, said | {"file_bytes": LABEL}
        return columns, said

    def _delivered(self, code: Codes) -> tuple[nn.Module, tuple[int, ...], bool]:
        """The network of a candidate that takes raw inputs, their shape, and whether it is for regression."""
        network = normalised(build_seeded(self.space, code, 0).eval(), self.data)
        return network, self.space.input_shape, self.data.target is not None

    def exported(self, code: Codes) -> AbstractContextManager[Path]:
        """The ONNX file of a candidate, while the context lasts; as it is delivered where its size is asked for.

        Where blocks have precisions, it is in these.
        """
        delivered = self._delivered(code)
        if rest_precision(self.space):
            return mixed_exported(*delivered)
        wanted = next((name for name in self.metrics if AT in name or name == "file_bytes"), "latency_ms")
        return exported(*delivered, wanted, traced="file_bytes" not in self.metrics)

    @cached_property
    def on_targets(self) -> TargetCosts:
        """Measures what is asked of targets, but for this machine."""
        there = {name: target for name, target in self.targets.items() if target.kind != "here"}
        slow = {name: SlowTarget(name, one, self.space) for name, one in there.items() if one.first is not None}
        here = [f"latency_ms{AT}{name}" for name in self.targets if name not in there]
        return TargetCosts(there, self.metrics, self.bounds, slow, here)

    def check_targets(self) -> Checked | None:
        """Measure a small network of the space on every target, before the search.

        Returns:
            what was measured; see :meth:`TargetCosts.check`. None where there is nothing to measure.

        Raises:
            TargetError: one of them gives no measurement.
        """
        codes = self.space.sample(LOOKS, np.random.default_rng(0)) if self.on_targets else ()
        counted = [(code, self._counted_or_nan(code)) for code in codes]
        built = [(code, row) for code, row in counted if math.isfinite(row["params"])]
        if not built:  # where nothing can be built, the search says why
            return None
        code, row = min(built, key=lambda one: one[1]["params"])
        with self.exported(code) as path:
            return self.on_targets.check(path, code, row)

    @cached_property
    def timing(self) -> OneMethod:
        """Measures latency_ms."""
        return OneMethod(self.space, self.device)

    @property
    def clock(self) -> Clocks:
        """See :class:`~searchkit.search.accounting.Costs`."""
        return self.timing.clock

    def go_on(self, trials: Sequence[Trial]) -> None:
        """See :class:`~searchkit.search.accounting.Costs`; the log says if the clock of the CPU may vary."""
        if "latency_ms" in self.metrics or any(target.kind == "here" for target in self.targets.values()):
            warn_of_speed(self.device)
        here = [f"latency_ms{AT}{name}" for name, target in self.targets.items() if target.kind == "here"]
        names = ("latency_ms", *here)
        self.timing.go_on(trial.methods[name] for trial in trials for name in names if name in trial.methods)
        self.on_targets.measured.go_on(trials)

    def late(
        self, trials: Sequence[Trial], goals: Goals, ending: bool
    ) -> Iterator[tuple[Trial, dict[str, float], dict[str, str]]]:
        """See :class:`~searchkit.search.accounting.Costs`."""
        yield from self.on_targets.late(trials, goals, ending, self.exported)
        if ending and "latency_ms" in self.metrics and self.metrics["latency_ms"].function is None:
            yield from confirmed(trials, goals, self._timed_again)

    def _timed_again(self, code: Codes) -> tuple[dict[str, float], str]:
        """The latency of a candidate, measured for longer."""
        with untouched():
            return self.timing(self._timed(code), LONGER)

    @property
    def vectorised(self) -> bool:
        """Whether the space has a formula that counts many candidates at once."""
        return self.space.count is not None and "peak_memory" not in self.metrics

    def counted(self, codes: Codes) -> dict[str, Floats]:
        """``{name: (n,)}`` of the exact counts: params, macs, and peak_memory if it is a metric of the search.

        NaN for a candidate that cannot be built; its evaluation will record the reason.
        """
        if self.vectorised:
            return self._counted(codes)
        rows = [self._counted_or_nan(code) for code in codes]
        return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in self._names}

    def _counted_or_nan(self, code: Codes) -> dict[str, float]:
        key = keys(code[None])[0]
        if key in self._uncounted or suspicion(code) is not None:
            return dict.fromkeys(self._names, float("nan"))
        try:
            with noted(code, COUNTING):
                self.get_ready()
                counted = within(self.limit, self._counted, code[None])
                return {name: float(column[0]) for name, column in counted.items()}
        except PASSED_ON:
            raise
        except BaseException:
            self._uncounted.add(key)
            return dict.fromkeys(self._names, float("nan"))

    @cached_property
    def _uncounted(self) -> set[bytes]:
        """Candidates that could not be counted. Only their evaluation tries again: it may take the whole time limit."""
        return set()

    @property
    def _names(self) -> list[str]:
        return ["params", "macs", *(["peak_memory"] if "peak_memory" in self.metrics else [])]

    def _counted(self, codes: Codes) -> dict[str, Floats]:
        columns = dict(space_counts(self.space, codes))
        if "peak_memory" in self.metrics:
            columns["peak_memory"] = space_peak_memory(self.space, codes)
        return columns
