"""The examples that a trained network is compressed with: as it takes them, and with labels that are its classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from searchkit.compression.given import given, ran, unwrapped
from searchkit.data.assembling import assemble
from searchkit.data.data import Data
from searchkit.data.images import as_images
from searchkit.data.loading import load_data
from searchkit.data.splits import Split
from searchkit.errors import DataError, ModelError

FEWEST = 16  # pictures without labels
VALIDATION = 0.2  # share of these that is kept for the scores


def labelled(model: object, data: object, seed: int) -> Data:
    """The data, not standardised; the network's own answers are the labels of pictures alone.

    Args:
        data: as for :func:`searchkit.compress`.

    Raises:
        DataError: they cannot be used.
        ModelError: the network cannot be, or does not take the pictures.
    """
    model = unwrapped(model)
    if data is None:
        raise DataError("data are None: give pictures, with labels or without, or the name of a data set")
    loaded = data
    if isinstance(data, np.ndarray | Tensor):
        loaded = _by_its_own_answers(model, data, seed)
    elif not isinstance(data, Data):
        loaded = load_data(data, seed=seed)
    assert isinstance(loaded, Data)
    if loaded.task != "classification":
        raise DataError(f"compress takes classifiers, and data '{loaded.name}' are loaded for {loaded.task}")
    return loaded.as_given()


def _by_its_own_answers(model: nn.Module, pictures: npt.NDArray[np.generic] | Tensor, seed: int) -> Data:
    x = as_images(pictures, channels="first" if np.ndim(pictures) == 4 else None)
    if len(x) < FEWEST:
        raise DataError(f"there are {len(x)} pictures without labels; {FEWEST} are needed at least")
    checked = given(model, x[:2].float())
    if checked.output.ndim != 2:
        raise ModelError(f"the network gives outputs of shape {tuple(checked.output.shape)}, not (n, classes)")
    y = torch.cat([ran(checked.model, part.float()).argmax(1) for part in torch.split(x, 64)])
    rows = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)))
    n = max(2, round(VALIDATION * len(x)))
    parts = [Split(x[part], y[part]) for part in (rows[n:], rows[:n], rows[:0])]
    return assemble(parts, tuple(range(checked.output.shape[1])), name="pictures")


def of_classes(data: Data, n_classes: int) -> Data:
    """The data with labels that are the classes of a network's outputs.

    Whole numbers from 0 to the number of outputs name the outputs, also where some of them have no example; other
    labels, sorted, stand for the outputs in their order.

    Raises:
        DataError: there are others.
    """
    if data.n_classes == n_classes:
        return data
    numbers = [label for label in data.classes if isinstance(label, int) and not isinstance(label, bool)]
    if len(numbers) < data.n_classes or not all(0 <= number < n_classes for number in numbers):
        shown = ", ".join(map(repr, data.classes[:5])) + (", ..." if data.n_classes > 5 else "")
        raise DataError(
            f"the network gives {n_classes} scores, and data '{data.name}' have the {data.n_classes} classes {shown}: "
            "give labels that are numbers of its outputs, from 0"
        )
    outputs = torch.tensor(numbers)
    parts = [replace(part, y=outputs[part.y]) for part in (data.train, data.val, data.test)]
    weights = data.class_weights
    if weights is not None:
        own = dict(zip(numbers, weights, strict=True))
        weights = tuple(own.get(i, 1.0) for i in range(n_classes))
    return replace(
        data, train=parts[0], val=parts[1], test=parts[2], classes=tuple(range(n_classes)), class_weights=weights
    )
