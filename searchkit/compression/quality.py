"""What alternatives of a network's blocks are worth: errors of their outputs, and of the network's with one of them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.runtime.submodules import put

Key = tuple[str, str]  # a node and one of its alternatives


@contextlib.contextmanager
def watched(model: nn.Module, places: Mapping[str, str]) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """A dictionary that has, after a forward pass, the input and the output of each node's module.

    Args:
        places: node -> dotted name of its module.
    """
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    handles = []
    for name, path in places.items():

        def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = name) -> None:
            seen[name] = inputs[0].detach().clone(), output.detach().clone()  # later layers may work in place

        handles.append(model.get_submodule(path).register_forward_hook(keep))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def relative_errors(
    model: nn.Module, places: Mapping[str, str], modules: Mapping[Key, nn.Module], x: Tensor, batch_size: int = 64
) -> dict[Key, float]:
    """Mean absolute error of each alternative's output, over the standard deviation of the block's own.

    DNA's rating of a path (Li et al., the relative L1 loss).
    """
    missed = dict.fromkeys(modules, 0.0)
    moments = {name: np.zeros(3) for name in places}  # values, their sum, and the sum of their squares
    with watched(model, places) as seen:
        for part in torch.split(x, batch_size):
            model(part)
            for name, (_, wanted) in seen.items():
                values = wanted.double()
                moments[name] += values.numel(), float(values.sum()), float(values.square().sum())
            for (name, label), module in modules.items():
                inputs, wanted = seen[name]
                missed[name, label] += float((module(inputs) - wanted).abs().double().sum())
    deviation = {name: math.sqrt(max(s2 / n - (s / n) ** 2, 1e-24)) for name, (n, s, s2) in moments.items()}
    return {(name, label): total / moments[name][0] / deviation[name] for (name, label), total in missed.items()}


@torch.no_grad()
def divergences(
    model: nn.Module, places: Mapping[str, str], modules: Mapping[Key, nn.Module], x: Tensor, batch_size: int = 64
) -> dict[Key, float]:
    """How far the network's answers are from its own when one block is replaced, for each alternative.

    Of class scores ``(n, k)`` the mean Kullback-Leibler divergence; of other outputs the mean squared error over their
    variance. An alternative whose answers are not finite has infinity.
    """
    answers = torch.cat([model(part) for part in torch.split(x, batch_size)])
    found: dict[Key, float] = {}
    for key, module in modules.items():
        with replaced(model, {places[key[0]]: module}) as other:
            got = torch.cat([other(part) for part in torch.split(x, batch_size)])
        value = float(_distance(got.double(), answers.double()))
        found[key] = value if math.isfinite(value) else math.inf
    return found


def _distance(got: Tensor, wanted: Tensor) -> Tensor:
    if got.ndim == 2 and got.shape[1] > 1:
        log_p, log_q = wanted.log_softmax(1), got.log_softmax(1)
        return (log_p.exp() * (log_p - log_q)).sum(1).mean()
    return (got - wanted).square().mean() / wanted.var().clamp_min(1e-24)


@contextlib.contextmanager
def replaced(model: nn.Module, modules: Mapping[str, nn.Module]) -> Iterator[nn.Module]:
    """The network with modules in place of its own inside the block; then it has its own again.

    Args:
        modules: dotted name -> module.
    """
    own = {path: model.get_submodule(path) for path in modules}
    try:
        for path, module in modules.items():
            put(model, path, module)
        yield model
    finally:
        for path, module in own.items():
            put(model, path, module)
