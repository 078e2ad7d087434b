"""Data of any kind -> one small frozen type: three disjoint, stratified parts, fixed by a seed.

x is images ``(n, c, h, w)``, uint8 or float32, or a table ``(n, features)`` float32, as it came; it is normalised batch
by batch, where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from searchkit.data.images import Label
from searchkit.data.splits import Split

Augment = Literal["shift", "crop-flip", "none"]
Kind = Literal["images", "table"]
Task = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class Data:
    """What a search learns from.

    Args:
        name: of the data set.
        train, val, test: disjoint parts; every class is in each. The search sees train and val only.
        classes: the labels as the user wrote them; class i of ``y`` is ``classes[i]``. None in regression.
        augment: "shift" (random shifts by an eighth of the side: safe for any image), "crop-flip" (also mirrored:
            natural images), or "none", as of tables.
        mean, std: per channel or feature, of the train part.
        fingerprint: digest of the content, of how it is split and augmented.
        target: mean and deviation of y in the train part, in regression; networks are trained on the standardised y.
        class_weights: of each class in the training loss; None: all alike.
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
    target: tuple[float, float] | None = field(default=None, repr=False)
    class_weights: tuple[float, ...] | None = field(default=None, repr=False)

    @property
    def task(self) -> Task:
        """Whether y names classes or is a quantity."""
        return "classification" if self.target is None else "regression"

    @property
    def kind(self) -> Kind:
        """What one example is."""
        return "table" if self.train.x.ndim == 2 else "images"

    @property
    def n_classes(self) -> int:
        """Outputs of a network: one a class; 1 in regression."""
        return len(self.classes) or 1

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``(channels, height, width)`` of one image, or ``(features,)`` of one row."""
        return tuple(self.train.x.shape[1:])

    def without_test(self) -> Data:
        """The same data with an empty test part, as workers get it."""
        return replace(self, test=Split(self.test.x[:0].clone(), self.test.y[:0].clone()))

    def __repr__(self) -> str:
        sizes = f"{len(self.train):,} train, {len(self.val):,} val, {len(self.test):,} test"
        shape = "x".join(str(n) for n in self.input_shape)
        shape += " features" if self.kind == "table" else ""
        wanted = f"{self.n_classes} classes" if self.target is None else "regression"
        return f"Data('{self.name}', {sizes}, {shape}, {wanted}, {self.fingerprint})"
