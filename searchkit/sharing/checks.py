"""What networks must be like to share weights, and what is said where they are not."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter

import numpy as np
import torch
from torch import nn

from searchkit.errors import ProxyError, message_of
from searchkit.random_state import seeded, untouched
from searchkit.runtime.torch_compat import BatchNorm
from searchkit.sharing.keys import Key, Keys
from searchkit.space import NetworkSpace, distinct_rows
from searchkit.space.inputs import plain_inputs
from searchkit.types import Codes

LOOKED_AT = 20  # candidates that tell whether networks share anything


def check_networks(space: NetworkSpace, names: Keys, seed: int) -> None:
    """Build a few networks, and see whether they can share weights.

    A warning says where nodes do not tell the parameters of several options apart, or where buffers change as networks
    run: these are not shared.

    Raises:
        ProxyError: no parameter is in two networks, or a candidate is not built in the same way twice.
    """
    codes = distinct_rows(space.sample(LOOKED_AT, np.random.default_rng([seed, 0])))
    found: Counter[Key] = Counter()
    modules: dict[str, None] = {}
    looked_at, why = 0, ""
    for code in codes:
        try:
            network = _built(space, code, seed)
        except Exception as error:  # it is left out when it comes to be trained
            why = why or f"{type(error).__name__}: {message_of(error)}"
            continue
        modules |= dict.fromkeys(name for name, _ in network.named_modules())
        shapes = _shapes(network)
        looked_at += 1
        if looked_at <= 2:
            _check_repeated(space, code, shapes, seed)
            _check_buffers(space, network)
        found.update({names.of(name, shape, code) for name, shape in shapes.items()})
    if not looked_at:
        raise ProxyError(f"none of {len(codes)} networks of space '{space.name}' can be built; the first: {why}")
    nowhere = names.without(modules)
    if nowhere is not None:
        raise ProxyError(
            f"node '{nowhere.name}' of space '{space.name}' names the module '{nowhere.module}', which none of "
            f"{looked_at} networks has"
        )
    if not found:
        raise ProxyError(f"the networks of space '{space.name}' have no parameters that could be shared")
    if looked_at > 1 and max(found.values()) < 2:
        raise ProxyError(
            f"{looked_at} networks of space '{space.name}' share no parameter: those of one name and shape are "
            "shared, and these networks have none in common; name the same layers alike"
        )
    if not names.governed:
        warnings.warn(
            f"space '{space.name}' names no nodes with modules, so its networks share parameters by name and shape "
            "alone, also where options should learn apart; NetworkSpace(nodes=) tells them apart",
            stacklevel=2,
        )


def _built(space: NetworkSpace, code: Codes, seed: int) -> nn.Module:
    with seeded(seed):
        return space.build(code)


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}


def _check_repeated(space: NetworkSpace, code: Codes, shapes: dict[str, tuple[int, ...]], seed: int) -> None:
    again = _shapes(_built(space, code, seed + 1))
    differs = [name for name in {**shapes, **again} if shapes.get(name) != again.get(name)]
    if differs:
        raise ProxyError(
            f"candidate {code.tolist()} of space '{space.name}' is built differently each time: '{differs[0]}' is "
            f"{shapes.get(differs[0], 'missing')} and then {again.get(differs[0], 'missing')}; a structure that is "
            "drawn at random cannot share weights"
        )


def _check_buffers(space: NetworkSpace, network: nn.Module) -> None:
    """Warn of buffers that change as a network runs, batch normalisations' apart."""
    norms = {f"{name}." for name, module in network.named_modules() if isinstance(module, BatchNorm)}
    own = {
        name: buffer.clone() for name, buffer in network.named_buffers() if name.rpartition(".")[0] + "." not in norms
    }
    if not own:
        return
    with untouched(), torch.no_grad(), contextlib.suppress(Exception):  # one that cannot run fails in training
        network.train()(plain_inputs(2, space.input_shape))
    changed = [name for name, buffer in network.named_buffers() if name in own and not own[name].equal(buffer)]
    if changed:
        warnings.warn(
            f"the networks of space '{space.name}' change the buffer '{changed[0]}' as they run; buffers are "
            "not shared, and only batch normalisations take their statistics anew, so what paths are judged by may be "
            "wrong",
            stacklevel=3,
        )
