"""Latencies on a device that was not seen before, from 10 and 50 measurements, by those on other devices.

    python -m benchmarks.costs.new_device [--draws 10] [--devices raspi4,fpga] [--measured 10,50] [--table hat]

The published latencies of NAS-Bench-201 are eleven columns of eight devices: three devices are in both tables. Each
device is left out of all that is known in turn. With ``--table hat`` each kind of hardware of HAT's transformers is.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.common.correlation import rho, spread
from benchmarks.common.machine import describe
from benchmarks.common.tables import digits, table
from searchkit.spaces.cell_form import live_edges
from searchkit.surrogates.new_device import KnownDevices
from searchkit.types import Bools, Codes, Floats

TWICE = ("raspi4", "pixel3", "fpga")  # devices that both tables of NAS-Bench-201 have, with equal values
COMPONENTS = 6  # of the plain method
METHODS = ("chosen", "random rows", "plain")
TAUGHT = 300  # candidates that HAT's known devices are learned from


@dataclass(frozen=True)
class Case:
    """A device that is left out, and the others.

    Attributes:
        known: device -> ``(N,)``.
        features: ``(N, f)``.
        true: ``(N,)`` latencies on the device.
        there: ``(N,)`` which of them are published.
        weight: how many columns it stands for.
    """

    device: str
    known: dict[str, Floats]
    features: Floats
    true: Floats
    there: Bools
    weight: int


def cells() -> Iterator[Case]:
    """NAS-Bench-201's cells on each device."""
    rows = pd.read_csv(table("nasbench201/nb201_cifar10.csv.gz"), dtype={"ops": str}).set_index("arch_index")
    first = pd.read_csv(table("nasbench201/nb201_hw_cifar10.csv.gz")).set_index("arch_index").loc[rows.index]
    second = pd.read_csv(table("nasbench201/nb201_latency_ms.csv.gz")).set_index("arch_index").loc[rows.index]
    known = {
        name.removesuffix("_latency"): first[name].to_numpy(np.float64) for name in first if name.endswith("latency")
    }
    known |= {name: second[name].to_numpy(np.float64) for name in ("1080ti_1", "gold_6226")}
    codes = digits(rows["ops"])
    taken = codes[:, :, None] == np.arange(5)
    live = live_edges(codes)
    parts = [part.reshape(len(codes), -1) for part in (taken, taken & live[:, :, None])]
    counts = [part.reshape(len(codes), 6, 5).mean(axis=1) for part in parts]
    features = np.concatenate([*parts, *counts, live.any(axis=1, keepdims=True)], axis=1).astype(np.float64)
    for device, true in known.items():
        others = {name: values for name, values in known.items() if name != device}
        yield Case(device, others, features, true, np.isfinite(true), 2 if device in TWICE else 1)


def transformers() -> Iterator[Case]:
    """HAT's transformers on each kind of hardware; others were timed on other networks, so a regression stands in."""
    rows = pd.read_csv(table("latency_hat/hat_transformer_latency_ms.csv.gz"))
    rows = rows[rows["task"] == "wmt14ende"]
    names = [name for name in rows if name.startswith(("encoder", "decoder"))]
    rows = rows.assign(latency=rows["latency_mean_encoder"] + rows["latency_mean_decoder"])
    for device, group in rows.groupby("hardware"):
        features = group[names].to_numpy(np.float64)
        others = {}
        for name, known in rows[rows["hardware"] != device].groupby("hardware"):
            taught = known.iloc[:TAUGHT]
            regression = KnownDevices({}, features=np.concatenate([taught[names].to_numpy(np.float64), features]))
            others[str(name)] = regression.fit(np.arange(TAUGHT), taught["latency"]).predict()[0][TAUGHT:]
        true = group["latency"].to_numpy(np.float64)
        yield Case(str(device), others, features, true, np.isfinite(true), 1)


