"""Feature maps of any network: its stages' outputs and its blocks' outputs, found by hooks where it does not name them.

Stages come from the network's own method ``features(x) -> [outputs]`` where it has one (the built-in spaces do);
otherwise a stage's output is the last 4-D output at each distinct resolution. A block is the smallest part
with a class of its own in the author's code (a cell, a residual block), or a Sequential of plain layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

_TOKEN_AXES = 3  # (batch, tokens, width), or (batch, channels, length)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class Maps:
    """Filled by :func:`recording`: ``stages`` and ``blocks``, lists of ``(batch, c, h, w)`` in depth order.

    In a network for tables they are ``(batch, units)``, in one for signals or tokens ``(batch, c, length)``.
    """

    def __init__(self) -> None:
        self.blocks: list[Tensor] = []
        self.attending: list[bool] = []  # which of the blocks have attention
        self.named: list[Tensor] = []
        self.by_size: dict[tuple[int, ...], Tensor] = {}
        self.open = True  # blocks after the last stage belong to the head and are not recorded

    @property
    def stages(self) -> list[Tensor]:
        """Outputs of the stages, shallow to deep."""
        return self.named or list(self.by_size.values())


@contextmanager
def recording(network: nn.Module, *, blocks: bool, n_axes: int = 4, tokens: bool = False) -> Iterator[Maps]:
    """Record the feature maps of the forward pass made inside; the network is left as it was.

    Args:
        n_axes: number of axes of a feature map, see :func:`map_axes`.
        tokens: whether outputs ``(batch, tokens, width)`` are stages too, where the network names none.
    """
    maps = Maps()
    own = stage_method(network)
    watched = {id(module) for module in block_modules(network)} if blocks else set()
    handles = []

    def seen(module: nn.Module, args: Any, output: Any) -> None:
        if tokens and own is None and isinstance(output, Tensor) and output.ndim == _TOKEN_AXES:
            maps.by_size.pop((output.shape[1], -1), None)
            maps.by_size[output.shape[1], -1] = output
        if not isinstance(output, Tensor) or output.ndim != n_axes:
            return
        if own is None:
            size = tuple(output.shape[2:])
            maps.by_size.pop(size, None)  # the last output at a size, in the order in which sizes were left
            maps.by_size[size] = output
        if id(module) in watched and maps.open and not any(output is known for known in maps.blocks):
            maps.blocks.append(output)
            maps.attending.append(attends(module))

    for module in network.modules():
        if module is not network and (id(module) in watched or own is None):
            handles.append(module.register_forward_hook(seen))
    if own is not None:

        def features(x: Tensor) -> Any:
            outputs = own(x)
            maps.named, maps.open = list(outputs), False
            return outputs

        network.__dict__["features"] = features  # found before the method, by the network's own forward too
    try:
        yield maps
    finally:
        network.__dict__.pop("features", None)
        for handle in handles:
            handle.remove()


def map_axes(x: Tensor) -> int:
    """Axes of the feature maps of an input: as many as it has, 4 of images and 2 of a table; 3 where it is tokens."""
    return x.ndim if x.is_floating_point() else 3


def stage_method(network: nn.Module) -> Callable[[Tensor], Any] | None:
    """The network's own ``features(x)``, where it is a method (in torchvision it is often a submodule)."""
    method = getattr(network, "features", None)
    return method if callable(method) and not isinstance(method, nn.Module) else None


def stage_maps(network: nn.Module, x: Tensor) -> list[Tensor]:
    """The stages' outputs for x, shallow to deep, without running the classifier where the network names its stages."""
    own = stage_method(network)
    if own is not None:
        return list(own(x))
    with recording(network, blocks=False, n_axes=map_axes(x)) as maps:
        network(x)
    return maps.stages


def maps_of_any_rank(network: nn.Module, x: Tensor) -> list[Tensor]:
    """The stages' outputs for x, shallow to deep, as ``(batch, c, h, w)`` or, of one axis, ``(batch, c, length)``.

    A transformer's tokens ``(batch, tokens, width)`` are a map of one axis with the width as its channels. Which axis
    that is, the layers tell: it is the one of which a layer of the network reads as many numbers. Where both are or
    neither is, it is the last in networks for images, and the first in those for signals. A network that names no
    stages gives its tokens where nothing but tokens comes after them.
    """
    if stage_method(network) is not None or map_axes(x) == _TOKEN_AXES or not attends(network):
        found = stage_maps(network, x)
    else:
        with recording(network, blocks=False, n_axes=map_axes(x), tokens=True) as maps:
            network(x)
        found = [one for one in maps.stages if len(one) == len(x)]
        if found and found[-1].ndim != _TOKEN_AXES:
            found = [one for one in found if one.ndim != _TOKEN_AXES]
    read = _numbers_read(network) if any(one.ndim == _TOKEN_AXES for one in found) else set()
    return [
        one.transpose(1, 2) if one.ndim == _TOKEN_AXES and _width_is_last(one, read, x.ndim) else one for one in found
    ]


def _width_is_last(tokens: Tensor, read: set[int], n_axes: int) -> bool:
    first, last = tokens.shape[1] in read, tokens.shape[2] in read
    return last if first != last else n_axes != _TOKEN_AXES


def _numbers_read(network: nn.Module) -> set[int]:
    """How many numbers, or channels, the layers of a network read at a position."""
    found = set()
    for module in network.modules():
        for name in ("in_features", "in_channels", "num_features", "embed_dim"):
            size = getattr(module, name, None)
            if isinstance(size, int):
                found.add(size)
        if isinstance(module, nn.LayerNorm):
            found.add(int(module.normalized_shape[-1]))
    return found


def attends(network: nn.Module) -> bool:
    """Whether it has attention: a layer of torch's own, or modules with ``num_heads``, as most authors name it."""
    return any(hasattr(module, "num_heads") for module in network.modules())


def block_modules(network: nn.Module) -> list[nn.Module]:
    """The network's primary blocks; where it has none, its convolutions."""
    found = [block for child in network.children() for block in _blocks(child)]
    return found or [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    children = list(module.children())
    if not children:
        return
    nested = any(list(child.children()) for child in children)
    if (isinstance(module, _CONTAINERS) and nested) or stage_method(module) is not None:  # a network in a network
        for child in children:
            yield from _blocks(child)
    else:
        yield module
