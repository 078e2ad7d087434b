"""LiteRT, formerly TensorFlow Lite: a .tflite file for phones and boards. It takes one example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import nn

from searchkit.costs.onnx_file import quiet
from searchkit.results.formats.table import Examples, Outputs


def write(network: nn.Module, example: torch.Tensor, files: Sequence[Path], names: tuple[str, str]) -> None:
    """Write a .tflite file for one example; what it calls its input and output is the converter's."""
    with quiet():
        litert_torch.convert(network, (example[:1],)).export(str(files[0]))


def opened(files: Sequence[Path]) -> Callable[[Examples], Outputs]:
    """The outputs of a .tflite file, example by example."""
    interpreter = Interpreter(str(files[0]), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(x: Examples) -> Outputs:
        answers = []
        for i in range(len(x)):
            interpreter.set_tensor(given["index"], x[i : i + 1])
            interpreter.invoke()
            answers.append(interpreter.get_tensor(made["index"]))
        return np.concatenate(answers)

    return run
