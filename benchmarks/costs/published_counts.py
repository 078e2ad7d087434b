"""Parameters and MACs against the published tables, on every network: NAS-Bench-Macro and NAS-Bench-201.

    python -m benchmarks.costs.published_counts

The tables are looked for under $SEARCHKIT_DATA, then in ``../shared/data``.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import pandas as pd

from benchmarks.common.machine import describe
from benchmarks.common.tables import digits, table
from searchkit.costs.counts import space_counts
from searchkit.spaces.macro import macro
from searchkit.spaces.nas_bench_201 import nas_bench_201, published_params
from searchkit.types import Floats


def main() -> None:
    """Print one row per published count, then the deviations."""
    cells = pd.read_csv(table("nasbench201/nb201_cifar10.csv.gz"), dtype={"ops": str})
    layers = pd.read_csv(table("nasbench_macro/nasbench_macro_cifar10.csv.gz"), dtype={"arch": str})
    counted = space_counts(macro(), digits(layers["arch"]))
    space, codes = nas_bench_201(), digits(cells["ops"])
    published = np.round(cells["cifar10valid_params_M"].to_numpy(np.float64) * 1e6)
    as_published = published_params(space, codes)
    print(f"{describe()}. Exact counts, one pass over every row.\n")
    print("| space | count | N | equal | deviating |\n|---|---|---|---|---|")
    _row("macro", "params", counted["params"] - layers["params"].to_numpy(np.float64))
    _row("macro", "MACs", counted["macs"] - layers["flops"].to_numpy(np.float64))
    _row("nas-bench-201", "params, every edge's convolution (published)", as_published - published)
    _row("nas-bench-201", "params, dead edges removed (built)", space_counts(space, codes)["params"] - published)
    for name, known, rows in (("macro", macro(), digits(layers["arch"])), ("nas-bench-201", space, codes)):
        print(f"\n{name}: {len(np.unique(known.check(rows), axis=0)):,} of {len(rows):,} networks are distinct.")
    print("\nDeviating rows of NAS-Bench-201, all whole convolutions (1x1: 28,000, 3x3: 243,040):\n")
    print("| published - counted | rows |\n|---|---|")
    for difference, n in sorted(Counter((published - as_published).tolist()).items()):
        if difference != 0:
            print(f"| {difference:+,.0f} | {n} |")


def _row(space: str, count: str, deviation: Floats) -> None:
    n_equal = int((deviation == 0).sum())
    print(f"| {space} | {count} | {len(deviation):,} | {n_equal:,} | {len(deviation) - n_equal:,} |")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    main()
