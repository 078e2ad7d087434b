"""Modules of a network, replaced by others."""

from __future__ import annotations

from torch import nn


def put(module: nn.Module, name: str, other: nn.Module) -> None:
    """Put a module in the place of another, whose dotted name is given."""
    above, _, last = name.rpartition(".")
    setattr(module.get_submodule(above), last, other)
