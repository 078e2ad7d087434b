"""What computes metrics of trained networks that are no scores of ours: of int8 files, of scikit-learn, and the user's.

Functions of predictions get the validation part as the user gave it: labels, quantities in their unit, masks or maps.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from searchkit.costs.metrics import Metric
from searchkit.costs.scikit_scores import is_scorer
from searchkit.costs.task_scores import AT, SCORES, in_int8
from searchkit.data.data import Data
from searchkit.data.masks import IGNORED
from searchkit.errors import PASSED_ON, ObjectiveError, message_of
from searchkit.problem.numbers import number_of
from searchkit.space import NetworkSpace
from searchkit.space.precision_space import rest_precision
from searchkit.training.int8_scores import int8_metric
from searchkit.training.scores import score_batch
from searchkit.training.tasks.totals import in_units

Array = npt.NDArray[Any]


def with_functions(
    metrics: Mapping[str, Metric], space: NetworkSpace, data: Data, own: Container[str] = ()
) -> dict[str, Metric]:
    """Metrics by name, with what computes those in int8, of scikit-learn and of predictions; others are as they were.

    Args:
        data: without their test part.
        own: names of those that a training function of the user's gives.

    Raises:
        ObjectiveError: the space has precisions to choose, and no metric depends on them; or a function of predictions
            fails on the validation part.
    """
    if rest_precision(space) and not any(AT in name for name in metrics):
        raise ObjectiveError(
            f"space '{space.name}' has the precision of each block as a choice, and no objective or bound depends on "
            f"it: ask for accuracy@int8, latency_ms@int8 or file_bytes@int8, or for the space without precisions"
        )
    return {name: metric if name in own else _with_function(metric, data) for name, metric in metrics.items()}


def _with_function(metric: Metric, data: Data) -> Metric:
    if metric.function is None and in_int8(metric.name):
        return int8_metric(metric, data)
    if metric.of_predictions:
        assert metric.function is not None
        computed: _OfPredictions = UserScore(data, metric.function)
    elif metric.function is None and metric.name not in SCORES[data.task] and is_scorer(metric.name):
        computed = ScikitScore(data, metric.name)
    else:
        return metric
    computed.check(metric.name)
    return replace(metric, function=computed, trained=True)


@dataclass(frozen=True)
class _OfPredictions:
    """A metric of what a network says of the validation part; picklable where its parts are."""

    data: Data

    def __call__(self, network: nn.Module) -> float:
        """The value for a network that takes raw inputs."""
        part, step = self.data.val, score_batch(self.data)
        with torch.inference_mode():
            answers = [network(part.x[i : i + step]).float().cpu() for i in range(0, len(part), step)]
        return self.of(torch.cat(answers))

    def of(self, outputs: torch.Tensor) -> float:
        """The value for outputs of the delivered network: logits, or quantities in their unit."""
        raise NotImplementedError

    def check(self, name: str) -> None:
        """Refuse a function that fails on the validation part, before any network is trained."""
        if not len(self.data.val):
            raise ObjectiveError(f"metric '{name}' is of the validation part, which is empty")
        generator = torch.Generator().manual_seed(0)
        outputs = torch.randn(len(self.data.val), *self.data.output_shape, generator=generator)
        if self.data.target is not None:
            outputs = in_units(outputs, self.data)
            outputs = outputs.squeeze(1) if self.data.output_shape == (1,) else outputs
        try:
            returned = self.of(outputs)
        except PASSED_ON:
            raise
        except Exception as error:
            raise ObjectiveError(
                f"metric '{name}' cannot be computed for data '{self.data.name}' ({self.data.task}): "
                f"{type(error).__name__}: {message_of(error)}"
            ) from error
        try:
            number_of(returned)  # NaN and infinity may be right for the random predictions here
        except ValueError as error:
            raise ObjectiveError(
                f"metric '{name}' is {error}: its function(y_true, y_pred) returns one number"
            ) from None

    @cached_property
    def true(self) -> Array:
        """``(n, ...)`` y of the validation part, as the user has it."""
        return self._as_given(self.data.val.y)

    def _as_given(self, y: torch.Tensor) -> Array:
        if self.data.task not in ("classification", "segmentation"):
            found: Array = y.numpy()
            return found
        labels = np.asarray(self.data.classes)
        return (
            np.where(y.numpy() == IGNORED, IGNORED, labels[y.long().clamp(min=0).numpy()]) if y.ndim > 1 else labels[y]
        )

    def _said(self, outputs: torch.Tensor) -> Array:
        """Predictions, in the form of :attr:`true`."""
        if self.data.task in ("classification", "segmentation"):
            return self._as_given(outputs.argmax(1))
        return self._as_given((outputs > 0).long() if self.data.task == "multilabel" else outputs)


@dataclass(frozen=True)
class UserScore(_OfPredictions):
    """A function ``(y_true, y_pred) -> float`` of the user's.

    Where pixels are left out, it gets those that count, in one axis.
    """

    function: Callable[..., float]

    def of(self, outputs: torch.Tensor) -> float:
        """See :class:`_OfPredictions`."""
        true, said = self.true.copy(), self._said(outputs)  # which it may change
        left_out = true == IGNORED if self.data.task == "segmentation" else true != true
        if self.data.dense and left_out.any():
            true, said = true[~left_out], said[~left_out]
        return self.function(true, said)


@dataclass(frozen=True)
class ScikitScore(_OfPredictions):
    """A scorer of scikit-learn, by name."""

    name: str

    def of(self, outputs: torch.Tensor) -> float:
        """See :class:`_OfPredictions`."""
        from sklearn.metrics import get_scorer

        from searchkit.training.answering import answering

        return float(get_scorer(self.name)(answering(self._said(outputs), outputs, self.data), None, self.true))
