"""MathNAS, the exact front, DNA and the searches over them, against published tables.

python benchmarks/blocks.py [--parts formula,mathnas,latency,front,dna,search] [--draws 20] [--seeds 50]

"dna" trains supernets, and what it trained is kept under the cache folder of the other benchmarks.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from _machine import describe
from _ofa import accuracy, additive_latency, latency_ms, ofa_space
from _tables import CACHE, cells, digits, images, layers, table
from exact import fronts, searches
from scipy.stats import spearmanr
from solve import programmes
from torch import nn

from searchkit.blocks.additive import blocks_of, read_additive
from searchkit.blocks.cost_tables import measure_latency
from searchkit.blocks.exact import front
from searchkit.blocks.fit import fit_blocks
from searchkit.blocks.solve import Limit, solve
from searchkit.costs.counts import space_counts
from searchkit.proxies.block_ratings import BlockRatings
from searchkit.proxies.dna import DNA
from searchkit.proxies.dna_plus import dna_plus
from searchkit.proxies.dna_rating import finished, rate, rating, recalibrated, relative_error
from searchkit.proxies.dna_self import DNASelf
from searchkit.proxies.supernet import Supernet, parts_of, supernet
from searchkit.space import NetworkSpace
from searchkit.spaces.cell_form import live_edges
from searchkit.spaces.macro import macro
from searchkit.spaces.mobilenet import mobilenet
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.types import Codes, Floats

DNA_WIDTH = 8  # of the networks of NAS-Bench-Macro that are trained as supernets; published: 32


def formula(draws: int, seeds: int) -> None:
    """The authors' block table, summed over the cells as they are written."""
    with np.load(table("blockwise_ratings/mathnas_block_tables.npz")) as held:
        drops = held["nasbench201__blockacc"]
    rows = pd.read_csv(table("nasbench201/nb201_cifar10.csv.gz"), dtype={"ops": str})
    codes, validation = digits(rows["ops"]), rows["cifar10valid_val200_mean"].to_numpy(np.float64)
    blocks = blocks_of(nas_bench_201())
    summed = -read_additive(list(drops), blocks=blocks)(blocks.choose(codes))
    whole = (codes != 0).all(axis=1)
    print("## The authors' block table of NAS-Bench-201, summed, against CIFAR-10 validation accuracy\n")
    print("| cells | N | rho |\n|---|---|---|")
    print(f"| without `none` | {whole.sum():,} | {rho(summed[whole], validation[whole]):.3f} |")
    print(f"| all | {len(codes):,} | {rho(summed, validation):.3f} |\n")


