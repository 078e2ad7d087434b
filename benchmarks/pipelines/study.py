"""The study: methods on cases, and the table of what they found."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import mannwhitneyu

from benchmarks.pipelines.parameters import Case
from benchmarks.pipelines.peers import optuna_run
from searchkit.types import Floats

PEERS = ("TPESampler", "GPSampler")
BESIDE = {"bo": PEERS, "tpe": PEERS[:1]}  # strategies of SearchkitSampler, and whom they are compared with
METHODS = (*BESIDE, *PEERS)
AT = (50, 100)  # evaluations after which methods are compared

Run = tuple[list[float], list[float]]  # losses without noise and as observed, in order


def run(method: str, case: Case, seed: int, n: int, cache: Path | None) -> Run:
    """One run, or what an earlier call kept of it."""
    file = None if cache is None else cache / method / case.name / f"{seed}.json"
    if file is not None and file.exists():
        true, observed = json.loads(file.read_text())[:2]
        return true, observed
    found = optuna_run(method, case, seed, n)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found))
    return found


def reached(case: Case, runs: Sequence[Run], n: int) -> Floats:
    """``(r,)`` loss without noise of the candidate that looks best after n evaluations, less the least possible."""
    return np.array([true[int(np.nanargmin(observed[:n]))] - case.least for true, observed in runs])


def table(cases: Sequence[Case], seeds: int, cache: Path | None, made: Callable[[str], None] = print) -> None:
    """Medians and quartiles of every method, and the two-sided p of Mann and Whitney of ours beside the better peer."""
    beside = [f"p of {ours}" for ours in BESIDE]
    made("| case | evaluations | " + " | ".join((*METHODS, *beside)) + " |\n|---|---|" + "---|" * (len(METHODS) + 2))
    no_worse = {(ours, n): 0 for ours in BESIDE for n in AT}
    for case in cases:
        runs = {m: [run(m, case, seed, max(AT), cache) for seed in range(seeds)] for m in METHODS}
        for n in AT:
            found = {m: reached(case, some, n) for m, some in runs.items()}
            cells = list(map(_cell, found.values()))
            for ours, peers in BESIDE.items():
                better = min(peers, key=lambda m: float(np.median(found[m])))
                p = float(mannwhitneyu(found[ours], found[better]).pvalue)
                lower = float(np.median(found[ours])) <= float(np.median(found[better]))
                no_worse[ours, n] += lower or p > 0.05
                cells.append(f"{p:.2g}{'' if lower else ', higher'}")
            made(f"| {case.name} | {n} | {' | '.join(cells)} |")
    for ours, peers in BESIDE.items():
        said = ", ".join(f"{no_worse[ours, n]} of {len(cases)} at {n}" for n in AT)
        made(f"\n{ours} is not worse than {' and '.join(peers)} (median, or p > 0.05): {said}.")
    made("")


def _cell(values: Floats) -> str:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"
