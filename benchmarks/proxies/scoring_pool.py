"""Networks scored a second, in this process and in worker processes.

    python -m benchmarks.proxies.scoring_pool [--workers 2] [--repeats 9]

NAS-Bench-201 of one cell and widths 4 to 12 on digits. Both ways score the same networks in turn, each
process with one thread; the processes have begun before, and what that takes stands beside.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from benchmarks.common.machine import describe
from searchkit.plugins import load_space
from searchkit.scoring import pool as scoring_pool
from searchkit.scoring.scorer import Scorer
from searchkit.search.space_setup import space_and_data

CELLS = load_space("nas-bench-201", width=[4, 6, 8, 12], cells=1)
SETS = {("eproxy",): 16, ("jacov", "naswot", "az_nas"): 160}  # proxies -> networks


def main(workers: int, repeats: int) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    scoring_pool.PAYS = 0.0  # begin at once
    print(f"{describe()}; median (range) of {repeats} repeats.\n")
    print(
        f"| proxies | networks | this process: networks/s | {workers} processes: networks/s | times | ready after, s |"
    )
    print("|---|---|---|---|---|---|")
    for proxies, n in SETS.items():
        rows = [_row(proxies, n, workers) for _ in range(repeats)]
        here, there, ready = ([row[i] for row in rows] for i in range(3))
        ratios = [b / a for a, b in zip(here, there, strict=True)]
        cells = (_said(here, 1), _said(there, 1), _said(ratios, 2), _said(ready, 1))
        print(f"| {', '.join(proxies)} | {n} | {' | '.join(cells)} |")


def _row(proxies: tuple[str, ...], n: int, workers: int) -> tuple[float, float, float]:
    """Networks a second here and there, and the seconds from the first network in this process to the first there."""
    space, data = space_and_data(CELLS, None, 0)
    with Scorer(space, proxies, data.without_test()) as alone, Scorer(space, proxies, data, workers=workers) as pool:
        codes = np.unique(alone.space.sample(2 * n, np.random.default_rng(0)), axis=0)[: n + 2 * workers + 2]
        warm, codes = codes[n:], codes[:n]
        alone(warm[:2])
        pool(warm[:2])  # here, as yet
        start = time.perf_counter()
        pool(warm[2:3])
        ready = time.perf_counter() - start
        pool(warm[3:])  # the first in each process
        rates = [_networks_a_second(scorer, codes) for scorer in (alone, pool)]
    return rates[0], rates[1], ready


def _networks_a_second(scorer: Scorer, codes: np.ndarray) -> float:
    start = time.perf_counter()
    scorer(codes)
    return len(codes) / (time.perf_counter() - start)


def _said(values: list[float], digits: int) -> str:
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    main(given.workers, given.repeats)
