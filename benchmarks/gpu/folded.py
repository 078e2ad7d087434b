"""Several networks of equal topology as one of torch.func's: weights stacked, channels beside each other."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import stack_module_state

Stacked = dict[str, Tensor]  # a tensor (k, ...) for each name


def stack(networks: Sequence[nn.Module], device: torch.device) -> tuple[Stacked, Stacked]:
    """Parameters and buffers ``(k, ...)``; on a card kernels lie there so that k of them are one, channels last."""
    learned, kept = stack_module_state([network.to(device) for network in networks])
    if device.type == "cuda":
        for name, values in learned.items():
            if values.ndim == 5:
                last = values.detach().permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
                learned[name] = last.requires_grad_(values.requires_grad)
    for network in networks:
        network.to("cpu")
    return learned, kept


def fold_channels(network: nn.Module) -> None:
    """Have batch norms and pools run once for all networks."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d and module.affine and module.track_running_stats and module.momentum:
            module.forward = functools.partial(_norm, module)  # type: ignore[method-assign]
        elif type(module) is nn.AvgPool2d:
            module.forward = functools.partial(_Folded.apply, module.forward)  # type: ignore[method-assign]


def _norm(module: nn.BatchNorm2d, x: Tensor) -> Tensor:
    training, momentum, eps = module.training, module.momentum or 0.0, module.eps
    if training and module.num_batches_tracked is not None:
        module.num_batches_tracked.add_(1)

    def work(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return nn.functional.batch_norm(x, mean, var, weight, bias, training, momentum, eps)

    own = (module.running_mean, module.running_var, module.weight, module.bias)
    result: Tensor = _Folded.apply(work, x, *own)  # type: ignore[no-untyped-call]
    return result


class _Folded(torch.autograd.Function):
    """A function of each channel for itself, of k networks at once: their channels are beside each other.

    vmap's own rule of batch norm leaves scale and shift to kernels of their own and, where inputs are bfloat16, the
    result in float32; that of average pooling copies its input to have the k networks beside each other in the batch.
    """

    generate_vmap_rule = False

    @staticmethod
    def forward(work: Callable[..., Tensor], x: Tensor, *own: Tensor) -> Tensor:
        """``x (batch, channels, h, w)`` and tensors ``(channels,)`` of one network."""
        return work(x, *own)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept: only :meth:`vmap` is ever called, whose operations have gradients of their own."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], work: Callable[..., Tensor], x: Tensor, *own: Tensor
    ) -> tuple[Tensor, int]:
        """The same with k networks, ``x (batch, k, channels, h, w)`` in any order and ``(k, channels)``."""
        shared = in_dims[1] is None
        several = x.unsqueeze(1).expand(-1, info.batch_size, *x.shape[1:]) if shared else x.movedim(in_dims[1], 1)
        flat = work(several.flatten(1, 2), *(tensor.view(-1) for tensor in own))
        return flat.unflatten(1, (info.batch_size, -1)), 1  # type: ignore[no-untyped-call]
