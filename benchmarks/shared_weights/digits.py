"""Shared weights on scikit-learn's digits, beside networks of the default space that were trained for real."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.common.correlation import rho
from benchmarks.common.tables import CACHE, images, layers
from benchmarks.shared_weights.tables import partial
from searchkit import load_data, load_space
from searchkit.costs.counts import space_counts
from searchkit.data.data import Data
from searchkit.proxies.angle import Angle
from searchkit.proxies.fisher_rao import FisherRao
from searchkit.proxies.flatness import Flatness
from searchkit.scoring.scorer import Scorer
from searchkit.sharing import SharedWeights
from searchkit.sharing.starts import Given
from searchkit.space import NetworkSpace, distinct_rows
from searchkit.spaces.macro import macro
from searchkit.training.recipe import recipe_for
from searchkit.training.scores import answers
from searchkit.training.tasks.losses import plain_loss
from searchkit.training.train import build_seeded, score, train
from searchkit.types import Codes, Floats

NETWORKS = 60
EPOCHS = 30  # of the trainings for real
TRUTHS = 2  # seeds of these


def digits_table(seeds: int, epochs: float, policies: tuple[str, ...] = ("uniform",), share: str | None = None) -> None:
    """Rank correlations of shared weights with the validation losses of trained networks."""
    data = load_data("digits").without_test()
    space = load_space("residual").for_data(data.input_shape, data.output_shape)
    codes = _sampled(space)
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


def bounds_table(seeds: int, epochs: float) -> None:
    """Shared weights trained within a bound, and without, on the networks that keep it."""
    data = load_data("digits").without_test()
    space = load_space("residual").for_data(data.input_shape, data.output_shape)
    codes = _sampled(space)
    params = space_counts(space, codes)["params"]
    most = float(np.median(params))
    kept = codes[params <= most]
    truth = np.mean([_trained(space, codes, data, seed)[params <= most] for seed in range(TRUTHS)], axis=0)
    print(f"## Paths within a bound: digits, params of {most:,.0f} at most, {len(kept)} networks\n")
    print(f"rho of params among them: {rho(params[params <= most], truth):.3f}.\n")
    print("| seed | rho, trained without the bound | rho, trained within it |\n|---|---|---|")
    for seed in range(seeds):
        found = []
        for bounds in (None, {"params": most}):
            shared = SharedWeights(space, data, epochs=epochs, seed=seed, bounds=bounds).fit()
            scores = shared.score(kept)
            there = np.isfinite(scores)
            found.append(rho(scores[there], truth[there]))
        print(f"| {seed} | {found[0]:.3f} | {found[1]:.3f} |", flush=True)
    print()


def signals_table(seeds: int) -> None:
    """Signals on weights that are not fresh: of shared weights on NAS-Bench-Macro, and of networks of their own."""
    found = layers().sample(200)
    space, pictures = macro(width=8, resolution=16), images()
    print(f"## Signals of trained weights, {found.title}, N = {len(found.codes)}\n")
    print("Networks 8 channels wide on images of 16 pixels; shared weights of 20 epochs. Partial: given the loss.\n")
    print("| seed | signal | rho | partial rho |\n|---|---|---|---|")
    for seed in range(seeds):
        shared = SharedWeights(space, pictures, epochs=20, seed=seed).fit()
        loss = -shared.losses(found.codes)
        print(f"| {seed} | minus the loss | {rho(loss, found.test):.3f} | |", flush=True)
        short = SharedWeights(space, pictures, epochs=1, seed=seed).fit()
        for weights, proxies in ((shared, (Flatness(), Angle(), FisherRao())), (short, (FisherRao(),))):
            scorer = Scorer(space, proxies, pictures, weights=weights, warns=False)
            for name, column in zip(scorer.names, scorer(found.codes).T, strict=True):
                what = f"{name}, after one epoch" if weights is short else name
                kept = np.isfinite(column)
                values = column[kept], found.test[kept]
                print(f"| {seed} | {what} | {rho(*values):.3f} | {partial(*values, [loss[kept]]):.3f} |", flush=True)
    print()
    _own_weights()


def _own_weights(n: int = 30, epochs: int = 15) -> None:
    """Flatness of networks with the weights of their own trainings."""
    data = load_data("digits")
    space = load_space("residual").for_data(data.input_shape, data.output_shape)
    codes = distinct_rows(space.sample(n * 2, np.random.default_rng(0)))[:n]
    rows = []
    for code in codes:
        network = build_seeded(space, code, 0)
        train(network, data, recipe=recipe_for(data.kind, len(data.train), epochs), device="cpu")
        accuracies = [score(network, part, data, "cpu") for part in (data.train, data.val, data.test)]
        given = Given(network.state_dict(), str(code.tolist()))
        flat = Scorer(space, [Flatness()], data.without_test(), weights=given, warns=False)(code[None])[0, 0]
        rows.append((flat, accuracies[2] - accuracies[0], (accuracies[1] + accuracies[2]) / 2))
    flat, gap, tested = np.array(rows).T
    print(f"Flatness of {n} networks of the default space with their own weights, digits, {epochs} epochs:")
    print(f"rho with test minus train accuracy {rho(flat, gap):.3f}, with their accuracy {rho(flat, tested):.3f}.\n")


def finals_table(seeds: int, epochs: float) -> None:
    """What policies find at equal steps, trained in full: what is left, or the best of 200 random networks."""
    data = load_data("digits").without_test()
    space = load_space("residual").for_data(data.input_shape, data.output_shape)
    others = distinct_rows(space.sample(200, np.random.default_rng(1)))
    known = -np.mean([_trained(space, _sampled(space), data, seed) for seed in range(TRUTHS)], axis=0)
    print(f"## The networks that policies find on digits, {epochs:g} epochs each, trained in full ({EPOCHS} epochs)\n")
    print(f"Validation losses; {NETWORKS} random networks: median {np.median(known):.3f}, best {known.min():.3f}.\n")
    print("| policy | seed | network | loss | CPU minutes |\n|---|---|---|---|---|")
    for policy in ("uniform", "shrinking", "grouped"):
        for seed in range(seeds):
            began = time.process_time()
            shared = SharedWeights(space, data, epochs=epochs, seed=seed, policy=policy).fit()
            scores = np.nan_to_num(shared.score(others), nan=-np.inf)
            code = others[np.argmax(scores)] if shared.answer is None else shared.answer
            minutes = (time.process_time() - began) / 60
            loss = -_trained(space, code[None], data, 0)[0]
            print(f"| {policy} | {seed} | {' '.join(map(str, code))} | {loss:.3f} | {minutes:.1f} |", flush=True)
    print()


def _sampled(space: NetworkSpace) -> Codes:
    return distinct_rows(space.sample(NETWORKS * 2, np.random.default_rng(0)))[:NETWORKS]
