"""Shared weights on scikit-learn's digits, beside networks of the default space that were trained for real."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.common.correlation import rho
from benchmarks.common.tables import CACHE
from benchmarks.shared_weights.tables import partial
from searchkit import load_data, load_space
from searchkit.costs.counts import space_counts
from searchkit.data.data import Data
from searchkit.sharing import SharedWeights
from searchkit.space import NetworkSpace, distinct_rows
from searchkit.training.recipe import recipe_for
from searchkit.training.scores import answers
from searchkit.training.tasks.losses import plain_loss
from searchkit.training.train import build_seeded, train
from searchkit.types import Codes, Floats

NETWORKS = 60
EPOCHS = 30  # of the trainings for real
TRUTHS = 2  # seeds of these


def digits_table(seeds: int, epochs: float, policies: tuple[str, ...] = ("uniform",), share: str | None = None) -> None:
    """Rank correlations of shared weights with the validation losses of trained networks."""
    data = load_data("digits").without_test()
    space = load_space("residual").for_data(data.input_shape, data.output_shape)
    codes = distinct_rows(space.sample(NETWORKS * 2, np.random.default_rng(0)))[:NETWORKS]
    truths = [_trained(space, codes, data, seed) for seed in range(TRUTHS)]
    truth = np.mean(truths, axis=0)
    counts = space_counts(space, codes)
    print(f"## Shared weights on digits: {len(codes)} networks of the default space, {EPOCHS} epochs each\n")
    print(
        f"Truth: minus the validation loss, mean of {TRUTHS} trainings; rho between two of them {rho(*truths):.3f}.\n"
    )
    print("| | rho | partial rho given params and MACs | CPU minutes |\n|---|---|---|---|")
    for name in ("params", "macs"):
        print(f"| {name} | {rho(counts[name], truth):.3f} | | |")
    for policy in policies:
        found = []
        for seed in range(seeds):
            began = time.process_time()
            shared = SharedWeights(space, data, epochs=epochs, seed=seed, policy=policy, share=share).fit()
            scores = shared.score(codes)
            minutes = (time.process_time() - began) / 60
            kept = np.isfinite(scores)
            known = [counts["params"][kept], counts["macs"][kept]]
            found.append((rho(scores[kept], truth[kept]), partial(scores[kept], truth[kept], known)))
            print(f"| one-shot, {policy}, seed {seed} | **{found[-1][0]:.3f}** | {found[-1][1]:.3f} | {minutes:.1f} |")
        print(f"| mean | {statistics.mean(r for r, _ in found):.3f} | {statistics.mean(p for _, p in found):.3f} | |")
    print(flush=True)


def _trained(space: NetworkSpace, codes: Codes, data: Data, seed: int) -> Floats:
    """``(n,)`` minus the validation losses after trainings, kept in the cache."""
    path = Path(CACHE) / f"digits-truth-{EPOCHS}-{seed}.json"
    known: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    for code in codes:
        key = json.dumps(code.tolist())
        if key not in known:
            network = build_seeded(space, code, seed)
            train(network, data, recipe=recipe_for(data.kind, len(data.train), EPOCHS), seed=seed, device="cpu")
            losses = [
                (float(plain_loss(outputs, y, data.task)), len(y))
                for outputs, y in answers(network, data.val, data, next(network.parameters()).device)
            ]
            known[key] = -sum(loss * n for loss, n in losses) / sum(n for _, n in losses)
            path.write_text(json.dumps(known))
    return np.array([known[json.dumps(code.tolist())] for code in codes])
