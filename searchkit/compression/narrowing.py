"""Modules with fewer inner channels: the most important ones of the original, with their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from searchkit.compression.channels import Group
from searchkit.compression.given import same
from searchkit.compression.layer_calls import Dense, Held, PerChannel
from searchkit.costs.meta_tensors import no_gradients
from searchkit.errors import PASSED_ON
from searchkit.random_state import untouched
from searchkit.runtime.copies import copied

MULTIPLE = 8  # of channels, where a width allows it: what runtimes compute at once
_EXACT = 1e-4  # relative, between a narrowed module and the original without the channels


def width_of(group: Group, share: float) -> int:
    """Channels that a share of a group keeps: a multiple of 8 where that is possible, and of the granule."""
    wanted = group.size * share
    step = group.granule
    if wanted >= MULTIPLE and step < MULTIPLE and MULTIPLE % step == 0:
        step = MULTIPLE
    return min(max(step, round(wanted / step) * step), group.size)


def narrowed(module: nn.Module, kept: Sequence[tuple[Group, Tensor]]) -> nn.Module:
    """A copy of a module with some of the channels of its groups.

    Args:
        kept: groups with ``(k,)`` indices of the channels that remain.
    """
    smaller = copied(module)
    for group, channels in kept:
        n = len(channels)
        for writer in group.writers:
            _take(smaller, writer.weight, writer.out_axis, channels)
            if writer.bias is not None:
                _take(smaller, writer.bias, 0, channels)
            _say(smaller, writer.weight, {"out_channels": n, "out_features": n})
        for reader in group.readers:
            _take(smaller, reader.weight, reader.in_axis, channels)
            _say(smaller, reader.weight, {"in_channels": n, "in_features": n})
        for what in group.between:
            _cut_between(smaller, what, group, channels)
    return smaller


def _cut_between(module: nn.Module, what: Dense | PerChannel, group: Group, channels: Tensor) -> None:
    n = len(channels)
    if isinstance(what, Dense):
        _take(module, what.weight, 0, channels)
        if what.bias is not None:
            _take(module, what.bias, 0, channels)
        _say(module, what.weight, {"in_channels": n, "out_channels": n, "groups": n // what.granule})
        return
    for held in what.held:
        tensor = _tensor(module, held)
        axes = [axis for axis, size in enumerate(tensor.shape) if size == group.size]
        if len(axes) == 1:
            _take(module, held, axes[0], channels)
            said = {"num_features": n, "num_channels": n, "normalized_shape": n, "num_parameters": n}
            if what.name == "group_norm" and not what.inexact:
                said["num_groups"] = n // what.granule
            _say(module, held, said)


def _tensor(module: nn.Module, held: Held) -> Tensor:
    tensor: Tensor = getattr(module.get_submodule(held.owner), held.attribute)
    return tensor


def _take(module: nn.Module, held: Held, axis: int, channels: Tensor) -> None:
    owner = module.get_submodule(held.owner)
    tensor = _tensor(module, held)
    part = tensor.detach().index_select(axis, channels).clone()
    learned = isinstance(tensor, nn.Parameter)
    setattr(owner, held.attribute, nn.Parameter(part, tensor.requires_grad) if learned else part)


def _say(module: nn.Module, held: Held, numbers: Mapping[str, int]) -> None:
    """Write the numbers of channels where the layer says them."""
    owner = module.get_submodule(held.owner)
    for name, number in numbers.items():
        before = vars(owner).get(name)
        if isinstance(before, int) and not isinstance(before, bool):
            setattr(owner, name, number)
        elif isinstance(before, tuple) and len(before) == 1:
            setattr(owner, name, (number,))


def sound(module: nn.Module, groups: Sequence[Group], fed: Tensor) -> list[Group]:
    """The groups without which a module gives what it gives with their weights set to zero: those that can be cut.

    Norms over the channels change the others' values; of such a group only the output's shape is compared.
    """
    return [group for group in groups if _is_sound(module, group, fed)]


def _is_sound(module: nn.Module, group: Group, fed: Tensor) -> bool:
    n = width_of(group, 0.5)
    channels = group.most_important(n)
    dropped = torch.ones(group.size, dtype=torch.bool)
    dropped[channels] = False
    try:
        masked = copied(module)
        for reader in group.readers:
            weight = _tensor(masked, reader.weight).detach()
            weight.movedim(reader.in_axis, 0)[dropped] = 0.0
        with no_gradients(), untouched():
            smaller = narrowed(module, [(group, channels)])(fed.clone())
            wanted = masked(fed.clone())
    except PASSED_ON:
        raise
    except Exception:  # the module's own code relies on a number of channels
        return False
    if group.inexact:
        return bool(smaller.shape == wanted.shape)
    return same(smaller, wanted, _EXACT)
