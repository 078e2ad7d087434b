"""A trained network made cheaper by ``searchkit.compress``, beside pruning, narrowing, and random choices.

    python -m benchmarks.compression [--data cifar-10] [--passes 40] [--seeds 1] [--shares 0.15,0.8]
        [--bounds latency_ms=50%,params=30%] [--methods compress,random,pruned,narrowed,scratch,half]

The teacher is a residual network that is trained out here; it should beat its half-width self, distilled, by 1.5
points. All methods have the same bound on the same cost, and all but the last three the same fine-tuning: so many
passes, a share of the teacher's, with the teacher's answers. ``narrowed`` (the teacher's design, uniformly narrower,
distilled) and ``scratch`` (the chosen design with weights drawn anew) have the teacher's full schedule, as ``half``
has. ``pruned`` is structured magnitude pruning by torch-pruning (``pip install torch-pruning``): the best, on the
validation part, of local, global, and local rounded to 8 channels. ``random`` are draws of random alternatives under
the bound, with the same learned weights. Latencies are measured together (:mod:`searchkit.costs.together`).
"""

from __future__ import annotations

import argparse
import logging
import time
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from benchmarks.common.machine import describe
from benchmarks.compression.teacher import Benchmark, fine_tuning, teacher_arguments
from searchkit.blocks.additive import Additive, blocks_of
from searchkit.compressing import Compressed, compress
from searchkit.compressing.comparisons import drawn_anew
from searchkit.compression.assembly import choose
from searchkit.data.loading import load_data
from searchkit.training.normalised import normalised
from searchkit.training.recalibration import as_it_is
from searchkit.training.train import train

COLUMNS = ("bound", "method", "passes", "cost", "before", "validation", "test", "below the teacher", "CPU s")
DRAWS = 5


def by_compress(bench: Benchmark, name: str, bound: str, epochs: int, storage: str) -> tuple[list[Any], Compressed]:
    result = compress(
        bench.teacher, bench.data, constraints={name: bound}, epochs=epochs, seed=bench.seed, progress=False,
        storage=storage, name=f"{name}-{bound.strip('%')}-{epochs}",
    )  # fmt: skip
    row = result.front.iloc[0]
    share = row[name] / result.original[name]
    return [share, row.accuracy_before, row.accuracy, row.test_accuracy], result


def by_chance(bench: Benchmark, result: Compressed, epochs: int) -> list[list[Any]]:
    """Random qualities instead of learned ones, with the same learned weights."""
    rows = []
    space = result.network_space
    for draw in range(DRAWS):
        rng = np.random.default_rng([bench.seed, draw])
        quality = Additive(0.0, tuple(rng.random(size) for size in blocks_of(space).sizes))
        picked = choose(space, quality, result.costs).picked
        assert picked is not None
        network, before = as_it_is(space.build(blocks_of(space).codes(picked[None])[0]), bench.plain, "accuracy")
        rows.append([np.nan, before["accuracy"], *bench.tuned(network, fine_tuning(epochs))])
    return rows


def by_pruning(bench: Benchmark, name: str, bound: float, epochs: int) -> list[Any]:
    """The best of three ways to prune by magnitude, each to the bound; nothing where none of them keeps it."""
    best: list[Any] = []
    for kind in ({}, {"global_pruning": True}, {"round_to": 8}):
        network = _pruned(bench, name, bound, kind)
        if network is None:
            continue
        share = np.divide(*bench.cost(name, [network, bench.teacher]))
        network, before = as_it_is(network, bench.plain, "accuracy")
        row = [share, before["accuracy"], *bench.tuned(network, fine_tuning(epochs))]
        if not best or row[2] > best[2]:
            best = row
    return best


def _pruned(bench: Benchmark, name: str, bound: float, kind: dict[str, Any]) -> nn.Module | None:
    """The largest network by the ratio of pruning that keeps the bound; None where none does."""
    import torch_pruning

    low, high, kept = 0.0, 0.95, None
    for _ in range(7):
        ratio = (low + high) / 2
        network = _pruned_by(torch_pruning, bench, ratio, kind)
        if np.divide(*bench.cost(name, [network, bench.teacher])) <= bound:
            high, kept = ratio, network
        else:
            low = ratio
    return kept


