"""The layers of one network: the kind of each, its output shape, and its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from searchkit.problem.trial import Trial
from searchkit.space import NetworkSpace
from searchkit.space.inputs import plain_inputs

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Layer:
    """One call of a module that has no children, or that has parameters of its own.

    Attributes:
        output_shape: for one image, without the batch; empty if it returns no tensor.
        params: elements of its own parameters; 0 if they were counted at an earlier call.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    params: int


def layers(space: NetworkSpace, trial: Trial) -> list[Layer]:
    """The layers of a candidate, in the order in which they run on one image of zeros.

    Raises:
        Exception: whatever building or running the network raises.
    """
    import torch

    from searchkit.random_state import untouched
    from searchkit.runtime.threads import one_thread

    with untouched(), one_thread(), torch.no_grad():
        network = space.build(trial.code).eval()
        found: list[Layer] = []
        counted: set[int] = set()
        handles = [
            module.register_forward_hook(_hook(name, found, counted))
            for name, module in network.named_modules()
            if not any(module.children()) or any(True for _ in module.parameters(recurse=False))
        ]
        try:
            network(plain_inputs(1, space.input_shape))
        finally:
            for handle in handles:
                handle.remove()
    return found


def _hook(name: str, found: list[Layer], counted: set[int]) -> Any:
    def hook(module: nn.Module, _given: Any, output: Tensor) -> None:
        own = [p for p in module.parameters(recurse=False) if id(p) not in counted]
        counted.update(id(p) for p in own)
        shape = tuple(output.shape[1:]) if hasattr(output, "shape") else ()
        extra = module.extra_repr()
        kind = type(module).__name__ + (f"({extra})" if extra else "")
        found.append(Layer(name or "(the network)", kind, shape, sum(p.numel() for p in own)))

    return hook
