"""Settings of Eproxy's regression task, with one default for every space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from searchkit.errors import ProxyError

FAMILIES = ("wave_l", "wave_m", "wave_h", "dot", "net")
INITS = ("default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal")


@dataclass(frozen=True)
class Branch:
    """What one feature map is regressed onto, and through what.

    Args:
        families: whose sum is the target: waves of low, middle or high frequency, "dot" (random +-1), "net" (features
            of a random network).
        level: factor of the target.
        head_kernel, barrier_kernel: odd sides of the two convolutions, in pixels.
        out_channels: of the head.
        last_channels: of the barrier and the target.
    """

    families: tuple[str, ...] = ("wave_h",)
    level: float = 1.0
    head_kernel: int = 1
    barrier_kernel: int = 3
    out_channels: int = 128
    last_channels: int = 128

    def __post_init__(self) -> None:
        object.__setattr__(self, "families", tuple(self.families))
        unknown = [family for family in self.families if family not in FAMILIES]
        if unknown or not self.families:
            raise ProxyError(f"a branch needs one or more of {', '.join(FAMILIES)}; got {list(self.families)}")
        if min(self.out_channels, self.last_channels) < 1 or not (self.head_kernel % 2 and self.barrier_kernel % 2):
            raise ProxyError(f"a branch has channels of at least 1 and odd kernels; got {self}")


@dataclass(frozen=True)
class EproxySetting:
    """Eproxy's task.

    Args:
        lr, momentum, weight_decay: of SGD; weights of more than one dimension decay.
        steps: forward passes; the error is that of the last. Ranks are wrong before some ten of them.
        batch: number of images.
        side: height and width of the regressed maps, in pixels.
        branches: one to three, deepest map first.
        network_init, barrier_init: how weights are drawn; "default" is torch's own for the network's layers.
        macs_weight: alpha in error * (1 - alpha * MACs / macs_max).
        macs_max: the MACs of the space's largest network.
    """

    lr: float = 1.2
    momentum: float = 0.9
    weight_decay: float = 4e-5
    steps: int = 10
    batch: int = 16
    side: int = 8
    branches: tuple[Branch, ...] = (Branch(), Branch(), Branch())
    network_init: str = "default"
    barrier_init: str = "default"
    macs_weight: float = 0.0
    macs_max: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "branches", tuple(self.branches))
        if not self.branches:
            raise ProxyError("a setting has one or more branches")
        if min(self.steps, self.batch, self.side) < 1 or self.lr <= 0:
            raise ProxyError(f"steps, batch and side are at least 1 and lr is positive; got {self}")
        for init in (self.network_init, self.barrier_init):
            if init not in INITS:
                raise ProxyError(f"weights are drawn by one of {', '.join(INITS)}; got {init!r}")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From the dictionary that ``dataclasses.asdict`` makes.

        Raises:
            ProxyError: a key that is none of the setting's, or a value out of range.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ProxyError(f"an Eproxy setting has no {unknown[0]!r}")
        branches = tuple(Branch(**branch) for branch in values.get("branches", ()))
        return cls(**(dict(values) | ({"branches": branches} if branches else {})))
