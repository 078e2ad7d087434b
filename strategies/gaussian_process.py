"""A Gaussian process over candidates as a BoTorch model: one per objective, fitted with analytic gradients.

BoTorch's own fit differentiates through every kernel entry and took three quarters of the time of a suggestion; this
one (:mod:`searchkit.surrogates.gaussian_process`) takes a tenth of that. As a BoTorch model it can be used in BoTorch's
analytic acquisition functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from botorch.models.model import Model

from searchkit.surrogates.features import Features
from searchkit.surrogates.gaussian_process import Gaussian
from searchkit.types import Codes, Floats


@dataclass(frozen=True)
class Column:
    """The process of one column of values, and which groups of features it uses."""

    gaussian: Gaussian
    groups: tuple[int, ...]

    def seen(self, groups: Sequence[Floats]) -> list[Floats]:
        """The groups of features that this process uses."""
        return [groups[g] for g in self.groups]


class BoTorchProcess(Model):
    """Independent processes, one per column of values; higher is better. Features are codes ``(n, 1, d)``.

    Its posterior is marginal: the mean and the variance of each candidate, no covariances between candidates. That is
    all an analytic acquisition needs, and for a pool of thousands it is one matrix product with the training rows,
    where BoTorch's batched posterior copies these for every candidate.
    """

    def __init__(self, inputs: Features, columns: Sequence[Column]) -> None:
        super().__init__()
        self._inputs = inputs
        self._columns = list(columns)

    @property
    def num_outputs(self) -> int:
        """k, the number of columns of values."""
        return len(self._columns)

    def posterior(self, X: torch.Tensor, *args: object, **kwargs: object) -> Any:
        """Mean and variance ``(n, 1, k)`` of the noise-free values at ``X (n, 1, d)``."""
        mean, std = self.predict(X.squeeze(-2).numpy().astype(np.int64))
        return SimpleNamespace(
            mean=torch.from_numpy(mean)[:, None], variance=torch.from_numpy(std)[:, None].square(), device=X.device
        )

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and standard deviation ``(n, k)``."""
        groups = self._inputs(codes)
        known = np.zeros(len(codes))
        parts = [column.gaussian.predict(column.seen(groups), known) for column in self._columns]
        return np.column_stack([mean for mean, _ in parts]), np.column_stack([std for _, std in parts])

    def believe(self, code: Codes) -> Floats:
        """Add candidate ``(d,)`` as observed at its predicted values ``(k,)``, and return these."""
        groups = self._inputs(code[None])
        mean, _ = self.predict(code[None])
        self._columns = [
            Column(column.gaussian.believing(column.seen(groups), np.zeros(1)), column.groups)
            for column in self._columns
        ]
        values: Floats = mean[0]
        return values
