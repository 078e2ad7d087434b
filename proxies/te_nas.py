"""TE-NAS: how well conditioned the training of a network is at its start, and into how many regions it cuts its inputs.

Chen, Gong and Wang, Neural Architecture Search on ImageNet in Four GPU Hours: A Theoretically Inspired Perspective,
ICLR 2021 (arXiv 2102.11535). Its search takes out, step by step, the operation without which both suffer least; with
``objectives=("ntk", "regions")`` the strategy ``shrink`` is of that kind.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.data.data import Data
from searchkit.errors import CandidateError, ProxyError
from searchkit.scoring.passes.activation_signs import Patterns
from searchkit.scoring.passes.forward import weight_layers
from searchkit.scoring.passes.passes import Built
from searchkit.scoring.protocols import Setting
from searchkit.scoring.scorer import Scorer
from searchkit.space import NetworkSpace, Space, distinct_rows
from searchkit.training.reduced import Reduction
from searchkit.types import Codes, Floats

CLAMPED = 1e10  # the largest condition number
_STREAM = 6  # of the candidate's random numbers
_CUT = 32  # images that crops are cut out of
_CHUNK = 8  # examples whose gradients are held at a time


@dataclass(frozen=True)
class NTK:
    """Minus the logarithm of the condition number of the neural tangent kernel; higher is better.

    The kernel is of the sums of the outputs, in training mode: the products of the gradients that two inputs have. The
    largest over the smallest eigenvalue, at most 10^10, where two inputs cannot be told apart.

    Args:
        batch: training images, or inputs of noise without data.
        draws: of the weights, over which the logarithms are averaged; 1 where weights are given.
    """

    batch: int = 32
    draws: int = 3

    names = ("ntk",)

    def __post_init__(self) -> None:
        if self.batch < 2 or self.draws < 1:
            raise ProxyError(
                f"ntk takes 2 inputs and 1 draw of the weights, or more; not {self.batch} and {self.draws}"
            )

    @property
    def passes(self) -> tuple[KernelPass, ...]:
        return (KernelPass(self.batch, self.draws),)

    def values(self, recordings: Sequence[list[float]]) -> Mapping[str, float]:
        """``{"ntk": minus the mean logarithm}``."""
        return {"ntk": -float(np.mean(np.log(recordings[0])))}


@dataclass(frozen=True)
class Regions:
    """The logarithm of the number of regions of linearity that random inputs fall into; higher is better.

    Counted as distinct patterns of active units, of networks as thin as the space has them (a sixteenth of the width),
    on crops of 3 x 3 pixels: in wider networks nearly every input has a pattern of its own, and nothing is compared.

    Args:
        batch: crops; those of TE-NAS are 1,000, three times.
        draws: of crops and weights, over which the numbers are averaged; weights that are given are not used.
    """

    batch: int = 1000
    draws: int = 3

    names = ("regions",)

    def __post_init__(self) -> None:
        if self.batch < 2 or self.draws < 1:
            raise ProxyError(f"regions takes 2 crops and 1 draw, or more; not {self.batch} and {self.draws}")

    @property
    def passes(self) -> tuple[RegionsPass, ...]:
        return (RegionsPass(self.batch, self.draws),)

    def values(self, recordings: Sequence[list[int]]) -> Mapping[str, float]:
        """``{"regions": logarithm of the mean}``."""
        return {"regions": math.log(float(np.mean(recordings[0])))}


@dataclass(frozen=True)
class KernelPass:
    """Gradients of the outputs of every input, and the condition number of their products."""

    batch: int
    draws: int

    @property
    def key(self) -> Hashable:
        return ("kernel", self.batch, self.draws)

    def joined(self, other: Self) -> Self:
        return self

    def run(self, built: Built) -> list[float]:
        """A condition number for each draw of the weights."""
        x, generator = built.inputs.images(self.batch)[0], built.generator(_STREAM)
        found = []
        for _ in range(1 if built.taken else self.draws):
            if not built.taken:
                built.reset()
                _draw(built.network, "fan_out", generator)
            found.append(condition(tangent_kernel(built.network, x)))
        return found


@dataclass(frozen=True)
class RegionsPass:
    """Patterns of active units of a thin network, for crops of training images."""

    batch: int
    draws: int
    reduction: Reduction = Reduction(width=1 / 16)  # noqa: RUF009 - immutable

    @property
    def key(self) -> Hashable:
        return ("regions", self.batch, self.draws, self.reduction)

    def joined(self, other: Self) -> Self:
        return self

    def run(self, built: Built) -> list[int]:
        """Distinct patterns in each draw.

        Raises:
            CandidateError: the network takes no such crops, or has no units that are active or not.
        """
        if len(built.inputs.input_shape) != 3:
            raise CandidateError("it cuts small crops out of images, and there are none")
        generator, network = built.generator(_STREAM), built.network
        found = []
        for draw in range(self.draws):
            _draw(network, "fan_in", generator)
            x = _crops(built, self.batch, draw)
            try:
                with torch.no_grad(), Patterns(self.batch) as patterns:
                    network(x)
            except RuntimeError as error:
                raise CandidateError(f"it takes no crops of 3 x 3 pixels: {error}") from error
            found.append(patterns.distinct())
        if not all(found):
            raise CandidateError("it has no units that are active or not, such as ReLUs")
        return found


def tangent_kernel(network: nn.Module, x: Tensor) -> Tensor:
    """``(n, n)`` float64: products of the gradients of the sums of the outputs of n inputs, over all parameters."""
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    sums = network(x).flatten(1).sum(dim=1)
    if not bool(torch.isfinite(sums).all()):
        raise CandidateError("its outputs are not finite")
    rows: list[list[Tensor]] = []
    eye = torch.eye(len(x), device=x.device)
    for part in torch.split(eye, _CHUNK):
        gradients = torch.autograd.grad(
            sums, learned, part, retain_graph=True, allow_unused=True, is_grads_batched=True
        )
        rows.append([gradient.flatten(1) for gradient in gradients if gradient is not None])
    kernel = torch.zeros(len(x), len(x), dtype=torch.float64, device=x.device)
    for each in zip(*rows, strict=True):
        of_all = torch.cat(each).double()
        kernel += of_all @ of_all.T
    return kernel


def condition(kernel: Tensor) -> float:
    """The largest over the smallest eigenvalue of a symmetric matrix, from 1 to :data:`CLAMPED`."""
    if not bool(torch.isfinite(kernel).all()):
        raise CandidateError("its gradients are not finite")
    eigenvalues = torch.linalg.eigvalsh(kernel)
    least, most = float(eigenvalues[0]), float(eigenvalues[-1])
    if most <= 0:
        raise CandidateError("its outputs do not depend on its weights")
    return CLAMPED if least <= most / CLAMPED else most / least


class TENAS:
    """The sum of a candidate's ranks by ``ntk`` and ``regions`` among random networks of the space; higher is better.

    Args:
        space: of networks.
        data: as for :func:`searchkit.run`, or what a search gives to proxies.
        others: networks that it is ranked among.
        ntk, regions: the two signals.
    """

    name = "te_nas"
    needs_networks = True
    needs_data = True

    def __init__(
        self,
        space: Space,
        data: Data | Setting | None = None,
        *,
        others: int = 30,
        ntk: NTK | None = None,
        regions: Regions | None = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(space, NetworkSpace):
            raise ProxyError(f"proxy '{self.name}' needs networks and space '{space.name}' has none")
        device = "cpu"
        if isinstance(data, Setting):
            device, seed, data = data.device, data.seed, data.data
        if others < 2:
            raise ProxyError(f"te_nas ranks among 2 or more other networks, not {others}")
        self._others, self._ranked = others, np.empty((0, 2))
        self._scorer = Scorer(space, [ntk or NTK(), regions or Regions()], data, device=device, seed=seed, warns=False)

    def score(self, codes: Codes) -> Floats:
        """``(n,)`` the mean of two shares of the other networks: those with a lower ``ntk``, and fewer ``regions``."""
        if not len(self._ranked):
            rng = np.random.default_rng([self._scorer.seed, self._others])
            others = distinct_rows(self._scorer.space.sample(self._others, rng))
            found = self._scorer(others)
            self._ranked = np.sort(found[np.isfinite(found).all(axis=1)], axis=0)
            if not len(self._ranked):
                raise ProxyError("te_nas has no network to rank among: none of the space could be scored")
        scores = self._scorer(codes)
        shares = [
            (np.searchsorted(known, column, "left") + np.searchsorted(known, column, "right")) / (2 * len(known))
            for known, column in zip(self._ranked.T, scores.T, strict=True)
        ]
        ranked: Floats = np.where(np.isfinite(scores).all(axis=1), np.mean(shares, axis=0), np.nan)
        return ranked

    def why_none(self, code: Codes) -> str | None:
        """Why a candidate ``(d,)`` that was scored has no score; None where it has one."""
        whys = {name: self._scorer.reason(code, name) for name in self._scorer.names}
        return next((f"it has no {name}: {why}" for name, why in whys.items() if why), None)


def _draw(network: nn.Module, mode: Literal["fan_in", "fan_out"], generator: torch.Generator) -> None:
    """Kaiming's normal weights of convolutions and linear layers."""
    with torch.no_grad():
        for layer in weight_layers(network):
            weight = layer.weight
            if isinstance(weight, Tensor) and weight.ndim > 1:
                drawn = nn.init.kaiming_normal_(torch.empty(weight.shape), mode=mode, generator=generator)
                weight.copy_(drawn.to(weight.device))


def _crops(built: Built, n: int, draw: int) -> Tensor:
    """``(n, c, 3, 3)`` crops of normalised training images at random places; the same for every network."""

    def cut() -> Tensor:
        images = built.inputs.images(_CUT)[0]
        generator = built.inputs.generator(n, draw)
        height, width = images.shape[2:]
        chosen = torch.randint(0, len(images), (n,), generator=generator)
        tops, lefts = (torch.randint(0, max(1, side - 2), (n,), generator=generator) for side in (height, width))
        rows, columns = (tops[:, None] + torch.arange(3), lefts[:, None] + torch.arange(3))
        rows, columns = rows.clamp(max=height - 1), columns.clamp(max=width - 1)
        places = [index.to(images.device) for index in (chosen[:, None, None], rows[:, :, None], columns[:, None])]
        return images.permute(0, 2, 3, 1)[tuple(places)].permute(0, 3, 1, 2).contiguous()

    return built.inputs.once(("crops", n, draw), cut)
