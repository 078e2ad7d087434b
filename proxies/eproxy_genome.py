"""The search space of DPS, gene by gene, with the published ranges (arXiv 2210.09459, table 1) but for these.

* Channels end at 128, not 512: a head of 512 channels and a kernel of 7 takes far longer than the network itself.
* The side of the maps is a gene: smaller maps, of smaller images, can rank as well at half the price.
* The weight of MACs goes up to 0.9, not 0.5, and is finer around 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from searchkit.proxies.eproxy_setting import FAMILIES, INITS, Branch, EproxySetting

_LR = tuple(round(0.5 + 0.1 * i, 1) for i in range(11))
# finer than published around 0: the errors of networks differ by a few percent, and their MACs by much more
MACS_WEIGHTS = (-0.5, -0.4, -0.3, -0.2, -0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)
_SIDES = (4, 8)
_KERNELS = (1, 3, 7)
_CHANNELS = (16, 32, 64, 128)
_LEVELS = (0.5, 1.0, 1.5, 2.0)
_BRANCHES = (1, 2, 3)
_FAMILY = 0.2  # chance that a family is on in a first draw
_T = TypeVar("_T")


def drawn(rng: np.random.Generator, start: EproxySetting) -> EproxySetting:
    """A setting with every gene at random; other fields (steps, batch, macs_weight, ...) as in ``start``."""
    branches = tuple(_branch(rng) for _ in range(_pick(_BRANCHES, rng)))
    return replace(
        start,
        lr=_pick(_LR, rng),
        side=_pick(_SIDES, rng),
        branches=branches,
        network_init=_pick(INITS[1:], rng),
        barrier_init=_pick(INITS[1:], rng),
    )


def mutated(setting: EproxySetting, chance: float, rng: np.random.Generator) -> EproxySetting:
    """A setting of which each gene is drawn anew with a chance; not the weight of MACs, which is chosen by itself."""
    branches = list(setting.branches)
    if rng.random() < chance:
        n = _pick(_BRANCHES, rng)
        branches = branches[:n] + [_branch(rng) for _ in range(n - len(branches))]
    return replace(
        setting,
        lr=_pick(_LR, rng) if rng.random() < chance else setting.lr,
        side=_pick(_SIDES, rng) if rng.random() < chance else setting.side,
        branches=tuple(_mutated_branch(branch, chance, rng) for branch in branches),
        network_init=_pick(INITS[1:], rng) if rng.random() < chance else setting.network_init,
        barrier_init=_pick(INITS[1:], rng) if rng.random() < chance else setting.barrier_init,
    )


def distance(a: EproxySetting, b: EproxySetting) -> float:
    """Share of the genes in which two settings differ, 0 to 1."""
    return float(np.mean([x != y for x, y in zip(_genes(a), _genes(b), strict=True)]))


def _branch(rng: np.random.Generator) -> Branch:
    families = tuple(family for family in FAMILIES if rng.random() < _FAMILY) or (_pick(FAMILIES, rng),)
    return Branch(
        families,
        _pick(_LEVELS, rng),
        _pick(_KERNELS, rng),
        _pick(_KERNELS, rng),
        _pick(_CHANNELS, rng),
        _pick(_CHANNELS, rng),
    )


def _mutated_branch(branch: Branch, chance: float, rng: np.random.Generator) -> Branch:
    families = tuple(f for f in FAMILIES if (f in branch.families) != (rng.random() < chance))
    return Branch(
        families or branch.families,
        _pick(_LEVELS, rng) if rng.random() < chance else branch.level,
        _pick(_KERNELS, rng) if rng.random() < chance else branch.head_kernel,
        _pick(_KERNELS, rng) if rng.random() < chance else branch.barrier_kernel,
        _pick(_CHANNELS, rng) if rng.random() < chance else branch.out_channels,
        _pick(_CHANNELS, rng) if rng.random() < chance else branch.last_channels,
    )


def _genes(setting: EproxySetting) -> list[object]:
    """A list of equal length for any number of branches; a branch that is not there differs from one that is."""
    genes: list[object] = [setting.lr, setting.side, setting.macs_weight, len(setting.branches)]
    genes += [setting.network_init, setting.barrier_init]
    for i in range(max(_BRANCHES)):
        if i >= len(setting.branches):
            genes += [None] * (len(FAMILIES) + 5)
            continue
        branch = setting.branches[i]
        genes += [family in branch.families for family in FAMILIES]
        genes += [branch.level, branch.head_kernel, branch.barrier_kernel, branch.out_channels, branch.last_channels]
    return genes


def _pick(options: tuple[_T, ...], rng: np.random.Generator) -> _T:
    return options[int(rng.integers(len(options)))]
