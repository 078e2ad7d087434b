"""Networks with an output for each pixel: the stages of any image space, and a decoder whose ways are searched.

The encoder is a candidate of another space, without its classifier. Of each size of its maps the last is a level. The
deepest ``levels`` of them are brought to ``decoder`` channels, go through up to two exchanges of a pyramid
(:mod:`searchkit.spaces.pyramid`), and are added up in the finest of these sizes. A separable and a 1x1 convolution
follow, and a bilinear resize to the size of the output.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from searchkit import plugins
from searchkit.errors import SpaceError
from searchkit.space import Choice, NetworkSpace, Node
from searchkit.spaces.encoder_levels import decoder_counts, encoder_counts, levels_of, shapes_of
from searchkit.spaces.pyramid import WAYS, Pyramid, canonical_paths, path_names, separable
from searchkit.spaces.skeleton import StagedSpace, chosen, image_shape, whole
from searchkit.types import Codes, Floats

_NAME = "encoder-decoder"
_DESIGNS = 4  # of the encoder's own designs, to begin with
LEVELS, WIDTH = "levels", "decoder"


def encoder_decoder(
    *,
    encoder: str | NetworkSpace = "residual",
    encoder_options: Mapping[str, object] | None = None,
    levels: Sequence[int] = (1, 2, 3),
    decoder: Sequence[int] = (16, 32, 64),
    steps: int = 2,
    input_shape: Sequence[int] = (3, 32, 32),
    n_classes: int | Sequence[int] = (10, 32, 32),
) -> NetworkSpace:
    """Any of the image spaces under a searched pyramid, for masks and maps.

    The columns are those of the encoder, then levels and decoder, where they have several options, and the way from
    each pyramid to each later one. In the canonical form, levels are at most those that the encoder has for the
    images, and ways that change nothing are none. ``reference`` is the encoder's first designs with a top-down way.

    Args:
        encoder: a space of image networks, by name or as an object, whose networks have ``features(x)``, the list of
            their stages' maps.
        encoder_options: of the encoder's space, where it is given by name.
        levels: how many of the encoder's levels are used, the deepest.
        decoder: channels of the pyramids.
        steps: pyramids beside the encoder's own; each may be fed by every earlier one.
        input_shape: ``(channels, height, width)`` of the images; any size.
        n_classes: ``(classes or quantities, height, width)`` of the output.

    Raises:
        SpaceError: an option is no such thing, or the encoder has a choice of a name that the decoder uses.
    """
    if encoder_options and not isinstance(encoder, str):
        raise SpaceError("encoder_options are of an encoder that is given by name")
    taken = plugins.load_space(encoder, **(encoder_options or {})) if isinstance(encoder, str) else encoder
    if not isinstance(taken, NetworkSpace) or len(taken.input_shape) != 3:
        raise SpaceError(f"encoder is a space of image networks, by name or as an object, not {encoder!r:.80}")
    given = {LEVELS: _listed(LEVELS, levels), WIDTH: _listed(WIDTH, decoder)}
    made = [Choice(name, values, ordered=True) for name, values in given.items() if len(values) > 1]
    made += [Choice(name, WAYS) for _, _, name in path_names(whole(_NAME, "steps", steps))]
    both = [choice.name for choice in made if choice.name in taken.names]
    if both:
        raise SpaceError(f"encoder '{taken.name}' has a choice '{both[0]}', which is one of the decoder's")
    options = {"encoder": taken.name, "encoder_options": dict(taken.options), **given, "steps": steps}
    shape, outputs = image_shape(_NAME, input_shape), (n_classes,) if isinstance(n_classes, int) else tuple(n_classes)
    encoded = taken.for_data(shape, 2)
    space = EncoderDecoderSpace(
        (*encoded.choices, *made),
        _Builder(encoded, given, steps),
        name=_NAME,
        input_shape=shape,
        n_classes=outputs,
        options=options,
        count=count if isinstance(encoded, StagedSpace) and encoded.count is not None else None,
        nodes=_nodes,
        reference=_designs,
        recipe=taken.recipe,
    )
    space.encoder = encoded
    return space


def _listed(name: str, given: int | Sequence[int]) -> list[int]:
    values = [given] if isinstance(given, int) else list(given) if isinstance(given, Sequence) else []
    found = sorted({whole(_NAME, f"each of {name}", value) for value in values})
    if not found or len(found) < len(values):
        raise SpaceError(f"space '{_NAME}' takes {name} as whole numbers, each once; got {given!r:.80}")
    return found


class EncoderDecoderSpace(NetworkSpace):
    """A :class:`NetworkSpace` over another; see :func:`encoder_decoder`.

    Attributes:
        encoder: the space of the encoders, for the images of this one.
    """

    encoder: NetworkSpace

    def for_data(self, input_shape: Sequence[int], n_classes: int | Sequence[int]) -> Self:
        """See :class:`NetworkSpace`; the encoder's choices may change with the images."""
        other = super().for_data(image_shape(_NAME, tuple(input_shape)), n_classes)
        if len(other.output_shape) != 3:
            raise SpaceError(
                f"networks of space '{_NAME}' have an output for each pixel, (outputs, height, width), not "
                f"{other.output_shape}: give data with masks or maps, or take space='{self.encoder.name}'"
            )
        assert isinstance(other, type(self))
        other.encoder = self.encoder.for_data(input_shape, 2)
        other.choices = (*other.encoder.choices, *self.choices[self.encoder.n_choices :])
        other.__dict__.pop("depth", None)
        return other

    @functools.cached_property
    def depth(self) -> int:
        """Levels that the encoder's first candidate has for these images."""
        with torch.device("meta"):
            network = self.encoder.build(np.zeros(self.encoder.n_choices, dtype=np.int64))
        return len(levels_of(network, self.input_shape))

    def available(self, codes: Codes) -> Codes:
        """``(n,)`` levels that encoders ``(n, d)`` have; of a space that does not say, those of its first candidate."""
        if not isinstance(self.encoder, StagedSpace):
            return np.full(len(codes), self.depth)
        shapes, which = shapes_of(self.encoder, codes)
        found: Codes = np.array([len(one.levels) for one in shapes], dtype=np.int64)[which]
        return found

    def canonical(self, codes: Codes) -> Codes:
        """See :class:`NetworkSpace`."""
        n, steps = self.encoder.n_choices, self.options["steps"]
        codes = np.concatenate([self.encoder.canonical(codes[:, :n]), codes[:, n:]], axis=1)
        if LEVELS in self.names:
            column = self.names.index(LEVELS)
            most = np.searchsorted(self.options[LEVELS], self.available(codes[:, :n]))
            codes[:, column] = np.minimum(codes[:, column], most)
        ways = len(path_names(steps))
        codes[:, -ways:] = canonical_paths(codes[:, -ways:], steps)
        return codes


