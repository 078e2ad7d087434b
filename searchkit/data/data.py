"""The data of a search: three disjoint parts (train, validation, test) and how they are normalised.

x is images ``(n, c, h, w)``, uint8 or float32; a table ``(n, features)`` float32; token sequences ``(n, length)``
int64; or 1-D signals ``(n, channels, length)`` float32. It has the user's values; batches are normalised when they are
used, but for tokens, which are never normalised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from searchkit.data.augmenting import Transform
from searchkit.data.frames import FrameEncoder
from searchkit.data.labels import Label
from searchkit.data.pictures import Shape, decoded
from searchkit.data.splits import Split, joined
from searchkit.data.targets import Moments
from searchkit.data.tokens import Tokenizer
from searchkit.errors import DataError
from searchkit.space.inputs import Kind, TokenShape
from searchkit.types import DENSE, Task

Augment = Literal["shift", "crop-flip", "flip", "randaugment", "none"]


@dataclass(frozen=True, eq=False)
class Data:
    """Examples that networks are trained, validated and tested on.

    Args:
        name: of the data set.
        train, val, test: disjoint parts. The search uses train and val only.
        classes: the labels as the user gave them; ``y == i`` stands for ``classes[i]``, and column i of several labels
            at once for label ``classes[i]``. Empty in regression and for maps.
        augment: "shift" (random shifts by an eighth of the side: safe for any image), "flip" (mirrored at random),
            "crop-flip" (both: natural images), "randaugment" (strong changes of shape and light, see
            :mod:`searchkit.data.augmenting`), or "none", as for tables and tokens. Of signals "shift" is in time.
        mean, std: of each channel or feature, in the train part; empty for tokens.
        fingerprint: digest of the parts with their weights, the augmentation and the class weights.
        target: of quantities and maps, the moments of y in the train part, with which y is standardised for training;
            else None.
        class_weights: weight of each class in the training loss; of several labels at once, how much an example with
            the label counts, where one without it counts 1; None: all equal.
        task: what is predicted: a class, several labels at once, quantities, masks (a class for each pixel) or maps
            (quantities of each pixel).
        loaded: the arguments of :func:`searchkit.load_data` that give the same data, where it read a name, a file or a
            folder; else None.
        transform: a function of the user's that changes training images ``(c, h, w)`` as they are used, after
            ``augment``; validation and test images are as they are. None: there is none.
        prepared_as: how pictures of a folder were made alike; see :meth:`pictures`. None: they are of no folder.
        vocabulary: number of tokens, of token sequences; else 0.
        tokenizer: of sentences, which makes tokens of other sentences; else None.
        encoder: of a data frame with more than numbers, or with missing values, which makes features of other rows;
            else None.
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
    target: Moments | None = field(default=None, repr=False)
    class_weights: tuple[float, ...] | None = field(default=None, repr=False)
    loaded: Mapping[str, object] | None = field(default=None, repr=False)
    task: Task = "classification"
    transform: Transform | None = field(default=None, repr=False)
    prepared_as: Shape | None = field(default=None, repr=False)
    vocabulary: int = 0
    tokenizer: Tokenizer | None = field(default=None, repr=False)
    encoder: FrameEncoder | None = field(default=None, repr=False)

    def pictures(self, *files: str | Path) -> torch.Tensor:
        """``(n, channels, height, width)`` uint8 of picture files, made as those of the folder that was read.

        That is what :meth:`searchkit.Result.build` takes: upright, of one size, and grey or colour as the folder's.

        Raises:
            DataError: the data are of no folder of pictures, or a file cannot be read.
        """
        if self.prepared_as is None:
            raise DataError(f"data '{self.name}' are of no folder of pictures: make arrays of new ones as before")
        return torch.from_numpy(np.stack([decoded(Path(file), self.prepared_as) for file in files]))

    @property
    def kind(self) -> Kind:
        """What the examples are: images, rows of a table, token sequences or 1-D signals."""
        if self.vocabulary:
            return "tokens"
        return {2: "table", 3: "signals"}.get(self.train.x.ndim, "images")  # type: ignore[return-value]

    @property
    def n_classes(self) -> int:
        """Number of a network's outputs, of each pixel where the task is dense: one per class, label or quantity."""
        return len(self.classes) if self.target is None else len(self.target.mean)

    @property
    def dense(self) -> bool:
        """Whether there is something to predict for each pixel."""
        return self.task in DENSE

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of a network's output for one example: ``(outputs,)``, or ``(outputs, height, width)`` of masks and maps."""
        return (self.n_classes, *self.train.y.shape[-2:]) if self.dense else (self.n_classes,)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``(channels, height, width)`` of an image, ``(features,)`` of a row, ``(channels, length)`` of a signal.

        Of tokens a :class:`~searchkit.space.TokenShape`: ``(length,)``, with the vocabulary.
        """
        shape = tuple(self.train.x.shape[1:])
        return TokenShape(shape[0], self.vocabulary) if self.vocabulary else shape

    def without_test(self) -> Data:
        """The same data with an empty test part, and without what encodes other rows; workers get this."""
        return replace(self, test=Split(self.test.x[:0].clone(), self.test.y[:0].clone()), encoder=None)

    def as_given(self) -> Data:
        """The same data, of which batches are not standardised: for networks that take the user's values."""
        return replace(self, mean=(0.0,) * len(self.mean), std=(1.0,) * len(self.std))

    def with_validation_in_train(self) -> Data:
        """The same data with the examples of the validation part in the train part as well, for a last training.

        Mean, deviation and the validation part stay as they are.
        """
        return replace(self, train=joined(self.train, self.val))

    def __repr__(self) -> str:
        sizes = f"{len(self.train):,} train, {len(self.val):,} val, {len(self.test):,} test"
        shape = "x".join(str(n) for n in self.input_shape)
        shape += {"table": " features", "tokens": f" tokens of {self.vocabulary:,}"}.get(self.kind, "")
        n = self.n_classes
        wanted = {
            "classification": f"{n} classes",
            "multilabel": f"{n} labels at once",
            "regression": "regression" if n == 1 else f"regression of {n} quantities",
            "segmentation": f"segmentation into {n} classes",
            "maps": f"maps {'x'.join(map(str, self.output_shape))}",
        }[self.task]
        return f"Data('{self.name}', {sizes}, {shape}, {wanted}, {self.fingerprint})"
