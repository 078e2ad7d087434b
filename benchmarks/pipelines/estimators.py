"""SearchClassifier and SearchRegressor, as they stand, beside what scikit-learn has, on rows that none has seen."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_classification,
    make_friedman1,
)
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from searchkit.integrations.sklearn import SearchClassifier, SearchRegressor

Maker = Callable[[int], Any]  # seed -> estimator


def problems() -> Iterator[tuple[str, bool, Any, Any]]:
    """``(name, whether there are classes, X, y)``; digits as rows of 64 numbers."""
    bundled = {"breast cancer": load_breast_cancer, "digits": load_digits, "iris": load_iris, "wine": load_wine}
    for name, load in bundled.items():
        yield name, True, *load(return_X_y=True)
    yield (
        "one class of ten",
        True,
        *make_classification(2000, 20, n_informative=6, weights=[0.9], flip_y=0.02, random_state=0),
    )
    yield "diabetes", False, *load_diabetes(return_X_y=True)
    yield "friedman1", False, *make_friedman1(600, noise=1.0, random_state=0)


def classifiers() -> dict[str, Maker]:
    """The linear model and the network see standardised features, as their users would have it."""
    return {
        "logistic regression": lambda seed: make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        "MLP": lambda seed: make_pipeline(StandardScaler(), MLPClassifier(max_iter=300, random_state=seed)),
        "gradient boosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
        "search": lambda seed: SearchClassifier(random_state=seed),
    }


def regressors() -> dict[str, Maker]:
    """As :func:`classifiers`; the network's targets are standardised too."""

    def network(seed: int) -> Any:
        inner = make_pipeline(StandardScaler(), MLPRegressor(max_iter=300, random_state=seed))
        return TransformedTargetRegressor(inner, transformer=StandardScaler())

    return {
        "linear": lambda seed: make_pipeline(StandardScaler(), Ridge()),
        "MLP": network,
        "gradient boosting": lambda seed: HistGradientBoostingRegressor(random_state=seed),
        "search": lambda seed: SearchRegressor(random_state=seed),
    }


def part_sklearn(splits: int) -> None:
    """Accuracy or R² on a quarter of the rows, mean and range over random splits; seconds of one fit."""
    print("| | linear | MLP | gradient boosting | search | seconds a fit |\n|---|---|---|---|---|---|")
    for name, classes, X, y in problems():
        cells, seconds = [], []
        for made, make in (classifiers() if classes else regressors()).items():
            scores = []
            for seed in range(splits):
                parts = train_test_split(X, y, test_size=0.25, random_state=seed, stratify=y if classes else None)
                began = time.perf_counter()
                model = make(seed).fit(parts[0], parts[2])
                if made == "search":
                    seconds.append(time.perf_counter() - began)
                scores.append(model.score(parts[1], parts[3]))
            cells.append(f"{np.mean(scores):.3f} ({min(scores):.3f} to {max(scores):.3f})")
        unit = "accuracy" if classes else "R²"
        print(f"| {name}, {unit} | {' | '.join(cells)} | {statistics.median(seconds):.0f} |", flush=True)
