"""Latency as a sum over blocks: published ones from a few labels, this machine's from measured blocks."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import torch

from benchmarks.common.correlation import rho, spread
from benchmarks.common.tables import cells, digits, table
from searchkit.blocks.additive import blocks_of
from searchkit.blocks.fit import fit_blocks
from searchkit.blocks.latency_tables import measure_latency
from searchkit.costs.counts import space_counts
from searchkit.plugins import load_space
from searchkit.space import NetworkSpace
from searchkit.spaces.cell_form import live_edges
from searchkit.spaces.macro import macro
from searchkit.spaces.mobilenet import mobilenet


def published_latency(draws: int) -> None:
    """Published latencies of NAS-Bench-201 from 200 labels."""
    found = cells(unique=False)
    rows = pd.read_csv(table("nasbench201/nb201_cifar10.csv.gz"), dtype={"ops": str})
    measured = pd.read_csv(table("nasbench201/nb201_latency_ms.csv.gz")).set_index("arch_index").loc[found.index]
    codes, blocks = digits(rows["ops"]), blocks_of(found.space)
    picked = blocks.choose(codes)
    alive = live_edges(codes)
    live = [alive[:, [j]] & (codes[:, [j]] == np.arange(5)) for j in range(codes.shape[1])]
    beside = np.concatenate([*live, alive.any(axis=1, keepdims=True)], axis=1).astype(np.float64)
    print("## Latency of NAS-Bench-201 on devices, from 200 labels\n")
    print(
        "The published networks were timed with their dead edges, so that codes are as written; beside the operation of"
    )
    print(
        "an edge stands whether a signal goes through it, and through the cell. Rho on all 15,625, mean (lowest) of "
        f"{draws} draws.\n"
    )
    print("| device | MACs | a sum of blocks | with pairs | and what carries a signal |\n|---|---|---|---|---|")
    macs = space_counts(found.space, codes)["macs"]
    for device in ("raspi4", "pixel3"):
        values = measured[device].to_numpy(np.float64)
        results: dict[str, list[float]] = {"sum": [], "pairs": [], "live": []}
        for draw in range(draws):
            known = np.random.default_rng([draw, 200]).permutation(len(codes))[:200]
            fit = fit_blocks(blocks, codes[known], values[known])
            results["sum"].append(rho(fit.model(picked), values))
            results["pairs"].append(rho(fit.predict(picked)[0], values))
            fit = fit_blocks(blocks, codes[known], values[known], beside=beside[known])
            results["live"].append(rho(fit.predict(picked, beside=beside)[0], values))
        print(
            f"| {device} | {rho(macs, values):.3f} | " + " | ".join(spread(r) for r in results.values()) + " |",
            flush=True,
        )
    print()


def _of_a_residual_network() -> NetworkSpace:
    """The space that is made of a residual network with 308,362 random weights."""
    residual = load_space("residual", input_shape=(3, 32, 32), n_classes=10)
    network = residual.build(residual.reference[-1]).eval()
    return NetworkSpace.from_model(network, torch.zeros(2, 3, 32, 32))


def measured_latency() -> None:
    """This machine's latencies from measured blocks."""
    print("## Latency on this machine, from measured blocks\n\n```")
    for space in (macro(), mobilenet(input_shape=(3, 32, 32)), _of_a_residual_network()):
        start = time.perf_counter()
        print(
            f"{space.name}: {measure_latency(space, held_out=50).report()} ({time.perf_counter() - start:.0f} s)",
            flush=True,
        )
    print("```")
