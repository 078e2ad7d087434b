"""Plain implementations of the proxies, one network and one signal at a time: what the shared passes are compared with.

Written from the definitions with torch's defaults (every edge of a cell is built and run, contiguous memory, gradients
by ``backward()``), so that the speed table says what sharing and layout are worth.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from searchkit.spaces.cell_form import EDGES
from searchkit.spaces.nas_bench_201 import Reduction

Build = Callable[[], nn.Module]


class PlainCell(nn.Module):
    """A NAS-Bench-201 cell as published: all six edges, dead or alive; digits as in the tables."""

    def __init__(self, digits: Sequence[int], channels: int) -> None:
        super().__init__()
        self.digits = list(digits)
        self.edges = nn.ModuleList([_edge(digit, channels) for digit in digits])

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for target in (1, 2, 3):
            terms = []
            for (source, to), digit, edge in zip(EDGES, self.digits, self.edges, strict=True):
                if to == target:
                    terms.append(nodes[source] * 0.0 if digit == 0 else edge(nodes[source]))
            nodes.append(sum(terms[1:], terms[0]))
        return nodes[3]


class PlainNetwork(nn.Module):
    """The published NAS-Bench-201 network."""

    def __init__(self, digits: Sequence[int], width: int = 16, cells: int = 5, n_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.stages = nn.ModuleList()
        for stage in range(3):
            blocks: list[nn.Module] = [] if stage == 0 else [Reduction(width * 2 ** (stage - 1), odd=False)]
            blocks += [PlainCell(digits, width * 2**stage) for _ in range(cells)]
            self.stages.append(nn.Sequential(*blocks))
        self.last = nn.Sequential(nn.BatchNorm2d(4 * width), nn.ReLU())
        self.classifier = nn.Linear(4 * width, n_classes)

    def blocks(self, x: Tensor) -> list[Tensor]:
        """Outputs of the stem and of each cell and reduction."""
        outputs = [self.stem(x)]
        for stage in self.stages:
            assert isinstance(stage, nn.Sequential)
            for block in stage:
                outputs.append(block(outputs[-1]))
        return outputs

    def features(self, x: Tensor) -> list[Tensor]:
        """Outputs of the three stages."""
        x = self.stem(x)
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.last(self.features(x)[-1]).mean(dim=(2, 3)))
        return logits


def naswot(network: nn.Module, x: Tensor) -> float:
    """log |det K| over every ReLU."""
    kernel = np.zeros((len(x), len(x)))
    for code in _relu_outputs(network, x):
        on = (code.flatten(1) > 0).double()
        kernel += (on @ on.T + (1 - on) @ (1 - on).T).cpu().numpy()
    return float(np.linalg.slogdet(kernel)[1])


def swap(network: nn.Module, x: Tensor) -> float:
    """Number of distinct sign patterns of units."""
    signs = torch.cat([(out.flatten(1) > 0).to(torch.uint8) for out in _relu_outputs(network, x)], dim=1)
    return float(len(np.unique(np.packbits(signs.T.numpy(), axis=1), axis=0)))


def jacov(network: nn.Module, x: Tensor) -> float:
    """From the eigenvalues of the correlations of input gradients."""
    x = x.clone().requires_grad_()
    network(x).backward(torch.ones(len(x), 10, device=x.device))
    assert x.grad is not None
    values = np.linalg.eigvalsh(np.corrcoef(x.grad.flatten(1).double().cpu().numpy())).clip(0) + 1e-5
    return float(-np.sum(np.log(values) + 1 / values))


def grad_norm(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Sum of the layers' gradient norms."""
    return sum(float(gradient.norm()) for gradient in _loss_gradients(network, x, y))


