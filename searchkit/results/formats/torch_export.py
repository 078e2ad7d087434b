"""The programs of torch.export: .pt2 files, which torch alone loads and runs, without the network's code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from searchkit.costs.onnx_file import quiet
from searchkit.results.formats.table import Examples, Outputs

BATCH = 256  # examples that are run at a time


def write(network: nn.Module, example: torch.Tensor, files: Sequence[Path], names: tuple[str, str]) -> None:
    """Write a .pt2 file for any number of examples; a program has no names."""
    with quiet():
        shapes = {"x": {0: torch.export.Dim.DYNAMIC}}
        torch.export.save(torch.export.export(network, (example,), dynamic_shapes=shapes), files[0])


def opened(files: Sequence[Path]) -> Callable[[Examples], Outputs]:
    """The outputs of a .pt2 file."""
    with quiet():
        program = torch.export.load(files[0]).module()

    def run(x: Examples) -> Outputs:
        with torch.inference_mode():
            found = [program(torch.from_numpy(x[i : i + BATCH])).numpy() for i in range(0, len(x), BATCH)]
        return np.concatenate(found)

    return run
