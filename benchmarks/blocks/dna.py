"""DNA, DNA+ and DNA++ on NAS-Bench-Macro, and what rating the paths of a block by their prefixes saves."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from benchmarks.common.correlation import rho
from benchmarks.common.tables import CACHE, images, layers
from searchkit.blocks.additive import blocks_of
from searchkit.costs.counts import space_counts
from searchkit.proxies.block_ratings import BlockRatings
from searchkit.proxies.dna import DNA
from searchkit.proxies.dna_plus import dna_plus
from searchkit.proxies.dna_rating import finished, rate, rating, recalibrated, relative_error
from searchkit.proxies.dna_self import DNASelf
from searchkit.proxies.supernet import Supernet, parts_of, supernet
from searchkit.space import NetworkSpace
from searchkit.spaces.macro import macro
from searchkit.spaces.mobilenet import mobilenet
from searchkit.types import Codes, Floats

DNA_WIDTH = 8  # of the networks of NAS-Bench-Macro that are trained as supernets; published: 32


def dna() -> None:
    """Ratings of NAS-Bench-Macro from CIFAR-10 images, no network of it trained."""
    found = layers()
    counts = space_counts(found.space, found.codes)
    size = (found.codes > 0).sum(axis=1) + np.array([0, 3, 6])[found.codes].sum(axis=1) / 6
    print(f"## DNA on {found.title}, N = {len(found.codes):,}\n")
    print(
        f"Supernets of networks {DNA_WIDTH} channels wide (the table's have 32), 9,600 CIFAR-10 images, one process.\n"
    )
    print("| | labels | rho | rho, blocks unweighted | block weights | minutes |\n|---|---|---|---|---|---|")
    for name, values in (("params", counts["params"]), ("MACs", counts["macs"]), ("layers + expansion", size)):
        print(f"| {name} | - | {rho(values, found.test):.3f} | | | |")
    space = macro(width=DNA_WIDTH)
    for kind, labels in ((DNA, "the teacher's"), (DNASelf, "none")):
        for seed in range(3):
            rated, minutes = _rated(kind, space, seed)
            _print_rated(f"{kind.name}, seed {seed}", labels, rated, minutes, found.codes, found.test)
    start = time.process_time()
    rounds = dna_plus(space, images(), rounds=2, folder=CACHE / "dna-plus")
    minutes = (time.process_time() - start) / 60
    _print_rated("dna+, second round", "the teacher's", rounds[1].dna, minutes, found.codes, found.test)
    print()


def _rated(kind: type[BlockRatings], space: NetworkSpace, seed: int) -> tuple[BlockRatings, float]:
    """The ratings, and the CPU minutes that they took, which are kept with them."""
    folder = CACHE / f"{kind.name}-{seed}"
    clock = folder / "minutes"
    start = time.process_time()
    rated = kind(space, images(), seed=seed, folder=folder).fit()
    minutes = (time.process_time() - start) / 60
    if not clock.exists():
        clock.write_text(str(minutes))
    return rated, float(clock.read_text())


def _print_rated(name: str, labels: str, rated: BlockRatings, minutes: float, codes: Codes, values: Floats) -> None:
    picked = rated.blocks.choose(codes)
    plain = -np.sum([rated.ratings[part.name][picked[:, part.index]] for part in rated.parts], axis=0)
    weights = ", ".join(f"{weight:.2f}" for weight in rated.weights.values())
    print(
        f"| {name} | {labels} | **{rho(rated.score(codes), values):.3f}** | {rho(plain, values):.3f} | {weights} "
        f"| {minutes:.1f} |",
        flush=True,
    )


def prefixes(repeats: int = 3) -> None:
    """Rating all paths of a block prefix by prefix, against one path after another."""
    print("Rating every path of a block, untrained supernets, CPU seconds (median of 3), one thread:\n")
    print("| block | paths | images | one by one | prefix by prefix | times faster | largest difference |")
    print("|---|---|---|---|---|---|---|")
    torch.set_num_threads(1)
    for space, block, n in ((macro(width=8), 1, 512), (macro(width=8), 2, 512), (mobilenet(width=0.5), 2, 64)):
        blocks = blocks_of(space)
        part = parts_of(space, blocks)[block]
        fed, given = part.nodes[0].input_shape, part.nodes[-1].output_shape
        net = supernet(space, blocks, part, fed, lambda channels: nn.Conv2d(channels, 16, 1), 0)
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = torch.randn(n, *fed).contiguous(memory_format=torch.channels_last)
        wanted = torch.randn(n, 16, *given[1:]).contiguous(memory_format=torch.channels_last)
        error = relative_error(wanted)
        shared, alone = [], []
        for _ in range(repeats):
            start = time.process_time()
            ratings = rate(net, part.taken, (x, x), error)
            shared.append(time.process_time() - start)
        some = np.random.default_rng(0).permutation(len(part.taken))[:300]
        for _ in range(repeats):
            start = time.process_time()
            others = _one_by_one(net, part.taken[some], x, error)
            alone.append((time.process_time() - start) * len(part.taken) / len(some))
        once, both = statistics.median(alone), statistics.median(shared)
        print(
            f"| {space.name}, {part.name} | {len(part.taken):,} | {n} | {once:.1f} | {both:.1f} | {once / both:.1f} "
            f"| {np.abs(ratings[some] - others).max():.0e} |",
            flush=True,
        )


def _one_by_one(net: Supernet, taken: Codes, x: torch.Tensor, error: Callable[[torch.Tensor], float]) -> Floats:
    found = []
    with torch.no_grad(), rating(net):
        for path in taken:
            pair = recalibrated(net.before, (x, x))
            for j, alternative in enumerate(path):
                pair = recalibrated(net.module(j, int(alternative)), pair)
            found.append(error(finished(net.ending(pair[1]), pair)))
    return np.array(found)
