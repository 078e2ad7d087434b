"""The exact front of accuracy and latency in the Once-for-All surrogate, beside a solver's answers."""

from __future__ import annotations

import statistics
import time

import numpy as np

from benchmarks.common.ofa import accuracy, additive_latency, latency_ms, ofa_space
from searchkit.blocks.additive import blocks_of
from searchkit.blocks.exact import front
from searchkit.blocks.fit import fit_blocks
from searchkit.blocks.solve import Limit, solve


def once_for_all() -> None:
    """Print how many networks the front has, how long it takes, and whether a solver agrees."""
    space = ofa_space()
    blocks, codes = blocks_of(space), space.sample(300, np.random.default_rng(0))
    model = fit_blocks(blocks, codes, -accuracy(codes)).model
    cost = additive_latency(space)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        picked, values = front([model, cost])
        times.append(time.perf_counter() - start)
    agreed, asked = 0, np.linspace(values[:, 1].min(), values[:, 1].max(), 20)
    for budget in asked:
        best = solve(model, [Limit("latency_ms", cost, high=float(budget))])
        agreed += bool(np.isclose(best.value, values[values[:, 1] <= budget, 0].min(), rtol=1e-9, atol=1e-9))
    largest = space.check(space.n_options[None] - 1)
    networks = float(np.prod([float(n) for n in blocks.sizes]))
    print(f"\nOnce-for-All surrogate, {networks:.1e} networks; accuracy fitted to 300, latency from the phone's table.")
    print(f"{len(picked)} networks on the front, {1000 * statistics.median(times):.0f} ms (median of 20).")
    print(f"HiGHS agrees at {agreed} of 20 budgets.")
    print(
        f"The best of these by the surrogate has {accuracy(blocks.codes(picked)).max():.2f} %; the largest network has "
        f"{accuracy(largest)[0]:.2f} % at {latency_ms(largest)[0]:.0f} ms.\n"
    )
