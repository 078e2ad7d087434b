"""The published tables and images that benchmarks measure against, and scores that are computed once and kept.

They are looked for under $SEARCHKIT_DATA, then in ``../shared/data``; a benchmark says so and ends where they are not.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from searchkit.data import Data, load_data
from searchkit.scoring import Scorer
from searchkit.space import Codes, Floats, NetworkSpace, keys
from searchkit.spaces.macro import macro
from searchkit.spaces.nas_bench_201 import nas_bench_201

DATA = Path(os.environ.get("SEARCHKIT_DATA") or Path(__file__).parents[2] / "shared" / "data")
CACHE = Path(os.environ.get("SEARCHKIT_CACHE") or Path.home() / ".cache" / "searchkit-benchmarks")


@dataclass(frozen=True)
class Table:
    """Distinct networks of a space and what is published of them.

    Attributes:
        codes: ``(n, d)`` canonical.
        test, validation: ``(n,)`` accuracies in percent, means over the published seeds (and over cells that the space
            takes for one network).
    """

    name: str
    space: NetworkSpace
    codes: Codes
    test: Floats
    validation: Floats


def table(path: str) -> Path:
    """A file of the shared data."""
    if not (DATA / path).exists():
        sys.exit(f"{path} is not under {DATA}; set SEARCHKIT_DATA to the folder that has it")
    return DATA / path


def cells() -> Table:
    """NAS-Bench-201, CIFAR-10: one row per isomorphism class of the table (9,445)."""
    rows = pd.read_csv(table("nasbench201/nb201_cifar10.csv.gz"), dtype={"ops": str})
    rows = rows[rows["cifar10_test200"].notna()].drop_duplicates("unique_str_group")
    space = nas_bench_201()
    return Table(
        "nas-bench-201", space, space.check(_digits(rows["ops"])), rows["cifar10_test200"].to_numpy(float),
        rows["cifar10valid_val200_mean"].to_numpy(float),
    )  # fmt: skip


def layers() -> Table:
    """NAS-Bench-Macro, CIFAR-10: one row per distinct network (3,969); it has test accuracies only."""
    rows = pd.read_csv(table("nasbench_macro/nasbench_macro_cifar10.csv.gz"), dtype={"arch": str})
    space = macro()
    codes, group = np.unique(space.check(_digits(rows["arch"])), axis=0, return_inverse=True)
    accuracy = np.bincount(group.ravel(), rows["mean_acc"].to_numpy(float)) / np.bincount(group.ravel())
    return Table("macro", space, codes, accuracy, accuracy)


def images() -> Data:
    """12,000 + 3,000 CIFAR-10 images."""
    found = np.load(table("images/cifar10_subset.npz"))
    pairs = ((found["x_train"], found["y_train"]), (found["x_test"], found["y_test"]))
    return load_data(pairs, seed=0, augment="crop-flip", name="cifar10-subset")


def scored(space: NetworkSpace, codes: Codes, proxies: tuple[str, ...], data: Data) -> tuple[tuple[str, ...], Floats]:
    """Names and ``(n, p)`` scores, computed once for each network and kept in :data:`CACHE`; resumed when killed."""
    scorer = Scorer(space, proxies, data, seed=0)
    described = f"{scorer.space.describe()}{scorer.names}{data.fingerprint}"
    path = CACHE / f"{space.name}-{hashlib.blake2b(described.encode(), digest_size=6).hexdigest()}.npz"
    if path.exists():
        with np.load(path) as kept:
            for key, row in zip(keys(kept["codes"]), kept["scores"].tolist(), strict=True):
                scorer.cache[key] = dict(zip(scorer.names, row, strict=True))
    wanted = [key not in scorer.cache for key in keys(codes)]
    missing = codes[np.array(wanted, dtype=bool)]
    start = time.perf_counter()
    for first in range(0, len(missing), 50):
        scorer(missing[first : first + 50])
        _keep(path, scorer)
        done = min(first + 50, len(missing))
        rate = (time.perf_counter() - start) / done
        print(f"{space.name}: {done} of {len(missing)} networks scored, {rate:.2f} s each", file=sys.stderr)
    return scorer.names, scorer(codes)


def _keep(path: Path, scorer: Scorer) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    codes = np.stack([np.frombuffer(key, dtype=np.int64) for key in scorer.cache])
    scores = np.array([[known[name] for name in scorer.names] for known in scorer.cache.values()])
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, codes=codes, scores=scores)
    partial.replace(path)


def _digits(column: pd.Series[str]) -> Codes:
    return np.array([[int(digit) for digit in row] for row in column], dtype=np.int64)