def _pruned_by(library: Any, bench: Benchmark, ratio: float, kind: dict[str, Any]) -> nn.Module:
    import copy

    network = copy.deepcopy(bench.teacher)
    example = bench.data.train.x[:2].float()
    head = network.network.head  # type: ignore[union-attr]
    pruner = library.pruner.MagnitudePruner(
        network, example, importance=library.importance.MagnitudeImportance(p=2), pruning_ratio=ratio,
        ignored_layers=[head], **kind,
    )  # fmt: skip
    pruner.step()
    return network.eval()


def narrowed(bench: Benchmark, name: str, bound: float) -> list[Any]:
    """The widest teacher-like network within the bound, with the teacher's schedule and answers."""
    for width in range(bench.width, 1, -1):
        network = normalised(bench.network(width), bench.data)
        share = np.divide(*bench.cost(name, [network, bench.teacher]))
        if share <= bound:
            break
    recipe = replace(bench.schedule(), distillation=0.9, label_smoothing=0.0)
    return [share, np.nan, *bench.tuned(network, recipe)]


def scratch(bench: Benchmark, result: Compressed) -> list[Any]:
    """The chosen design with weights drawn anew, trained as the teacher was."""
    network = drawn_anew(result.network_space.build(result._winners[0].code), bench.seed)
    assert network is not None
    found = train(network, bench.plain, recipe=bench.schedule(), seed=bench.seed, device="cpu")
    return [np.nan, np.nan, found.accuracy, bench.tested(network)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    teacher_arguments(parser)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--bounds", default="latency_ms=50%,params=30%")
    parser.add_argument("--shares", default="0.15")
    parser.add_argument("--methods", default="compress,random,pruned,narrowed,scratch")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    methods = asked.methods.split(",")
    print(describe(), flush=True)
    data = load_data(asked.data, limit=asked.limit)
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        bench = Benchmark(data, asked.passes, seed, asked.width, asked.depth)
        print(f"\nteacher {seed}: {bench.test:.2%} on the test part, {bench.seconds:.0f} CPU s", flush=True)
        if "half" in methods:
            began = time.process_time()
            recipe = replace(bench.schedule(), distillation=0.9, label_smoothing=0.0)
            half = bench.tuned(normalised(bench.network(asked.width // 2), data), recipe)[1]
            print(f"its half-width self, distilled: {half:.2%}, {time.process_time() - began:.0f} CPU s", flush=True)
        print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
        for text in asked.bounds.split(","):
            name, bound = text.split("=")
            for share in map(float, asked.shares.split(",")):
                _bound(bench, name, bound, round(share * asked.passes), methods, f"{asked.storage}/{seed}")


def _bound(bench: Benchmark, name: str, bound: str, epochs: int, methods: list[str], storage: str) -> None:
    value = float(bound.strip("%")) / 100

    def told(method: str, passes: int, row: list[Any], seconds: float) -> None:
        cells = [f"{name} {bound}", method, str(passes)] + [f"{x:.2%}" if np.isfinite(x) else "" for x in row]
        print(f"| {' | '.join([*cells, f'{100 * (bench.test - row[-1]):.2f}', f'{seconds:.0f}'])} |", flush=True)

    began = time.process_time()

    def taken() -> float:
        nonlocal began
        before, began = began, time.process_time()
        return began - before

    row, result = by_compress(bench, name, bound, epochs, storage)
    told("compress", epochs, row, taken())
    if "random" in methods:
        for row in by_chance(bench, result, epochs):
            told("random", epochs, row, taken())
    if "pruned" in methods:
        found = by_pruning(bench, name, value, epochs)
        if found:
            told("pruned", epochs, found, taken())
        else:
            print(f"no pruned network kept {name} {bound}, {taken():.0f} CPU s", flush=True)
    if "narrowed" in methods:
        told("narrowed", bench.passes, narrowed(bench, name, value), taken())
    if "scratch" in methods:
        told("scratch", bench.passes, scratch(bench, result), taken())


if __name__ == "__main__":
    main()
