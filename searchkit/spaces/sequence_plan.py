"""The choices of the space sequence, the shapes of its networks, their exact costs, and designs to begin with."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from searchkit.errors import SpaceError
from searchkit.space import Choice, NetworkSpace, TokenShape
from searchkit.spaces.skeleton import above_zero, chosen, one_or_several, whole
from searchkit.spaces.vit_plan import hidden_units, stem_channels
from searchkit.spaces.vit_plan import layer_costs as attention_costs
from searchkit.types import Codes, Floats

Value = int | float | str

NAME = "sequence"
BLOCKS = ("convolution", "attention")
OF_ALL = ("patch", "width", "depth")  # choices of the whole network
OF_LAYERS = ("block", "heads", "kernel", "ratio")  # choices of every layer
OF_BLOCK = {"heads": "attention", "kernel": "convolution"}  # choices that only one kind of block has
STEM_KERNEL = 9  # values that the convolution in front of the patches of a signal sees
_MOST, _FINE, _COARSE = 64, 4, 8  # positions that a signal of any length is brought to at most; patches of short ones
# Blocks from the first layer to the last, as the share of convolutions in front, and depth, the most useful first.
_DESIGNS = ((1.0, 3), (0.5, 4), (0.0, 3), (0.5, 2), (1.0, 4), (0.0, 2))


@dataclass(frozen=True)
class Options:
    """The values of each option, in order; :func:`searchkit.spaces.sequence.sequence` says what they are."""

    patch: tuple[int, ...]
    width: tuple[int, ...]
    depth: tuple[int, ...]
    block: tuple[str, ...]
    heads: tuple[int, ...]
    kernel: tuple[int, ...]
    ratio: tuple[float, ...]
    head: int

    def values(self, name: str) -> tuple[float | str, ...]:
        """Of an option that may have several."""
        values: tuple[float | str, ...] = getattr(self, name)
        return values


def sequence_shape(input_shape: object) -> tuple[int, ...]:
    """``input_shape`` as a :class:`TokenShape`, or as ``(channels, length)`` of a signal.

    Raises:
        SpaceError: it is neither.
    """
    if isinstance(input_shape, TokenShape):
        return input_shape
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != 2:
        raise SpaceError(
            f"space '{NAME}' takes input_shape as (channels, length) of a signal, or as "
            f"searchkit.space.TokenShape(length, vocabulary); got {input_shape!r}"
        )
    return tuple(whole(NAME, "each part of input_shape", n) for n in input_shape)


def recorded(name: str, given: object) -> Value | list[Value]:
    """An option as it is recorded, blocks in the order of ``BLOCKS``.

    See :func:`searchkit.spaces.skeleton.one_or_several`.
    """
    if name == "block":
        return one_or_several(NAME, name, given, _value, lambda block: BLOCKS.index(str(block)))
    return one_or_several(NAME, name, given, _value)


def _value(name: str, given: object) -> Value:
    if name == "block":
        if given not in BLOCKS:
            raise SpaceError(f"space '{NAME}' takes block as {' or '.join(BLOCKS)}, or both; got {given!r}")
        return str(given)
    if name == "kernel" and whole(NAME, name, given) % 2 == 0:
        raise SpaceError(f"space '{NAME}' takes kernel as an odd number, or several; got {given!r}")
    return above_zero(NAME, name, given) if name == "ratio" else whole(NAME, name, given)


def listed(options: Mapping[str, object], input_shape: Sequence[int]) -> Options:
    """The values of recorded options, for inputs of a shape."""
    patches = 1 if isinstance(input_shape, TokenShape) else options["patch"] or patches_for(input_shape)
    found: dict[str, Any] = {**options, "patch": patches}
    several = {name: found[name] for name in (*OF_ALL, *OF_LAYERS)}
    values = {name: tuple(value) if isinstance(value, list) else (value,) for name, value in several.items()}
    return Options(**values, head=found["head"])


def options_of(space: NetworkSpace) -> Options:
    return listed(space.options, space.input_shape)


def patches_for(input_shape: Sequence[int]) -> list[int]:
    """Two sizes of patches for signals of a shape: such as leave about 64 and 32 positions, at least 4 and 8 values."""
    length = int(input_shape[1])
    fine = min(length, max(_FINE, round(length / _MOST)))
    coarse = min(length, max(_COARSE, 2 * fine))
    return [fine, coarse] if coarse > fine else [fine]


def positions_of(input_shape: Sequence[int], patch: int) -> int:
    """Positions between layers: one for each token, or for each patch of a signal."""
    return int(input_shape[0]) if isinstance(input_shape, TokenShape) else -(-int(input_shape[1]) // patch)


def layer_names(layer: int) -> list[str]:
    """The names of the choices of a layer, counted from 0."""
    return [f"{name}_{layer + 1}" for name in OF_LAYERS]


def choices_of(options: Options) -> list[Choice]:
    """All choices in column order; an option with one value is none, nor is one of blocks that there are not."""
    there = [name for name in OF_LAYERS if OF_BLOCK.get(name, options.block[0]) in options.block]
    found = [(name, options.values(name)) for name in OF_ALL]
    for layer in range(options.depth[-1]):
        own = zip(OF_LAYERS, layer_names(layer), strict=True)
        found += [(long, options.values(name)) for name, long in own if name in there]
    return [Choice(name, values, ordered=values[0] not in BLOCKS) for name, values in found if len(values) > 1]


def depths_of(space: NetworkSpace, codes: Codes) -> npt.NDArray[np.int64]:
    """``(n,)`` the numbers of layers."""
    return np.array(options_of(space).depth, dtype=np.int64)[chosen(space, "depth", codes)]


def without_absent(space: NetworkSpace, codes: Codes) -> Codes:
    """What a network does not have is the first option: layers beyond the depth, heads of convolutions, kernels of
    attention."""
    codes, options = codes.copy(), options_of(space)
    depths = depths_of(space, codes)
    for layer in range(options.depth[-1]):
        there = depths > layer
        for name, long in zip(OF_LAYERS, layer_names(layer), strict=True):
            if long not in space.names:
                continue
            used = there
            if name in OF_BLOCK:
                used = there & (np.array(options.block)[chosen(space, f"block_{layer + 1}", codes)] == OF_BLOCK[name])
            codes[:, space.names.index(long)] *= used
    return codes


def counts_of(space: NetworkSpace, codes: Codes) -> dict[str, Floats]:
    """``params`` and ``macs``, each ``(n,)``, of codes ``(n, d)``."""
    options, shape = options_of(space), space.input_shape
    sizes = chosen(space, "patch", codes), chosen(space, "width", codes)
    fixed = [[fixed_costs(shape, patch, width, space.n_classes) for width in options.width] for patch in options.patch]
    totals = np.array(fixed, dtype=np.float64)[sizes]
    several = options.patch, options.width, options.block, options.heads, options.kernel, options.ratio
    grid = list(itertools.product(*several))
    costs = [
        layer_costs(positions_of(shape, patch), width, block, heads * options.head, kernel, ratio)
        for patch, width, block, heads, kernel, ratio in grid
    ]
    layers = np.array(costs, dtype=np.float64).reshape(*map(len, several), 2)
    depths = depths_of(space, codes)
    for layer in range(options.depth[-1]):
        own = [chosen(space, name, codes) for name in layer_names(layer)]
        totals += np.where((depths > layer)[:, None], layers[(*sizes, *own)], 0.0)
    return {"params": totals[:, 0], "macs": totals[:, 1]}


def fixed_costs(input_shape: Sequence[int], patch: int, width: int, n_classes: int) -> tuple[int, int]:
    """Parameters and MACs of embedding or stem and patches, of places, the last layer norm and the linear layer."""
    positions, linear = positions_of(input_shape, patch), width * n_classes
    rest = positions * width + 2 * width + linear + n_classes
    if isinstance(input_shape, TokenShape):
        return input_shape.vocabulary * width + rest, linear
    (channels, length), inner = input_shape, stem_channels(width)
    stem, patches = STEM_KERNEL * channels * inner, inner * patch * width
    return stem + inner + patches + width + rest, stem * length + patches * positions + linear


def layer_costs(positions: int, width: int, block: str, inner: int, kernel: int, ratio: float) -> tuple[int, int]:
    """Parameters and MACs of a layer; ``inner`` is the width of queries, keys and values."""
    if block == "attention":
        return attention_costs(positions, width, inner, ratio)
    hidden = hidden_units(width, ratio)
    mlp = 2 * width * hidden
    return kernel * width + width + 2 * width + mlp + hidden + width, positions * (kernel * width + mlp)


def designs(space: NetworkSpace) -> Codes:
    """``(s, d)`` networks of convolutions, of attention, and of convolutions followed by attention; of middle sizes."""
    options = options_of(space)
    middle: dict[str, Any] = {
        name: options.values(name)[len(options.values(name)) // 2] for name in (*OF_ALL, *OF_LAYERS)
    }
    known = [(share, depth) for share, depth in _DESIGNS if depth in options.depth] or [
        (share, middle["depth"]) for share in (1.0, 0.5, 0.0)
    ]
    rows = []
    for share, depth in known:
        row: dict[str, Any] = {"patch": options.patch[-1], "width": middle["width"], "depth": depth}
        for layer in range(options.depth[-1]):
            block = BLOCKS[0] if layer < round(share * depth) else BLOCKS[1]
            block = block if block in options.block else options.block[0]
            row |= {f"{name}_{layer + 1}": middle[name] for name in OF_LAYERS} | {f"block_{layer + 1}": block}
        rows.append({name: row[name] for name in space.names})
    return space.check(space.encode(rows))
