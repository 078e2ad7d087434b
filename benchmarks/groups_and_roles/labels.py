"""Labels that are comparable within groups only: of short and long trainings, of a ladder, and comparisons.

NAS-Bench-201 has accuracies after 12 and after 200 epochs, two labels that agree in part: Spearman's rho of 0.77 over
all cells.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from benchmarks.common.correlation import rho
from benchmarks.common.tables import DATA, Table, cells
from searchkit.problem.ranks import normal_scores
from searchkit.proxy_layer.comparisons import Compared, Comparisons
from searchkit.proxy_layer.objective_model import ENOUGH
from searchkit.surrogates.features import Features
from searchkit.surrogates.gaussian_process import fit
from searchkit.surrogates.grouped import fit_groups
from searchkit.types import Codes, Floats

LABELS = (50, 100, 200, 400)
ASKED = (15, 30, 60, 100, 150)
PAIRS = (5, 10, 20, 50, 100)
UNSEEN = 2000
ETA = 3


def short(found: Table) -> Floats:
    """Test accuracy after 12 epochs, in percent, of the cells of a table."""
    rows = pd.read_csv(DATA / "nasbench201" / "nb201_cifar10.csv.gz", dtype={"ops": str}).set_index("arch_index")
    return rows["cifar10_ep12_test"].loc[found.index].to_numpy(np.float64)


def learned(inputs: Features, codes: Codes, labels: Floats, groups: Codes | None = None, target: int | None = None):
    """A function of codes: what a process of labels, in groups or in one, predicts."""
    one = np.zeros(len(codes), dtype=np.int64) if groups is None else groups
    model = fit_groups(inputs(codes), np.zeros(len(codes)), labels, one, kernels=inputs.kernels, target=target)
    return lambda new: model.predict(inputs(new), np.zeros(len(new)))[0]


def printed(found: Mapping[tuple[str, int], list[float]], columns: tuple[int, ...], digits: int = 3) -> None:
    """A table of means with their standard errors: one row for each first key."""
    print("| | " + " | ".join(map(str, columns)) + " |\n|---|" + "---|" * len(columns))
    for name in dict.fromkeys(key for key, _ in found):
        entries = [np.array(found[name, n]) for n in columns]
        said = [f"{e.mean():.{digits}f} ± {e.std(ddof=1) / len(e) ** 0.5:.{digits}f}" for e in entries]
        print(f"| {name} | " + " | ".join(said) + " |")


def groups(seeds: int) -> None:
    """Two halves of the labels, one of 12 epochs, the other of 200 minus 20; and a group of shuffled ones."""
    table = cells()
    full, cheap, inputs = table.test, short(table), Features(table.space)
    found: dict[tuple[str, int], list[float]] = {}
    for n in LABELS:
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            rows = rng.permutation(len(full))
            seen, unseen = rows[:n], rows[-UNSEEN:]
            half = n // 2
            own = (np.arange(n) >= half).astype(np.int64)
            mixed = np.where(own == 1, full[seen] - 20, cheap[seen])
            more = np.concatenate([seen, rows[n : n + half]])
            shuffled = np.concatenate([full[seen], rng.permutation(full[rows[n : n + half]])])
            last = np.repeat([0, 1], [n, half])
            codes = table.codes
            models = {
                "all labels of 200 epochs": learned(inputs, codes[seen], full[seen]),
                "its half alone": learned(inputs, codes[seen[half:]], full[seen[half:]]),
                "pooled": learned(inputs, codes[seen], mixed),
                "in groups, what they share": learned(inputs, codes[seen], mixed, own),
                "in groups, those of 200 epochs predicted": learned(inputs, codes[seen], mixed, own, 1),
                "all, and half as many shuffled ones": learned(inputs, codes[more], shuffled, last, 0),
                "the same, what they share": learned(inputs, codes[more], shuffled, last),
                "the same, pooled": learned(inputs, codes[more], shuffled),
            }
            for name, predict in models.items():
                found.setdefault((name, n), []).append(rho(predict(codes[unseen]), full[unseen]))
    print(f"\n## Labels in groups: rho on {UNSEEN:,} unseen cells of {len(full):,}, by number of labels\n")
    printed(found, LABELS)


def hints(seeds: int) -> None:
    """A ladder's rung of 12 epochs, of whose candidates the best third is trained for 200: what a model learns."""
    table = cells()
    full, cheap, inputs = table.test, short(table), Features(table.space)
    found: dict[tuple[str, int], list[float]] = {}
    best: dict[tuple[str, int], list[float]] = {}
    for n in ASKED:
        for seed in range(seeds):
            rows = np.random.default_rng(seed).permutation(len(full))
            unseen, asked = rows[-UNSEEN:], rows[:n][np.argsort(-cheap[rows[:n]])]
            kept, rest = np.split(asked, [-(-n // ETA)])
            slope = max(np.cov(cheap[kept], full[kept])[0, 1] / cheap[kept].var(ddof=1), 0.0)
            line = full[kept].mean() + slope * (cheap[rest] - cheap[kept].mean())
            both = np.concatenate([kept, asked])
            own = np.repeat([0, 1], [len(kept), n])
            labels = np.concatenate([full[kept], cheap[asked]])
            models = {
                "hints from a straight line": learned(inputs, table.codes[asked], np.concatenate([full[kept], line])),
                "the rung as a group": learned(inputs, table.codes[both], labels, own, 0),
                "full trainings alone": learned(inputs, table.codes[kept], full[kept]),
            }
            for name, predict in models.items():
                said = predict(table.codes[unseen])
                found.setdefault((name, n), []).append(rho(said, full[unseen]))
                best.setdefault((name, n), []).append(full[unseen][np.argsort(-said)[:10]].mean())
    print(f"\n## A rung as a group: rho on {UNSEEN:,} unseen cells, by number of candidates asked\n")
    printed(found, ASKED)
    print(f"\nRungs are groups in a search from {ENOUGH} full trainings on. Mean accuracy of its ten best ones:\n")
    printed(best, ASKED, 2)


def comparisons(seeds: int) -> None:
    """Pairs of random cells of which it is said which is better, beside as many cells whose accuracy is known."""
    table = cells()
    found: dict[tuple[str, int], list[float]] = {}
    inputs, full = Features(table.space), table.test
    for n in PAIRS:
        for seed in range(seeds):
            rows = np.random.default_rng(seed).permutation(len(full))
            unseen, pairs = rows[-UNSEEN:], rows[: 2 * n].reshape(n, 2)
            pairs = np.where((full[pairs[:, 0]] > full[pairs[:, 1]])[:, None], pairs, pairs[:, ::-1])
            told = Comparisons([tuple(table.space.decode(table.codes[pair])) for pair in pairs])
            known = fit(
                inputs(table.codes[rows[:n]]), np.zeros(n), normal_scores(full[rows[:n]]), kernels=inputs.kernels
            )
            new = table.codes[unseen]
            scores = {
                "n comparisons": Compared(told, table.space).score(new),
                "n accuracies": known.predict(inputs(new), np.zeros(UNSEEN))[0],
            }
            for name, values in scores.items():
                found.setdefault((name, n), []).append(rho(values, full[unseen]))
    print(f"\n## Comparisons: rho on {UNSEEN:,} unseen cells, by n\n")
    printed(found, PAIRS)
