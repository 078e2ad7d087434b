"""Data of any kind -> one small frozen type: three disjoint, stratified parts, fixed by a seed.

x is ``(n, c, h, w)``, uint8 or float32, as it came; it is normalised batch by batch, where it is used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from searchkit.arrays import Channels, Label, as_images, as_labels, from_dataset, is_npz, plain_label, read_npz
from searchkit.datasets import named
from searchkit.errors import DataError

Augment = Literal["shift", "crop-flip", "none"]

VAL_FRACTION = 0.2  # of all examples, or of the training examples where a test set is given
TEST_FRACTION = 0.2


@dataclass(frozen=True, eq=False)
class Split:
    """Examples: ``x (n, c, h, w)`` uint8 or float32, ``y (n,)`` int64, 0 to k - 1."""

    x: torch.Tensor
    y: torch.Tensor

    def __len__(self) -> int:
        return len(self.y)

    def __reduce__(self) -> tuple[Any, ...]:
        # as numpy: torch's own way through process pools takes a file handle and shared memory per tensor
        return _split_of, (self.x.numpy(), self.y.numpy())


@dataclass(frozen=True, eq=False)
class Data:
    """What a search learns from.

    Args:
        name: of the data set.
        train, val, test: disjoint parts; every class is in each. The search sees train and val only.
        classes: the labels as the user wrote them; class i of ``y`` is ``classes[i]``.
        augment: "shift" (random shifts by an eighth of the side: safe for any image), "crop-flip" (also mirrored:
            natural images), or "none".
        mean, std: per channel, of the pixels of the train part.
        fingerprint: digest of the content, of how it is split and augmented.
    """

    name: str
    train: Split
    val: Split
    test: Split
    classes: tuple[Label, ...]
    augment: Augment
    mean: tuple[float, ...] = field(repr=False)
    std: tuple[float, ...] = field(repr=False)
    fingerprint: str

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)`` of one image."""
        c, h, w = self.train.x.shape[1:]
        return c, h, w

    def without_test(self) -> Data:
        """The same data with an empty test part, as workers get it."""
        return replace(self, test=Split(self.test.x[:0].clone(), self.test.y[:0].clone()))

    def __repr__(self) -> str:
        sizes = f"{len(self.train):,} train, {len(self.val):,} val, {len(self.test):,} test"
        shape = "x".join(str(n) for n in self.input_shape)
        return f"Data('{self.name}', {sizes}, {shape}, {self.n_classes} classes, {self.fingerprint})"


def load_data(
    data: Any = None,
    *,
    seed: int = 0,
    limit: int | None = None,
    augment: Augment | None = None,
    channels: Channels | None = None,
    name: str | None = None,
) -> Data:
    """Anything that holds labelled images -> :class:`Data`; the same seed gives the same split.

    Args:
        data: None or "digits" (bundled with scikit-learn), "fashion-mnist", "cifar-10"; an ``.npz`` file with arrays X
            and y (and X_test and y_test); a pair ``(X, y)`` of arrays,
            tensors or lists; a torch Dataset of ``(image, label)``; a pair of either, ``(train, test)``; or a Data,
            returned as it is. Without a test set the split is 60/20/20, with one it is 80/20 and that test set.
        seed: of the split.
        limit: learn (and validate) on a stratified subset of that many examples; a given test set stays whole.
        augment: see :class:`Data`; "shift" where not given and not known.
        channels: "first" or "last", needed where the shape of 4-D images does not say.
        name: what records call the data; "custom" where not given.

    Raises:
        DataError: what is wrong, in one sentence, before any work.
    """
    if isinstance(data, Data):
        return data
    if augment is not None and augment not in get_args(Augment):
        raise DataError(f"augment is one of {', '.join(get_args(Augment))}, not {augment!r}")
    labels: tuple[Label, ...] | None = None
    if is_npz(data):
        name, data = name or re.sub(r"[^\w.+-]", "-", Path(data).stem), read_npz(data)
    if data is None or isinstance(data, str):
        known = named("digits" if data is None else data)
        train, test, labels = known.train, known.test, known.classes
        name, augment, channels = name or known.name, augment or known.augment, "first"  # type: ignore[assignment]
    else:
        train, test = _train_and_test(data)
    x, y, classes = _examples(train, channels, None, "")
    x_test, y_test = x[:0], y[:0]
    if test is not None:
        x_test, y_test, _ = _examples(test, channels, classes, "test ")
        if x_test.shape[1:] != x.shape[1:] or x_test.dtype != x.dtype:
            raise DataError(
                f"train images are {tuple(x.shape[1:])} {x.dtype} but test images are "
                f"{tuple(x_test.shape[1:])} {x_test.dtype}; they must be alike"
            )
    rng = np.random.default_rng(seed)
    fractions = (VAL_FRACTION,) if test is not None else (VAL_FRACTION, TEST_FRACTION)
    _check_counts(y, classes, len(fractions) + 1)
    rows = np.arange(len(y))
    if limit is not None:
        rows = _limited(y, limit, len(fractions) + 1, rng)
    parts = [rows[part] for part in stratified(y[rows], fractions, rng)]
    splits = [_split_of(x.numpy()[part], y[part]) for part in parts]
    splits += [_split_of(x_test.numpy(), y_test)] * (test is not None)
    mean, std = _moments(splits[0].x)
    return Data(
        name=name or "custom",
        train=splits[0],
        val=splits[1],
        test=splits[2],
        classes=labels or classes,
        augment=augment or "shift",
        mean=mean,
        std=std,
        fingerprint=_fingerprint(splits, augment or "shift"),
    )


