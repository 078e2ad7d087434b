"""OpenVINO: an .xml file of operations and a .bin file of weights, for Intel's processors and others.

They are made from the ONNX file of the network by OpenVINO's own reader, so that inputs and outputs keep their names.
Weights stay in float32; by itself OpenVINO would halve them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import openvino
import torch
from torch import nn

from searchkit.costs.onnx_file import write_onnx
from searchkit.results.formats.table import Examples, Outputs

BATCH = 256  # examples that are run at a time
SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}  # some CPUs would take bfloat16


def write(network: nn.Module, example: torch.Tensor, files: Sequence[Path], names: tuple[str, str]) -> None:
    """Write an .xml file, with a .bin file of the same name beside it, for any number of examples."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "network.onnx")
        write_onnx(network, example, source, *names)
        openvino.save_model(openvino.Core().read_model(source), files[0], compress_to_fp16=False)


def opened(files: Sequence[Path]) -> Callable[[Examples], Outputs]:
    """The outputs of an .xml file and its .bin file, on the CPU."""
    model = openvino.Core().compile_model(files[0], "CPU", SETTINGS)

    def run(x: Examples) -> Outputs:
        return np.concatenate([model(x[i : i + BATCH])[0] for i in range(0, len(x), BATCH)])

    return run
