"""What one forward pass says of each module of a network: its calls, its shapes, and whether it merges activations.

A module *merges* if its own forward, outside of its children, adds, multiplies or concatenates two tensors that
derive from the input. A parameter times an activation is no merge, and neither is a gate: a factor that is
broadcast over positions, as in squeeze-and-excitation, belongs to the block around it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from searchkit.costs.meta_tensors import no_gradients
from searchkit.random_state import untouched

_SUMS = ("add", "sub", "rsub", "subtract", "maximum", "minimum", "lerp", "addcmul", "where", "logaddexp")
_PRODUCTS = ("mul", "multiply", "div", "true_divide", "divide", "truediv")
_JOINS = ("cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack")
_INPUT = "_searchkit_from_input"  # attribute of tensors that derive from the input


@dataclass
class Facts:
    """What was seen of a module.

    Attributes:
        calls: number of calls.
        merges: its own forward merges two activations.
        n_in: tensors that it was called with, of its last call.
        input_shape, output_shape: without the batch; None where there is not one tensor with the batch as first axis.
        other_arguments: it was called with further arguments that are not None.
        tokens: its input is whole numbers.
    """

    calls: int = 0
    merges: bool = False
    n_in: int = 0
    input_shape: tuple[int, ...] | None = None
    output_shape: tuple[int, ...] | None = None
    other_arguments: bool = False
    tokens: bool = False
    returned: str = ""


def tensors_in(value: object) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from tensors_in(one)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from tensors_in(one)


class _Merges(TorchFunctionMode):
    """Follows what derives from the input, and tells the module whose forward runs when it merges two of these."""

    def __init__(self, running: list[Facts]) -> None:
        super().__init__()
        self.running = running

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        derived = {id(t): t for t in tensors_in((args, kwargs)) if getattr(t, _INPUT, False)}
        shapes = [tuple(tensor.shape) for tensor in derived.values()]
        out = func(*args, **kwargs)
        if derived:
            name = getattr(func, "__name__", "")
            changed = args[:1] if name == "__setitem__" or (name.endswith("_") and not name.startswith("__")) else ()
            for tensor in tensors_in((out, changed)):
                setattr(tensor, _INPUT, True)
            if len(derived) > 1 and self.running and _is_merge(name, shapes):
                self.running[-1].merges = True
        return out


def _is_merge(name: str, shapes: list[tuple[int, ...]]) -> bool:
    plain = name.strip("_")
    plain = plain[1:] if plain[:1] in "ir" and plain[1:] in (*_SUMS, *_PRODUCTS) else plain
    if plain in _PRODUCTS:
        return len(set(shapes)) == 1  # others are gates, which are broadcast
    return plain in _SUMS or plain in _JOINS


def trace(model: nn.Module, example: Tensor) -> dict[str, Facts]:
    """The facts of every module of a model in evaluation mode, by its dotted name; "" is the model.

    Args:
        model: whose hooks are as before when this returns.
        example: ``(n, c, h, w)``, n at least 2.
    """
    n = len(example)
    facts = {name: Facts() for name, _ in model.named_modules()}
    running: list[Facts] = []
    handles = []
    for name, module in model.named_modules():
        fact = facts[name]

        def enter(module: nn.Module, args: Any, kwargs: Any, fact: Facts = fact) -> None:
            running.append(fact)
            fact.calls += 1
            given = list(tensors_in((args, kwargs)))
            fact.n_in = len(given)
            single = bool(args) and isinstance(args[0], Tensor) and len(given) == 1
            fact.input_shape = _shape(args[0], n) if single else None
            fact.tokens = single and not args[0].is_floating_point()
            others = [value for value in (*args[1:], *kwargs.values()) if value is not None]
            fact.other_arguments = bool(others)

        def leave(module: nn.Module, args: Any, kwargs: Any, out: Any, fact: Facts = fact) -> None:
            running.pop()
            fact.output_shape = _shape(out, n) if isinstance(out, Tensor) else None
            fact.returned = type(out).__name__

        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(module.register_forward_hook(leave, with_kwargs=True))
    fed = example.clone()
    setattr(fed, _INPUT, True)
    try:
        with no_gradients(), untouched(), _Merges(running):
            model(fed)
    finally:
        for handle in handles:
            handle.remove()
        for tensor in (*model.parameters(), *model.buffers()):
            vars(tensor).pop(_INPUT, None)
    return facts


def _shape(tensor: Tensor, n: int) -> tuple[int, ...] | None:
    return tuple(tensor.shape[1:]) if tensor.ndim > 1 and tensor.shape[0] == n else None


def hindrances(model: nn.Module, facts: Mapping[str, Facts]) -> dict[str, str]:
    """Why a module cannot be a node, by its dotted name; those that can be one are not in it."""
    found: dict[str, str] = {}
    paths = Counter(id(module) for _, module in model.named_modules(remove_duplicate=False))
    owners: dict[int, set[str]] = {}
    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), set()).add(name)
    for name, module in model.named_modules():
        fact = facts[name]
        inside = f"{name}." if name else ""
        outside = {
            other
            for parameter in module.parameters()
            for other in owners[id(parameter)]
            if other != name and not other.startswith(inside)
        }
        why = _hindrance(fact)
        if paths[id(module)] > 1 and any(True for _ in module.parameters()):
            why = "it stands at two places of the network"
        if outside:
            why = f"it shares weights with {', '.join(sorted(outside)[:3])}"
        if why:
            found[name] = why
    return found


def _hindrance(fact: Facts) -> str:
    if fact.calls != 1:
        return "it is not called" if not fact.calls else f"it is called {fact.calls} times"
    if fact.n_in != 1:
        return f"it takes {fact.n_in} tensors"
    if fact.input_shape is None:
        return "its input is no single tensor with the batch as first axis"
    if fact.tokens:
        return "it takes tokens, and what stands in the place of a block takes numbers"
    if fact.output_shape is None:
        same = "no single tensor with the batch as first axis"
        return f"it returns a {fact.returned}" if fact.returned != "Tensor" else f"its output is {same}"
    return ""
