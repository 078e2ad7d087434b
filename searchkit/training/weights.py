"""The weights of trained networks, in one safetensors file per candidate."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from searchkit.types import Codes


def weights_path(folder: Path, code: Codes) -> Path:
    """The file of a candidate's trained weights."""
    digest = hashlib.blake2b(np.ascontiguousarray(code, np.int64).tobytes(), digest_size=8).hexdigest()
    return folder / f"{digest}.safetensors"


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's state; the file appears only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(own_state(network), partial)
    partial.replace(path)


def own_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a network's state in which tied weights have separate memory, as safetensors requires."""
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in network.state_dict().items()}


def load_weights(network: nn.Module, path: Path) -> None:
    """Load what :func:`save_weights` wrote."""
    network.load_state_dict(load_file(path))
