"""Single proxies against published values and accuracies, and what sharing their passes saves.

    python -m benchmarks.proxies.single [--cheap 1000 600] [--eproxy 500 200] [--speed 12]

Scores are kept in ``$SEARCHKIT_CACHE``, so that a stopped run continues. Correlations are Spearman's, signed; params
and MACs stand beside.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata, spearmanr

from benchmarks.common.machine import describe
from benchmarks.common.tables import Table, cells, images, layers, scored, table
from benchmarks.proxies import plain
from searchkit.data.data import Data
from searchkit.proxies.eproxy import DEFAULT, FULL, Eproxy
from searchkit.proxies.eproxy_targets import target
from searchkit.runtime.fingerprint import fingerprint
from searchkit.scoring.passes.inputs import ProxyInputs
from searchkit.scoring.scorer import Scorer
from searchkit.types import Floats

THIRTEEN = "nasbench201/nb201_13_proxies_cifar10.csv.gz"
ZERO_COST = "nasbench201/nb201_zero_cost_cifar10.csv.gz"
CHEAP = ["params", "macs", "jacov", "naswot", "synflow", "grad_norm", "zen", "zico", "swap", "az_nas"]
LABEL_FREE = ["jacov", "naswot", "synflow", "zen", "swap", "az_nas"]
AZ = ("az_expressivity", "az_progressivity", "az_trainability", "az_complexity")
PUBLISHED = {"naswot": "nwot", "synflow": "synflow", "jacov": "jacov", "grad_norm": "grad_norm", "zen": "zen"}


def main(n_cheap: Sequence[int], n_eproxy: Sequence[int], n_speed: int) -> None:
    """Print the tables; numbers of networks of the two spaces, and of cells that are timed."""
    torch.set_num_threads(1)
    data, cells_, layers_ = images(), cells(), layers()
    print(f"# Single proxies\n\n{describe()}. One seed of weights and batches; CIFAR-10 images; full width.\n")
    if n_speed:
        speed(cells_.sample(n_speed), data, n_speed)
    for found, cheap, few in zip((cells_, layers_), n_cheap, n_eproxy, strict=True):
        values = scores(found.sample(cheap), CHEAP, data)
        for name, proxy in {"Eproxy": Eproxy(), "Eproxy, full networks": FULL}.items():
            values[name] = scores(found.sample(few), [proxy], data)["eproxy"]
        if found is cells_:
            agreement(found.sample(min(cheap, 500)), values)
        accuracies(found.sample(max(cheap, few)), values)


def scores(found: Table, proxies: Sequence[str | Eproxy], data: Data) -> dict[str, Floats]:
    """``{signal: (n,)}``; objects have a file of their own."""
    own = [fingerprint(proxy) for proxy in proxies if not isinstance(proxy, str)]
    name = "-".join([found.space.name, *own])
    names, values = scored(found.space, found.codes, proxies, data, name)
    return dict(zip(names, values.T, strict=True))


def agreement(cells: Table, values: Mapping[str, Floats]) -> None:
    """Own values against two published sets of values."""
    n = len(cells.codes)
    thirteen = pd.read_csv(table(THIRTEEN)).set_index("arch_index").reindex(cells.index)
    zero_cost = pd.read_csv(table(ZERO_COST)).set_index("arch_index").reindex(cells.index)
    print(f"\nAgreement with published values: NAS-Bench-201, N = {n} unique cells, one seed.\n")
    print("| signal | rho with the 13 signals' value | N | rho with the second source | rho with test accuracy: own |")
    print("|---|---|---|---|---|")
    for name, column in PUBLISHED.items():
        own = values[name][:n]
        first = thirteen[column].to_numpy(np.float64)
        second = zero_cost.get(f"cifar10_{'logsynflow' if name == 'synflow' else name}")
        other = "" if second is None else f"{rho(own, second.where(second > -1e7).to_numpy(np.float64)):.3f}"
        n_both = int((np.isfinite(own) & np.isfinite(first)).sum())
        print(f"| {name} | {rho(own, first):.3f} | {n_both} | {other} | {rho(own, cells.test):.3f} |")


def accuracies(found: Table, scored: Mapping[str, Floats]) -> None:
    """Each signal and AZ-NAS's four together against accuracy."""
    print(f"\n{found.title}; one seed of the proxies.\n")
    print("| signal | N | rho | params there | MACs there |\n|---|---|---|---|---|")
    az = np.column_stack([scored[name] for name in AZ])
    columns = dict(scored) | {"AZ-NAS, log-rank of four": log_rank(az)}
    columns["params + jacov, log-rank"] = log_rank(np.column_stack([scored["params"], scored["jacov"]]))
    for name, values in columns.items():
        n = len(values)
        free = [f"{rho(scored[c][:n], found.test[:n]):.3f}" for c in ("params", "macs")]
        n_scored = int(np.isfinite(values).sum())
        print(f"| {name} | {n_scored} | {rho(values, found.test[:n]):.3f} | {' | '.join(free)} |")


