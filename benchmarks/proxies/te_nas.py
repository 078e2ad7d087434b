"""TE-NAS's two signals and the sum of their ranks on NAS-Bench-201, beside params and MACs.

python -m benchmarks.proxies.te_nas
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.stats import rankdata

from benchmarks.common.correlation import rho
from benchmarks.common.machine import describe
from benchmarks.common.tables import cells, images
from searchkit.costs.counts import space_counts
from searchkit.proxies.te_nas import NTK, Regions
from searchkit.scoring.scorer import Scorer


def main(n: int, batch: int, draws: int) -> None:
    """Print the table."""
    print(describe(), "\n")
    found = cells().sample(n)
    print(
        f"## TE-NAS on {found.title}, N = {n}\n\nntk of {batch} images, {draws} draw(s) of the weights; full width.\n"
    )
    print("| | rho | CPU s a network |\n|---|---|---|")
    counts = space_counts(found.space, found.codes)
    for name in ("params", "macs"):
        print(f"| {name} | {rho(counts[name], found.test):.3f} | |")
    columns, kept = [], np.ones(n, dtype=bool)
    for proxy in (NTK(batch, draws), Regions()):
        began = time.process_time()
        column = Scorer(found.space, [proxy], images(), warns=False)(found.codes)[:, 0]
        seconds = (time.process_time() - began) / n
        there = np.isfinite(column)
        kept &= there
        columns.append(column)
        print(
            f"| {proxy.names[0]} ({there.sum()} scored) | {rho(column[there], found.test[there]):.3f} | {seconds:.2f} |"
        )
    both = sum(rankdata(column[kept]) for column in columns)
    print(f"| te_nas: the sum of their ranks | **{rho(both, found.test[kept]):.3f}** | |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.proxies.te_nas", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--draws", type=int, default=1)
    given = parser.parse_args()
    main(given.networks, given.batch, given.draws)