def plain(case: Case, rows: Codes) -> Floats:
    """Ridge regression on the first principal components of the known devices' logarithms."""
    logs = np.log(np.stack([values for values in case.known.values() if np.isfinite(values).all()], axis=1))
    logs = (logs - logs.mean(axis=0)) / logs.std(axis=0)
    left, values, _ = np.linalg.svd(logs, full_matrices=False)
    x = (left * values)[:, :COMPONENTS]
    y = np.log(case.true[rows])
    seen = x[rows] - x[rows].mean(axis=0)
    slopes = np.linalg.solve(seen.T @ seen + 0.1 * np.eye(x.shape[1]), seen.T @ (y - y.mean()))
    predicted: Floats = x @ slopes
    return predicted


def judged(case: Case, draws: int, sizes: list[int]) -> dict[str, dict[int, list[float]]]:
    """Name of a quantity -> number of measurements -> values of the draws."""
    devices = KnownDevices(case.known, features=case.features)
    found: dict[str, dict[int, list[float]]] = {}
    for draw in range(draws):
        random = np.random.default_rng([draw, 11]).permutation(np.flatnonzero(case.there))
        chosen = devices.choose(max(sizes), seed=draw, among=case.there)  # its first n are choose(n)
        for n in sizes:
            model = devices.fit(chosen[:n], case.true[chosen[:n]])
            predicted, error = model.predict()
            off = np.abs(predicted - case.true)[case.there]
            values = {
                "chosen": rho(predicted[case.there], case.true[case.there]),
                "random rows": rho(
                    devices.fit(random[:n], case.true[random[:n]]).predict()[0][case.there], case.true[case.there]
                ),
                "plain": rho(plain(case, random[:n])[case.there], case.true[case.there]),
                "expected": model.expected_rho,
                "error": float(np.median(off / case.true[case.there])),
                "expected error": model.expected_error,
                "within": float(np.mean(off < 1.96 * error[case.there])),
            }
            for name, value in values.items():
                found.setdefault(name, {}).setdefault(n, []).append(value)
    return found


def main(source: str, draws: int, devices: list[str], sizes: list[int]) -> None:
    """Print a row for every device and number of measurements, and means."""
    cases = transformers() if source == "hat" else cells()
    print(f"{describe()}. Rho on all candidates: mean (lowest) of {draws} draws.\n")
    print(
        f"| device left out | measured | {' | '.join(METHODS)} | expected rho | error | expected error | in 95 % |\n"
        + "|---" * (len(METHODS) + 6)
        + "|"
    )
    means: dict[tuple[str, int], list[float]] = {}
    weights: list[int] = []
    for case in cases:
        if devices and case.device not in devices:
            continue
        found = judged(case, draws, sizes)
        weights.append(case.weight)
        for n in sizes:
            shown = [spread(found[method][n]) for method in METHODS]
            shown += [f"{np.mean(found['expected'][n]):.3f}"]
            shown += [f"{100 * np.mean(found[name][n]):.1f} %" for name in ("error", "expected error", "within")]
            print(f"| {case.device} | {n} | {' | '.join(shown)} |", flush=True)
            for method in METHODS:
                means.setdefault((method, n), []).append(float(np.mean(found[method][n])))
    for n in sizes:
        mean = [f"{np.average(means[method, n], weights=weights):.3f}" for method in METHODS]
        print(f"| mean of {sum(weights)} | {n} | {' | '.join(mean)} | | | | |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", choices=("nasbench201", "hat"), default="nasbench201", help="nasbench201")
    parser.add_argument("--draws", type=int, default=10, help="seeds of the choice (10)")
    parser.add_argument("--devices", default="", help="only these, separated by commas (all)")
    parser.add_argument("--measured", default="10,50", help="numbers of measurements (10,50)")
    given = parser.parse_args()
    sizes = [int(size) for size in given.measured.split(",")]
    main(given.table, given.draws, [name for name in given.devices.split(",") if name], sizes)
