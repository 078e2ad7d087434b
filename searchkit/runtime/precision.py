"""Full float32 precision on a card: no TF32 in convolutions and matrix products, and deterministic kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

T = TypeVar("T")


@contextmanager
def exact_float32(device: torch.device) -> Iterator[None]:
    """Use full float32 precision with deterministic kernels on a CUDA device; torch's settings are restored after.

    TF32 rounds factors to 10 bits of mantissa, which changes the signs of activations near zero and the order of
    networks with nearly equal scores. cuDNN chooses deterministic kernels by its heuristics, so that scores are
    reproducible. The settings are global to the process, so other threads compute with them in the meantime.
    """
    if device.type != "cuda":
        yield
        return
    with without_tf32(), _repeatable_kernels():
        yield


@contextmanager
def without_tf32() -> Iterator[None]:
    """Turn TF32 off inside, through both the older and the newer settings of torch, so that either can be read inside.

    From torch 2.9 on, each kind of operation has a setting of its own. The older, global settings change these too, and
    reading an older one raises an error after a newer one was set to another value. Where a user has done that, the
    older settings are left alone.
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
    """Newer settings: a card's convolutions, RNNs and matrix products, and one that the older settings change."""
    backends: Any = torch.backends
    if not hasattr(backends.cudnn, "conv"):  # before torch 2.9
        return []
    return [backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul, backends.mkldnn.matmul]


def _readable(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except RuntimeError:  # the user has set the older and the newer settings to different values
        return None
