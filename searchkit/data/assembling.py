"""Data made of given parts: moments of the train part, how its images are augmented, and a digest of all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from searchkit.data.augmenting import Transform, check_scale, n_taken
from searchkit.data.data import Augment, Data
from searchkit.data.frames import FrameEncoder
from searchkit.data.labels import Label
from searchkit.data.pictures import Shape
from searchkit.data.splits import Split
from searchkit.data.symmetry import usual_augment
from searchkit.data.targets import Moments
from searchkit.data.tokens import Tokenizer
from searchkit.errors import DataError
from searchkit.random_state import untouched
from searchkit.runtime.fingerprint import fingerprint
from searchkit.types import Task

LARGE = 2**27  # values of images from which their moments are found part by part
AT_ONCE = 256  # images of a part


def assemble(
    splits: Sequence[Split],
    classes: tuple[Label, ...],
    *,
    name: str = "custom",
    augment: Augment | None = None,
    class_weights: tuple[float, ...] | None = None,
    normalise: bool = True,
    task: Task | None = None,
    transform: Transform | None = None,
    prepared_as: Shape | None = None,
    vocabulary: int = 0,
    tokenizer: Tokenizer | None = None,
    encoder: FrameEncoder | None = None,
) -> Data:
    """A :class:`Data` made of the given parts: train, val and test; only train must have examples.

    Args:
        classes: empty where y is no class.
        augment: of images, where None is by :func:`searchkit.data.symmetry.usual_augment`; and of signals.
        normalise: whether networks get standardised values, or those of the user.
        task: None: by whether there are classes.
        transform: of training images, see :class:`Data`.
        prepared_as: of pictures of a folder, see :class:`Data`.
        vocabulary, tokenizer: of token sequences, see :class:`Data`.
        encoder: of a data frame, see :class:`Data`.
    """
    train, task = splits[0], task or ("classification" if classes else "regression")
    augment = _augment(train, augment, task, len(classes))
    if transform is not None:
        _check_transform(transform, train, task)
    n = train.x.shape[1]
    if vocabulary:
        mean: tuple[float, ...] = ()
        std: tuple[float, ...] = ()
    else:
        mean, std = _moments(train.x) if normalise else ((0.0,) * n, (1.0,) * n)
    return Data(
        name=name,
        train=train,
        val=splits[1],
        test=splits[2],
        classes=classes,
        augment=augment,
        mean=mean,
        std=std,
        fingerprint=_fingerprint(splits, _treatment(augment, normalise, vocabulary, transform), class_weights),
        target=None if classes else moments_of_targets(train.y),
        class_weights=class_weights,
        task=task,
        transform=transform,
        prepared_as=prepared_as,
        vocabulary=vocabulary,
        tokenizer=tokenizer,
        encoder=encoder,
    )


def _check_transform(transform: Transform, train: Split, task: Task) -> None:
    """Try the user's function on an image, so that what is wrong with it is said before any training."""
    if train.x.ndim != 4:
        raise DataError("transform is of images, and these data are rows of numbers")
    with untouched():
        check_scale(transform, train.x[:4], train.y[:4], n_taken(transform) == 2)


def _augment(train: Split, asked: Augment | None, task: Task, n_classes: int) -> Augment:
    """What is asked for, or what suits the data; targets of pixels move with them."""
    if train.x.ndim == 2 or (train.x.ndim == 3 and asked is None):
        return "none"
    if task == "maps" and train.y.shape[2:] != train.x.shape[2:]:
        if asked not in (None, "none"):
            raise DataError(
                f"augment={asked!r} moves pictures and their maps alike, and these have other sides than the pictures: "
                "give augment='none'"
            )
        return "none"
    if asked is not None:
        return asked
    return usual_augment(train, n_classes) if task == "classification" else "shift"


def moments_of_targets(y: torch.Tensor) -> Moments:
    """Of quantities ``(n,)`` or ``(n, k)``, one of each; of maps ``(n, c, h, w)``, one of each channel."""
    columns = [y] if y.ndim == 1 else [y[:, i] for i in range(y.shape[1])]
    found = []
    for column in columns:
        values = column.numpy()
        found.append(_moment(values[~np.isnan(values)] if y.ndim == 4 else values))
    return Moments(tuple(mean for mean, _ in found), tuple(std for _, std in found))


def _moments(x: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel or feature; constant ones get a deviation of 1."""
    if x.dtype == torch.uint8 and x.numel() > LARGE:
        return _moments_of_bytes(x)
    least = 1.0 if x.ndim == 4 else 0.0  # pixels have a known scale, features any unit
    found = [_moment(x[:, channel].numpy(), least) for channel in range(x.shape[1])]
    return tuple(mean for mean, _ in found), tuple(std for _, std in found)


def _moments_of_bytes(x: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of images ``(n, c, h, w)`` that would not fit into memory as floats: by how often each byte occurs."""
    counts = np.zeros((x.shape[1], 256), dtype=np.int64)
    for part in torch.split(x, AT_ONCE):
        for channel in range(x.shape[1]):
            counts[channel] += np.bincount(part[:, channel].numpy().ravel(), minlength=256)
    values, share = np.arange(256.0), counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(axis=1))
    return tuple(mean.tolist()), tuple(np.where(std > 1e-8 * np.maximum(1.0, mean), std, 1.0).tolist())


def _moment(values: npt.NDArray[Any], least: float = 0.0) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    mean, std = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    return mean, std if std > 1e-8 * max(least, abs(mean)) else 1.0


def _treatment(augment: str, normalise: bool, vocabulary: int, transform: Transform | None) -> str:
    """What becomes of inputs before networks get them, for the digest of the data."""
    if vocabulary:
        return f"{augment}, {vocabulary} tokens"
    said = augment if normalise else f"{augment}, as given"
    return said if transform is None else f"{said}, {fingerprint(transform)}"


def _fingerprint(splits: Sequence[Split], augment: str, class_weights: tuple[float, ...] | None) -> str:
    digest = hashlib.sha256(augment.encode())
    for split in splits:
        digest.update(f"{split.x.dtype} {tuple(split.x.shape)}".encode())
        weights = () if split.weight is None else (split.weight,)
        for part in (split.x, split.y, *weights):
            digest.update(np.ascontiguousarray(part.numpy()).data)
    if class_weights is not None:
        digest.update(repr(class_weights).encode())
    return digest.hexdigest()[:16]
