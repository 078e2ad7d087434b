"""How outputs change with single weights, for each example: what :mod:`searchkit.proxies.vkdnw` reads of a network.

The gradient of an output to one weight of a convolution or of a linear layer is a sum over places: of the gradient at
the layer's output, times what the weight multiplies. So one backward pass for every output is enough, in which no
gradient of weights is computed. It is an ordinary backward pass, to which in-place operations and branches are what
they always are. What is no such layer, or is called in another way, is differentiated example by example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from searchkit.space.inputs import as_output_shape
from searchkit.training.tasks.outputs import check_outputs

_CONVOLUTIONS: Mapping[type[nn.Module], Callable[..., Tensor]] = {
    nn.Conv1d: functional.conv1d,
    nn.Conv2d: functional.conv2d,
    nn.Conv3d: functional.conv3d,
}


@dataclass(frozen=True)
class SingleWeight:
    """One number of a parameter.

    Attributes:
        parameter: of any shape.
        index: the number's place in it, one integer an axis.
    """

    parameter: Tensor
    index: tuple[int, ...]


def jacobian(
    network: nn.Module, x: Tensor, weights: Sequence[SingleWeight], output_shape: int | Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Outputs ``(n, c)`` for inputs ``(n, ...)``, and their derivatives ``(n, c, k)`` to k weights.

    Args:
        network: in evaluation mode, so that examples do not depend on each other. No parameter takes gradients after.
        output_shape: ``(c,)``; or ``(c, h, w)``, of which the mean over pixels is taken.

    Raises:
        CandidateError: the outputs have another shape.
    """
    output_shape = as_output_shape(output_shape)
    network.requires_grad_(False)
    layers = _Layers(len(x), len(weights), x)
    owners = _owners(network)
    with ExitStack() as stack:
        for i, weight in enumerate(weights):
            owned = owners.get(id(weight.parameter), [])
            if len(owned) == 1 and _is_usual(owned[0], weight.parameter):
                called = partial(layers.called, i, weight.index)
                stack.callback(owned[0].register_forward_hook(called, prepend=True).remove)
        start = x.detach().clone().requires_grad_()
        outputs = network(start.clone())  # which the network may write to
    check_outputs(outputs, len(x), output_shape)
    outputs = _of_examples(outputs)
    rows = []
    for c in range(output_shape[0]):
        layers.row = torch.zeros_like(layers.row)
        if layers.right and outputs.requires_grad:
            torch.autograd.grad(outputs[:, c].sum(), start, retain_graph=True, allow_unused=True)
        rows.append(layers.row)
    found = torch.stack(rows, dim=1)
    rest = sorted(set(range(len(weights))) - (layers.right - layers.wrong))
    if rest:
        found[:, :, rest] = _by_examples(network, x, [weights[i] for i in rest])
    return outputs.detach(), found


class _Layers:
    """Derivatives ``(n, k)`` of one output to weights of layers, added up as a backward pass comes by.

    Attributes:
        row: the sums.
        right, wrong: weights of which a call of the layer was seen that this can differentiate, or one that it cannot.
    """

    def __init__(self, n: int, k: int, like: Tensor) -> None:
        self.row = like.new_zeros(n, k)
        self.right: set[int] = set()
        self.wrong: set[int] = set()

    def called(self, i: int, index: tuple[int, ...], layer: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """A forward hook, before the others."""
        axis = -1 if isinstance(layer, nn.Linear) else 1
        x = args[0] if len(args) == 1 else None
        if (
            not (isinstance(x, Tensor) and isinstance(output, Tensor) and output.requires_grad)
            or len(x) != len(self.row)
            or (axis == 1 and x.ndim != len(index))
        ):
            self.wrong.add(i)
            return output
        self.right.add(i)
        change = _multiplied(layer, x.detach(), index)
        output = output.clone()  # no view: what is written into a view later would take the next hook's gradient away
        output.register_hook(partial(self.arrived, i, axis, index[0], change))
        return output

    def arrived(self, i: int, axis: int, channel: int, change: Tensor, gradient: Tensor) -> None:
        self.row[:, i] += (gradient.select(axis, channel) * change).reshape(len(change), -1).sum(dim=1)


def _owners(network: nn.Module) -> dict[int, list[nn.Module]]:
    """Modules that have a parameter of their own, by its id."""
    found: dict[int, list[nn.Module]] = {}
    for module in network.modules():
        for parameter in module.parameters(recurse=False):
            found.setdefault(id(parameter), []).append(module)
    return found


def _is_usual(layer: nn.Module, parameter: Tensor) -> bool:
    """Whether it is torch's own layer, with the parameter for its weight and nothing but zeros around its input."""
    kind = type(layer)
    usual = kind is nn.Linear or (kind in _CONVOLUTIONS and layer.padding_mode == "zeros")
    return usual and layer.weight is parameter


def _multiplied(layer: nn.Module, x: Tensor, index: tuple[int, ...]) -> Tensor:
    """What a weight multiplies at each place of its output channel: ``(n, ...)``, one axis less than the output."""
    if isinstance(layer, nn.Linear):
        return x[..., index[1]].clone()
    assert isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    group = index[0] // (layer.out_channels // layer.groups)
    channel = group * (layer.in_channels // layer.groups) + index[1]
    kernel = x.new_zeros(1, 1, *layer.kernel_size)
    kernel[(0, 0, *index[2:])] = 1
    convolved = _CONVOLUTIONS[type(layer)]
    return convolved(x[:, channel : channel + 1], kernel, None, layer.stride, layer.padding, layer.dilation)[:, 0]


def _of_examples(outputs: Tensor) -> Tensor:
    """``(n, c)``: the mean over pixels, where each has outputs."""
    return outputs.flatten(2).mean(2) if outputs.ndim > 2 else outputs


def _by_examples(network: nn.Module, x: Tensor, weights: Sequence[SingleWeight]) -> Tensor:
    """Derivatives ``(n, c, k)``, by a backward pass for each output of each example."""
    parameters = [weight.parameter.requires_grad_() for weight in weights]
    examples = []
    for one in x:
        (outputs,) = _of_examples(network(one[None].clone()))
        rows = torch.zeros(len(outputs), len(weights), dtype=x.dtype, device=x.device)
        for row, output in zip(rows, outputs, strict=True) if outputs.requires_grad else ():
            gradients = torch.autograd.grad(output, parameters, retain_graph=True, allow_unused=True)
            for k, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
                if gradient is not None:
                    row[k] = gradient[weight.index]
        examples.append(rows)
    network.requires_grad_(False)
    return torch.stack(examples)
