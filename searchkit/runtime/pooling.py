"""Gradients of average pooling on a CUDA card, which torch up to 2.13 at least gets wrong in channels-last format.

With padding, torch's kernel looks for each pixel's windows in the wrong place (pytorch/pytorch issue 188344). The
forward pass is right, and so are both passes in contiguous format.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from searchkit.runtime.devices import device_errors

RANK = 4  # of images and feature maps
# of avg_pool2d, in order
ARGUMENTS = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")


@contextmanager
def right_pooling(device: torch.device) -> Iterator[None]:
    """Inside, padded average pools of channels-last tensors have right gradients on a card; elsewhere nothing changes.

    Pools are computed in contiguous format where this torch has the fault. That holds for layers and for functions
    that a network calls in this thread.
    """
    with device_errors(device):
        faulty = device.type == "cuda" and _is_faulty(device)
    if not faulty:
        yield
        return
    with _Contiguous():
        yield


class _Contiguous(TorchFunctionMode):
    """Average pools of channels-last tensors are computed in contiguous format."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not functional.avg_pool2d:
            return func(*args, **kwargs)
        given = dict(zip(ARGUMENTS, args, strict=False)) | kwargs
        if not _is_affected(given["input"], given.get("padding", 0)):
            return func(*args, **kwargs)
        given["input"] = given["input"].contiguous(memory_format=torch.contiguous_format)
        return func(**given).contiguous(memory_format=torch.channels_last)


def _is_affected(x: Tensor, padding: int | Sequence[int]) -> bool:
    padded = any(padding) if isinstance(padding, Sequence) else bool(padding)
    return padded and x.is_cuda and x.ndim == RANK and x.is_contiguous(memory_format=torch.channels_last)


@functools.cache
def _is_faulty(device: torch.device) -> bool:
    """Whether this torch has the fault; found by computing a gradient, since a version number may be patched."""
    with torch.cuda.device(device), torch.enable_grad():
        x = torch.arange(32.0).view(1, 2, 4, 4)
        found = []
        for leaf in (x.clone(), x.to(device).contiguous(memory_format=torch.channels_last)):
            leaf.requires_grad_()
            functional.avg_pool2d(leaf, 3, 1, 1, count_include_pad=False).sum().backward()  # type: ignore[no-untyped-call]
            assert leaf.grad is not None
            found.append(leaf.grad.cpu())
    return not torch.allclose(found[0], found[1], rtol=1e-4)
