"""An ONNX file in int8: weights of each channel in eight bits, activations in eight bits by what examples give.

ONNX Runtime's static quantisation, in the form of pairs of QuantizeLinear and DequantizeLinear, which most runtimes
read: weights are signed with a scale for each channel, activations are unsigned with a scale for each tensor. On CPUs
signed activations took twice as long.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from searchkit.costs.mixed_precision import Precisions, marked, operations_in_int8
from searchkit.costs.onnx_file import distinct, names_of, why, write_quickly
from searchkit.errors import PASSED_ON, CandidateError
from searchkit.space.inputs import fixed_noise, noise_like

Examples = npt.NDArray[np.float32]  # int64 of tokens

CALIBRATIONS = ("MinMax", "Percentile", "Entropy")  # how the range of an activation is taken from the examples
BATCH = 32  # examples of a calibration that are run at a time
FOR_SPEED = 8  # examples where only the size and the speed of a file matter


def write_int8(
    source: Path, target: Path, examples: Examples, calibration: str, precisions: Precisions | None = None
) -> None:
    """Write an ONNX file in int8.

    Args:
        source: a file in float32 with one input.
        examples: ``(n, ...)`` inputs, a few hundred, such as those of the train part.
        calibration: one of :data:`CALIBRATIONS`.
        precisions: of the blocks of a network that :func:`~searchkit.costs.mixed_precision.marked` has made; None:
            everything is in int8.

    Raises:
        ValueError: the file does not tell which operation belongs to which block.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _quiet():
        prepared = Path(folder, "prepared.onnx")
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        operations = None if precisions is None else _named(prepared, precisions)
        if operations == []:
            shutil.copy(prepared, target)
            return
        quantize_static(
            prepared,
            target,
            _Batches(_input_of(source), examples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod[calibration],
            nodes_to_quantize=operations,
        )


def _named(path: Path, precisions: Precisions) -> list[str]:
    """The operations of a file that are in int8, each of which has a name then."""
    import onnx

    model = onnx.load(path)
    found = operations_in_int8(model, precisions)
    onnx.save(model, path)
    return found


def write_mixed(
    network: nn.Module, target: Path, examples: Examples, calibration: str, names: tuple[str, str] = ("x", "y")
) -> None:
    """Write the file of a network in the precisions of its blocks.

    Args:
        network: in evaluation mode on the CPU.
        examples, calibration: as for :func:`write_int8`.
        names: of the input and the output in the file, which takes any number of examples.

    Raises:
        ValueError: the file would not tell what belongs to a block, or the network looks at what its blocks are.
    """
    x = torch.from_numpy(examples[np.arange(3) % len(examples)])
    shown, precisions = marked(network, x)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "float32.onnx")
        write_quickly(shown, x, source, *names)
        write_int8(source, target, examples, calibration, precisions)


def mixed_file(network: nn.Module, x: Examples, names: tuple[str, str] = ("x", "y")) -> bytes:
    """The content of the file of a network in the precisions of its blocks, calibrated on random inputs.

    It is as fast as one that is calibrated on examples.

    Args:
        x: ``(batch, ...)`` inputs.
        names: of the input and the output in the file.

    Raises:
        CandidateError: it has none.
    """
    noise = noise_like(FOR_SPEED, x)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "int8.onnx")
        try:
            write_mixed(distinct(network), target, noise, CALIBRATIONS[0], names)
        except PASSED_ON:
            raise
        except Exception as error:
            raise CandidateError(f"it has no int8 file: {why(error)}") from error
        return target.read_bytes()


@contextlib.contextmanager
def mixed_exported(network: nn.Module, input_shape: Sequence[int], regression: bool) -> Iterator[Path]:
    """The file of a network before its training in the precisions of its blocks, while the context lasts.

    Args:
        input_shape: of one example.

    Raises:
        CandidateError: it has none.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        example = fixed_noise(1, input_shape)
        path.write_bytes(mixed_file(network, example, names_of(input_shape, regression)))
        yield path


class _Batches:
    """What the calibration asks for batch by batch; its interface is ONNX Runtime's CalibrationDataReader."""

    def __init__(self, name: str, examples: Examples) -> None:
        self._batches: Iterator[dict[str, Examples]] = iter(
            [{name: examples[i : i + BATCH]} for i in range(0, len(examples), BATCH)]
        )

    def get_next(self) -> dict[str, Examples] | None:
        return next(self._batches, None)


def _input_of(path: Path) -> str:
    import onnx

    return str(onnx.load(path, load_external_data=False).graph.input[0].name)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress that the quantisation prints, and its advice on a preparation that has been made."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)


def answers_of(path: Path, examples: Examples, batch: int = 256) -> npt.NDArray[Any]:
    """Outputs ``(n, ...)`` of an ONNX file for examples ``(n, ...)``, on one thread of the CPU."""
    from searchkit.costs.onnx_session import session_of

    session = session_of(path)
    name = session.get_inputs()[0].name
    found: Sequence[npt.NDArray[Any]] = [
        session.run(None, {name: examples[i : i + batch]})[0] for i in range(0, len(examples), batch)
    ]
    return np.concatenate(found)
