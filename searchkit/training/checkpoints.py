"""Checkpoints of what a proxy trains: written whole, and left aside where they are damaged."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from searchkit.errors import first_line_said
from searchkit.training.weights import not_written, writing

log = logging.getLogger("searchkit")


def check_writable(path: Path) -> None:
    """Refuse a file that could not be written, before the work that it is to keep.

    Raises:
        WritingError: its folder cannot be made, or written to.
    """
    probe = path.with_name(path.name + ".probe")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise not_written(path, error) from error


def write_checkpoint(path: Path, state: Mapping[str, object]) -> None:
    """Write a state of tensors, numbers, texts, lists and dictionaries; a killed process leaves the one before.

    Raises:
        WritingError: it cannot be written.
    """
    with writing(path) as partial:
        try:
            torch.save(dict(state), partial)
        except RuntimeError as error:  # as torch says that a disk is full
            raise not_written(path, error) from error


def read_checkpoint(path: Path | None) -> dict[str, Any] | None:
    """What was written, on the CPU; None where there is nothing, or, with a warning, where it is damaged."""
    if path is None or not path.exists():
        return None
    try:
        held: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file, torch and pickle raise what they like
        log.warning("the checkpoint '%s' is damaged, and is made again: %s", path, first_line_said(error))
        return None
    return held
