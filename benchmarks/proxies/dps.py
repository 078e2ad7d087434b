"""What the search for an Eproxy setting gains from twenty labelled networks, on others.

    python -m benchmarks.proxies.dps [--draws 5] [--evaluations 100] [--others 500] [--spaces cells layers]

NAS-Bench-201 and NAS-Bench-Macro, CIFAR-10 images and test accuracy. Params and MACs of the same other networks stand
beside, what the best of the settings found says alone, on a hundred of them, and what the first one does. What was
tried and scored is kept in ``$SEARCHKIT_CACHE``, and a stopped run goes on; seconds are those of this run, of a process
with one thread.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.common.machine import describe
from benchmarks.common.tables import CACHE, Table, cells, images, layers, scored
from searchkit.costs.counts import space_counts
from searchkit.data.data import Data
from searchkit.proxies.dps import DPS
from searchkit.proxies.eproxy import Eproxy
from searchkit.proxies.eproxy_mean import EproxyMean
from searchkit.runtime.fingerprint import fingerprint
from searchkit.types import Floats

LABELS = 20
N_FEW = 100  # of the other networks, which single settings score
SPACES: dict[str, Callable[[], Table]] = {"cells": cells, "layers": layers}
HEAD = (
    "| draw | params | MACs | Eproxy, default setting | the best of DPS alone | with DPS | believed | scores made | "
    "CPU seconds of DPS |"
)
LINE = "|---|---|---|---|---|---|---|---|---|"


def draw(found: Table, data: Data, seed: int, n_evaluations: int, n_others: int) -> tuple[Floats, DPS, float]:
    """Rho with test accuracy of params, MACs, the default setting and the found one, on networks without a label."""
    order = np.random.default_rng(seed).permutation(len(found.codes))
    known, others = order[:LABELS], order[LABELS : LABELS + n_others]
    path = CACHE / f"dps-{found.space.name}-{seed}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    population = min(20, max(4, n_evaluations // 3))
    start = time.process_time()
    search = DPS(
        found.space, data, seed=seed, population=population, tournament=max(2, population // 4),
        n_evaluations=n_evaluations, path=path,
    ).fit(found.codes[known], found.test[known])  # fmt: skip
    seconds = time.process_time() - start
    counts = space_counts(found.space, found.codes[others])
    columns = [counts["params"], counts["macs"]]
    singles = (Eproxy(), search.members[0])
    columns += [of_proxy(found, one, found.codes[others[:N_FEW]], data) for one in singles]
    columns += [of_proxy(found, search.proxy, found.codes[others], data)]
    return np.array([rho(column, found.test[others[: len(column)]]) for column in columns]), search, seconds


def of_proxy(
    found: Table, proxy: Eproxy | EproxyMean, codes: np.ndarray[tuple[int, ...], np.dtype[np.int64]], data: Data
) -> Floats:
    """``(n,)`` scores, kept in a file of the proxy's own."""
    return scored(found.space, codes, [proxy], data, name=f"{found.space.name}-eproxy-{fingerprint(proxy)}")[1][:, 0]


def rho(a: Floats, b: Floats) -> float:
    """Spearman's; what has no score counts as the worst."""
    return float(spearmanr(np.nan_to_num(a, nan=-1e9), b).statistic)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--others", type=int, default=500)
    parser.add_argument("--spaces", nargs="+", choices=list(SPACES), default=list(SPACES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"{describe()}. {LABELS} labels a draw, {given.evaluations} settings, {given.others} other networks.")
    for table in (SPACES[name]() for name in given.spaces):
        print(f"\n{table.title}.\n\n{HEAD}\n{LINE}")
        results = []
        for seed in range(given.draws):
            values, search, seconds = draw(table, images(), seed, given.evaluations, given.others)
            results.append(values)
            assert search.verdict is not None
            row = [f"{value:.3f}" for value in values]
            believed = "yes" if search.verdict.believed else "no"
            print(f"| {seed} | {' | '.join(row)} | {believed} | {search.n_scored} | {seconds:.0f} |", flush=True)
            print(f"<!-- {search.verdict} {search.best} -->", flush=True)
        print(f"| mean | {' | '.join(f'{value:.3f}' for value in np.mean(results, axis=0))} | | | |")
