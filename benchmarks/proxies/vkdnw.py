"""What VKDNW says of accuracy beside params, layers and jacov, whether the layer is better with it, and its time.

    python -m benchmarks.proxies.vkdnw [--cells 200] [--layers 200] [--speed 10]

The partial correlation is that of ranks, after what the ranks of params and jacov explain; its interval is the middle
95 % of 2,000 resamples of the networks. In the layer a signal has a vote, which is the least for one that is not listed
there: the layer is measured with larger ones too. Scores are kept in ``$SEARCHKIT_CACHE``.
"""

from __future__ import annotations

import argparse
import time
from unittest import mock

import numpy as np
import torch
from scipy.stats import rankdata

from benchmarks.common.correlation import rho
from benchmarks.common.machine import describe
from benchmarks.common.tables import Table, cells, images, layers, scored
from benchmarks.proxies.layer import DRAWS, layer
from benchmarks.proxies.single import log_rank
from searchkit.data.data import Data
from searchkit.proxy_layer import votes
from searchkit.proxy_layer.setup import DEFAULT
from searchkit.scoring.scorer import Scorer
from searchkit.types import Floats

RESAMPLES = 2000
VOTES = (0.25, 0.5, 1.0)
TIMED = ("vkdnw", "jacov", "synflow")


def partial(a: Floats, b: Floats, given: Floats) -> float:
    """Correlation of the ranks of a and b ``(n,)`` without what the ranks of the columns given ``(n, p)`` explain."""
    known = np.column_stack([np.ones(len(a)), rankdata(given, axis=0)])
    rest = [r - known @ np.linalg.lstsq(known, r, rcond=None)[0] for r in (rankdata(a), rankdata(b))]
    return float(np.corrcoef(*rest)[0, 1])


def interval(a: Floats, b: Floats, given: Floats) -> tuple[float, float]:
    """The middle 95 % of the partial correlation over resamples of the networks."""
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, len(a), len(a)) for _ in range(RESAMPLES)]
    low, high = np.percentile([partial(a[some], b[some], given[some]) for some in rows], [2.5, 97.5])
    return float(low), float(high)


def table(found: Table, data: Data) -> None:
    """Correlations with accuracy, and the layer's, without labels."""
    names, scores = scored(found.space, found.codes, [*DEFAULT, "layers", "vkdnw"], data)
    column = dict(zip(names, scores.T, strict=True))
    entropy, accuracy = column["vkdnw"], found.test
    pair = np.column_stack([column["params"], column["jacov"]])
    print(f"\n## {found.title}\n\nN = {len(accuracy)}, {int(np.isfinite(entropy).sum())} of which have a score.\n")
    column = {name: np.nan_to_num(values, nan=-np.inf) for name, values in column.items()}
    mixes = {
        "vkdnw": column["vkdnw"], "layers": column["layers"], "layers + vkdnw": column["layers"] + column["vkdnw"],
        "params": column["params"], "macs": column["macs"], "jacov": column["jacov"],
        "params + jacov, log-rank": log_rank(pair),
        "params + jacov + vkdnw, log-rank": log_rank(np.column_stack([pair, column["vkdnw"]])),
    }  # fmt: skip
    print("| | rho with accuracy |\n|---|---|")
    for name, values in mixes.items():
        print(f"| {name} | {rho(values, accuracy):.3f} |")
    ok = np.isfinite(entropy) & np.isfinite(pair).all(axis=1)
    low, high = interval(entropy[ok], accuracy[ok], pair[ok])
    among = partial(entropy[ok], accuracy[ok], pair[ok])
    print(f"| vkdnw, given params and jacov (95 %) | {among:.3f} ({low:.3f} to {high:.3f}) |")
    several = [i for i, name in enumerate(names) if name not in ("layers", "vkdnw")]
    chosen = {"the layer, no labels": several, "the same with vkdnw": [*several, names.index("vkdnw")]}
    for title, columns in chosen.items():
        print(f"| {title} | {judged(found, names, scores, columns)} |")
    for vote in VOTES:
        with mock.patch.dict(votes.CORE, vkdnw=vote):
            told = judged(found, names, scores, chosen["the same with vkdnw"])
            print(f"| the same, its vote {vote} (jacov's 1) | {told} |")


def judged(found: Table, names: tuple[str, ...], scores: Floats, columns: list[int]) -> str:
    """Rho of the layer's judgement without labels: mean (lowest to highest) of the reference samples."""
    some = tuple(names[i] for i in columns)
    made = (layer(found, some, found.codes, scores[:, columns], seed) for seed in range(DRAWS))
    free = [rho(one.quality(found.codes), found.test) for one in made]
    return f"{np.mean(free):.4f} ({min(free):.3f} to {max(free):.3f})"


def speed(found: Table, data: Data) -> None:
    """Milliseconds of processor time a network, one proxy at a time, alternating on the same networks."""
    scorers = {name: Scorer(found.space, [name], data) for name in TIMED}
    taken: dict[str, list[float]] = {name: [] for name in TIMED}
    for i, code in enumerate(found.codes):
        for name, scorer in scorers.items():
            scorer.cache.clear()  # some unique cells of the table are one network here
            start = time.process_time()
            scorer(code[None])
            if i:  # the first has what happens once in a process
                taken[name].append(1000 * (time.process_time() - start))
    print(f"\n{found.space.name}, {len(found.codes) - 1} networks:\n")
    print("| proxy | ms of processor time a network | range |\n|---|---|---|")
    for name, times in taken.items():
        print(f"| {name} | {np.mean(times):.0f} | {min(times):.0f} to {max(times):.0f} |")


def main(n_cells: int, n_layers: int, n_speed: int) -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    data = images()
    print(f"# VKDNW\n\n{describe()}. One seed of weights, noise and batches; Spearman's rho.")
    for found, n in ((cells(), n_cells), (layers(), n_layers)):
        if n:
            table(found.sample(n), data)
        if n_speed:
            speed(found.sample(n_speed + 1), data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=200, help="networks of NAS-Bench-201; 0 for none")
    parser.add_argument("--layers", type=int, default=200, help="networks of NAS-Bench-Macro; 0 for none")
    parser.add_argument("--speed", type=int, default=10, help="networks of each that are timed; 0 for none")
    given = parser.parse_args()
    main(given.cells, given.layers, given.speed)
