"""MathNAS: the authors' block table, and block values learned from a few labels."""

from __future__ import annotations

import statistics
import time

import numpy as np
import pandas as pd

from benchmarks.common.correlation import rho, spread
from benchmarks.common.tables import cells, digits, table
from searchkit.blocks.additive import blocks_of, read_additive
from searchkit.blocks.fit import fit_blocks
from searchkit.costs.counts import space_counts
from searchkit.proxies.mathnas import MathNAS
from searchkit.space import NetworkSpace
from searchkit.spaces.macro import macro
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.types import Codes, Floats


def formula() -> None:
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
    print(f"| all | {len(codes):,} | {rho(summed, validation):.3f} |")


def mathnas(draws: int) -> None:
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


def _cells() -> tuple[str, NetworkSpace, Codes, Floats, tuple[int, ...]]:
    found = cells(unique=False)
    return "NAS-Bench-201", found.space, found.codes, found.test, (156, 300)


def _layers() -> tuple[str, NetworkSpace, Codes, Floats, tuple[int, ...]]:
    rows = pd.read_csv(table("nasbench_macro/nasbench_macro_cifar10.csv.gz"), dtype={"arch": str})
    codes = macro().check(digits(rows["arch"]))
    return "NAS-Bench-Macro", macro(), codes, rows["mean_acc"].to_numpy(np.float64), (50, 65, 327)


def _coverage(space: NetworkSpace, codes: Codes, values: Floats, known: Codes, rest: Codes) -> float:
    """Share of other networks' accuracies within their 90 % intervals."""
    low, high = MathNAS(space).fit(codes[known], values[known]).interval(codes[rest], 0.9)
    return float(np.mean((low <= values[rest]) & (values[rest] <= high)))
