"""Block values of ordered choices, beside options taken one by one and a ridge; and what 90 % intervals hold."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd

from benchmarks.common.correlation import rho, spread
from benchmarks.common.tables import cells, digits, table
from searchkit import Choice, Space
from searchkit.benchmarks import load
from searchkit.proxies.mathnas import MathNAS
from searchkit.spaces.macro import macro
from searchkit.types import Codes, Floats

LABELS = (25, 50, 100)
MADE = 4  # spaces of sizes that are drawn
MOST = 4000  # networks of a table that are ranked
NEW = 500  # networks whose values are looked for in their intervals
Values = tuple[str, Space, Codes, Floats]


def ordered(draws: int) -> None:
    """A row for each table and number of labels."""
    print("## Ordered choices and intervals\n")
    print(
        f"Rho on the other networks of a table ({MOST:,} of larger ones), mean (lowest) of {draws} draws of the labels."
    )
    print(
        "One by one: the same choices, not ordered. Held: share of 500 other networks inside their 90 % intervals, and"
    )
    print("the standard error of its mean. Width: median, in standard deviations of the table.\n")
    print("| table | labels | ridge on places | one by one | MathNAS | held | width |\n|---|---|---|---|---|---|---|")
    for title, space, codes, values in _tables():
        kept = np.random.default_rng(1).permutation(len(codes))[:MOST]
        for n in LABELS:
            print(f"| {title} | {n} | {_row(space, codes[kept], values[kept], n, draws)} |", flush=True)


def _row(space: Space, codes: Codes, values: Floats, n: int, draws: int) -> str:
    has_order = any(choice.ordered for choice in space.choices)
    ridge, single, own, held, widths = [], [], [], [], []
    for draw in range(draws):
        rows = np.random.default_rng([draw, n]).permutation(len(codes))
        known, rest = rows[:n], rows[n:]
        proxy = MathNAS(space).fit(codes[known], values[known])
        own.append(rho(proxy.score(codes[rest]), values[rest]))
        if has_order:
            bare = MathNAS(_one_by_one(space)).fit(codes[known], values[known])
            single.append(rho(bare.score(codes[rest]), values[rest]))
            ridge.append(rho(_ridge(codes[known], values[known], codes[rest]), values[rest]))
        new = rest[:NEW]
        low, high = proxy.interval(codes[new])
        held.append(float(np.mean((low <= values[new]) & (values[new] <= high))))
        widths.append(float(np.median(high - low) / values.std()))
    others = f"{spread(ridge)} | {spread(single)}" if has_order else "- | -"
    error = np.std(held) / np.sqrt(draws)
    return f"{others} | **{spread(own)}** | {np.mean(held):.1%} ± {error:.1%} | {np.mean(widths):.2f}"


def _one_by_one(space: Space) -> Space:
    """The same space, where no choice is ordered."""
    bare = copy.copy(space)
    bare.choices = tuple(Choice(choice.name, choice.options) for choice in space.choices)
    return bare


def _ridge(known: Codes, values: Floats, new: Codes, penalty: float = 1.0) -> Floats:
    """Least squares on the standardised option indices."""
    mean, std = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-9)
    x = (known - mean) / std
    slopes = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (values - values.mean()))
    predicted: Floats = (new - mean) / std @ slopes
    return predicted


def _tables() -> Iterator[Values]:
    for seed in range(MADE):
        yield _sizes(seed)
    yield from _transformers()
    benchmark = load("ofa-mobilenet")
    codes = benchmark.space.sample(MOST, np.random.default_rng(5))
    yield "Once-for-All, accuracy", benchmark.space, codes, benchmark.values(codes)["accuracy"]
    found = cells(unique=False)
    yield "NAS-Bench-201, CIFAR-10", found.space, found.codes, found.test
    rows = pd.read_csv(table("nasbench201/nb201_cifar100_val.csv.gz"), dtype={"ops": str})
    accuracy = rows["cifar100_val200_mean"].to_numpy(np.float64)
    yield "NAS-Bench-201, CIFAR-100", found.space, found.space.check(digits(rows["ops"])), accuracy
    rows = pd.read_csv(table("nasbench_macro/nasbench_macro_cifar10.csv.gz"), dtype={"arch": str})
    yield "NAS-Bench-Macro", macro(), macro().check(digits(rows["arch"])), rows["mean_acc"].to_numpy(np.float64)


def _sizes(seed: int) -> Values:
    """Five widths of eight steps: each saturates, of adjacent ones the narrower limits, and there is noise."""
    space = Space([Choice(f"width_{i}", range(8, 72, 8), ordered=True) for i in range(5)], name="sizes")
    rng, codes = np.random.default_rng([77, seed]), space.enumerate()
    share = (codes + 1) / 8
    values = 70 + sum(rng.uniform(1, 6) * (1 - np.exp(-rng.uniform(1, 5) * column)) for column in share.T)
    values = values + sum(rng.uniform(0, 4) * np.minimum(a, b) for a, b in pairwise(share.T))
    values = values + rng.uniform(0, 6) * share.min(axis=1)
    return f"made sizes {seed}", space, codes, values + 0.15 * values.std() * rng.normal(size=len(values))


def _transformers() -> Iterator[Values]:
    """HAT's transformers on each kind of hardware: ten features, of which the values that occur are options."""
    rows = pd.read_csv(table("latency_hat/hat_transformer_latency_ms.csv.gz"))
    rows = rows[rows["task"] == "wmt14ende"]
    for hardware, own in rows.groupby("hardware"):
        features = own.iloc[:, 2:12]
        features = features.loc[:, features.nunique() > 1]
        choices = [Choice(str(name), sorted(features[name].unique().tolist()), ordered=True) for name in features]
        codes = np.column_stack([np.searchsorted(c.options, features[c.name]) for c in choices])
        codes, first = np.unique(codes, axis=0, return_index=True)
        latency = (own["latency_mean_encoder"] + own["latency_mean_decoder"]).to_numpy(np.float64)[first]
        yield f"HAT, {hardware}", Space(choices, name="transformers"), codes, -latency
