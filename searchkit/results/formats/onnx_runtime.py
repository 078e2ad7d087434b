"""ONNX, run by ONNX Runtime."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from searchkit.costs.int8_file import answers_of
from searchkit.costs.onnx_file import write_onnx
from searchkit.results.formats.table import Examples, Outputs


def write(network: nn.Module, example: torch.Tensor, files: Sequence[Path], names: tuple[str, str]) -> None:
    """Write a .onnx file, weights inside."""
    write_onnx(network, example, files[0], *names)


def opened(files: Sequence[Path]) -> Callable[[Examples], Outputs]:
    """The outputs of a .onnx file."""
    return functools.partial(answers_of, files[0])
