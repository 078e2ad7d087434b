"""The shape of what a network gives for one input."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence


def as_output_shape(outputs: int | Sequence[int]) -> tuple[int, ...]:
    """An output_shape, also of a number of classes."""
    return tuple(int(n) for n in outputs) if isinstance(outputs, Sequence) else (int(outputs),)


def takes_output_shape(build: Callable[..., object]) -> bool:
    """Whether the third argument of a builder is called ``output_shape``."""
    try:
        names = list(inspect.signature(build).parameters)
    except (TypeError, ValueError):
        return False
    return len(names) > 2 and names[2] == "output_shape"
