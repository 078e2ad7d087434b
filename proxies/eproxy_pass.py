"""Eproxy's ten steps of training a network and its heads to fit the targets."""

from __future__ import annotations

import functools
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from searchkit.errors import CandidateError
from searchkit.proxies.eproxy_setting import Branch, EproxySetting
from searchkit.proxies.eproxy_steps import last_errors, on_a_stream
from searchkit.proxies.eproxy_targets import target
from searchkit.random_state import seed_generators
from searchkit.runtime.cuda_graphs import Capture
from searchkit.runtime.devices import memory_format
from searchkit.runtime.transfer import to_device
from searchkit.scoring.passes.feature_maps import maps_of_any_rank
from searchkit.scoring.passes.forward import weight_layers
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.passes.passes import Built
from searchkit.space.inputs import CALLED, kind_of
from searchkit.training.reduced import Reduction

_HEAD, _BARRIER = 11, 12  # streams of random numbers


@dataclass(frozen=True)
class EproxyPass:
    """The regression errors at the last forward pass, deepest map first; no backward pass follows that one."""

    setting: EproxySetting
    reduction: Reduction | None = None

    @property
    def key(self) -> Hashable:
        return ("eproxy", self.setting, self.reduction)

    def joined(self, other: Self) -> Self:
        return self

    def run(self, built: Built) -> list[float]:
        """Mean squared error of each branch; the network may have fewer feature maps than there are branches."""
        if built.device.type != "cuda":
            return regression_errors(self.setting, built)
        with on_a_stream(built.device) as capture:
            return regression_errors(self.setting, built, capture)


def regression_errors(setting: EproxySetting, built: Built, capture: Capture | None = None) -> list[float]:
    """The pass itself.

    Args:
        capture: records a step, for it to be repeated; see :func:`searchkit.runtime.cuda_graphs.captured`.
    """
    network = built.network
    draw_weights(network, setting.network_init, built.generator(3))
    x = _images(built, setting.batch)
    kind = kind_of(built.inputs.input_shape)
    if kind not in ("images", "signals"):
        what = "tables" if kind == "table" else CALLED[kind]
        raise CandidateError(f"it fits maps to targets that vary over the places of images or signals, not of {what}")
    targets: list[Tensor] = []
    heads = nn.ModuleList()

    def maps() -> list[Tensor]:
        return [_resized(m, setting.side) for m in reversed(maps_of_any_rank(network, x))][: len(setting.branches)]

    def errors(features: list[Tensor]) -> Tensor:
        if not heads:
            heads.extend(_heads(features, setting, built))
            targets.extend(_targets(features, setting, built.inputs))
        triples = zip(heads, features, targets, strict=False)
        # Li et al. (Eproxy), section 3: regression of features onto the targets, through head and barrier
        return torch.stack([functional.mse_loss(head(feature), wanted) for head, feature, wanted in triples])

    if not getattr(network, "recordable", True):
        capture = None
    optimiser = functools.partial(_optimiser, [network, heads], setting)
    return last_errors(maps, errors, optimiser, setting.steps, built.device, capture)


def draw_weights(network: nn.Module, init: str, generator: torch.Generator) -> None:
    """Weights of convolutions and linear layers by a function of ``torch.nn.init``; "default" leaves them."""
    if init == "default":
        return
    found = [layer.weight for layer in weight_layers(network)]
    weights = [weight for weight in found if isinstance(weight, Tensor) and weight.ndim > 1]
    drawn = [getattr(nn.init, f"{init}_")(torch.empty(weight.shape), generator=generator) for weight in weights]
    with torch.no_grad():
        for weight, values in zip(weights, to_device(drawn, weights[0].device) if weights else (), strict=True):
            weight.copy_(values)


def _images(built: Built, batch: int) -> Tensor:
    """``(batch, c, h, w)`` in the size that the network was built for."""
    x, size = built.inputs.augmented(batch), built.input_shape[1:]
    if tuple(x.shape[2:]) == size:
        return x
    made = functools.partial(functional.interpolate, x, size=size, mode="bilinear", antialias=True)
    return built.inputs.once(("eproxy images", batch, size), made)


def _targets(maps: list[Tensor], setting: EproxySetting, inputs: ProxyInputs) -> list[Tensor]:
    """One for each map, of its size; alike for every network with maps of one axis, and for every other."""
    found = []
    for position, (feature, branch) in enumerate(zip(maps, setting.branches, strict=False)):
        size = (feature.shape[2], feature.shape[3])
        key = ("eproxy", position, branch, setting.batch, size)
        found.append(inputs.once(key, functools.partial(target, branch, position, setting, inputs, size)))
    return found


def _heads(maps: list[Tensor], setting: EproxySetting, built: Built) -> nn.ModuleList:
    """A trainable head and the barrier for each map; drawn alike for every network."""
    if not maps:
        raise CandidateError("it has no feature maps")
    heads = [
        _head(m.shape[1], branch, setting, built.inputs, i, flat=m.shape[2] < m.shape[3])
        for i, (m, branch) in enumerate(zip(maps, setting.branches, strict=False))
    ]
    return nn.ModuleList(heads).to(built.device, memory_format=memory_format(built.device))  # type: ignore[call-overload,no-any-return]


def _head(
    n_in: int, branch: Branch, setting: EproxySetting, inputs: ProxyInputs, position: int, *, flat: bool = False
) -> nn.Module:
    """Head and barrier of a map; ``flat``: it has one row, so that kernels have one, too."""
    seed_generators(inputs.generator(_HEAD, position).initial_seed())  # inside the pass's forked random state
    head = _convolution(n_in, branch.out_channels, branch.head_kernel, flat)
    seed_generators(inputs.generator(_BARRIER, position).initial_seed())
    barrier = _convolution(branch.out_channels, branch.last_channels, branch.barrier_kernel, flat)
    draw_weights(barrier, setting.barrier_init, inputs.generator(_BARRIER, position))
    barrier.requires_grad_(False)
    return nn.Sequential(head, nn.ReLU(inplace=True), nn.BatchNorm2d(branch.out_channels), barrier)


def _convolution(n_in: int, n_out: int, side: int, flat: bool) -> nn.Conv2d:
    rows = 1 if flat else side
    return nn.Conv2d(n_in, n_out, (rows, side), padding=(rows // 2, side // 2))


def _resized(feature: Tensor, side: int) -> Tensor:
    """``(batch, c, side, side)``, or of a map of one axis ``(batch, c, 1, side * side)``, which is as many places.

    By the nearest neighbour; a slice where the sides divide, whose gradient is cheaper.

    Raises:
        CandidateError: it has no place, or more than two axes of places.
    """
    if feature.ndim not in (3, 4):
        raise CandidateError(
            f"its feature maps have the shape {tuple(feature.shape)}; maps are (batch, channels, height, width), "
            "(batch, channels, length) or (batch, tokens, width)"
        )
    size = (side, side) if feature.ndim == 4 else (1, side * side)
    feature = feature if feature.ndim == 4 else feature.unsqueeze(2)
    height, width = feature.shape[2:]
    if height % size[0] == 0 and width % size[1] == 0:
        return feature[:, :, :: height // size[0], :: width // size[1]]
    return functional.interpolate(feature, size=size, mode="nearest")


def _optimiser(modules: list[nn.Module], setting: EproxySetting) -> torch.optim.Optimizer:
    learned = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": setting.weight_decay},
        {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.SGD(groups, lr=setting.lr, momentum=setting.momentum, fused=True)
