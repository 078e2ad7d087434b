"""An exported network in int8, judged beside itself in float32: its score, its size and its latency."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from searchkit.costs.int8_file import CALIBRATIONS, write_int8, write_mixed
from searchkit.costs.metrics import sign_of
from searchkit.costs.mixed_precision import has_precisions
from searchkit.costs.onnx_file import names_of, why
from searchkit.costs.onnx_session import file_runner
from searchkit.costs.task_scores import AT, INT8
from searchkit.costs.together import fastest_together
from searchkit.data.data import Data
from searchkit.errors import ExportError
from searchkit.problem.objectives import Bound
from searchkit.results.file_scores import judged_part, metric_of, titled
from searchkit.space.precision_space import all_float32
from searchkit.training.answer_scores import examples_of
from searchkit.training.int8_scores import CALIBRATED, file_score

if TYPE_CHECKING:
    from searchkit.results.result import Result

TOLERATED = 0.005  # of accuracy or R^2: a larger loss is said
SECONDS = 0.3  # of timing for each of the two files


@dataclass(frozen=True)
class Int8:
    """What the int8 file is worth beside the float32 one.

    Attributes:
        metric: the first score of the task, such as "accuracy", or "r2"; the scores below are of it.
        part: of the data on which they were scored: "test", or "validation" where there is no test part.
        float32, int8: scores of the two files.
        bytes_float32, bytes_int8: sizes of the two files.
        ms_float32, ms_int8: latency on this machine, one example on one thread of the CPU.
        calibration: how ranges were taken from the examples; that of the best score on the validation part.
        all_float32: the network has a precision for each of its blocks, and none of them is int8.
    """

    metric: str
    part: str
    float32: float
    int8: float
    bytes_float32: int
    bytes_int8: int
    ms_float32: float
    ms_int8: float
    calibration: str
    all_float32: bool = False

    @property
    def lost(self) -> float:
        """How much worse int8 is."""
        return sign_of(self.metric) * (self.float32 - self.int8)

    @property
    def line(self) -> str:
        """One sentence for people."""
        if self.metric == "accuracy":
            scores = f"{100 * self.int8:.1f} % accuracy ({100 * self.float32:.1f} % in float32)"
        else:
            scores = f"{titled(self.metric)} {self.int8:.4f} ({self.float32:.4f} in float32)"
        return (
            f"int8: {scores} on the {self.part} part, {self.bytes_int8 / 1000:.1f} kB "
            f"({self.bytes_float32 / 1000:.1f}), {self.ms_int8:.3f} ms on this machine ({self.ms_float32:.3f})"
        )

    @property
    def warnings(self) -> list[str]:
        """What speaks against the file: the score it loses, and that it saves no time or space here, or is none."""
        if self.all_float32:
            return ["no block of this network was chosen to be in int8, so that this file is in float32 as well"]
        found = []
        if self.lost > TOLERATED * (1.0 if sign_of(self.metric) > 0 else abs(self.float32)):
            points = f"{100 * self.lost:.1f} points" if self.metric == "accuracy" else f"{self.lost:.3f}"
            found.append(f"int8 loses {points} of {self.metric} on the {self.part} part")
        if self.ms_int8 >= self.ms_float32:
            found.append(f"int8 is no quicker on this machine: {self.ms_int8:.3f} ms, {self.ms_float32:.3f} in float32")
        if self.bytes_int8 >= self.bytes_float32:
            found.append(f"int8 saves no space: {self.bytes_int8:,} bytes, {self.bytes_float32:,} in float32")
        return found

    def described(self) -> dict[str, object]:
        """For the .json file of an export."""
        return asdict(self) | {"warnings": self.warnings}


def write_and_judge(result: Result, network: nn.Module, source: Path, target: Path, data: Data) -> Int8:
    """Write the int8 file of an exported network, the best of several calibrations, and judge it.

    Args:
        network: takes raw inputs; where it has a precision for each block, the file has them.
        source: the float32 file.
        data: of the search.

    Raises:
        ExportError: ONNX Runtime cannot make the file, or the network breaks a bound of the search in int8.
    """
    metric = metric_of(data)
    examples = examples_of(data.train, CALIBRATED)
    scored, files, refused = dict[str, float](), dict[str, bytes](), list[Exception]()
    names = names_of(data.input_shape, data.target is not None)
    for calibration in CALIBRATIONS:
        try:
            if has_precisions(network):
                write_mixed(network, target, examples, calibration, names)
            else:
                write_int8(source, target, examples, calibration)
            scored[calibration] = file_score(target, data.val, data, metric)
            files[calibration] = target.read_bytes()
        except Exception as error:
            refused.append(error)
    if not scored:
        raise ExportError(f"it has no int8 file: {why(refused[0])}")
    best = max(scored, key=lambda name: sign_of(metric) * scored[name])
    target.write_bytes(files[best])
    _check_bounds(result, metric, scored[best], target)
    part, split = judged_part(data)
    runs = [file_runner(file, examples[:1]) for file in (source, target)]
    ms_float32, ms_int8 = (float(ms) for ms in fastest_together(runs, SECONDS))
    return Int8(
        metric, part, file_score(source, split, data, metric), file_score(target, split, data, metric),
        source.stat().st_size, target.stat().st_size, ms_float32, ms_int8, best, all_float32(network),
    )  # fmt: skip


def _check_bounds(result: Result, metric: str, value: float, file: Path) -> None:
    """Refuse a network that breaks a bound of the search in int8, on its score or the size of its file."""
    scored = f"has {metric} {value:.4g} on the validation part"
    known = {metric: (value, scored), f"{metric}{AT}{INT8}": (value, scored)}
    size = file.stat().st_size
    known[f"file_bytes{AT}{INT8}"] = (size, f"has a file of {size:,} bytes")
    for bound in result.goals.bounds:
        found, said = known.get(bound.name, (math.nan, ""))
        if _broken(bound, found):
            raise ExportError(f"in int8 it {said}, which breaks the search's bound {bound}")


def _broken(bound: Bound, value: float) -> bool:
    return bool(bound.violation(np.array([value]))[0] > 0)
