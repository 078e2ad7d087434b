"""An ONNX file in int8: weights of each channel in eight bits, activations in eight bits by what examples give.

ONNX Runtime's static quantisation, in the form of pairs of QuantizeLinear and DequantizeLinear, which most runtimes
read: weights are signed with a scale for each channel, activations are unsigned with a scale for each tensor. On CPUs
signed activations took twice as long.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Examples = npt.NDArray[np.float32]

CALIBRATIONS = ("MinMax", "Percentile", "Entropy")  # how the range of an activation is taken from the examples
BATCH = 32  # examples of a calibration that are run at a time


def write_int8(source: Path, target: Path, examples: Examples, calibration: str) -> None:
    """Write an ONNX file in int8.

    Args:
        source: a file in float32 with one input.
        examples: ``(n, ...)`` inputs, a few hundred, such as those of the train part.
        calibration: one of :data:`CALIBRATIONS`.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _quiet():
        prepared = Path(folder, "prepared.onnx")
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            _Batches(_input_of(source), examples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod[calibration],
        )


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
