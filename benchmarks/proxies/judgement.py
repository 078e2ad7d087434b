"""The layer's judgement on spaces of several kinds, beside params and MACs: without labels, and with 25.

    python -m benchmarks.proxies.judgement [--cells 300] [--layers 200] [--networks 60]

Three kinds of spaces: published tables, with signals that are computed here (half a second a network, kept in
``$SEARCHKIT_CACHE``); cells of some operations only, with published signals; and small networks that are trained here
(``benchmarks.proxies.trained``), of which sizes, depths, kernels or operations vary.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.common.correlation import rho
from benchmarks.common.machine import describe
from benchmarks.common.tables import Table, cells, digits, images, layers, scored, table
from benchmarks.proxies import trained
from benchmarks.proxies.layer import layer, with_labels
from searchkit.proxy_layer.setup import DEFAULT
from searchkit.types import Floats

PUBLISHED = {
    "params": "params", "flops": "macs", "jacov": "jacov", "nwot": "naswot", "synflow": "synflow",
    "grad_norm": "grad_norm",
}  # fmt: skip
OPERATIONS = ("none", "skip", "1x1", "3x3", "pool")
KINDS = ("01234", "0123", "123", "23", "12", "1234", "0234", "34", "24")  # operations of cells, by their digits
MOST = 1000  # cells of a table of published signals that are judged
LABELS, DRAWS = 25, 10
Judged = tuple[str, Table, tuple[str, ...], Floats]


def computed(n_cells: int, n_layers: int, n_networks: int) -> Iterator[Judged]:
    """A name, networks with accuracies, and the default proxies' scores of them."""
    for which in trained.SPACES:
        space, codes, accuracy = trained.trained(which, n_networks)
        names, scores = scored(space, codes, DEFAULT, trained.images(), f"trained-{which}")
        yield f"trained here: {which}", Table(which, space, codes, accuracy, accuracy, codes[:, 0]), names, scores
    for title, found, options, n in (
        ("NAS-Bench-201", cells(), range(5), n_cells), ("without pooling", cells(), range(4), n_cells // 6),
        ("NAS-Bench-Macro", layers(), range(3), n_layers), ("no identity", layers(), (1, 2), n_layers // 4),
        ("identity or one block", layers(), (0, 1), n_layers // 4),
    ):  # fmt: skip
        some = _with(found, options).sample(n)
        names, scores = scored(some.space, some.codes, DEFAULT, images())
        yield title, some, names, scores


def published() -> Iterator[Judged]:
    """The same with published signals, of cells of some operations only, on two data sets."""
    signals = pd.read_csv(table("nasbench201/nb201_13_proxies_cifar10.csv.gz")).set_index("arch_index")
    rows = pd.read_csv(table("nasbench201/nb201_cifar10.csv.gz"), dtype={"ops": str}).set_index("arch_index")
    other = pd.read_csv(table("nasbench201/nb201_cifar100_val.csv.gz"), dtype={"ops": str}).set_index("arch_index")
    codes = digits(rows["ops"].loc[signals.index])
    known = signals[list(PUBLISHED)].to_numpy(np.float64) * [1e6, *[1.0] * (len(PUBLISHED) - 1)]  # of parameters
    places = {int(i): place for place, i in enumerate(signals.index)}
    names = tuple(PUBLISHED.values())
    for title, column in (
        ("CIFAR-10", rows["cifar10_test200"]), ("CIFAR-100", other["cifar100_val200_mean"]),
    ):  # fmt: skip
        accuracy = column.loc[signals.index].to_numpy(np.float64)
        found = Table(title, cells().space, codes, accuracy, accuracy, signals.index.to_numpy(np.int64))
        for kind in KINDS:
            some = _with(found, [int(digit) for digit in kind]).sample(MOST)
            scores = known[[places[int(i)] for i in some.index]]
            yield f"{title}: {', '.join(OPERATIONS[int(digit)] for digit in kind)}", some, names, scores


def _with(found: Table, options: range | tuple[int, ...] | list[int]) -> Table:
    """The networks that have no other options."""
    rows = np.isin(found.codes, list(options)).all(axis=1)
    return Table(
        found.title, found.space, found.codes[rows], found.test[rows], found.validation[rows], found.index[rows]
    )


def row(title: str, found: Table, names: tuple[str, ...], scores: Floats) -> str:
    """Correlations with accuracy: params, MACs, the best single signal, the layer; and the layer with labels."""
    accuracy, codes = found.test, found.codes
    single = {name: rho(column, accuracy) for name, column in zip(names, scores.T, strict=True) if np.ptp(column)}
    best = max(single, key=lambda name: single[name])
    free = [rho(layer(found, names, codes, scores, seed).quality(codes), accuracy) for seed in range(DRAWS)]
    told = "-"
    if len(codes) > 2 * LABELS:
        known = [with_labels(found, names, codes, scores, accuracy, LABELS, seed) for seed in range(DRAWS)]
        told = f"{np.mean(known):.3f}"
    params, macs = (single.get(name, 0.0) for name in ("params", "macs"))
    gain = np.mean(free) - max(params, macs)
    return (
        f"| {title} | {len(codes)} | {params:.3f} | {macs:.3f} | {best} {single[best]:.3f} | **{np.mean(free):.3f}** "
        f"({min(free):.3f} to {max(free):.3f}) | {gain:+.3f} | {told} |"
    )


def main(n_cells: int, n_layers: int, n_networks: int) -> None:
    """Print the table."""
    warnings.simplefilter("ignore")  # of networks that a proxy cannot score; they count, as the worst
    print(f"# The layer's judgement\n\n{describe()}.\n")
    print(f"Spearman's rho; the layer: mean (lowest to highest) of {DRAWS} reference samples, and of as many draws of ")
    print(f"{LABELS} labels, on the other networks.\n")
    print("| networks | N | params | MACs | best signal | the layer, no labels | above params, MACs | 25 labels |")
    print("|---|---|---|---|---|---|---|---|")
    for found in computed(n_cells, n_layers, n_networks):
        print(row(*found), flush=True)
    for found in published():
        print(row(*found), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=300)
    parser.add_argument("--layers", type=int, default=200)
    parser.add_argument("--networks", type=int, default=60, help="of each space that is trained here")
    given = parser.parse_args()
    main(given.cells, given.layers, given.networks)
