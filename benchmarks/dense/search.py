"""A search for segmentation of composed scenes, beside random networks of the same space.

    python -m benchmarks.dense.search [--minutes 10] [--networks 9] [--epochs 15] [--examples 1500] [--seed 0]

The search has the given minutes on one core, final training of the winner among them; random networks are trained for
the given epochs, the same for all. All are scored on the test part.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import searchkit
from benchmarks.common.machine import describe
from benchmarks.dense.scenes import composed
from searchkit.training.recipe import recipe_for
from searchkit.training.train import build_seeded, score, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--networks", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--examples", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(describe())
    data = searchkit.load_data(composed(options.examples), name="scenes")
    print(data)
    began = time.perf_counter()
    result = searchkit.run(
        data=data, budget={"seconds": 60 * options.minutes}, seed=options.seed, storage="memory", progress=False
    )
    took = time.perf_counter() - began
    print(f"\nsearch of {took:.0f} s, {len(result.trials)} candidates, front:\n{result.front.to_string()}")
    space = searchkit.load_space("encoder-decoder").for_data(data.input_shape, data.output_shape)
    recipe = recipe_for(data.kind, len(data.train), options.epochs, data.augment)
    found, seconds = [], []
    for i, code in enumerate(space.sample(options.networks, np.random.default_rng(options.seed))):
        network = build_seeded(space, code, i)
        seconds.append(train(network, data, recipe=recipe, seed=i, device="cpu").seconds)
        found.append(score(network, data.test, data, "cpu"))
    print(f"\n{options.networks} random networks, {options.epochs} epochs, {np.mean(seconds):.0f} s each: test miou")
    print(f"{min(found):.3f} to {max(found):.3f}, median {np.median(found):.3f};", end=" ")
    print(f"delivered {result.front['test_miou'].max():.3f}")


if __name__ == "__main__":
    main()
