"""Architecture by gradient on cells of NAS-Bench-201, with and without Beta-Decay, by the table's accuracies."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

import numpy as np

from benchmarks.common.tables import cells, images
from searchkit.proxies.gradient import Gradient, GradientSetting
from searchkit.proxies.mixed_network import MixedNetwork
from searchkit.space import keys
from searchkit.spaces.cell_form import OPERATIONS
from searchkit.spaces.nas_bench_201 import nas_bench_201

WIDTH, CELLS, SIDE = 4, 1, 16
SKIP = OPERATIONS.index("skip_connect")


def gradient(seeds: int, epochs: int) -> None:
    """The cell that is left, and the skip connections among the largest shares after every epoch."""
    table = cells(unique=False)
    known = dict(zip(keys(table.codes), table.test.tolist(), strict=True))
    print(f"## Architecture by gradient, NAS-Bench-201 {WIDTH} channels wide, {CELLS} cell a stage\n")
    print(
        f"CIFAR-10 images of {SIDE} pixels, {epochs} epochs. Test accuracy in the table of the cell with the largest "
        f"shares; the median cell has {statistics.median(known.values()):.1f}.\n"
    )
    print(
        "| Beta-Decay | seed | cell | its accuracy | skips, epoch by epoch | CPU minutes |\n|---|---|---|---|---|---|"
    )
    space = nas_bench_201(width=WIDTH, cells=CELLS, resolution=SIDE)
    for decay in (0.0, GradientSetting().beta_decay):
        for seed in range(seeds):
            skips: list[int] = []

            def count(epoch: int, network: MixedNetwork, skips: list[int] = skips) -> None:
                skips.append(int((network.best() == SKIP).sum()))

            began = time.process_time()
            setting = replace(GradientSetting(), epochs=epochs, beta_decay=decay)
            learned = Gradient(space, images(), setting=setting, seed=seed).fit(count)
            minutes = (time.process_time() - began) / 60
            code = learned.answer
            cell = "".join(map(str, np.ravel(code)))
            print(
                f"| {'with' if decay else 'without'} | {seed} | {cell} | **{known[keys(code[None])[0]]:.2f}** "
                f"| {' '.join(map(str, skips))} | {minutes:.1f} |",
                flush=True,
            )
    print()