def stratified(
    y: npt.NDArray[np.int64], fractions: Sequence[float], rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Split examples class by class: ``[the rest, fraction 0, fraction 1, ...]`` as sorted row numbers.

    Every part gets at least one example of each class that has enough (as many as there are parts).
    """
    parts: list[list[npt.NDArray[np.int64]]] = [[] for _ in range(len(fractions) + 1)]
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        counts = [max(1, round(fraction * len(rows))) for fraction in fractions]
        cuts = np.cumsum(counts)
        for part, chosen in zip(parts, [rows[cuts[-1] :], *np.split(rows[: cuts[-1]], cuts[:-1])], strict=True):
            part.append(chosen)
    return [np.sort(np.concatenate(part)) for part in parts]


def _train_and_test(data: Any) -> tuple[Any, Any | None]:
    """``(X, y)`` of the examples to learn from and, where given, of the test set."""
    if isinstance(data, Dataset):
        return from_dataset(data), None
    if isinstance(data, tuple | list) and len(data) == 2:
        first, second = data
        if isinstance(first, Dataset) and isinstance(second, Dataset):
            return from_dataset(first), from_dataset(second)
        if _is_pair(first) and _is_pair(second):
            return first, second
        if not isinstance(first, Dataset | str) and not isinstance(second, Dataset | str):
            return data, None
    given = f"{type(data).__name__} of length {len(data)}" if isinstance(data, tuple | list) else type(data).__name__
    raise DataError(
        "data is a name, a pair (X, y), a torch Dataset of (image, label), a pair (train, test) of either, "
        f"or a Data; not a {given}"
    )


def _is_pair(value: Any) -> bool:
    """Whether it is ``(X, y)`` and not, say, a list of two labels."""
    return isinstance(value, tuple | list) and len(value) == 2 and all(np.ndim(part) > 0 for part in value)


def _examples(
    pair: Any, channels: Channels | None, known: tuple[Label, ...] | None, which: str
) -> tuple[torch.Tensor, npt.NDArray[np.int64], tuple[Label, ...]]:
    """Images, labels as 0 to k - 1, and the classes these stand for (``known`` where the train set settled them)."""
    x, labels = as_images(pair[0], channels=channels), as_labels(pair[1])
    if len(x) != len(labels):
        raise DataError(f"there are {len(x):,} {which}images X but {len(labels):,} {which}labels y; give one for each")
    values, y = np.unique(labels, return_inverse=True)
    classes = tuple(plain_label(value) for value in values)
    if known is None:
        if len(classes) < 2:
            raise DataError(f"all {len(labels):,} labels y are {classes[0]!r}; two or more classes are needed")
        return x, y.astype(np.int64), classes
    new = [label for label in classes if label not in known]
    if new:
        raise DataError(f"the test labels hold class {new[0]!r}, which the training labels do not have")
    return x, np.array([known.index(label) for label in classes], dtype=np.int64)[y], known


def _check_counts(y: npt.NDArray[np.int64], classes: tuple[Label, ...], needed: int) -> None:
    counts = np.bincount(y).tolist()
    n_least = min(counts)
    if n_least < needed:
        raise DataError(
            f"class {classes[counts.index(n_least)]!r} has {n_least} example{'s' * (n_least != 1)}; "
            f"{needed} are needed, one for each part of the split"
        )


def _limited(y: npt.NDArray[np.int64], limit: int, per_class: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Rows of a stratified subset of about ``limit`` examples (exact where the classes' shares come out whole)."""
    counts = np.bincount(y)
    if not isinstance(limit, int) or limit < per_class * len(counts):
        raise DataError(f"limit is {limit!r}; {len(counts)} classes need at least {per_class * len(counts)} examples")
    if limit >= len(y):
        return np.arange(len(y))
    chosen = []
    for label, count in enumerate(counts):
        share = max(per_class, round(limit * count / len(y)))
        chosen.append(rng.permutation(np.flatnonzero(y == label))[:share])
    return np.sort(np.concatenate(chosen))


def _moments(x: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel; a constant channel gets the deviation 1."""
    means, stds = [], []
    for channel in range(x.shape[1]):
        pixels = x[:, channel].numpy()
        means.append(float(pixels.mean(dtype=np.float64)))
        std = float(pixels.std(dtype=np.float64))
        stds.append(std if std > 1e-8 * max(1.0, abs(means[-1])) else 1.0)
    return tuple(means), tuple(stds)


def _fingerprint(splits: Sequence[Split], augment: str) -> str:
    digest = hashlib.sha256(augment.encode())
    for split in splits:
        digest.update(f"{split.x.dtype} {tuple(split.x.shape)}".encode())
        digest.update(np.ascontiguousarray(split.x.numpy()).data)
        digest.update(np.ascontiguousarray(split.y.numpy()).data)
    return digest.hexdigest()[:16]


def _split_of(x: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> Split:
    """A Split that owns its memory, also where the arrays came read-only out of a shared store."""
    return Split(torch.from_numpy(np.array(x, order="C")), torch.from_numpy(np.array(y, dtype=np.int64)))
