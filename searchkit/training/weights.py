"""The weights of trained networks, in one safetensors file per candidate."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from searchkit.errors import WritingError, first_line_said
from searchkit.types import Codes


def weights_path(folder: Path, code: Codes) -> Path:
    """The file of a candidate's trained weights."""
    digest = hashlib.blake2b(np.ascontiguousarray(code, np.int64).tobytes(), digest_size=8).hexdigest()
    return folder / f"{digest}.safetensors"


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's state; the file appears only when it is complete.

    Raises:
        WritingError: it cannot be written.
    """
    state = own_state(network)
    with writing(path) as partial:
        save_file(state, partial)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A file to write inside, which gets its name at the end; its folder is made.

    Raises:
        WritingError: for what the operating system or safetensors raises inside; the unfinished file is removed.
    """
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, SafetensorError) and "os error" not in str(error):
            raise  # a state that the format does not have is the network's fault
        raise not_written(path, error) from error


def not_written(path: Path, error: Exception) -> WritingError:
    """The error for a file of trained weights that cannot be written or removed."""
    return WritingError(
        f"the trained weights '{path}' cannot be written ({type(error).__name__}: {first_line_said(error)}): make "
        "room, or make the folder writable. What is recorded is intact, and the same call continues from there"
    )


def own_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a network's state in which tied weights have separate memory, as safetensors requires."""
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in network.state_dict().items()}


def load_weights(network: nn.Module, path: Path) -> None:
    """Load what :func:`save_weights` wrote."""
    network.load_state_dict(load_file(path))
