"""Networks in int8 during a search: their scores after the training, their latency and size before it.

They are the metrics ``accuracy@int8``, ``latency_ms@int8``, ``file_bytes@int8`` and the like. A search calibrates with
fewer examples than an export and in one way, the quickest, so that a candidate takes seconds; the export takes the best
of several ways.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from searchkit.costs.int8_file import CALIBRATIONS, FOR_SPEED, answers_of, write_int8, write_mixed
from searchkit.costs.latency import latency_of_file
from searchkit.costs.metrics import Metric
from searchkit.costs.mixed_precision import has_precisions
from searchkit.costs.onnx_file import distinct, names_of, why, write_onnx, write_quickly
from searchkit.costs.task_scores import in_float
from searchkit.data.data import Data
from searchkit.data.splits import Split
from searchkit.errors import PASSED_ON, CandidateError
from searchkit.space.inputs import noise
from searchkit.training.answer_scores import examples_of, score_of

CALIBRATED = 256  # examples of the train part from which an export takes the ranges of activations
QUICKLY = 128  # examples of them in a search


def int8_metric(metric: Metric, data: Data) -> Metric:
    """A metric in int8 with the function that computes it."""
    name = in_float(metric.name)
    function = _Score(name, data) if metric.stage == "trained" else _Cost(name, data)
    return replace(metric, function=function, trained=metric.stage == "trained")


@dataclass(frozen=True)
class _Score:
    """A score of a trained network on the validation part, in int8."""

    name: str
    data: Data

    def __call__(self, network: nn.Module) -> float:
        with _file(network, self.data, QUICKLY, write_quickly) as path:
            return file_score(path, self.data.val, self.data, self.name)


@dataclass(frozen=True)
class _Cost:
    """Latency or size of the int8 file of a network before its training."""

    name: str
    data: Data

    def __call__(self, network: nn.Module) -> float:
        sized = self.name == "file_bytes"
        with _file(distinct(network), self.data, FOR_SPEED, write_onnx if sized else write_quickly) as path:
            if sized:
                return float(path.stat().st_size)
            return latency_of_file(path, examples_of(self.data.train, 1)).median_ms


@contextlib.contextmanager
def _file(network: nn.Module, data: Data, n_examples: int, write: Callable[..., None]) -> Iterator[Path]:
    """The int8 file of a network that takes raw inputs, while the context lasts.

    Raises:
        CandidateError: there is none.
    """
    network = network.to("cpu").eval()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        try:
            names = names_of(data.input_shape, data.target is not None)
            examples = examples_of(data.train, n_examples)
            if has_precisions(network):
                write_mixed(network, target, examples, CALIBRATIONS[0], names)
            else:
                write(network, noise(3, data.input_shape), source, *names)
                write_int8(source, target, examples, CALIBRATIONS[0])
        except PASSED_ON:
            raise
        except Exception as error:
            raise CandidateError(f"it has no int8 file: {why(error)}") from error
        yield target


def file_score(path: Path, split: Split, data: Data, score: str) -> float:
    """A score of a file's answers for a part of the data."""
    return score_of(answers_of(path, examples_of(split)), split, data, score)
