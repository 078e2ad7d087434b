"""What shared weights say of networks whose accuracies are published, and a search by them."""

from __future__ import annotations

import statistics
import time

import numpy as np
from scipy.stats import rankdata

import searchkit
from benchmarks.common.correlation import rho
from benchmarks.common.tables import images, layers
from searchkit.costs.counts import space_counts
from searchkit.sharing import SharedWeights
from searchkit.space import keys
from searchkit.spaces.macro import macro
from searchkit.types import Floats

WIDTH = 8  # channels of the stem; published: 32
SIDE = 16  # pixels to which images are resized
BEST = 10  # networks that stand for those of verify=


def macro_table(seeds: int, epochs: float, side: int, n: int, bounded: bool = False) -> None:
    """Rank correlations with the accuracies of NAS-Bench-Macro, beside counts."""
    found = layers().sample(n)
    counts = space_counts(found.space, found.codes)
    deep = (found.codes > 0).sum(axis=1)
    size = deep + 1.5 * (found.codes == 2).sum(axis=1)
    known = [counts["params"], counts["macs"], deep, size]
    print(f"## Shared weights on {found.title}, N = {len(found.codes):,}\n")
    print(
        f"Networks {WIDTH} channels wide (the table's have 32) on images of {side} pixels, 9,600 of CIFAR-10; "
        f"{epochs:g} epochs, one thread. Partial: given params, MACs, layers and layers + 1.5 per 6x5, by ranks.\n"
    )
    print("| | rho | partial rho | CPU minutes of training | CPU s a network |\n|---|---|---|---|---|")
    for name, values in zip(("params", "MACs", "layers", "layers + 1.5 per 6x5"), known, strict=True):
        print(f"| {name} | {rho(values, found.test):.3f} | | | |")
    reached = []
    for seed in range(seeds):
        shared = SharedWeights(_space(side), images(), epochs=epochs, seed=seed)
        began = time.process_time()
        shared.fit()
        minutes = (time.process_time() - began) / 60
        began = time.process_time()
        scores = shared.score(found.codes)
        each = (time.process_time() - began) / len(scores)
        reached.append((rho(scores, found.test), partial(scores, found.test, known)))
        print(
            f"| one-shot, seed {seed} | **{reached[-1][0]:.3f}** | {reached[-1][1]:.3f} | {minutes:.1f} | {each:.2f} |",
            flush=True,
        )
    print(f"| mean | {np.mean([r for r, _ in reached]):.3f} | {np.mean([p for _, p in reached]):.3f} | | |\n")
    print(
        "The fit of the last: " + "; ".join(_said(done.epoch, done.val_loss, done.agreement) for done in shared.curve)
    )
    print()


def search(seeds: int, epochs: float, side: int, evaluations: int, strategy: str) -> None:
    """A search of NAS-Bench-Macro by shared weights, and the table's accuracies of the best that it found."""
    found = layers()
    known = dict(zip(keys(found.codes), found.test.tolist(), strict=True))
    print(f"## A search by shared weights, {evaluations:,} candidates of NAS-Bench-Macro, strategy {strategy}\n")
    print(
        f"`searchkit.run('{strategy}', evaluation=SharedWeights(...), budget={evaluations})`; the {BEST} best stand "
        f"for those that `verify={BEST}` trains. The best of the table: {max(known.values()):.2f}.\n"
    )
    print(f"| seed | distinct candidates | CPU minutes | best of {BEST} | mean of {BEST} | first |")
    print("|---|---|---|---|---|---|")
    best = []
    for seed in range(seeds):
        began = time.process_time()
        shared = SharedWeights(_space(side), images(), epochs=epochs, seed=seed)
        result = searchkit.run(
            strategy, space=_space(side), data=images(), objectives=("accuracy",), evaluation=shared,
            budget=evaluations, seed=seed, storage="memory", proxies=(), progress=False,
        )  # fmt: skip
        minutes = (time.process_time() - began) / 60
        trials = sorted(result.trials, key=lambda trial: -trial.values["one-shot"])
        rows = {keys(trial.code[None])[0]: known[keys(trial.code[None])[0]] for trial in trials}
        top = list(rows.values())[:BEST]
        best.append(max(top))
        print(
            f"| {seed} | {len(rows):,} | {minutes:.1f} | **{max(top):.2f}** | {np.mean(top):.2f} | {top[0]:.2f} |",
            flush=True,
        )
    print(f"| median | | | {statistics.median(best):.2f} | | |\n")


def partial(scores: Floats, values: Floats, known: list[Floats]) -> float:
    """Spearman's partial correlation, given what is known."""
    given = np.column_stack([np.ones(len(scores)), *(rankdata(one) for one in known)])
    left = [rankdata(one) - given @ np.linalg.lstsq(given, rankdata(one), rcond=None)[0] for one in (scores, values)]
    return float(np.corrcoef(*left)[0, 1])


def _space(side: int) -> searchkit.NetworkSpace:
    return macro(width=WIDTH, resolution=None if side == 32 else side)


def _said(epoch: int, loss: float | None, agreement: float | None) -> str:
    order = "" if agreement is None else f", order as before {agreement:.2f}"
    return f"{epoch}: {'-' if loss is None else f'{loss:.3f}'}{order}"
