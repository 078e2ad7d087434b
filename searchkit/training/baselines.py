"""What simple models reach on the same parts of the data as the networks: they say whether a search was worth anything.

They are fitted on the train part, with its weights and those of its classes, and scored on the validation part and the
test part by the same scores as networks. For the same split the outcome is the same, unless the clock cut a fit short.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from searchkit.data.data import Data
from searchkit.data.splits import Split
from searchkit.errors import PASSED_ON, DataError, message_of, plural, readable
from searchkit.random_state import untouched
from searchkit.runtime.threads import one_blas_thread, one_thread
from searchkit.training.flat_inputs import BLOCK, FlatInputs
from searchkit.training.scores import scores_of
from searchkit.training.simple_models import (
    OUTPUTS,
    SIMPLE_MODELS,
    Examples,
    Features,
    Predict,
    SimpleModel,
    spread_rows,
)
from searchkit.types import Floats

SECONDS = 10.0
VALUES = 2**26  # rows times features that a fit sees, or that are scored, at most
SCORED = 50_000  # rows of a part that are scored at most: an accuracy is then known to 0.2 %
LEAST_ROWS = 50  # with fewer than these, and than two a class, a model is not worth fitting where there are more

Outputs = Callable[[Features], torch.Tensor]


def baselines(data: Data, *, seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Fit simple models on the train part, and score them on the others.

    For classes these are the most frequent class, a logistic regression, a random forest of 100 trees and an MLP with a
    hidden layer of 128 units; for quantities their mean, a ridge regression, a forest and an MLP. Images and signals
    are flattened; of token sequences they see how often each token occurs (a bag of words).
    For several labels or quantities at once, masks and maps they are the constant alone: the labels that most have, the
    most frequent class, or means. A model that would take longer than its share of the time is fitted on fewer rows, in
    which classes are as frequent.

    Args:
        seconds: that all of them may take, on one thread.

    Returns:
        JSON values, one dictionary per model: ``model``; ``validation`` and ``test``, each a mapping of score to value,
        empty where that part is empty or the model failed; ``seconds``; ``rows`` that it was fitted on; and ``reason``,
        why it has no scores or what was cut short. A model that fails is such a row, and nothing is raised.
    """
    deadline = time.perf_counter() + seconds
    work = _Work(data, seconds)
    found = [_attempt(_constant_name(data), lambda: work.constant())]
    models = SIMPLE_MODELS[data.task] if data.task in SIMPLE_MODELS and data.train.y.ndim == 1 else ()
    for i, model in enumerate(models):
        now = time.perf_counter()
        until = now + (deadline - now) * model.share / sum(other.share for other in models[i:])
        found.append(_attempt(model.name, lambda model=model, until=until: work.fitted(model, until)))  # type: ignore[misc]
    return found


def _constant_name(data: Data) -> str:
    constant = {"classification": "majority class", "segmentation": "majority class", "multilabel": "frequent labels"}
    return constant.get(data.task, "mean")


