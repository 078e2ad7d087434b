"""float32 as written, on a card: no TF32 in convolutions and products, and the same kernels each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

T = TypeVar("T")


@contextmanager
def exact_float32(device: torch.device) -> Iterator[None]:
    """On a CUDA device, passes run as on a CPU as far as arithmetic goes; torch's settings are as they were after it.

    TF32 keeps 10 bits of a factor, and moves the signs of activations that are all but zero and the order of networks
    that are all but alike. cuDNN chooses its kernels by rule and among those that repeat, so that a score does too.
    The settings are the process's: other threads compute like this meanwhile.
    """
    if device.type != "cuda":
        yield
        return
    with without_tf32(), _repeatable_kernels():
        yield


@contextmanager
def without_tf32() -> Iterator[None]:
    """Both of torch's ways to ask for TF32 are set, so that whoever reads either one inside is not refused as mixing.

    From torch 2.9 on there is a setting a kind of operation; the older ones change it too, and are refused to whoever
    reads them after the new one was set to something else. Where a user has done that, the older ones are left alone.
    """
    convolutions = _readable(lambda: torch.backends.cudnn.allow_tf32)
    products = _readable(torch.get_float32_matmul_precision)
    kinds = [(kind, kind.fp32_precision) for kind in _kinds()]
    try:
        if convolutions:
            torch.backends.cudnn.allow_tf32 = False
        if products not in (None, "highest"):
            torch.set_float32_matmul_precision("highest")
        for kind, _ in kinds[:3]:
            kind.fp32_precision = "ieee"
        yield
    finally:
        if convolutions:
            torch.backends.cudnn.allow_tf32 = True
        if products not in (None, "highest"):
            torch.set_float32_matmul_precision(products)
        for kind, before in kinds:
            kind.fp32_precision = before


@contextmanager
def _repeatable_kernels() -> Iterator[None]:
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before


def _kinds() -> list[Any]:
    """Settings of the newer way: of a card's convolutions, recurrences and products, and what the older way changes."""
    backends: Any = torch.backends
    if not hasattr(backends.cudnn, "conv"):  # before torch 2.9
        return []
    return [backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul, backends.mkldnn.matmul]


def _readable(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except RuntimeError:  # both ways were mixed before
        return None
