"""Latencies of HAT's transformers from 400 measurements on a device alone: a model of ten features for the others.

    python -m benchmarks.costs.transformers [--rows 400] [--draws 5]

Each task and kind of hardware was timed on networks of its own; rows are drawn at random, and all others are predicted
by the model that a search has for a device without known ones (``KnownDevices({}, features=...)``), and by ridge
regression beside it.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from benchmarks.common.correlation import rho, spread
from benchmarks.common.machine import describe
from benchmarks.common.tables import table
from searchkit.surrogates.new_device import KnownDevices
from searchkit.types import Codes, Floats

AIM = 0.95


def of_features(features: Floats, rows: Codes, measured: Floats) -> Floats:
    """``(N,)`` predictions of the Gaussian process."""
    predicted, _ = KnownDevices({}, features=features).fit(rows, measured).predict()
    return predicted


def plain(features: Floats, rows: Codes, measured: Floats) -> Floats:
    """``(N,)`` predictions of a linear regression of the features."""
    columns = np.column_stack([np.ones(len(features)), features])
    weights, *_ = np.linalg.lstsq(columns[rows], measured, rcond=None)
    found: Floats = columns @ weights
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400, help="measured networks")
    parser.add_argument("--draws", type=int, default=5, help="draws of the networks that are measured")
    options = parser.parse_args()
    print(describe())
    every = pd.read_csv(table("latency_hat/hat_transformer_latency_ms.csv.gz"))
    print(f"\nrho on the networks that were not measured, of {options.rows}; mean (lowest) of {options.draws} draws\n")
    print("| task | hardware | networks | process | median error | linear |\n|---|---|---|---|---|---|")
    for (task, hardware), rows in every.groupby(["task", "hardware"]):
        names = [str(name) for name in rows if str(name).startswith(("encoder", "decoder"))]
        features = rows[names].to_numpy(np.float64)
        true = (rows["latency_mean_encoder"] + rows["latency_mean_decoder"]).to_numpy(np.float64)
        found, errors, beside = [], [], []
        for draw in range(options.draws):
            chosen = np.random.default_rng(draw).permutation(len(rows))
            seen, others = chosen[: options.rows], chosen[options.rows :]
            predicted = of_features(features, seen, true[seen])
            found.append(rho(predicted[others], true[others]))
            errors.append(float(np.median(np.abs(predicted[others] / true[others] - 1))))
            beside.append(rho(plain(features, seen, true[seen])[others], true[others]))
        missed = "" if min(found) > AIM else " **missed**"
        print(
            f"| {task} | {hardware} | {len(rows):,} | {spread(found)}{missed} | {100 * np.mean(errors):.1f} % "
            f"| {spread(beside)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
