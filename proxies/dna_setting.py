"""Settings of the training and rating of block-wise supernets."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from searchkit.errors import ProxyError
from searchkit.problem.numbers import is_whole


@dataclass(frozen=True)
class DNASetting:
    """The settings of a block-wise rating; the defaults suit small images.

    Args:
        epochs: of each block's supernet. Published: 20.
        batch: images per step.
        steps: fewest steps of an epoch; few images are then used several times.
        lr: of Adam, at first. Published: 0.002 to 0.005.
        decay: of the learning rate, each epoch. Published: 0.9.
        images: number of training images; all where there are fewer.
        rated: number of validation images on which paths are rated.
        recalibrated: number of training images for the statistics of a path's batch norms.
        teacher_epochs: of the teacher that is trained here.
        teacher_width: channels of its stages, times those of the space's blocks.
        teacher_layers: convolutions per stage. One is best: few paths can imitate several in a row, and ratings then
            mostly measure a path's depth.
        momentum: of the moving average, in DNA++.
        dimension: channels of the projection, in DNA++.
        variance, decorrelation: weights of the penalties in DNA++ against collapse, on channels of the projection that
            do not vary and on correlated channels.
    """

    epochs: int = 6
    batch: int = 64
    steps: int = 150
    lr: float = 0.004
    decay: float = 0.9
    images: int = 20_000
    rated: int = 512
    recalibrated: int = 512
    teacher_epochs: int = 12
    teacher_width: float = 2.0
    teacher_layers: int = 1
    momentum: float = 0.99
    dimension: int = 64
    variance: float = 0.5
    decorrelation: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value, whole = getattr(self, field.name), field.type == "int"
            least = "of 0 or more" if field.name in ("variance", "decorrelation") else "above 0"
            if isinstance(value, np.generic):
                value = value.item()
                object.__setattr__(self, field.name, value)
            number = is_whole(value) or (not whole and isinstance(value, float))
            if not number or not (value > 0 or (value == 0 and least != "above 0")):
                raise ProxyError(f"{field.name} is a {'whole ' * whole}number {least}, not {value!r}")
        for name, fewest in (("batch", 2), ("rated", 2), ("recalibrated", 2)):
            if getattr(self, name) < fewest:
                raise ProxyError(f"{name} is {fewest} or more, not {getattr(self, name)!r}")
        for name in ("decay", "momentum"):
            if getattr(self, name) > 1:
                raise ProxyError(f"{name} is at most 1, not {getattr(self, name)!r}")
