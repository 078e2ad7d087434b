"""Do label-free signals rank encoder-decoders on tasks of pixels, as Eproxy claims? Networks are trained to find out.

    python -m benchmarks.dense.signals [--networks 30] [--epochs 15] [--examples 1500]

Networks are drawn at random from the space ``encoder-decoder`` with encoders of 6 to 16 channels, and trained alike,
on segmentation of composed scenes (miou) and on taking noise from CIFAR-10 pictures (ssim). The tables have Spearman's
rho of each signal with the score, and the 90 % interval of 2,000 draws of the networks. Eproxy and jacov see no labels.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import searchkit
from benchmarks.common.correlation import rho
from benchmarks.common.machine import describe
from benchmarks.dense.scenes import composed, noisy
from searchkit.data.data import Data
from searchkit.training.recipe import recipe_for
from searchkit.training.train import build_seeded, train

SIGNALS = ("eproxy", "jacov", "naswot", "swap", "zico", "grad_norm", "synflow", "vkdnw", "params", "macs")
DRAWS = 2000
WIDTHS = (6, 8, 12, 16)


def interval(signal: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """The middle 90 % of rho over networks drawn with replacement."""
    rng = np.random.default_rng(0)
    found = [rho(signal[rows], scores[rows]) for rows in rng.integers(0, len(scores), (DRAWS, len(scores)))]
    low, high = np.nanquantile(found, (0.05, 0.95))
    return float(low), float(high)


def measured(data: Data, score: str, n: int, epochs: int, seed: int) -> None:
    """Train n networks on the data, and print how signals rank them."""
    space = searchkit.load_space("encoder-decoder", encoder_options={"width": WIDTHS}).for_data(
        data.input_shape, data.output_shape
    )
    codes = space.sample(n, np.random.default_rng(seed))
    recipe = recipe_for(data.kind, len(data.train), epochs, data.augment)
    scores, seconds = [], []
    for code in codes:
        trained = train(build_seeded(space, code, seed), data, recipe=recipe, seed=seed, device="cpu")
        scores.append(trained.scores[score])
        seconds.append(trained.seconds)
    began = time.process_time()
    table = searchkit.score(space, space.decode(codes), proxies=list(SIGNALS), data=data, seed=seed)
    took = time.process_time() - began
    true = np.array(scores)
    print(f"\n{data}, {score} of {n} networks from {true.min():.3f} to {true.max():.3f}, median {np.median(true):.3f};")
    print(
        f"{epochs} epochs, {np.mean(seconds):.0f} s a training on average; all signals of all networks {took:.0f} s\n"
    )
    print(f"| signal | rho with {score} | 90 % interval |\n|---|---|---|")
    rows = table.set_index(table.index)
    for name in SIGNALS:
        values = rows[name].to_numpy(dtype=float)
        low, high = interval(values, true)
        print(f"| {name} | {rho(values, true):.3f} | {low:.2f} to {high:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--examples", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(describe())
    for made, score, name in ((composed, "miou", "scenes"), (noisy, "ssim", "noise")):
        data = searchkit.load_data(made(options.examples), name=name)
        measured(data, score, options.networks, options.epochs, options.seed)


if __name__ == "__main__":
    main()
