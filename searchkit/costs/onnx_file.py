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

import torch
from torch import nn

from searchkit.costs.onnx_session import write_traced
from searchkit.errors import PASSED_ON, CandidateError, first_line_said, readable
from searchkit.random_state import untouched
from searchkit.runtime.copies import own_copy

LABEL = "the ONNX file that is exported, float32"


def names_of(input_shape: Sequence[int], regression: bool) -> tuple[str, str]:
    """Names of the input and the output in the file of a network."""
    return "features" if len(input_shape) == 1 else "images", "values" if regression else "logits"


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
    with _quiet():
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


@contextlib.contextmanager
def exported(
    network: nn.Module, input_shape: Sequence[int], regression: bool, wanted: str, traced: bool = False
) -> Iterator[Path]:
    """The file that :func:`write_onnx` writes of a network before its training, while the context lasts.

    It is as large and as fast as the file of the trained network: all weights are moved a little, since equal ones, as
    they are before a training, would be merged.

    Args:
        network: not changed; its forward calls its argument ``x``.
        input_shape: of one example.
        wanted: the metric that the file is for, as the error names it.
        traced: write it with the tracing exporter, where that can: it is as fast a file, not as large a one, in a tenth
            of the time.

    Raises:
        CandidateError: the network cannot be exported.
    """
    other = own_copy(network).to("cpu").eval()
    with untouched(), torch.no_grad():
        torch.manual_seed(0)
        for tensor in [*other.parameters(), *other.buffers()]:
            if tensor.is_floating_point():
                tensor += 1e-3 * torch.rand_like(tensor)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        with untouched():
            try:
                _write(other, torch.randn(3, *input_shape), path, *names_of(input_shape, regression), traced)
            except PASSED_ON:
                raise
            except Exception as error:
                said = f"its {wanted} cannot be told, since it has no ONNX file: {why(error)}"
                raise CandidateError(said) from error
        yield path


def _write(network: nn.Module, example: torch.Tensor, path: Path, inputs: str, outputs: str, traced: bool) -> None:
    if traced:
        with contextlib.suppress(Exception):  # the other exporter can do more, and says what is wrong
            write_traced(network, example.numpy(), path, (inputs, outputs))
            return
    write_onnx(network, example, path, inputs, outputs)


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
def _quiet() -> Iterator[None]:
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
