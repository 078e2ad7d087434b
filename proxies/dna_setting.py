"""How a block-wise supernet is trained and rated."""

from __future__ import annotations

from dataclasses import dataclass, fields

from searchkit.errors import ProxyError


@dataclass(frozen=True)
class DNASetting:
    """The settings of a block-wise rating; the defaults suit small images.

    Args:
        epochs: of each block's supernet. Published: 20.
        batch: images a step.
        steps: of an epoch at least; few images are gone through several times.
        lr: of Adam, at first. Published: 0.002 to 0.005.
        decay: of the learning rate, each epoch. Published: 0.9.
        images: of the train part that blocks learn from; all where there are fewer.
        rated: images of the validation part on which paths are rated.
        recalibrated: images of the train part of which a path's batch norms take their statistics.
        teacher_epochs: of the teacher that is trained here.
        teacher_width: channels of its stages, times those of the space's blocks.
        teacher_layers: convolutions of a stage of it. One is best: what several do in a row, few paths can follow, so
            that ratings say how deep a path is and little else.
        momentum: of the moving average, in DNA++.
        dimension: channels of the projection, in DNA++.
        variance, decorrelation: weights of what guards DNA++ against a collapse: channels of the projection that do
            not vary, and channels that say the same.
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
            number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
            if not number or not (value > 0 or (value == 0 and least != "above 0")):
                raise ProxyError(f"{field.name} is a {'whole ' * whole}number {least}, not {value!r}")
        for name, fewest in (("batch", 2), ("rated", 2), ("recalibrated", 2)):
            if getattr(self, name) < fewest:
                raise ProxyError(f"{name} is {fewest} or more, not {getattr(self, name)!r}")
        for name in ("decay", "momentum"):
            if getattr(self, name) > 1:
                raise ProxyError(f"{name} is at most 1, not {getattr(self, name)!r}")
