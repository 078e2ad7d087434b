"""How well sums over blocks tell what whole networks are worth and cost, and whether bounds hold on what is delivered.

    python -m benchmarks.compression.assemblies [--data cifar-10] [--passes 40] [--seed 0] [--networks 24] [--bounds 40]

A residual network is trained out. Then, with one library of learned alternatives:

1. random assemblies, of which each has its own share of originals: the rank correlation of the sum of qualities with
   the accuracy of the network as it is put together (divergences), and after half an epoch of fine-tuning (relative
   errors);
2. the latency of these by the sum over blocks, against that of the whole network, measured in turn with the original;
3. networks delivered under bounds on the latency, from 35 to 90 % of the original's, without fine-tuning: how many are
   within their bounds when they are measured again, in turn with the original, after all of them are made.
"""

from __future__ import annotations

import argparse
import logging
import time

import numpy as np
from scipy.stats import kendalltau, spearmanr
from torch import nn

from benchmarks.common.machine import describe
from benchmarks.compression.teacher import Benchmark, fine_tuning, teacher_arguments
from searchkit.blocks.additive import blocks_of
from searchkit.compressing import Compressed, compress
from searchkit.compression.assembly import additive
from searchkit.costs.together import latency_beside
from searchkit.data.loading import load_data
from searchkit.training.recalibration import as_it_is
from searchkit.types import Codes

LEAST, MOST = 0.35, 0.9  # shares of the latency


def delivered(bench: Benchmark, share: float, storage: str) -> Compressed:
    """Under a bound on the latency, as it is put together."""
    return compress(
        bench.teacher, bench.data, constraints={"latency_ms": f"{100 * share:.1f}%"}, epochs=0, seed=bench.seed,
        storage=storage, name=f"{round(1000 * share)}", progress=False,
    )  # fmt: skip


def random_assemblies(result: Compressed, n: int, seed: int) -> Codes:
    """``(n, d)`` candidates, the i-th with about a share (i + 1) / n of its blocks replaced by random alternatives."""
    rng = np.random.default_rng(seed)
    codes = result.network_space.sample(n, rng)
    replaced = rng.random(codes.shape) < (np.arange(n)[:, None] + 1) / n
    return np.where(replaced, codes, 0)


def sums(bench: Benchmark, result: Compressed, n: int) -> None:
    """Parts 1 and 2."""
    space, codes = result.network_space, random_assemblies(result, n, bench.seed)
    picked = blocks_of(space).choose(codes)
    cost = next(cost for cost in result.costs if cost.name == "latency_ms")
    predicted = cost.total(space)(picked)
    columns: dict[str, list[float]] = {"as it is": [], "half an epoch": [], "latency": []}
    for code in codes:
        network, before = as_it_is(space.build(code), bench.plain, "accuracy")
        columns["latency"].append(
            latency_beside(network, bench.teacher, cost.own, space.input_shape).median_ms if code.any() else cost.own
        )
        columns["as it is"].append(before["accuracy"])
        steps = len(bench.data.train) // 32 // 2
        columns["half an epoch"].append(bench.tuned(network, fine_tuning(1, steps))[0])
    for name, values in (("as it is", result.library.divergences), ("half an epoch", result.library.errors)):
        quality = additive(space, values)(picked)
        for other in ("as it is", "half an epoch"):
            rho, tau = spearmanr(-quality, columns[other])[0], kendalltau(-quality, columns[other])[0]
            print(f"quality for {name!r}, accuracy of {other!r}: rho {rho:.3f}, tau {tau:.3f}", flush=True)
    off = np.abs(predicted / np.array(columns["latency"]) - 1)
    print(f"latency by the sum is off by {off.mean():.2%} on average, {off.max():.2%} at most, {len(off)} networks")


def bounds(bench: Benchmark, n: int, storage: str) -> None:
    """Part 3."""
    made: list[tuple[float, float, nn.Module]] = []
    for share in np.linspace(LEAST, MOST, n):
        began = time.perf_counter()
        result = delivered(bench, float(share), storage)
        found = result.delivered
        if not len(found):
            print(f"no network within {share:.1%}", flush=True)
            continue
        said = float(found.iloc[0].latency_ms) / result.original["latency_ms"]
        made.append((float(share), said, result.build(0)))
        print(f"{share:.1%}: {said:.1%} in the search, {time.perf_counter() - began:.0f} s", flush=True)
    shape, inside, used = bench.data.input_shape, 0, []
    for share, said, network in made:
        again = latency_beside(network, bench.teacher, 1.0, shape).median_ms
        inside += again <= share
        used.append(again / share)
        if again > share:
            print(f"outside: asked {share:.1%}, said {said:.1%}, measured again {again:.1%}", flush=True)
    print(f"{inside} of {len(made)} within their bounds ({n} asked); {np.mean(used):.1%} of the bound used on average")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    teacher_arguments(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--networks", type=int, default=24)
    parser.add_argument("--bounds", type=int, default=40)
    asked = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    print(describe(), flush=True)
    data = load_data(asked.data, limit=asked.limit)
    bench = Benchmark(data, asked.passes, asked.seed, asked.width, asked.depth)
    print(f"teacher: {bench.test:.2%} on the test part, {bench.seconds:.0f} CPU s", flush=True)
    storage = f"{asked.storage}/assemblies-{asked.seed}"
    sums(bench, delivered(bench, 0.5, storage), asked.networks)
    bounds(bench, asked.bounds, storage)


if __name__ == "__main__":
    main()
