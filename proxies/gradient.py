"""Gradient: architecture weights learned by gradient descent on a network that runs all alternatives at once.

Liu et al., DARTS, ICLR 2019 (arXiv 1806.09055), first order; with Ye et al., beta-DARTS, CVPR 2022 (arXiv 2203.01665),
whose Beta-Decay keeps the architecture weights of a node from running apart. beta-DARTS++ also floods the loss of the
weights; its level is not in the abstract, and is an argument here. Bounds are kept on average, by a hinge on the
expected cost, as DCA-NAS and others do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from searchkit.costs.counts import space_counts
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.errors import CandidateError, ProxyError
from searchkit.problem.numbers import is_whole
from searchkit.proxies.mixed_network import MixedNetwork, base_of
from searchkit.random_state import seeded
from searchkit.runtime.devices import resolve_device
from searchkit.runtime.fingerprint import fingerprint
from searchkit.runtime.threads import one_thread
from searchkit.scoring.protocols import Setting
from searchkit.sharing.batches import Batches
from searchkit.sharing.bounds import counted_bounds
from searchkit.space import NetworkSpace, Space
from searchkit.surroundings import settled
from searchkit.training.checkpoints import read_checkpoint, write_checkpoint
from searchkit.training.optimisation import loss_of
from searchkit.training.recipe import Recipe
from searchkit.types import Codes, Floats

CLIPPED = 5.0


@dataclass(frozen=True)
class GradientSetting:
    """How the architecture weights are learned; the defaults are those of beta-DARTS.

    Args:
        epochs: passes over the train part, half of which trains the weights and half the architecture weights.
        batch: examples a step.
        lr, lr_end, weight_decay: of SGD with momentum 0.9 on the weights, with half a cosine between the two rates.
        alpha_lr, alpha_decay: of Adam on the architecture weights.
        beta_decay: what the mean over nodes of logsumexp(architecture weights) counts at the end, from 0 at the start.
        flood: level below which the loss of the weights is pushed up again; None: it is not.
    """

    epochs: int = 50
    batch: int = 64
    lr: float = 0.025
    lr_end: float = 0.001
    weight_decay: float = 3e-4
    alpha_lr: float = 3e-4
    alpha_decay: float = 1e-3
    beta_decay: float = 50.0
    flood: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 2)):  # batch normalisation needs two examples
            whole = getattr(self, name)
            if not is_whole(whole) or whole < least:
                raise ProxyError(f"{name} is a whole number of {least} or more, not {whole!r}")
        for name in ("lr", "lr_end", "weight_decay", "alpha_lr", "alpha_decay", "beta_decay", "flood"):
            value, allowed = getattr(self, name), "above 0" if name in ("lr", "alpha_lr") else "of 0 or more"
            if name == "flood" and value is None:
                continue
            number = is_whole(value) or (isinstance(value, float | np.floating) and math.isfinite(value))
            if not number or value < 0 or (allowed == "above 0" and not value):
                raise ProxyError(f"{name} is a finite number {allowed}, not {value!r}")


class Gradient:
    """The sum over nodes of the logarithms of a candidate's shares; a proxy, higher is better.

    Nothing is trained before the first score or :meth:`fit`. With a folder, what was learned is kept there after every
    epoch, and a training that was stopped continues.

    Args:
        space: whose nodes name their modules, with alternatives of equal shapes.
        data: as for :func:`searchkit.run`.
        bounds: ``{"params": most, "macs": most}``, kept on average over the shares: an expected cost over a bound adds
            to the loss, twice as much after each epoch in which it is over.
        device, seed: as for :func:`searchkit.run`.
        folder: for what was learned; None: it is not kept.

    Raises:
        ProxyError: no node names modules, or its alternatives cannot be mixed.
    """

    name = "gradient"
    needs_networks = True
    needs_data = True
    cached = False

    def __init__(
        self,
        space: Space,
        data: object = None,
        *,
        setting: GradientSetting | None = None,
        bounds: Mapping[str, float] | None = None,
        device: str = "cpu",
        seed: int = 0,
        folder: str | Path | None = None,
    ) -> None:
        if not isinstance(space, NetworkSpace):
            raise ProxyError(f"proxy '{self.name}' needs networks and space '{space.name}' has none")
        if isinstance(data, Setting):
            device, seed, folder, data = data.device, data.seed, data.folder, data.data
        if setting is not None and not isinstance(setting, GradientSetting):
            raise ProxyError(f"setting is a GradientSetting(epochs=..., ...), not {setting!r:.80}")
        self.data: Data = load_data(data, seed=seed).without_test()
        self.space = space.for_data(self.data.input_shape, self.data.output_shape)
        base_of(self.space)  # refuses a space that cannot be mixed, before any work
        self.setting, self.seed = setting or GradientSetting(), seed
        self.bounds = counted_bounds(bounds, "bounds are on")
        self.device = resolve_device(device)
        self.folder = None if folder is None else settled(folder) / self.name
        self._network: MixedNetwork | None = None

    def fit(self, after: Callable[[int, MixedNetwork], None] | None = None) -> Self:
        """Learn the architecture weights, where that is not done.

        Args:
            after: called after every epoch with its number and the network.

        Raises:
            ProxyError: the alternatives cannot be mixed, or the loss is no longer finite.
        """
        if self._network is None:
            network = MixedNetwork(self.space, self.seed).to(self.device)
            with seeded(self.seed, self.device), one_thread():
                _Learning(self, network).run(after)
            self._network = network.eval()
        return self

    @property
    def shares(self) -> dict[str, Floats]:
        """Node -> ``(a,)`` the share of each alternative."""
        network = self._learned()
        found = zip(network.nodes, network.shares(), strict=True)
        return {node.node.name: share.detach().double().cpu().numpy() for node, share in found}

    @property
    def answer(self) -> Codes:
        """The candidate ``(d,)`` with the alternative of the largest share at every node, canonical."""
        code: Codes = self.space.check(self._learned().best()[None])[0]
        return code

    def score(self, codes: Codes) -> Floats:
        """``(n,)`` sum over nodes of the logarithms of the shares of what was chosen."""
        return self._learned().log_shares(self.space.check(codes))

    def __getstate__(self) -> dict[str, object]:
        """Learns before it is sent to another process, so that nothing is trained there again."""
        self.fit()
        return self.__dict__

    def _learned(self) -> MixedNetwork:
        self.fit()
        assert self._network is not None
        return self._network

    @property
    def _checkpoint(self) -> Path | None:
        if self.folder is None:
            return None
        parts = (self.space.describe(), self.data.fingerprint, asdict(self.setting), self.bounds, self.seed)
        return self.folder / f"{fingerprint(*parts)}.pt"


class _Learning:
    """One training: a step of the weights on one half of the examples, one of the architecture weights on the other."""

    def __init__(self, of: Gradient, network: MixedNetwork) -> None:
        self.of, self.network, self.setting = of, network, of.setting
        weights = [p for name, p in network.named_parameters() if name != "alphas" and p.requires_grad]
        s = of.setting
        self.weights = torch.optim.SGD(weights, lr=s.lr, momentum=0.9, weight_decay=s.weight_decay)
        self.alphas = torch.optim.Adam([network.alphas], lr=s.alpha_lr, betas=(0.5, 0.999), weight_decay=s.alpha_decay)
        self.halves = _halves(of.data, of.seed)
        self.costs = {name: _costs(of.space, network, name) for name in of.bounds}
        self.pressure = dict.fromkeys(of.bounds, 1.0)
        self.epoch = 0

    def run(self, after: Callable[[int, MixedNetwork], None] | None) -> None:
        self._resume()
        while self.epoch < self.setting.epochs:
            self._epoch()
            self.epoch += 1
            self._keep()
            if after is not None:
                after(self.epoch, self.network)

    def _epoch(self) -> None:
        of, s = self.of, self.setting
        recipe = Recipe(batch_size=s.batch, label_smoothing=0.0)
        rng = np.random.default_rng([of.seed, self.epoch])
        streams = [Batches(half, recipe, of.device, of.seed, rng) for half in self.halves]
        loss_of_half = [loss_of(half, recipe, of.device) for half in self.halves]
        cosine = 0.5 * (1 + math.cos(math.pi * self.epoch / s.epochs))
        for group in self.weights.param_groups:
            group["lr"] = s.lr_end + (s.lr - s.lr_end) * cosine
        self.network.train()
        with seeded(int(rng.integers(2**31)), of.device):
            for _ in range(max(1, len(self.halves[0].train) // s.batch)):
                x, y, counted = streams[1].next(1.0)
                loss = loss_of_half[1](self.network(x), y, counted)
                self._step(self.alphas, loss + self._decay() + self._over(), [self.network.alphas])
                x, y, counted = streams[0].next(1.0)
                loss = loss_of_half[0](self.network(x), y, counted)
                if s.flood is not None:
                    loss = (loss - s.flood).abs() + s.flood
                self._step(self.weights, loss, self.weights.param_groups[0]["params"])
        for name, most in of.bounds.items():
            if float(self._expected(name).detach()) > most:
                self.pressure[name] *= 2

    def _step(self, optimiser: torch.optim.Optimizer, loss: Tensor, learned: list[nn.Parameter]) -> None:
        if not torch.isfinite(loss):
            raise ProxyError(f"the mixed network diverged in epoch {self.epoch + 1}: give a lower lr")
        self.weights.zero_grad(set_to_none=True)
        self.alphas.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learned, CLIPPED)
        optimiser.step()

    def _decay(self) -> Tensor:
        """Beta-Decay: equation 12 of beta-DARTS, its weight rising over the epochs."""
        nodes = enumerate(self.network.nodes)
        each = [self.network.alphas[i, : len(node.alternatives)].logsumexp(0) for i, node in nodes]
        return self.setting.beta_decay * self.epoch / self.setting.epochs * torch.stack(each).mean()

    def _over(self) -> Tensor:
        """How far expected costs are over their bounds, as shares of these."""
        total = torch.zeros((), device=self.of.device)
        for name, most in self.of.bounds.items():
            total = total + self.pressure[name] * (self._expected(name) / most - 1).clamp(min=0)
        return total

    def _expected(self, name: str) -> Tensor:
        base, tables = self.costs[name]
        shares = self.network.shares()
        return base + torch.stack([share @ table for share, table in zip(shares, tables, strict=True)]).sum()

    def _keep(self) -> None:
        path = self.of._checkpoint
        if path is None:
            return
        state = {
            "network": self.network.state_dict(), "weights": self.weights.state_dict(),
            "alphas": self.alphas.state_dict(), "pressure": self.pressure, "epoch": self.epoch,
        }  # fmt: skip
        write_checkpoint(path, state)

    def _resume(self) -> None:
        held = read_checkpoint(self.of._checkpoint)
        if held is None:
            return
        self.network.load_state_dict(held["network"])
        self.weights.load_state_dict(held["weights"])
        self.alphas.load_state_dict(held["alphas"])
        self.pressure, self.epoch = held["pressure"], held["epoch"]


def _halves(data: Data, seed: int) -> tuple[Data, Data]:
    """Two halves of the train part: for the weights, and for the architecture weights."""
    order = torch.from_numpy(np.random.default_rng([seed, 2]).permutation(len(data.train)))
    if len(order) < 4:
        raise CandidateError(f"{len(order)} training examples are too few for two halves")
    middle = len(order) // 2
    first, second = order[:middle].sort().values, order[middle : 2 * middle].sort().values
    return replace(data, train=data.train.rows(first)), replace(data, train=data.train.rows(second))


def _costs(space: NetworkSpace, network: MixedNetwork, name: str) -> tuple[float, list[Tensor]]:
    """What the base network costs, and for each node what each alternative adds to that."""
    base = float(space_counts(space, space.check(network.base[None]))[name][0])
    tables = []
    for node in network.nodes:
        codes = np.repeat(network.base[None], len(node.alternatives), axis=0)
        codes[:, node.columns] = node.alternatives
        added = space_counts(space, space.check(codes))[name] - base
        tables.append(torch.tensor(added, dtype=torch.float32, device=network.alphas.device))
    return base, tables
