"""What the proxy layer is worth: label-free, from a few labels, and in a search of twenty evaluations.

    python -m benchmarks.proxies.layer [--cells 1000] [--layers 600] [--seeds 50]

Scores are computed with searchkit's own proxies (networks at full width, CIFAR-10 images) and kept in
``$SEARCHKIT_CACHE``; accuracies are looked up. The search needs the scores of every network that it screens, half a
second each: give it an hour, or --seeds 0.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np

import searchkit
from benchmarks.common.correlation import rho
from benchmarks.common.machine import describe
from benchmarks.common.tables import Table, cells, images, layers, scored
from searchkit.problem.objectives import Goals, Objective
from searchkit.problem.observations import Observations
from searchkit.proxy_layer.aggregation import Reference
from searchkit.proxy_layer.setup import DEFAULT
from searchkit.proxy_layer.signals import N_REFERENCE, Signals
from searchkit.space import keys
from searchkit.types import Codes, Floats

GOALS = Goals((Objective("accuracy", "max"),), ())
LABELS = (25, 50, 100)
DRAWS = 20
OPTIMUM = 94.37


class Kept:
    """Scores that were computed before, as one proxy with several signals."""

    name = "kept"

    def __init__(self, names: tuple[str, ...], codes: Codes, scores: Floats) -> None:
        self.names = names
        self._known = dict(zip(keys(codes), scores, strict=True))

    def score(self, codes: Codes) -> Floats:
        """``(n, p)``."""
        return np.stack([self._known[key] for key in keys(codes)])


def correlations(found: Table, n: int) -> None:
    """Spearman's rho with test accuracy on n random distinct networks: each signal, mixes, the layer."""
    found = found.sample(n)
    codes, accuracy = found.codes, found.test
    names, scores = scored(found.space, codes, DEFAULT, images())
    quantiles = Reference(scores).quantiles(scores)

    def mixed(*signals: str) -> float:
        return rho(np.log(quantiles[:, [names.index(s) for s in signals]]).sum(axis=1), accuracy)

    four = ("az_expressivity", "az_progressivity", "az_trainability", "az_complexity")
    print(f"## {found.title}\n\nN = {len(codes):,} drawn at random, one seed of the proxies; Spearman's rho.\n")
    print("| signal | rho |\n|---|---|")
    for name, column in zip(names, quantiles.T, strict=True):
        print(f"| {name} | {rho(column, accuracy):.3f} |")
    print(f"| log-rank of AZ-NAS's four | {mixed(*four):.3f} |")
    print(f"| log-rank of params + jacov | {mixed('params', 'jacov'):.3f} |")
    print(f"| log-rank of all | {mixed(*names):.3f} |")
    free = [rho(layer(found, names, codes, scores, seed).quality(codes), accuracy) for seed in range(DRAWS)]
    print(f"| **the layer, no labels** | **{np.mean(free):.3f}** ({min(free):.3f} to {max(free):.3f}) |")
    for labels in LABELS:
        learned = [with_labels(found, names, codes, scores, accuracy, labels, seed) for seed in range(DRAWS)]
        told = f"{np.mean(learned):.3f}** ({min(learned):.3f} to {max(learned):.3f})"
        print(f"| **the layer, {labels} labels, on the rest** | **{told} |")
    print(f"\nThe layer: mean (lowest to highest) of {DRAWS} draws of labels and of the reference sample.\n")


def layer(found: Table, names: tuple[str, ...], codes: Codes, scores: Floats, seed: int) -> Signals:
    """The layer, with a reference sample drawn from these networks."""
    sample = codes[np.random.default_rng([seed, 1]).permutation(len(codes))[:N_REFERENCE]]
    return Signals(found.space, names, Kept(names, codes, scores).score, GOALS, reference=sample)


def with_labels(
    found: Table, names: tuple[str, ...], codes: Codes, scores: Floats, accuracy: Floats, n: int, seed: int
) -> float:
    """Rho on the networks that were not labelled."""
    order = np.random.default_rng([seed, 2]).permutation(len(codes))
    known, rest = order[:n], order[n:]
    signals = layer(found, names, codes, scores, seed)
    signals.observe(Observations(codes[known], -accuracy[known, None], np.empty((n, 0))))
    return rho(-signals.latent(codes[rest])[0][:, 0], accuracy[rest])


def search(found: Table, n_seeds: int) -> None:
    """Twenty evaluations: validation accuracy looked up, test accuracy of the best reported."""
    everything = found.space.enumerate()
    names, scores = scored(found.space, everything, DEFAULT, images())
    proxy = Kept(names, everything, scores)
    validation, test = ({} for _ in range(2))
    for accuracies, column in ((validation, found.validation), (test, found.test)):
        for key, value in zip(keys(found.codes), column, strict=True):
            accuracies.setdefault(key, []).append(value)

    def evaluate(choices: dict[str, Any]) -> dict[str, float]:
        return {"accuracy": float(np.mean(validation[keys(found.space.encode(choices))[0]]))}

    print(f"## NAS-Bench-201: searches of 20 evaluations, test accuracy of the best by validation, {n_seeds} seeds\n")
    print("| strategy | proxies | scored per evaluation | median | quartiles | worst | optimum found |")
    print("|---|---|---|---|---|---|---|")
    for strategy, proxies, screen in (
        ("random", (), None), ("bo", (), None), ("nsga2", (proxy,), 16), ("random", (proxy,), 64),
        ("nsga2", (proxy,), 64), ("bo", (proxy,), 64),
    ):  # fmt: skip
        best = []
        for seed in range(n_seeds):
            result = searchkit.run(
                strategy, space=found.space, evaluate=evaluate, objectives={"accuracy": "max"}, proxies=proxies,
                screen=screen, budget=20, batch=1, seed=seed, storage="memory", progress=False,
            )  # fmt: skip
            winner = max(result.trials, key=lambda trial: trial.values["accuracy"])
            best.append(float(np.mean(test[keys(winner.code[None])[0]])))
        low, middle, high = np.percentile(best, [25, 50, 75])
        hits = np.mean(np.array(best) >= OPTIMUM)
        with_proxies = "default" if proxies else "none"
        print(
            f"| {strategy} | {with_proxies} | {screen or '-'} | {middle:.2f} | {low:.2f} to {high:.2f} "
            f"| {min(best):.2f} | {hits:.0%} |"
        )


def main(n_cells: int, n_layers: int, n_seeds: int) -> None:
    """Print the tables."""
    warnings.simplefilter("ignore")  # of networks that a proxy cannot score; they count, as the worst
    print(f"# The proxy layer\n\n{describe()}. Signals computed, accuracies looked up.\n")
    print(f"Proxies: {', '.join(DEFAULT)}.\n")
    correlations(cells(), n_cells)
    correlations(layers(), n_layers)
    if n_seeds:
        search(cells(unique=False), n_seeds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--layers", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=50, help="of the searches; 0 for none")
    given = parser.parse_args()
    main(given.cells, given.layers, given.seeds)
