"""What a module's layers do in one forward pass, and what becomes of it when one layer's output is disturbed.

Every convolution and linear layer that mixes all its channels is a *dense* call. In a disturbed pass each of these
gives what it gave before, so that a disturbance reaches no further than the next dense calls: where it arrives, and in
which channels, tells which channels belong together, whatever the operations in between are called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from searchkit.compression.tracing import tensors_in

_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_DENSE: dict[Any, tuple[str, ...]] = {
    torch.conv1d: _CONV,
    torch.conv2d: _CONV,
    torch.conv3d: _CONV,
    torch.conv_transpose1d: _TRANSPOSED,
    torch.conv_transpose2d: _TRANSPOSED,
    torch.conv_transpose3d: _TRANSPOSED,
    functional.conv1d: _CONV,
    functional.conv2d: _CONV,
    functional.conv3d: _CONV,
    functional.conv_transpose1d: _TRANSPOSED,
    functional.conv_transpose2d: _TRANSPOSED,
    functional.conv_transpose3d: _TRANSPOSED,
    functional.linear: ("input", "weight", "bias"),
}
_MIXING_NORMS = ("layer_norm", "group_norm", "rms_norm")  # over channels; a disturbance passes channel by channel
_ELEMENTWISE = ("mul", "add", "sub", "multiply", "div", "truediv", "imul", "iadd", "isub", "rmul", "radd")
_NORMS = (*_MIXING_NORMS, "batch_norm", "instance_norm", "prelu")


@dataclass(frozen=True)
class Held:
    """A parameter or buffer: the name of its module, and its own."""

    owner: str
    attribute: str


@dataclass(frozen=True)
class Dense:
    """A dense call: the weights that it reads.

    Attributes:
        axis: of the channels in input and output.
        out_axis, in_axis: of the weight.
        granule: 1; of a grouped call the channels of one of its groups.
        grouped: it has as many channels in as out and mixes those of a group only.
    """

    weight: Held
    bias: Held | None
    n_in: int
    n_out: int
    axis: int
    out_axis: int
    in_axis: int
    grouped: bool = False
    granule: int = 1


@dataclass(frozen=True)
class PerChannel:
    """An operation in between that keeps the channels apart, or a norm over them, with the parameters that it reads.

    Attributes:
        granule: channels that can only be removed together.
        inexact: what it makes of a channel depends on the others, so that removing one changes those.
    """

    name: str
    held: tuple[Held, ...]
    granule: int = 1
    inexact: bool = False


@dataclass(frozen=True)
class Call:
    """A call in the order of the pass."""

    what: Dense | PerChannel
    fed: Tensor
    made: Tensor


class Recorder(TorchFunctionMode):
    """Records the calls of one pass, or repeats them with a disturbance.

    Args:
        held: id of a tensor -> where it is held.
        before: the calls of the undisturbed pass; without it this is that pass.
        at: the dense call whose output is disturbed.
        disturb: what the disturbance makes of the output.
    """

    def __init__(
        self,
        held: Mapping[int, Held],
        before: list[Call] | None = None,
        at: int = -1,
        disturb: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.held = dict(held)
        self.before, self.at, self.disturb = before, at, disturb
        self.calls: list[Call] = []
        self._alive: list[Tensor] = []  # views of parameters, whose ids must not be taken by others

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        what = self._described(func, args, kwargs)
        if what is None:
            return self._followed(func, args, kwargs)
        fed = next(t for t in tensors_in((args, kwargs)) if id(t) not in self.held).detach().clone()
        place = len(self.calls)
        out = func(*args, **kwargs)
        if self.before is not None:
            earlier = self.before[place]
            if earlier.what != what or earlier.fed.shape != fed.shape:
                raise RuntimeError("the calls differ between two passes")
            if isinstance(what, Dense) and not what.grouped:
                out = earlier.made.clone()
            elif isinstance(what, PerChannel) and what.inexact:
                out = earlier.made + (fed - earlier.fed)
            if place == self.at and self.disturb is not None:
                out = self.disturb(out)
        self.calls.append(Call(what, fed, out.detach().clone()))
        return out

    def _followed(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Another call; a view of a parameter stands for the parameter."""
        out = func(*args, **kwargs)
        given = list(tensors_in((args, kwargs)))
        if (
            len(given) == 1
            and id(given[0]) in self.held
            and isinstance(out, Tensor)
            and out.numel() == given[0].numel()
        ):
            self.held[id(out)] = self.held[id(given[0])]
            self._alive.append(out)
        return out

    def _described(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Dense | PerChannel | None:
        names = _DENSE.get(func)
        if names is not None:
            return self._dense(dict(zip(names, args, strict=False)) | dict(kwargs))
        name = getattr(func, "__name__", "").strip("_")
        if name not in _NORMS and name not in _ELEMENTWISE:
            return None
        given = list(tensors_in((args, kwargs)))
        own = [tensor for tensor in given if id(tensor) in self.held]
        fed = [tensor for tensor in given if id(tensor) not in self.held]
        mixing = name in _MIXING_NORMS
        if len(fed) != 1 or not (own or mixing):
            return None
        granule, inexact = self._group_norm(fed[0], args, kwargs) if name == "group_norm" else (1, mixing)
        return PerChannel(name, tuple(self.held[id(tensor)] for tensor in own), granule, inexact)

    @staticmethod
    def _group_norm(fed: Tensor, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[int, bool]:
        """Channels of a group, 1 where a narrower layer keeps the number of groups; whether removing changes others."""
        groups = int(args[1] if len(args) > 1 else kwargs["num_groups"])
        granule = fed.shape[1] // groups
        return (1, True) if granule > fed.shape[1] // 8 else (granule, False)

    def _dense(self, named: Mapping[str, Any]) -> Dense | None:
        weight, bias, fed = named["weight"], named.get("bias"), named["input"]
        where = self.held.get(id(weight))
        if where is None or (bias is not None and id(bias) not in self.held) or tuple(weight.shape) == ():
            return None
        bias_at = None if bias is None else self.held[id(bias)]
        if "stride" not in named and weight.ndim == 2:
            return Dense(where, bias_at, weight.shape[1], weight.shape[0], fed.ndim - 1, 0, 1)
        groups = int(named.get("groups", 1))
        transposed = "output_padding" in named
        n_in = fed.shape[1]
        n_out = weight.shape[1] * groups if transposed else weight.shape[0]
        if groups == 1:
            return Dense(where, bias_at, n_in, n_out, 1, int(transposed), int(not transposed))
        if n_in != n_out or transposed:
            return None
        return Dense(where, bias_at, n_in, n_out, 1, 0, 1, grouped=True, granule=n_in // groups)


def held_by(module: nn.Module) -> dict[int, Held]:
    """The parameters and buffers of a module by their ids."""
    return {
        id(tensor): Held(name, attribute)
        for name, part in module.named_modules()
        for attribute, tensor in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
    }