def log_rank(values: Floats) -> Floats:
    """Sum of log(rank / n) over the columns ``(n, p)``; what has no value ranks lowest."""
    ranks = rankdata(np.nan_to_num(values, nan=-np.inf), axis=0)
    return np.asarray(np.log(ranks / len(values)).sum(axis=1), dtype=np.float64)


def rho(a: Floats, b: Floats) -> float:
    """Spearman's, over what has both values."""
    both = np.isfinite(a) & np.isfinite(b)
    return float(spearmanr(a[both], b[both]).statistic)


def speed(cells: Table, data: Data, n: int) -> None:
    """Seconds a network, plain and shared, alternating on the same networks."""
    codes = cells.codes[:n]
    inputs = ProxyInputs(data, cells.space.input_shape, 10, torch.device("cpu"), 0)
    x, y = (part.contiguous() for part in inputs.images(32))
    second = inputs.images(32, 1)
    noise, change = inputs.noise(16)[0].contiguous(), inputs.noise(16, 1)[0].contiguous()
    targets = [target(b, i, DEFAULT, inputs).contiguous() for i, b in enumerate(DEFAULT.branches)]
    augmented = inputs.augmented(DEFAULT.batch).contiguous()
    one: dict[str, Callable[[plain.PlainNetwork], float]] = {
        "jacov": lambda net: plain.jacov(net, x),
        "naswot": lambda net: plain.naswot(net, x),
        "synflow": plain.synflow,
        "zen": lambda net: plain.zen(net, noise, change),
        "swap": lambda net: plain.swap(net, x),
        "az_expressivity": lambda net: plain.az_expressivity(net, x),
        "az_progressivity": lambda net: plain.az_progressivity(net, x),
        "az_trainability": lambda net: plain.az_trainability(net, x),
        "grad_norm": lambda net: plain.grad_norm(net, x, y),
        "zico": lambda net: plain.zico(net, [(x, y), second]),
        "eproxy": lambda net: plain.eproxy(net, augmented, targets, lr=DEFAULT.lr),
    }
    seconds = dict.fromkeys(one, 0.0)
    labelled = [*LABEL_FREE, "grad_norm", "zico"]
    shared: dict[str, Sequence[str | Eproxy]] = {"label-free set": LABEL_FREE}
    shared |= {"the same, grad_norm, zico": labelled, "eproxy": [FULL], "eproxy, reduced": ["eproxy"]}
    taken = dict.fromkeys(shared, 0.0)
    for i, code in enumerate(codes):
        for name, function in one.items():
            seconds[name] += _seconds(lambda f=function, c=code: f(plain.PlainNetwork(c).train()), i)
        for name, proxies in shared.items():
            scorer = Scorer(cells.space, proxies, data)
            scorer._inputs = inputs  # drawn before the clock starts, as for the plain ones
            taken[name] += _seconds(lambda s=scorer, c=code: s(c), i)
    free = [name for name in one if name not in ("grad_norm", "zico", "eproxy")]
    sums = {"label-free set": free, "the same, grad_norm, zico": [*free, "grad_norm", "zico"], "eproxy": ["eproxy"]}
    sums["eproxy, reduced"] = ["eproxy"]
    print(f"Speed: seconds a network, one thread, {n} unique NAS-Bench-201 cells in one run.\n")
    print("| | plain, one at a time | shared passes | times faster |\n|---|---|---|---|")
    for name, parts in sums.items():
        before, after = sum(seconds[part] for part in parts) / n, taken[name] / n
        print(f"| {name} | {before:.2f} | {after:.2f} | {before / after:.2f} |")
    print("\nPlain: " + ", ".join(f"{name} {value / n:.2f}" for name, value in seconds.items()))
    for drawn in (100, 1000):
        codes = np.random.default_rng(0).integers(0, 5, (drawn, 6))
        distinct = len(np.unique(cells.space.check(codes), axis=0))
        print(f"Of {drawn:,} random cells {distinct:,} are distinct networks: {drawn / distinct:.2f} times fewer.")


def _seconds(function: Callable[[], object], i: int) -> float:
    """Of one call; the first network is run once before, for what happens once in a process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if i == 0:
            function()
        start = time.perf_counter()
        function()
    return time.perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cheap", nargs=2, type=int, default=[1000, 600], help="networks of the two spaces")
    parser.add_argument("--eproxy", nargs=2, type=int, default=[500, 200])
    parser.add_argument("--speed", type=int, default=12, help="cells that are timed; 0 for none")
    given = parser.parse_args()
    main(given.cheap, given.eproxy, given.speed)
