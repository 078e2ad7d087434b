"""Memory that a network in int8 needs on a microcontroller: of activations while it runs, and of weights.

Both are counted on the ONNX graph, in which normalisations are folded into convolutions. Runtimes for microcontrollers
run the operations one after another, and a tensor needs its bytes from the operation that makes it to the last one that
reads it; the largest sum of what is needed at once is the least memory that any plan of buffers can do with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from searchkit.costs.onnx_file import distinct, why
from searchkit.costs.onnx_session import subject_of, traced_file
from searchkit.errors import PASSED_ON, CandidateError
from searchkit.random_state import untouched
from searchkit.runtime.threads import one_thread
from searchkit.space.inputs import fixed_noise

LABEL = "counted on the ONNX graph, int8, one example"
# Such an operation writes over its input where nothing reads that later, or is done by the one before it.
IN_PLACE = (
    "Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Softmax",
    "BatchNormalization", "Identity", "Dropout", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast",
)  # fmt: skip
BIAS, SCALE = 4, 4  # bytes of an int32 bias, and of the scale of a channel


@dataclass(frozen=True)
class Step:
    """An operation: names of the tensors that it reads and makes, and whether it may write over the first."""

    reads: tuple[str, ...]
    makes: tuple[str, ...]
    in_place: bool = False


@dataclass(frozen=True)
class Int8Memory:
    """Bytes of a network in int8.

    Attributes:
        ram: of activations, one example, at the operation that needs most.
        flash: of weights, with a scale for each channel and biases of four bytes.
    """

    ram: int
    flash: int


def int8_memory(network: nn.Module, input_shape: Sequence[int]) -> Int8Memory:
    """What a network needs in int8.

    Args:
        network: not changed.
        input_shape: of one example.

    Raises:
        CandidateError: the network has no ONNX graph of known shapes.
    """
    import onnx

    try:
        x = fixed_noise(1, input_shape)
        with untouched(), one_thread(), torch.inference_mode(), subject_of(distinct(network), x) as subject:
            content = traced_file(subject, x)
        graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(content)).graph
    except PASSED_ON:
        raise
    except Exception as error:
        raise CandidateError(f"its memory in int8 cannot be told, since it has no ONNX file: {why(error)}") from error
    weights = {one.name: tuple(one.dims) for one in graph.initializer}
    sizes = {
        value.name: math.prod(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    unknown = [name for name, size in sizes.items() if size < 1]
    if unknown:
        raise CandidateError(f"its memory in int8 cannot be told: the size of '{unknown[0]}' is not known")
    steps = [
        Step(
            tuple(name for name in node.input if name in sizes and name not in weights),
            tuple(name for name in node.output if name in sizes),
            node.op_type in IN_PLACE,
        )
        for node in graph.node
    ]
    inputs = [value.name for value in graph.input if value.name in sizes and value.name not in weights]
    return Int8Memory(peak(steps, sizes, inputs, [value.name for value in graph.output]), _flash(weights.values()))


def peak(steps: Sequence[Step], sizes: Mapping[str, int], inputs: Iterable[str], outputs: Iterable[str]) -> int:
    """The largest sum of sizes of the tensors that are needed at once.

    Args:
        steps: in the order in which they are run.
        sizes: of each tensor.
        inputs: there before the first step.
        outputs: needed after the last step.
    """
    last = {name: i for i, step in enumerate(steps) for name in step.reads}
    last |= dict.fromkeys(outputs, len(steps))
    alive = set(inputs)
    most = sum(sizes[name] for name in alive)
    for i, step in enumerate(steps):
        before = sum(sizes[name] for name in alive)
        made = sum(sizes[name] for name in step.makes)
        over = step.reads[0] if step.in_place and step.reads else None
        if over is not None and last[over] == i and sizes[over] >= made:
            made = 0
        most = max(most, before + made)
        alive |= set(step.makes)
        alive = {name for name in alive if last.get(name, -1) > i}
    return most


def _flash(shapes: Iterable[tuple[int, ...]]) -> int:
    """Bytes of weights of these shapes: a byte a number and a scale a channel; vectors are biases."""
    total = 0
    for shape in shapes:
        total += math.prod(shape) + SCALE * shape[0] if len(shape) > 1 else BIAS * math.prod(shape)
    return total