def _attempt(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The row of a model, also of one that fails."""
    began = time.perf_counter()
    row: dict[str, Any] = {"model": name, "validation": {}, "test": {}, "seconds": 0.0, "rows": 0, "reason": ""}
    try:
        with _quietly():
            row |= make()
    except PASSED_ON:
        raise
    except Exception as error:  # whatever it is, a search does not end of it
        said = (message_of(error).strip().splitlines() or [""])[0]
        row["reason"] = readable(said if isinstance(error, DataError) else f"{type(error).__name__}: {said}")
    row["seconds"] = round(time.perf_counter() - began, 3)
    return row


@contextmanager
def _quietly() -> Iterator[None]:
    """On one thread, without warnings, and with the global random states left as they were."""
    import sklearn.utils  # noqa: F401 - loaded before its libraries' threads are limited

    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(np.errstate(all="ignore"))
        stack.enter_context(untouched())
        stack.enter_context(one_thread())
        stack.enter_context(one_blas_thread())
        yield


@dataclass(frozen=True)
class _Work:
    """Fits and scores on the parts of the data."""

    data: Data
    seconds: float

    @cached_property
    def _inputs(self) -> FlatInputs:
        return FlatInputs(self.data)

    @cached_property
    def _counting(self) -> tuple[npt.NDArray[np.int64], Floats | None]:
        """The rows of the train part that count, and the weights of all; None: all alike."""
        train, of_classes = self.data.train, self.data.class_weights
        weight = None if train.weight is None else train.weight.numpy().astype(np.float64)
        if of_classes is not None and train.y.ndim == 1:
            weight = np.asarray(of_classes)[train.y.numpy()] * (1.0 if weight is None else weight)
        rows = np.arange(len(train)) if weight is None else np.flatnonzero(weight > 0)
        if not len(rows):
            raise DataError("no row of the train part has a weight above 0")
        return rows, weight

    @cached_property
    def _targets(self) -> npt.NDArray[Any]:
        """Of the train part: classes, or quantities standardised."""
        y: npt.NDArray[Any] = self.data.train.y.numpy()
        moments = self.data.target
        return y if moments is None else (y - moments.mean[0]) / moments.std[0]

    def constant(self) -> dict[str, Any]:
        """The most frequent class, with the frequencies as probabilities, or the mean: by weights."""
        rows, weight = self._counting
        if self.data.train.y.ndim > 1:
            said = constant_outputs(self.data)
            return self._scored(lambda x: said.expand(len(x), *said.shape[1:]), reads=False) | {"rows": len(rows)}
        y = self._targets[rows]
        counts = np.ones(len(rows)) if weight is None else weight[rows] / weight[rows].mean()
        if self.data.task == "regression":
            said = torch.tensor([[float((y * counts).sum() / len(y))]], dtype=torch.float64)
        else:
            k = self.data.n_classes
            said = torch.from_numpy(np.log((np.bincount(y, counts, k) + 1 / k) / (len(y) + 1)))[None]
        return self._scored(lambda x: said.expand(len(x), -1), reads=False) | {"rows": len(rows)}

    def fitted(self, model: SimpleModel, until: float) -> dict[str, Any]:
        """A model fitted on as many rows as its share of the time takes."""
        rows, weight = self._counting
        features, classes = self._inputs.n_features, 0
        if self.data.task == "classification":
            classes = len(np.unique(self._targets[rows]))
            if classes < 2:
                raise DataError("all rows of the train part are of one class")
            if refused := model.refused(features, classes):
                raise DataError(refused)
        rows = rows[spread_rows(self._targets[rows], self._most(model, len(rows), features, classes), _rng())]
        if until <= time.perf_counter():
            raise DataError(f"no time was left of the {self.seconds:g} s for all of them")
        x, y = self._inputs(self.data.train.x, rows), self._targets[rows]
        if not np.isfinite(x).all() or not np.isfinite(y).all():
            raise DataError("the train part has values that are not finite")
        there, y = (np.unique(y, return_inverse=True)) if classes else (np.zeros(0, np.int64), y)
        counts = None if weight is None else weight[rows] / weight[rows].mean()
        got = model.fit(Examples(x, y, counts, len(there), until))
        outputs = _classes_out(got.predict, there, self.data.n_classes, len(rows)) if classes else _column(got.predict)
        scored = self._scored(outputs)
        reason = "; ".join(said for said in (got.note, scored["reason"]) if said)
        return scored | {"rows": len(rows), "reason": reason}

    def _most(self, model: SimpleModel, n: int, features: int, classes: int) -> int:
        """How many of n rows a model is fitted on, by what its time and memory allow."""
        most = min(n, VALUES // features, OUTPUTS // max(classes, 1))
        limit = model.share * self.seconds
        if model.seconds(most, features, classes) > limit:
            low, high = 0, most  # the time of low rows is within the limit, that of high rows is not
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if model.seconds(middle, features, classes) <= limit else (low, middle)
            most = low
        if most < min(n, max(LEAST_ROWS, 2 * classes)):
            what = plural(features, "feature") + (f" and {classes:,} classes" if classes else "")
            raise DataError(f"with {what}, its {limit:.2g} s are enough for {most:,} of {n:,} rows only")
        return most

    def _scored(self, outputs: Outputs, *, reads: bool = True) -> dict[str, Any]:
        """The scores on both parts, and which was scored in part only.

        Args:
            reads: whether the outputs depend on the features.
        """
        found: dict[str, Any] = {"reason": ""}
        for name, part in (("validation", self.data.val), ("test", self.data.test)):
            wide = VALUES // self._inputs.n_features if reads else len(part)
            most = max(1, min(SCORED, wide, OUTPUTS // math.prod(self.data.output_shape)))
            rows = spread_rows(part.y.numpy() if part.y.ndim == 1 else np.zeros(len(part)), most, _rng())
            if len(rows) < len(part):
                found["reason"] += f"{'; ' * bool(found['reason'])}scored on {most:,} of {len(part):,} rows of {name}"
            found[name] = self._scores(outputs, part, name, rows, reads) if len(rows) else {}
        return found

    def _scores(
        self, outputs: Outputs, part: Split, name: str, rows: npt.NDArray[np.int64], reads: bool
    ) -> dict[str, float]:
        found = []
        width = max(math.prod(self.data.output_shape), self._inputs.n_features)
        for block in np.array_split(rows, math.ceil(len(rows) * width / BLOCK)):
            x = self._inputs(part.x, block) if reads else np.empty((len(block), 0), np.float32)
            if not np.isfinite(x).all():
                raise DataError(f"the {name} part has values that are not finite")
            found.append((outputs(x), part.y[torch.from_numpy(block)]))
        weight = None if part.weight is None else part.weight[torch.from_numpy(rows)]
        scores = scores_of(found, self.data, weight)
        if not all(map(math.isfinite, scores.values())):
            raise DataError(f"its scores on the {name} part are not finite numbers")
        return scores


def constant_outputs(data: Data) -> torch.Tensor:
    """``(1, *output_shape)`` what a network would say that knows the train part and no input; without weights.

    Of several labels at once the logarithm of their odds, of masks that of each class's frequency, else means.
    """
    y, shape = data.train.y, (1, -1, *[1] * (len(data.output_shape) - 1))
    if data.task == "multilabel":
        share = (y.double().sum(0) + 0.5) / (len(y) + 1)
        found = torch.log(share / (1 - share))
    elif data.task == "segmentation":
        found = torch.log(torch.bincount(y[y >= 0].long(), minlength=data.n_classes).double() + 0.5)
    else:
        found = torch.zeros(data.n_classes, dtype=torch.float64)  # the means, standardised
    return found.view(shape).expand(1, *data.output_shape)


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _column(predict: Predict) -> Outputs:
    return lambda x: torch.from_numpy(np.asarray(predict(x), np.float64).reshape(-1, 1))


def _classes_out(predict: Predict, there: npt.NDArray[np.int64], k: int, n: int) -> Outputs:
    """Logarithms of the probabilities ``(n, k)``; classes that were not there share what an example more would be."""
    absent = (k - len(there)) / (n + k)

    def outputs(x: Features) -> torch.Tensor:
        p = np.full((len(x), k), 1 / (n + k))
        p[:, there] = (1 - absent) * np.maximum(predict(x), 1e-15)
        return torch.from_numpy(np.log(p))

    return outputs
