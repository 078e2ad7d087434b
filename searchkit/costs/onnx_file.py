"""The ONNX file of a network, as it is delivered, and how large it is."""

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
import torch
from torch import nn

from searchkit.errors import PASSED_ON, CandidateError, first_line_said, readable
from searchkit.random_state import untouched
from searchkit.runtime.copies import own_copy
from searchkit.space.inputs import kind_of, noise

LABEL = "the ONNX file that is exported, float32"
TOLERANCE = 1e-3  # of a file's outputs, relative to the range of the network's


def names_of(input_shape: Sequence[int], regression: bool) -> tuple[str, str]:
    """Names of the input and the output in the file of a network."""
    inputs = {"table": "features"}.get(kind_of(input_shape), kind_of(input_shape))
    return inputs, "values" if regression else "logits"


def why(error: BaseException) -> str:
    """The cause of an exporter's error; its own messages say only that it failed."""
    while error.__cause__ is not None:
        error = error.__cause__
    return readable(f"{type(error).__name__}: {first_line_said(error)}".removesuffix(": "))


def write_onnx(network: nn.Module, example: torch.Tensor, path: Path, inputs: str, outputs: str) -> None:
    """Write a network for any number of examples, weights inside.

    Args:
        network: in evaluation mode on the CPU; its forward calls its argument ``x``.
        example: ``(n, ...)`` inputs, two or more.
        inputs, outputs: their names in the file.
    """
    with quiet():
        program: Any = torch.onnx.export(
            network,
            (example,),
            input_names=[inputs],
            output_names=[outputs],
            dynamic_shapes={"x": {0: torch.export.Dim.DYNAMIC}},
            dynamo=True,
            verbose=False,
        )
        _strip(program.model)
        program.save(path, external_data=False)


def _strip(model: Any) -> None:
    """Leave out where each operation stands in whose code: of a small network it is most of the file."""
    nodes = list(model.graph.all_nodes())
    described = [model, model.graph, *nodes, *model.graph.inputs, *model.graph.initializers.values()]
    for one in [*described, *(value for node in nodes for value in node.outputs)]:
        one.metadata_props.clear()
        one.doc_string = None


def distinct(network: nn.Module) -> nn.Module:
    """A copy on the CPU, in eval mode, of which no two tensors are equal; exporters merge those that are.

    Before a training, many are: biases of 0, and scales of 1.
    """
    other = own_copy(network).to("cpu").eval()
    with untouched(), torch.no_grad():
        torch.manual_seed(0)
        for tensor in [*other.parameters(), *other.buffers()]:
            if tensor.is_floating_point():
                tensor += 1e-3 * torch.rand_like(tensor)
    return other


def difference(expected: npt.NDArray[Any], got: npt.NDArray[Any], least: float = 1e-6) -> float:
    """The largest difference of outputs, as a share of the range of the expected ones, or of ``least`` if larger.

    A file whose share is over :data:`TOLERANCE`, or NaN, is another network.
    """
    return float(np.abs(got - expected).max() / max(float(np.ptp(expected)), least))


@contextlib.contextmanager
def exported(
    network: nn.Module, input_shape: Sequence[int], regression: bool, wanted: str, traced: bool = False
) -> Iterator[Path]:
    """The file of a network before its training, while the context lasts, for any number of examples.

    It is as fast as the file of the trained network, and as large if it is not traced; see :func:`distinct`.

    Args:
        network: not changed; its forward calls its argument ``x``.
        input_shape: of one example.
        wanted: the metric that the file is for, as the error names it.
        traced: write it by tracing where that gives the network's outputs, which takes a fifteenth of the time; the
            file is as fast, but not as large as that of :func:`write_onnx`.

    Raises:
        CandidateError: the network cannot be exported.
    """
    other = distinct(network)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        with untouched():
            try:
                example, names = noise(3, input_shape), names_of(input_shape, regression)
                (write_quickly if traced else write_onnx)(other, example, path, *names)
            except PASSED_ON:
                raise
            except Exception as error:
                said = f"its {wanted} cannot be told, since it has no ONNX file: {why(error)}"
                raise CandidateError(said) from error
        yield path


def write_quickly(network: nn.Module, example: torch.Tensor, path: Path, inputs: str, outputs: str) -> None:
    """As :func:`write_onnx`, by tracing where that gives the network's outputs; the file may be larger."""
    if not _write_traced(network, example, path, (inputs, outputs)):
        write_onnx(network, example, path, inputs, outputs)


def _write_traced(network: nn.Module, example: torch.Tensor, path: Path, names: tuple[str, str]) -> bool:
    """Write a network's file by tracing it; False where that cannot be, or the file gives other outputs.

    A trace has only the way that a forward took for one input; for one example alone, or others, it may be another.
    """
    from searchkit.costs.onnx_session import session_of, traced_file  # which load ONNX Runtime

    x = example.numpy()
    try:
        content = traced_file(network, x, names)
        session = session_of(content)
        for batch in (x, x[:1], x[::-1].copy() if x.dtype.kind == "i" else -x[:1]):
            with torch.inference_mode():
                expected = network(torch.from_numpy(batch)).numpy()
            got = session.run(None, {names[0]: batch})[0]
            if got.shape != expected.shape or not difference(expected, got) <= TOLERANCE:
                return False
    except PASSED_ON:
        raise
    except Exception:  # the other exporter can do more, and says what is wrong
        return False
    path.write_bytes(content)
    return True


def file_bytes(network: nn.Module, input_shape: Sequence[int], regression: bool = False) -> int:
    """Size of the file that :func:`write_onnx` writes, whatever the values of the weights are.

    Args:
        network: not changed; its forward calls its argument ``x``.
        input_shape: of one example.

    Raises:
        CandidateError: the network cannot be exported.
    """
    with exported(network, input_shape, regression, "file_bytes") as path:
        return path.stat().st_size


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress what the exporter prints and logs, and deprecation warnings: what went wrong is in what it raises."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "torch"]
    handlers = {handler: handler.level for name in names for handler in logging.getLogger(name).handlers}
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    for handler in handlers:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            with contextlib.redirect_stderr(io.StringIO()):
                yield
    finally:
        logger.setLevel(level)
        for handler, before in handlers.items():
            handler.setLevel(before)
