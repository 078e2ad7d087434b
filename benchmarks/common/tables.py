"""The published tables and images that benchmarks measure against, and scores that are computed once and kept.

They are looked for under $SEARCHKIT_DATA, then in ``../shared/data``; a benchmark says so and ends where they are not.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from searchkit.benchmarks import load
from searchkit.benchmarks.tables import CELLS, LAYERS, read_cells, read_layers
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.scoring.registry import AnyProxy
from searchkit.scoring.scorer import Scorer
from searchkit.space import NetworkSpace, keys
from searchkit.spaces.macro import macro
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.types import Codes, Floats

DATA = Path(os.environ.get("SEARCHKIT_DATA") or Path(__file__).parents[3] / "shared" / "data")
CACHE = Path(os.environ.get("SEARCHKIT_CACHE") or Path.home() / ".cache" / "searchkit-benchmarks")


@dataclass(frozen=True)
class Table:
    """Distinct networks of a space and what is published of them.

    Attributes:
        title: the space, what makes networks distinct, and what the accuracies are.
        codes: ``(n, d)`` canonical.
        test, validation: ``(n,)`` accuracies in percent, means over the published seeds.
        index: ``(n,)`` of the row in the published table.
    """

    title: str
    space: NetworkSpace
    codes: Codes
    test: Floats
    validation: Floats
    index: Codes

    def sample(self, n: int) -> Table:
        """The first n of one fixed random order; all where there are fewer."""
        rows = np.random.default_rng(0).permutation(len(self.codes))[:n]
        return Table(self.title, self.space, self.codes[rows], self.test[rows], self.validation[rows], self.index[rows])


def table(path: str) -> Path:
    """A file of the shared data."""
    if not (DATA / path).exists():
        sys.exit(f"{path} is not under {DATA}; set SEARCHKIT_DATA to the folder that has it")
    return DATA / path


def cells(*, unique: bool = True) -> Table:
    """NAS-Bench-201: one row per isomorphism class of the published table (6,466), or every row (15,625)."""
    table(CELLS)
    rows = read_cells(DATA)
    rows = rows.drop_duplicates("unique_str_group") if unique else rows
    return Table(
        "NAS-Bench-201, unique cells, CIFAR-10 test accuracy, 200 epochs, mean of the published seeds",
        nas_bench_201(),
        nas_bench_201().check(digits(rows["ops"])),
        rows["cifar10_test200"].to_numpy(np.float64),
        rows["cifar10valid_val200_mean"].to_numpy(np.float64),
        rows["arch_index"].to_numpy(np.int64),
    )


def layers() -> Table:
    """NAS-Bench-Macro: the distinct networks (3,969); it has test accuracies only."""
    table(LAYERS)
    written = read_layers(DATA)[0]
    codes, first = np.unique(macro().check(written), axis=0, return_index=True)
    accuracy = load("nas-bench-macro", folder=DATA).test(codes)
    title = "NAS-Bench-Macro, unique networks, CIFAR-10 test accuracy, mean of three seeds"
    return Table(title, macro(), codes, accuracy, accuracy, first)


def images() -> Data:
    """12,000 + 3,000 CIFAR-10 images."""
    with np.load(table("images/cifar10_subset.npz")) as held:
        pairs = ((held["x_train"], held["y_train"]), (held["x_test"], held["y_test"]))
    return load_data(pairs, seed=0, augment="crop-flip", name="cifar10-subset")


def scored(
    space: NetworkSpace, codes: Codes, proxies: Sequence[str | AnyProxy], data: Data, name: str | None = None
) -> tuple[tuple[str, ...], Floats]:
    """Names and ``(n, p)`` scores, each made once and kept in :data:`CACHE`; a run that was stopped goes on.

    Args:
        name: of the file that they are kept in; that of the space where not given. Proxies with other settings than
            the default ones need one of their own.
    """
    path = CACHE / f"{name or space.name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    start, done = time.perf_counter(), 0
    with path.open("a") as file:

        def keep(code: Codes, found: Mapping[str, float]) -> None:
            nonlocal done
            file.write(json.dumps({"code": code.tolist(), "scores": dict(found)}) + "\n")
            file.flush()
            done += 1
            if done % 100 == 0:
                rate = (time.perf_counter() - start) / done
                print(f"{space.name}: {done} scores made, {rate:.2f} s each", file=sys.stderr)

        scorer = Scorer(space, proxies, data, on_scored=keep)
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            scorer.cache.setdefault(keys(np.array([entry["code"]]))[0], {}).update(entry["scores"])
        return scorer.names, scorer(codes)


def digits(column: pd.Series[str]) -> Codes:
    """``(n, d)`` option indices of architectures that are written as digits."""
    return np.array([[int(digit) for digit in row] for row in column], dtype=np.int64)
