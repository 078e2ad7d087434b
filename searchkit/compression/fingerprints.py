"""Digests of networks and of their weights, by which what was made of them is known again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def fingerprint_of(model: nn.Module) -> str:
    """A digest of a network's architecture, as it is printed, and its weights."""
    return digest_of(model.state_dict(), repr(model))


def digest_of(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """A digest of tensors with their names, types and shapes, and of a text."""
    digest = hashlib.blake2b(text.encode(), digest_size=12)
    for name, tensor in tensors.items():
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes() if values.numel() else b"")
    return digest.hexdigest()
