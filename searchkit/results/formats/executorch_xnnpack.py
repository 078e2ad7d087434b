"""ExecuTorch: a .pte file for phones and boards, whose operations run in XNNPACK, the library of kernels for CPUs.

The file takes one example, as programs of ExecuTorch plan their memory for the largest input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime
from torch import nn

from searchkit.costs.onnx_file import quiet
from searchkit.results.formats.table import Examples, Outputs


def write(network: nn.Module, example: torch.Tensor, files: Sequence[Path], names: tuple[str, str]) -> None:
    """Write a .pte file for one example; its method is called forward, and its input has no name."""
    with quiet():
        program = torch.export.export(network, (example[:1],))
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        files[0].write_bytes(lowered.to_executorch().buffer)


def opened(files: Sequence[Path]) -> Callable[[Examples], Outputs]:
    """The outputs of a .pte file, example by example."""
    program = Runtime.get().load_program(files[0])
    method = program.load_method("forward")

    def run(x: Examples) -> Outputs:
        answers = [method.execute([torch.from_numpy(x[i : i + 1])])[0].clone().numpy() for i in range(len(x))]
        return np.concatenate(answers)

    return run