def count(space: NetworkSpace, codes: Codes) -> Mapping[str, Floats]:
    """Exact ``params`` and ``macs`` ``(n,)`` over an encoder that is counted by a formula; MACs at batch 1."""
    assert isinstance(space, EncoderDecoderSpace)
    assert isinstance(space.encoder, StagedSpace)
    codes, n, steps = space.canonical(codes), space.encoder.n_choices, space.options["steps"]
    totals, shapes, which = encoder_counts(space.encoder, codes[:, :n])
    ways = codes[:, -len(path_names(steps)) :]
    levels, widths = (np.array(space.options[name])[chosen(space, name, codes)] for name in (LEVELS, WIDTH))
    kinds = {kind: (ways == i).sum(axis=1) for i, kind in enumerate(WAYS)}
    totals = totals + decoder_counts(shapes, which, levels, widths, kinds, space.n_classes)
    return {"params": totals[:, 0], "macs": totals[:, 1]}


@dataclass(frozen=True)
class _Builder:
    encoder: NetworkSpace
    options: Mapping[str, Sequence[int]]
    steps: int

    def __call__(
        self, choices: Mapping[str, Any], input_shape: tuple[int, ...], output_shape: tuple[int, ...]
    ) -> nn.Module:
        encoder = self.encoder.builder({name: choices[name] for name in self.encoder.names}, input_shape, 2)
        levels, width = (choices.get(name, self.options[name][0]) for name in (LEVELS, WIDTH))
        ways = {(to, at): choices[name] for to, at, name in path_names(self.steps) if choices[name] != "none"}
        return Network(encoder, input_shape, output_shape, levels=levels, width=width, ways=ways, steps=self.steps)


class Network(nn.Module):
    """``(batch, channels, height, width)`` images to ``(batch, *output_shape)``.

    Args:
        encoder: has ``features(x)``; modules that these do not use are left out.
        levels: of the encoder, the deepest.
        width: channels of the pyramids.
        ways: see :class:`~searchkit.spaces.pyramid.Pyramid`.
        steps: number of pyramids.
    """

    def __init__(
        self,
        encoder: nn.Module,
        input_shape: Sequence[int],
        output_shape: Sequence[int],
        *,
        levels: int,
        width: int,
        ways: Mapping[tuple[int, int], str],
        steps: int,
    ) -> None:
        super().__init__()
        found = levels_of(encoder, input_shape, strip=True)[-levels:]
        self.encoder = encoder
        self.taken = [place for place, _ in found]
        self.pyramid = Pyramid([shape[0] for _, shape in found], width, ways, steps)
        self.head = nn.Sequential(separable(width), nn.Conv2d(width, output_shape[0], 1))
        self.size = tuple(output_shape[1:])

    def features(self, x: Tensor) -> list[Tensor]:
        """The maps of the encoder's stages, and what the decoder makes of them."""
        stages: list[Tensor] = self.encoder.features(x)  # type: ignore[operator]
        return [*stages, self.pyramid([stages[i] for i in self.taken])]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.features(x)[-1])
        if tuple(y.shape[2:]) == self.size:
            return y
        return functional.interpolate(y, size=self.size, mode="bilinear", align_corners=False)


def _nodes(space: NetworkSpace) -> tuple[Node, ...]:
    """Those of the encoder."""
    assert isinstance(space, EncoderDecoderSpace)
    return tuple(replace(node, module=node.module and f"encoder.{node.module}") for node in space.encoder.nodes)


def _designs(space: NetworkSpace) -> Codes:
    """The encoder's first designs with all levels, the middle width, and one top-down way; then a second, upwards."""
    assert isinstance(space, EncoderDecoderSpace)
    rows = space.encoder.reference[:_DESIGNS]
    steps, n = space.options["steps"], space.encoder.n_choices
    paths = {name: (to, at) for to, at, name in path_names(steps)}
    found = []
    for second in (False, True) if steps > 1 else (False,):
        code = np.zeros((len(rows), space.n_choices), dtype=np.int64)
        code[:, :n] = rows
        for i, choice in enumerate(space.choices[n:], start=n):
            if choice.name in (LEVELS, WIDTH):
                code[:, i] = len(choice.options) - 1 if choice.name == LEVELS else len(choice.options) // 2
            elif paths[choice.name] == (1 if second else steps, 0):
                code[:, i] = WAYS.index("top-down")
            elif second and paths[choice.name] == (steps, 1):
                code[:, i] = WAYS.index("bottom-up")
        found.append(code)
    return space.canonical(np.concatenate(found))
