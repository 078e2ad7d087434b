"""What options mean in every space: studies that travel between spaces, and the signal topology."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from benchmarks.common import ofa
from benchmarks.common.correlation import rho
from benchmarks.common.tables import DATA, cells, digits, layers
from searchkit.costs.counts import space_counts, space_layers
from searchkit.problem.ranks import normal_scores
from searchkit.proxies.topology import Topology
from searchkit.proxy_layer.aggregation import Reference, log_rank
from searchkit.proxy_layer.votes import ELSEWHERE, votes_of
from searchkit.space import NetworkSpace
from searchkit.spaces.macro import macro
from searchkit.spaces.mobilenet import mobilenet
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.surrogates.gaussian_process import fit
from searchkit.surrogates.role_features import RoleFeatures
from searchkit.types import Codes, Floats

LEARNED = 200  # networks of a space that are learned from
FEW = 60  # networks of the earlier study whose signal stands beside published ones
MOBILE = 3000  # random networks of the mobile space, whose accuracy is that of a published predictor
PUBLISHED = {  # signals of the layer, by their names in the published table
    "params": "params", "macs": "flops", "jacov": "jacov", "naswot": "nwot", "synflow": "synflow",
    "grad_norm": "grad_norm",
}  # fmt: skip

Known = tuple[NetworkSpace, Codes, Floats]  # a space, networks of it, and their accuracies


def known() -> dict[str, Known]:
    """Three spaces with accuracies."""
    first, second, third = cells(), layers(), mobilenet()
    codes = np.unique(third.sample(MOBILE, np.random.default_rng(0)), axis=0)
    return {
        "NAS-Bench-201": (first.space, first.codes, first.test),
        "NAS-Bench-Macro": (second.space, second.codes, second.test),
        "mobilenet": (third, codes, ofa.accuracy(codes)),
    }


def travelled(one: Known, other: Known, n: int, seed: int) -> Floats:
    """What a linear model of roles, fitted to n networks of one space, predicts of the other's."""
    space, codes, accuracy = one
    seen, there = RoleFeatures(space), RoleFeatures(other[0])
    rows = np.random.default_rng(seed).permutation(len(codes))[:n]
    model = fit(seen(codes[rows]), np.zeros(len(rows)), normal_scores(accuracy[rows]), kernels=seen.kernels)
    return model.predict(there(other[1]), np.zeros(len(other[1])))[0]


def roles(seeds: int) -> None:
    """Each space learned from, and each other one predicted, beside its own params and MACs."""
    spaces = known()
    print(f"\n## Roles: rho in one space of what was learned from {LEARNED} networks of another\n")
    print("| learned from | predicted | rho | params there | macs there |\n|---|---|---|---|---|")
    for one, other in itertools.permutations(spaces, 2):
        space, codes, accuracy = spaces[other]
        values = [rho(travelled(spaces[one], spaces[other], LEARNED, s), accuracy) for s in range(seeds)]
        counts = space_counts(space, codes)
        free = " | ".join(f"{rho(counts[name], accuracy):.3f}" for name in ("params", "macs"))
        error = np.std(values, ddof=1) / seeds**0.5
        print(f"| {one} | {other} | {np.mean(values):.3f} ± {error:.3f} | {free} |")
    beside(spaces)


def beside(spaces: dict[str, Known]) -> None:
    """The layer without labels, of published signals, with an earlier study of another space and without."""
    table = cells()
    published = pd.read_csv(DATA / "nasbench201" / "nb201_13_proxies_cifar10.csv.gz").set_index("arch_index")
    there = np.isin(table.index, published.index)
    columns = published.loc[table.index[there]]
    scores = np.column_stack([columns[name].to_numpy(np.float64) for name in PUBLISHED.values()])
    here = (table.space, table.codes[there], table.test[there])
    role = travelled(spaces["NAS-Bench-Macro"], here, FEW, 0)
    sample = np.random.default_rng(0).permutation(len(scores))[:100]
    print(f"\nThe layer without labels on {len(scores):,} cells, of published signals ({', '.join(PUBLISHED)}):")
    right, wrong = (np.column_stack([scores, sign * role]) for sign in (1, -1))
    for said, columns_of, more in (
        ("alone", scores, ()),
        ("with a study of NAS-Bench-Macro", right, (f"{ELSEWHERE}macro",)),
        ("with the reverse of it", wrong, (f"{ELSEWHERE}macro",)),
        ("with it, as one of the same space", right, ("earlier:macro",)),
        ("with the reverse, as one of the same space", wrong, ("earlier:macro",)),
    ):
        names = [*PUBLISHED, *more]
        quantiles = Reference(columns_of[sample]).quantiles(columns_of)
        votes = votes_of(names, quantiles[sample], table.space, columns_of[sample]).free
        print(f"* {said}: {rho(log_rank(quantiles, votes), here[2]):.3f}")


def topology(seeds: int) -> None:
    """The signal on both tables, alone and beside jacov and params."""
    rows = pd.read_csv(DATA / "nasbench201" / "nb201_cifar10.csv.gz", dtype={"ops": str}).set_index("arch_index")
    published = pd.read_csv(DATA / "nasbench201" / "nb201_13_proxies_cifar10.csv.gz").set_index("arch_index")
    rows = rows.loc[published.index]
    space, codes, accuracy = nas_bench_201(), digits(rows["ops"]), rows["cifar10_test200"].to_numpy(np.float64)
    own, merged = (Topology(space).score(given) for given in (codes, space.check(codes)))
    jacov, params = (published[name].to_numpy(np.float64) for name in ("jacov", "params"))
    print(f"\n## topology: {len(codes):,} unique cells, CIFAR-10 test accuracy of 200 epochs\n")
    print("| | tau | rho |\n|---|---|---|")
    for name, parts in {
        "topology": [own], "topology of canonical cells, as searches see them": [merged],
        "jacov (published)": [jacov], "topology + jacov, log-rank": [own, jacov],
        "params + jacov": [params, jacov], "params + jacov + topology": [params, jacov, own],
    }.items():  # fmt: skip
        score = mixed(parts)
        print(f"| {name} | {kendalltau(score, accuracy).statistic:.3f} | {rho(score, accuracy):.3f} |")
    table = pd.read_csv(DATA / "nasbench_macro" / "nasbench_macro_cifar10.csv.gz", dtype=str)
    tabled(table)


def mixed(parts: list[Floats]) -> Floats:
    """The sum of the logarithms of ranks."""
    scores = np.column_stack(parts)
    return log_rank(Reference(scores).quantiles(scores), np.ones(len(parts)))


def tabled(rows: pd.DataFrame) -> None:
    """Counts of layers of NAS-Bench-Macro, all networks and distinct ones."""
    found = layers()
    written = digits(rows[next(name for name in rows if rows[name].str.fullmatch("[012]{8}").all())])
    accuracies = rows[[name for name in rows if "acc" in name.lower()]].astype(float).mean(axis=1).to_numpy()
    print("\n| NAS-Bench-Macro | rho, all 6,561 | rho, 3,969 distinct |\n|---|---|---|")
    space = macro()
    pairs = ((written, accuracies), (found.codes, found.test))
    for name, count in {
        "layers with weights": lambda codes: space_layers(space, codes),
        "layers that are no identity": lambda codes: (codes > 0).sum(axis=1),
        "the same + 0.5 for each 6x5": lambda codes: (codes > 0).sum(axis=1) + 0.5 * (codes == 2).sum(axis=1),
        "topology": Topology(space).score,
    }.items():
        print(f"| {name} | " + " | ".join(f"{rho(count(codes), accuracy):.3f}" for codes, accuracy in pairs) + " |")
