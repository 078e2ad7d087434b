"""Inputs of any kind as rows of features, for simple models."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from searchkit.data.data import Data
from searchkit.data.normalising import Normaliser
from searchkit.training.simple_models import Features

PIXELS = 4096  # of an image with its channels; larger ones are averaged over blocks
BLOCK = 2**22  # values that are looked at together


class FlatInputs:
    """Rows of ``x (n, ...)`` as features ``(n, f)`` float32: normalised as for networks, flattened; large ones shrunk.

    Of tokens, a feature is how often one of them occurs in the sequence; padding is left out.

    Attributes:
        n_features: f.
    """

    def __init__(self, data: Data) -> None:
        self._normalise = Normaliser(data, torch.device("cpu"))
        self._size: tuple[int, ...] | None = None
        self._tokens = data.vocabulary
        shape = data.input_shape
        if data.kind == "images" and math.prod(shape) > PIXELS:
            by = math.sqrt(PIXELS / math.prod(shape))
            self._size = max(1, int(shape[1] * by)), max(1, int(shape[2] * by))
            shape = (shape[0], *self._size)
        elif data.kind == "signals" and math.prod(shape) > PIXELS:
            self._size = (max(1, PIXELS // shape[0]),)
            shape = (shape[0], *self._size)
        self.n_features = max(1, data.vocabulary - 1) if data.vocabulary else math.prod(shape)

    def __call__(self, x: torch.Tensor, rows: npt.NDArray[np.int64]) -> Features:
        made = np.empty((len(rows), self.n_features), np.float32)
        together = max(1, BLOCK // max(1, math.prod(x.shape[1:])))
        for i in range(0, len(rows), together):
            if self._tokens:
                made[i : i + together] = self._bags(x[torch.from_numpy(rows[i : i + together])])
                continue
            some = self._normalise(x[torch.from_numpy(rows[i : i + together])])
            if self._size is not None:
                pool = functional.adaptive_avg_pool2d if len(self._size) == 2 else functional.adaptive_avg_pool1d
                some = pool(some, self._size)  # type: ignore[arg-type]
            made[i : i + together] = some.reshape(len(some), -1).numpy()
        return made

    def _bags(self, tokens: torch.Tensor) -> Features:
        counts = torch.zeros(len(tokens), self._tokens)
        counts.scatter_add_(1, tokens, torch.ones(tokens.shape))
        return counts[:, 1:].numpy()  # 0 is padding
