"""An estimator of scikit-learn that says what is known already, for scorers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from searchkit.data.data import Data


def answering(said: npt.NDArray[Any], outputs: torch.Tensor, data: Data) -> BaseEstimator:
    """An estimator with these predictions, and the probabilities that the outputs say, whatever it is asked.

    Args:
        said: ``(n, ...)`` predictions.
        outputs: ``(n, k)`` logits, where the task is about classes.
    """
    if data.target is not None:
        return _Quantities(said)
    probabilities = outputs.double().softmax(1) if data.task == "classification" else outputs.double().sigmoid()
    return _Classes(said, probabilities.numpy(), np.asarray(data.classes))


class _Quantities(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    def __init__(self, said: npt.NDArray[Any]) -> None:
        self.said = said

    def predict(self, X: object) -> npt.NDArray[Any]:
        return self.said

    def __sklearn_is_fitted__(self) -> bool:
        return True


class _Classes(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    def __init__(self, said: npt.NDArray[Any], probabilities: npt.NDArray[Any], classes: npt.NDArray[Any]) -> None:
        self.said, self.probabilities, self.classes_ = said, probabilities, classes

    def predict(self, X: object) -> npt.NDArray[Any]:
        return self.said

    def predict_proba(self, X: object) -> npt.NDArray[Any]:
        return self.probabilities

    def __sklearn_is_fitted__(self) -> bool:
        return True
