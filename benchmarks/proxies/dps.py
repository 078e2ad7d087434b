"""What the search for an Eproxy setting gains from twenty labelled cells, on others.

    python -m benchmarks.proxies.dps [--draws 5] [--evaluations 200] [--others 500]

NAS-Bench-201 at full width, CIFAR-10 images and test accuracy. Each setting that is tried trains up to twenty networks
for ten steps, a second or more each: the published 200 settings take an hour a draw. What was tried is kept in
``$SEARCHKIT_CACHE``, and a stopped run goes on.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from scipy.stats import spearmanr

from benchmarks.common.machine import describe
from benchmarks.common.tables import CACHE, Table, cells, images, scored
from searchkit.data.data import Data
from searchkit.proxies.dps import DPS
from searchkit.scoring.scorer import Scorer
from searchkit.types import Floats

LABELS = 20


def draw(found: Table, data: Data, seed: int, n_evaluations: int, n_others: int) -> tuple[float, float]:
    """Rho with test accuracy of the default setting and of the found one, on cells that were not labelled."""
    order = np.random.default_rng(seed).permutation(len(found.codes))
    known, others = order[:LABELS], order[LABELS : LABELS + n_others]
    path = CACHE / f"dps-{seed}-{n_evaluations}.jsonl"
    population = min(40, max(4, n_evaluations // 3))
    search = DPS(
        found.space, data, seed=seed, population=population, tournament=max(2, population // 4),
        n_evaluations=n_evaluations, path=path,
    ).fit(found.codes[known], found.test[known])  # fmt: skip
    _, default = scored(found.space, found.codes[others], ["eproxy"], data)
    tuned = Scorer(found.space, [search.proxy], data)(found.codes[others])
    return rho(default[:, 0], found.test[others]), rho(tuned[:, 0], found.test[others])


def rho(a: Floats, b: Floats) -> float:
    """Spearman's; what has no score counts as the worst."""
    return float(spearmanr(np.nan_to_num(a, nan=-1e9), b).statistic)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--others", type=int, default=500)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{describe()}. {LABELS} labelled cells, {given.evaluations} settings, {given.others} other unique cells.\n")
    print("| draw | Eproxy, default setting | with DPS |\n|---|---|---|")
    results = []
    for seed in range(given.draws):
        results.append(draw(cells().sample(1000), images(), seed, given.evaluations, given.others))
        print(f"| {seed} | {results[-1][0]:.3f} | {results[-1][1]:.3f} |", flush=True)
    default, tuned = np.mean(results, axis=0)
    print(f"| mean | {default:.3f} | {tuned:.3f} |")