def mathnas(draws: int, seeds: int) -> None:
    """Block values fitted to a few labels; every network of the table, labelled ones included, is ranked."""
    print("## MathNAS: block values from a few labels, against CIFAR-10 test accuracy\n")
    print(f"Rho on all networks of the table, duplicates not merged; mean (lowest) of {draws} draws of the labels.\n")
    print(
        "| space | N | labels | params | MACs | a sum of blocks | with pairs and MACs ratio | 90 % intervals hold | s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for title, space, codes, values, labels in (_cells(), _layers()):
        blocks, counts = blocks_of(space), space_counts(space, codes)
        picked = blocks.choose(codes)
        for n in labels:
            sums, full, held, seconds = [], [], [], []
            for draw in range(draws):
                rows = np.random.default_rng([draw, n]).permutation(len(codes))
                known, rest = rows[:n], rows[n:]
                start = time.perf_counter()
                fit = fit_blocks(blocks, codes[known], values[known], macs=counts["macs"][known])
                seconds.append(time.perf_counter() - start)
                sums.append(rho(fit.model(picked), values))
                full.append(rho(fit.predict(picked, counts["macs"])[0], values))
                held.append(_coverage(space, codes, values, known, rest[:500]))
            print(
                f"| {title} | {len(codes):,} | {n} | {rho(counts['params'], values):.3f} "
                f"| {rho(counts['macs'], values):.3f} | {spread(sums)} | **{spread(full)}** "
                f"| {np.mean(held):.0%} | {statistics.median(seconds):.2f} |",
                flush=True,
            )
    print()


def _cells() -> tuple[str, NetworkSpace, Codes, Floats, tuple[int, ...]]:
    found = cells(unique=False)
    return "NAS-Bench-201", found.space, found.codes, found.test, (156, 300)


def _layers() -> tuple[str, NetworkSpace, Codes, Floats, tuple[int, ...]]:
    rows = pd.read_csv(table("nasbench_macro/nasbench_macro_cifar10.csv.gz"), dtype={"arch": str})
    codes = macro().check(digits(rows["arch"]))
    return "NAS-Bench-Macro", macro(), codes, rows["mean_acc"].to_numpy(np.float64), (50, 65, 327)


def _coverage(space: NetworkSpace, codes: Codes, values: Floats, known: Codes, rest: Codes) -> float:
    """Share of other networks' accuracies within their 90 % intervals."""
    from searchkit.proxies.mathnas import MathNAS

    low, high = MathNAS(space).fit(codes[known], values[known]).interval(codes[rest], 0.9)
    return float(np.mean((low <= values[rest]) & (values[rest] <= high)))


def latency(draws: int, seeds: int) -> None:
    """Published latencies from 200 labels, and this machine's from measured blocks."""
    found = cells(unique=False)
    rows = pd.read_csv(table("nasbench201/nb201_cifar10.csv.gz"), dtype={"ops": str})
    measured = pd.read_csv(table("nasbench201/nb201_latency_ms.csv.gz")).set_index("arch_index").loc[found.index]
    codes, blocks = digits(rows["ops"]), blocks_of(found.space)
    picked = blocks.choose(codes)
    alive = live_edges(codes)
    live = [alive[:, [j]] & (codes[:, [j]] == np.arange(5)) for j in range(codes.shape[1])]
    beside = np.concatenate([*live, alive.any(axis=1, keepdims=True)], axis=1).astype(np.float64)
    print("## Latency of NAS-Bench-201 on devices, from 200 labels\n")
    print(
        "The published networks were timed with their dead edges, so that codes are as written; beside the operation of"
    )
    print(
        "an edge stands whether a signal goes through it, and through the cell. Rho on all 15,625, mean (lowest) of "
        f"{draws} draws.\n"
    )
    print("| device | MACs | a sum of blocks | with pairs | and what carries a signal |\n|---|---|---|---|---|")
    macs = space_counts(found.space, codes)["macs"]
    for device in ("raspi4", "pixel3"):
        values = measured[device].to_numpy(np.float64)
        results: dict[str, list[float]] = {"sum": [], "pairs": [], "live": []}
        for draw in range(draws):
            known = np.random.default_rng([draw, 200]).permutation(len(codes))[:200]
            fit = fit_blocks(blocks, codes[known], values[known])
            results["sum"].append(rho(fit.model(picked), values))
            results["pairs"].append(rho(fit.predict(picked)[0], values))
            fit = fit_blocks(blocks, codes[known], values[known], beside=beside[known])
            results["live"].append(rho(fit.predict(picked, beside=beside)[0], values))
        print(
            f"| {device} | {rho(macs, values):.3f} | " + " | ".join(spread(r) for r in results.values()) + " |",
            flush=True,
        )
    print("\n## Latency on this machine, from measured blocks\n\n```")
    for space in (macro(), mobilenet(input_shape=(3, 32, 32))):
        start = time.perf_counter()
        print(
            f"{space.name}: {measure_latency(space, held_out=50).report()} ({time.perf_counter() - start:.0f} s)",
            flush=True,
        )
    print("```\n")


def exactness(draws: int, seeds: int) -> None:
    """Fronts of large spaces, programmes with certificates, and the front of the OFA surrogate."""
    print("## Exact fronts\n")
    fronts()
    space = ofa_space()
    blocks, codes = blocks_of(space), space.sample(300, np.random.default_rng(0))
    model = fit_blocks(blocks, codes, -accuracy(codes)).model
    cost = additive_latency(space)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        picked, values = front([model, cost])
        times.append(time.perf_counter() - start)
    agreed, asked = 0, np.linspace(values[:, 1].min(), values[:, 1].max(), 20)
    for budget in asked:
        best = solve(model, [Limit("latency_ms", cost, high=float(budget))])
        agreed += bool(np.isclose(best.value, values[values[:, 1] <= budget, 0].min(), rtol=1e-9, atol=1e-9))
    largest = space.check(space.n_options[None] - 1)
    networks = float(np.prod([float(n) for n in blocks.sizes]))
    print(f"\nOnce-for-All surrogate, {networks:.1e} networks; accuracy fitted to 300, latency from the phone's table.")
    print(f"{len(picked)} networks on the front, {1000 * statistics.median(times):.0f} ms (median of 20).")
    print(f"HiGHS agrees at {agreed} of 20 budgets.")
    print(
        f"The best of these by the surrogate has {accuracy(blocks.codes(picked)).max():.2f} %; the largest network has "
        f"{accuracy(largest)[0]:.2f} % at {latency_ms(largest)[0]:.0f} ms.\n"
    )
    programmes(8)
    print()


def dna(draws: int, seeds: int) -> None:
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
    _prefixes()


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


def _prefixes(repeats: int = 3) -> None:
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
    print()


def _one_by_one(net: Supernet, taken: Codes, x: torch.Tensor, error: Callable[[torch.Tensor], float]) -> Floats:
    found = []
    with torch.no_grad(), rating(net):
        for path in taken:
            pair = recalibrated(net.before, (x, x))
            for j, alternative in enumerate(path):
                pair = recalibrated(net.module(j, int(alternative)), pair)
            found.append(error(finished(net.ending(pair[1]), pair)))
    return np.array(found)


def search(draws: int, seeds: int) -> None:
    """Searches of NAS-Bench-Macro, looked up."""
    searches(seeds)
    print()


PARTS: Mapping[str, Callable[[int, int], None]] = {
    "formula": formula, "mathnas": mathnas, "latency": latency, "front": exactness, "dna": dna, "search": search,
}  # fmt: skip


def rho(a: Any, b: Any) -> float:
    """Spearman's."""
    return float(spearmanr(a, b)[0])


def spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=50)
    given = parser.parse_args()
    print(f"# Blocks\n\n{describe()}, one thread.\n")
    for name in given.parts.split(","):
        PARTS[name](given.draws, given.seeds)
