"""The network and the pictures that a user gives, checked before any work, and a copy of the network to work on."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.costs.meta_tensors import no_gradients
from searchkit.errors import PASSED_ON, CandidateError, ModelError, first_line_said
from searchkit.random_state import seeded, untouched
from searchkit.runtime.copies import copied
from searchkit.runtime.torch_compat import before_compile
from searchkit.space.inputs import LEAST_VOCABULARY, TokenShape

TOLERANCE = 1e-5  # relative, between outputs that ought to be equal

_WHOLE = (torch.int32, torch.int64)


@dataclass(frozen=True)
class Given:
    """A checked network.

    Attributes:
        model: a copy of the user's, on the CPU, in evaluation mode.
        example: ``(n, c, h, w)`` in float32 on the CPU, n at least 2.
        output: ``(n, classes)`` or ``(n, classes, h, w)``, what the model makes of it.
    """

    model: nn.Module
    example: Tensor
    output: Tensor


def given(model: object, example: object) -> Given:
    """Check a network and an example of its input; the network is not changed.

    Args:
        model: a torch module with one tensor in and one out, in float32, in any mode and on any device.
        example: ``(n, c, h, w)`` pictures, signals or tokens, an array or a tensor; one is taken twice.

    Raises:
        ModelError: the model or the example is of another kind, or the model does not run on the example, or gives
            other outputs on each call.
    """
    network = _checked_model(model)
    pictures = example_of(example, network)
    try:
        copy = copied(network).to("cpu").eval()
    except CandidateError as error:
        raise ModelError(str(error)) from error
    first, second = (_drawn(copy, pictures, seed) for seed in range(2))
    if not same(first, second):
        off = float((first - second).abs().max())
        raise ModelError(
            f"{type(network).__name__} gives other outputs on each call in evaluation mode (by up to {off:.3g}), so "
            "that nothing can be compared with it: take out what is random, such as a dropout that is always on"
        )
    return Given(copy, pictures, first)


def example_of(example: object, model: nn.Module | None = None) -> Tensor:
    """Pictures ``(n, c, h, w)`` as a float32 tensor on the CPU; one picture is taken twice.

    Args:
        model: that takes them; rows of whole numbers stay what they are where it has an embedding, which takes tokens.

    Raises:
        ModelError: it is no array of numbers with a batch axis, is empty, or holds NaN.
    """
    try:
        tensor = example.detach() if isinstance(example, Tensor) else torch.as_tensor(np.asarray(example))
    except (TypeError, ValueError):
        raise ModelError(f"example is an array or a tensor of pictures (n, c, h, w), not {example!r:.80}") from None
    if tensor.ndim < 2 or not tensor.numel():
        raise ModelError(
            f"example is a batch of pictures (n, c, h, w), and not of shape {tuple(tensor.shape)}; one picture is "
            "example[None]"
        )
    tokens = model is not None and tensor.ndim == 2 and tensor.dtype in _WHOLE and _embeds(model)
    pictures = tensor.to("cpu", torch.int64 if tokens else torch.float32)
    if not torch.isfinite(pictures).all():
        raise ModelError("example holds values that are NaN or infinite")
    return torch.cat([pictures, pictures]) if len(pictures) == 1 else pictures


def shape_of(example: Tensor) -> tuple[int, ...]:
    """The shape of one input of an example; of tokens with the vocabulary that is seen in it."""
    if example.is_floating_point():
        return tuple(example.shape[1:])
    return TokenShape(example.shape[1], max(LEAST_VOCABULARY, int(example.max()) + 1))


def _embeds(model: nn.Module) -> bool:
    return any(isinstance(module, nn.Embedding | nn.EmbeddingBag) for module in model.modules())


def ran(model: nn.Module, example: Tensor) -> Tensor:
    """What a model in evaluation mode makes of an example, which it may not change.

    Raises:
        ModelError: it raises, returns something else than one tensor, or one without the batch as its first axis.
    """
    try:
        with no_gradients(), untouched():
            out: Any = model(example.clone())
    except PASSED_ON:
        raise
    except BaseException as error:
        raise ModelError(
            f"{type(model).__name__} does not take the example of shape {tuple(example.shape)}: it raised "
            f"{type(error).__name__}: {first_line_said(error)}"
        ) from error
    if not isinstance(out, Tensor):
        held = f" of {len(out)}" if isinstance(out, tuple | list | dict) else ""
        raise ModelError(
            f"{type(model).__name__} returns a {type(out).__name__}{held}, and one tensor is wanted: wrap it in a "
            "module whose forward returns the one that counts"
        )
    if out.ndim < 2 or out.shape[0] != len(example):
        raise ModelError(
            f"{type(model).__name__} returns shape {tuple(out.shape)} for {len(example)} pictures; the first axis has "
            "to be the batch, and the second the classes"
        )
    return out


def _drawn(model: nn.Module, example: Tensor, seed: int) -> Tensor:
    with seeded(seed):  # what is random in the model is drawn anew
        return ran(model, example)


def same(a: Tensor, b: Tensor, tolerance: float = TOLERANCE) -> bool:
    """Whether two outputs are equal, up to rounding."""
    if a.shape != b.shape:
        return False
    scale = float(b.abs().max()) if b.numel() else 0.0
    return torch.equal(a, b) or torch.allclose(a, b, rtol=tolerance, atol=tolerance * max(scale, 1e-6), equal_nan=True)


def unwrapped(model: object) -> nn.Module:
    """The network itself, of one that was compiled or is run on several cards.

    Raises:
        ModelError: it is no network of Python modules.
    """
    while isinstance(model, nn.Module):
        parallel = isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel)
        inner = model.module if parallel else before_compile(model)
        if inner is None:
            break
        model = inner
    if not isinstance(model, nn.Module):
        raise ModelError(f"model is a torch.nn.Module, not {_said(model)}")
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError("model is TorchScript, whose blocks cannot be replaced: give the module that it was made from")
    return model


def _checked_model(given: object) -> nn.Module:
    model = unwrapped(given)
    tensors: Iterable[Tensor] = [*model.parameters(), *model.buffers()]
    for tensor in tensors:
        if isinstance(tensor, nn.UninitializedParameter | nn.UninitializedBuffer):
            raise ModelError(f"{type(model).__name__} has lazy layers without shapes: run it once before")
        if tensor.is_meta:
            raise ModelError(f"{type(model).__name__} is on the meta device, where its weights have no values")
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ModelError(
                f"{type(model).__name__} holds weights in {kind}; give a copy in float32: copy.deepcopy(model).float()"
            )
    if not any(True for _ in model.parameters()):
        raise ModelError(f"{type(model).__name__} has no parameters, so that nothing of it can be made smaller")
    wanted = [
        parameter.name
        for parameter in inspect.signature(model.forward).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if len(wanted) > 1:
        raise ModelError(
            f"{type(model).__name__} takes {len(wanted)} inputs ({', '.join(wanted)}), and only networks with one are "
            "cut: wrap it in a module whose forward has one"
        )
    return model


def _said(thing: object) -> str:
    if isinstance(thing, type):
        return f"the class {thing.__name__}"
    name = type(thing).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
