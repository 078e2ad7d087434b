"""A network in ONNX Runtime, on one thread of the CPU."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn

from searchkit.costs.meta_tensors import no_gradients
from searchkit.runtime.copies import own_copy
from searchkit.runtime.threads import one_thread
from searchkit.runtime.torch_compat import no_onnx_log
from searchkit.space.inputs import fixed_noise


def onnx_runner(network: nn.Module, x: npt.NDArray[np.float32]) -> Callable[[], object]:
    """A function that runs the network once on inputs ``(batch, ...)`` in an ONNX Runtime session."""
    return file_runner(traced_file(network, x), x)


def traced_file(network: nn.Module, x: npt.NDArray[np.float32], names: tuple[str, str] | None = None) -> bytes:
    """The content of an ONNX file of the network, normalisations folded.

    Args:
        x: ``(batch, ...)`` inputs.
        names: of the input and the output in a file for any number of examples; None: for as many as ``x`` has.
    """
    file: Any = io.BytesIO()  # the tracing exporter accepts a file object, though its annotation does not say so
    named: dict[str, Any] = {}
    if names is not None:
        named = {"input_names": names[:1], "output_names": names[1:], "dynamic_axes": {one: {0: "n"} for one in names}}
    # Tracing makes tensors that autograd must be able to use, so inference mode is off.
    with warnings.catch_warnings(), torch.inference_mode(False), no_gradients(), no_onnx_log():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated, but ten times faster than its successor
        torch.onnx.export(_OneInput(network).eval(), (torch.from_numpy(x),), file, dynamo=False, **named)
    return bytes(file.getvalue())


def session_of(file: Path | bytes) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session of a file, or of its content, on one thread of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    given = file if isinstance(file, bytes) else str(file)
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def file_runner(file: Path | bytes, x: npt.NDArray[np.float32]) -> Callable[[], object]:
    """A function that runs a file, or its content, once on inputs ``(batch, ...)``."""
    session = session_of(file)
    feed = {session.get_inputs()[0].name: x}
    return lambda: session.run(None, feed)


@contextmanager
def subject_of(network: nn.Module, x: npt.NDArray[np.float32]) -> Iterator[nn.Module]:
    """A copy of a network on the CPU, in eval mode and float32; one that fails in float32 keeps the types it has.

    A network that cannot be copied is used itself; afterwards it is in its former mode (training or eval) again.
    """
    training = network.training
    try:
        subject = own_copy(network).to("cpu").float().eval()
        try:
            subject(torch.from_numpy(x))
        except Exception:  # a broken network raises the same again
            subject = own_copy(network).to("cpu").eval()
        yield subject
    finally:
        if network.training != training:
            network.train(training)


def export_error(network: nn.Module, input_shape: Sequence[int]) -> Exception | None:
    """Why ONNX Runtime cannot run a network that torch can run; None where it can, or where torch cannot either."""
    x = fixed_noise(1, input_shape)
    with one_thread(), torch.inference_mode(), subject_of(network, x) as subject:
        try:
            onnx_runner(subject, x)()
        except Exception as error:
            try:
                subject(torch.from_numpy(x))
            except Exception:
                return None
            return error
    return None


class _OneInput(nn.Module):
    """A network called with its input alone; the exporter would trace other arguments' defaults as inputs, too."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> Any:
        return self.network(x)
