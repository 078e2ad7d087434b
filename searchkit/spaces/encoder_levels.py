"""The levels of encoders: the sizes of their maps, what of them is left out in front of a decoder, and exact counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from searchkit.errors import CandidateError
from searchkit.runtime.mac_counter import MacCounter
from searchkit.space import NetworkSpace
from searchkit.spaces.pyramid import pyramid_costs
from searchkit.spaces.skeleton import StagedSpace
from searchkit.types import Codes, Floats

Level = tuple[int, int, int]


def levels_of(encoder: nn.Module, input_shape: Sequence[int], strip: bool = False) -> list[tuple[int, Level]]:
    """Place among the features and shape ``(channels, height, width)`` of the last map of each size, finest first.

    Args:
        strip: replace the parts of the encoder that its features do not use.
    """
    if not callable(getattr(encoder, "features", None)):
        raise CandidateError(f"the encoder, a {type(encoder).__name__}, has no method features(x)")
    called: set[int] = set()
    hooks = [one.register_forward_hook(lambda module, *_: called.add(id(module))) for one in encoder.modules()]
    device = next((parameter.device for parameter in encoder.parameters()), None)
    encoder.eval()
    with torch.no_grad():
        maps = list(encoder.features(torch.zeros(1, *input_shape, device=device)))  # type: ignore[operator]
    encoder.train()
    for hook in hooks:
        hook.remove()
    if strip:
        _strip(encoder, called)
    by_size = {tuple(x.shape[2:]): (i, (x.shape[1], x.shape[2], x.shape[3])) for i, x in enumerate(maps)}
    return sorted(by_size.values(), key=lambda level: -level[1][1] * level[1][2])


def _strip(module: nn.Module, called: set[int]) -> None:
    """Replace parts that were not called and have parameters."""
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleDict | nn.ModuleList) or any(id(one) in called for one in child.modules()):
            _strip(child, called)
        elif any(True for _ in child.parameters()):
            setattr(module, name, nn.Identity())


@dataclass(frozen=True)
class Shapes:
    """What is alike in all encoders of a space whose maps have equal shapes.

    Attributes:
        levels: ``(channels, height, width)``, finest first.
        params, macs: of the parts that are left out in front of a decoder.
    """

    levels: tuple[Level, ...]
    params: int
    macs: int


_known: WeakKeyDictionary[StagedSpace, dict[bytes, Shapes]] = WeakKeyDictionary()


def shapes_of(space: StagedSpace, codes: Codes) -> tuple[list[Shapes], Codes]:
    """The distinct shapes of encoders ``(n, d)``, and ``(n,)`` which of them each has.

    One encoder of each is built, without memory for its weights, when it is first asked for.
    """
    keys, first, which = np.unique(space.shaped_by(codes), axis=0, return_index=True, return_inverse=True)
    known = _known.setdefault(space, {})
    found = []
    for key, at in zip(keys, first, strict=True):
        name = np.ascontiguousarray(key, dtype=np.int64).tobytes()
        if name not in known:
            known[name] = _shapes(space, codes[at])
        found.append(known[name])
    return found, np.asarray(which, dtype=np.int64).reshape(-1)


def _shapes(space: NetworkSpace, code: Codes) -> Shapes:
    with torch.device("meta"):
        network = space.build(code).eval()
        x = torch.zeros(1, *space.input_shape)
    before = sum(parameter.numel() for parameter in network.parameters())
    # attention as two products: other ways to compute it are counted by other formulas
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        with MacCounter() as whole:
            network(x)
        with MacCounter() as used:
            levels = levels_of(network, space.input_shape, strip=True)
    after = sum(parameter.numel() for parameter in network.parameters())
    return Shapes(tuple(shape for _, shape in levels), before - after, whole.macs - used.macs)


def encoder_counts(space: StagedSpace, codes: Codes) -> tuple[Floats, list[Shapes], Codes]:
    """``(n, 2)`` parameters and MACs of encoders ``(n, d)`` without what is left out; and their :func:`shapes_of`."""
    assert space.count is not None
    whole = space.count(space, codes)
    shapes, which = shapes_of(space, codes)
    left_out = np.array([[one.params, one.macs] for one in shapes], dtype=np.float64)[which]
    return np.column_stack([whole["params"], whole["macs"]]) - left_out, shapes, which


def decoder_counts(
    shapes: Sequence[Shapes], which: Codes, levels: Codes, widths: Codes, ways: Mapping[str, Codes], n_out: int
) -> Floats:
    """``(n, 2)`` parameters and MACs of the decoders of n networks.

    Args:
        shapes, which: of :func:`shapes_of`.
        levels, widths: ``(n,)`` how many levels are asked for, and channels of the pyramids.
        ways: by kind, ``(n,)`` how many ways of the pyramid are of it.
        n_out: channels of the output.
    """
    found = np.zeros((len(which), 2))
    kinds = np.column_stack([which, levels, widths])
    for shape, most, width in np.unique(kinds, axis=0):
        rows = (kinds == (shape, most, width)).all(axis=1)
        used = shapes[shape].levels[-most:]
        found[rows] = pyramid_costs(used, int(width), {kind: n[rows] for kind, n in ways.items()}, n_out)
    return found
