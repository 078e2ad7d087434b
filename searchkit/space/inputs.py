"""What a network is given, and the shape of what it gives: kinds and shapes of inputs, and inputs without a meaning.

Costs, proxies and exports run networks on inputs that they make themselves. They make them here, by the shape alone: a
:class:`TokenShape` asks for whole numbers, every other shape for floats.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from searchkit.errors import SpaceError, nearest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Kind = Literal["images", "table", "tokens", "signals"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CALLED: dict[Kind, str] = {
    "images": "images", "table": "rows of features", "tokens": "token sequences", "signals": "1-D signals",
}  # fmt: skip
_BY_AXES: dict[int, Kind] = {1: "table", 2: "signals"}
LEAST_VOCABULARY = 2  # the padding, and a token


class TokenShape(tuple[int, ...]):
    """The shape ``(length,)`` of a token sequence, with the number of tokens that there are.

    It is what a space for tokens has as ``input_shape``, and what its ``build`` is given.

    Args:
        length: tokens in a sequence, padding included.
        vocabulary: number of tokens; a token is from 0, the padding, to ``vocabulary - 1``.

    Raises:
        SpaceError: the length is below 1, or the vocabulary below 2.
    """

    vocabulary: int

    def __new__(cls, length: int, vocabulary: int) -> TokenShape:
        if length < 1 or vocabulary < LEAST_VOCABULARY:
            raise SpaceError(
                f"token sequences have a length of 1 or more and a vocabulary of {LEAST_VOCABULARY} or more; got "
                f"length {length} and vocabulary {vocabulary}"
            )
        made = super().__new__(cls, (int(length),))
        made.vocabulary = int(vocabulary)
        return made

    def __reduce__(self) -> tuple[object, ...]:
        return TokenShape, (self[0], self.vocabulary)

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and getattr(other, "vocabulary", self.vocabulary) == self.vocabulary

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return super().__hash__()

    def __repr__(self) -> str:
        return f"TokenShape({self[0]}, vocabulary={self.vocabulary})"


def as_shape(input_shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of one input as whole numbers; a :class:`TokenShape` stays one."""
    return input_shape if isinstance(input_shape, TokenShape) else tuple(int(n) for n in input_shape)


def kind_of(input_shape: Sequence[int]) -> Kind:
    """The kind of inputs of a shape: by its type for tokens, else by its axes (1: a table, 2: signals, 3: images)."""
    return "tokens" if isinstance(input_shape, TokenShape) else _BY_AXES.get(len(input_shape), "images")


def read_kinds(kind: object, input_shape: Sequence[int], space: str) -> tuple[Kind, ...]:
    """The kinds that a space takes, as it was given them: None (by its shape), a kind, or several.

    Raises:
        SpaceError: there is no such kind, or the shape is not of one of them.
    """
    own = kind_of(input_shape)
    if kind is None:
        return (own,)
    given: list[Any] = [kind] if isinstance(kind, str) or not isinstance(kind, Sequence) else list(kind)
    for one in given:
        if one not in KINDS:
            near = nearest(one, KINDS) if isinstance(one, str) else None
            hint = f"; is {near!r} meant?" if near else ""
            raise SpaceError(f"kind of space '{space}' is one of {', '.join(KINDS)}, or several; got {one!r}{hint}")
    if own not in given:
        hint = "; tokens have a searchkit.space.TokenShape(length, vocabulary)" if "tokens" in given else ""
        raise SpaceError(
            f"space '{space}' takes {' and '.join(given)}, and its input_shape {tuple(input_shape)} is that of "
            f"{CALLED[own]}{hint}"
        )
    return tuple(given)


def described_shape(input_shape: Sequence[int]) -> dict[str, object]:
    """The shape as JSON values, for records; of tokens with their vocabulary."""
    described: dict[str, object] = {"input_shape": list(input_shape)}
    return described | {"vocabulary": input_shape.vocabulary} if isinstance(input_shape, TokenShape) else described


def recorded_shape(described: Mapping[str, object]) -> tuple[int, ...]:
    """The shape that :func:`described_shape` describes."""
    shape, vocabulary = described["input_shape"], described.get("vocabulary")
    assert isinstance(shape, Sequence)
    return TokenShape(shape[0], vocabulary) if isinstance(vocabulary, int) else tuple(shape)


def plain_inputs(n: int, input_shape: Sequence[int], device: torch.device | str | None = None) -> Tensor:
    """``(n, *input_shape)`` inputs that are all alike: zeros, or tokens 1, since 0 is padding."""
    import torch

    if isinstance(input_shape, TokenShape):
        return torch.ones(n, *input_shape, dtype=torch.int64, device=device)
    return torch.zeros(n, *input_shape, device=device)


def noise(n: int, input_shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
    """``(n, *input_shape)`` random inputs on the CPU: standard normal float32, or any tokens with equal chances."""
    import torch

    if isinstance(input_shape, TokenShape):
        return torch.randint(0, input_shape.vocabulary, (n, *input_shape), generator=generator)
    return torch.randn(n, *input_shape, generator=generator)


def fixed_noise(n: int, input_shape: Sequence[int]) -> npt.NDArray[Any]:
    """As :func:`noise`, an array that is the same in every call."""
    rng = np.random.default_rng(0)
    if isinstance(input_shape, TokenShape):
        return rng.integers(0, input_shape.vocabulary, (n, *input_shape))
    return rng.standard_normal((n, *input_shape), dtype=np.float32)


def noise_like(n: int, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As :func:`fixed_noise` for inputs such as ``x (batch, ...)``; tokens are drawn from those that it has."""
    if x.dtype.kind in "iu":
        return np.random.default_rng(0).choice(np.unique(x), (n, *x.shape[1:])).astype(x.dtype)
    return fixed_noise(n, x.shape[1:])


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
