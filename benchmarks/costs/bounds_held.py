"""Whether networks that searches deliver under a latency bound are within it when they are measured again.

    python -m benchmarks.costs.bounds_held [--searches 12] [--budget 40] [--spaces residual,mobilenet,macro]

Each search looks for many parameters in little time (nothing is trained), so that its front leans on the bound, which
is a quantile of the latencies of random networks of the space. After each search the networks of its front are measured
again as they are delivered, with the normalisation of their inputs, one after another in random order: by the same
function, for five times as long.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import searchkit
from benchmarks.common.machine import describe
from searchkit.costs.latency import latency
from searchkit.space import NetworkSpace

SHAPE, CLASSES = (3, 32, 32), 10
LOOKED_AT = 12  # random networks of which the bound is a quantile
LONGER = 0.75  # seconds of the second measurement


def bound_of(space: NetworkSpace, share: float, rng: np.random.Generator) -> float:
    """The latency that a share of random networks keeps, in ms."""
    found = [latency(space.build(code).eval(), SHAPE).median_ms for code in space.sample(LOOKED_AT, rng)]
    return float(np.quantile(found, share))


def main() -> None:
    """Print how many networks of each space are within their bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=12, help="of each space")
    parser.add_argument("--budget", type=int, default=40)
    parser.add_argument("--spaces", default="residual,mobilenet,macro")
    given = parser.parse_args()
    print(describe(), end="\n\n")
    print("| space | searches | networks | within the bound again | by over 2 % outside | the largest | seconds |")
    print("|---|---|---|---|---|---|---|")
    data = searchkit.load_data("cifar-10", limit=200)
    for name in given.spaces.split(","):
        began, space = time.perf_counter(), searchkit.load_space(name, input_shape=SHAPE, n_classes=CLASSES)
        shares: list[float] = []
        for seed in range(given.searches):
            rng = np.random.default_rng([seed, 1])
            bound = bound_of(space, float(rng.uniform(0.2, 0.8)), rng)
            result = searchkit.run(
                "nsga2", space=space, data=data, objectives={"params": "max", "latency_ms": "min"}, seed=seed,
                constraints={"latency_ms": bound}, budget=given.budget, storage="memory", progress=False,
            )  # fmt: skip
            for number in rng.permutation(result.front.trial.to_numpy()):
                network = result.build(trial=int(number), trained=False)
                shares.append(latency(network, SHAPE, seconds=LONGER).median_ms / bound)
        found = np.array(shares)
        print(
            f"| {name} | {given.searches} | {len(found)} | {np.sum(found <= 1)} ({np.mean(found <= 1):.0%}) "
            f"| {np.sum(found > 1.02)} | {found.max() - 1:+.1%} | {time.perf_counter() - began:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