def zico(network: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> float:
    """log of sum of mean |g| / std g, over layers."""
    steps = [_loss_gradients(network, x, y) for x, y in batches]
    total = 0.0
    for layer in zip(*steps, strict=True):
        g = np.stack([step.numpy() for step in layer])
        std, mean = g.std(axis=0), np.abs(g).mean(axis=0)
        total += math.log(np.sum(mean[std > 0] / std[std > 0])) if (std > 0).any() else 0.0
    return total


def synflow(network: nn.Module) -> float:
    """log of sum |w dR/dw|."""
    network = network.eval().double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = lambda x: x  # type: ignore[method-assign]
    for parameter in network.parameters():
        parameter.data.abs_()
    network(torch.ones(1, 3, 32, 32, dtype=torch.float64)).sum().backward()
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    flows = [(m.weight * m.weight.grad).abs().sum() for m in layers if m.weight.grad is not None]
    return math.log(float(sum(flows)))


@torch.no_grad()
def zen(network: Any, x: Tensor, change: Tensor) -> float:
    """log of the change of features under Gaussian weights, plus log deviations of the batch norms."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight)
    variances: list[float] = []
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [
        n.register_forward_pre_hook(lambda _, args: variances.append(float(args[0].var(dim=(0, 2, 3)).mean())))
        for n in norms
    ]
    before = network.features(x)[-1]
    for handle in handles:
        handle.remove()
    after = network.features(x + 0.01 * change)[-1]
    scales = sum(math.log(math.sqrt(v)) for v in variances if v > 0)
    return math.log(float((before - after).abs().mean())) + scales


def az_expressivity(network: Any, x: Tensor) -> float:
    """Sum of the blocks' channel entropies."""
    return float(np.sum(_entropies(network, x)))


def az_progressivity(network: Any, x: Tensor) -> float:
    """Smallest increase of entropy."""
    return float(np.min(np.diff(_entropies(network, x))))


def az_trainability(network: Any, x: Tensor) -> float:
    """Mean of -s - 1/s + 2 over blocks."""
    blocks = network.blocks(x)
    scores = []
    for before, after in itertools.pairwise(blocks):
        cotangent = torch.randint(0, 2, after.shape, device=after.device) * 2.0 - 1.0
        (pulled,) = torch.autograd.grad(after, before, cotangent, retain_graph=True)
        if pulled.shape == cotangent.shape and torch.equal(pulled, cotangent):
            scores.append(-1 / 1e-6 + 2)
            continue
        if pulled.shape[2] != cotangent.shape[2]:
            pulled = functional.pixel_unshuffle(pulled, pulled.shape[2] // cotangent.shape[2])
        rows = pulled.permute(0, 2, 3, 1).flatten(0, 2), cotangent.permute(0, 2, 3, 1).flatten(0, 2)
        s = float(torch.linalg.svdvals(rows[0].T @ rows[1] / len(rows[0]))[0])
        scores.append(-s - 1 / (s + 1e-6) + 2)
    return float(np.mean(scores))


def eproxy(
    network: Any, x: Tensor, targets: Sequence[Tensor], *, lr: float, steps: int = 10, channels: int = 128
) -> float:
    """Minus the weighted regression error after ten steps of SGD."""
    heads: nn.ModuleList | None = None
    for _ in range(steps):
        maps = [functional.interpolate(m, size=(8, 8)) for m in network.features(x)[::-1]][: len(targets)]
        if heads is None:
            heads = nn.ModuleList([_head(m.shape[1], channels) for m in maps]).to(x.device)
            weights = [p for p in [*network.parameters(), *heads.parameters()] if p.requires_grad]
            groups = [
                {"params": [p for p in weights if p.ndim > 1], "weight_decay": 4e-5},
                {"params": [p for p in weights if p.ndim <= 1]},
            ]
            optimiser = torch.optim.SGD(groups, lr=lr, momentum=0.9)
        errors = [functional.mse_loss(head(m), t) for head, m, t in zip(heads, maps, targets, strict=True)]
        optimiser.zero_grad()
        torch.stack(errors).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return -sum(float(error.detach()) / 2**i for i, error in enumerate(errors))


def _head(n_in: int, channels: int) -> nn.Module:
    barrier = nn.Conv2d(channels, channels, 3, padding=1).requires_grad_(False)
    return nn.Sequential(nn.Conv2d(n_in, channels, 1), nn.ReLU(), nn.BatchNorm2d(channels), barrier)


def _relu_outputs(network: nn.Module, x: Tensor) -> list[Tensor]:
    outputs: list[Tensor] = []
    relus = [module for module in network.modules() if isinstance(module, nn.ReLU)]
    handles = [m.register_forward_hook(lambda _, args, out: outputs.append(out.detach())) for m in relus]
    network(x)
    for handle in handles:
        handle.remove()
    return outputs


def _loss_gradients(network: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    network.zero_grad()
    functional.cross_entropy(network(x), y).backward()  # type: ignore[no-untyped-call]
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return [m.weight.grad.clone() for m in layers if m.weight.grad is not None]


def _entropies(network: Any, x: Tensor) -> list[float]:
    entropies = []
    for block in network.blocks(x):
        rows = block.detach().permute(0, 2, 3, 1).flatten(0, 2)
        values = torch.linalg.eigvalsh(torch.cov(rows.T)).clamp(min=0)
        share = values / values.sum()
        entropies.append(float(-(share * (share + 1e-8).log()).sum()))
    return entropies


def _edge(digit: int, channels: int) -> nn.Module:
    if digit in (0, 1):
        return nn.Identity()
    if digit == 4:
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    side = 1 if digit == 2 else 3
    conv = nn.Conv2d(channels, channels, side, padding=side // 2, bias=False)
    return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(channels))
