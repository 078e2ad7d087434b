"""searchkit inside scikit-learn and Optuna, beside what people use there.

    python -m benchmarks.strategies.pipelines [--part sklearn|optuna|both] [--splits 3]

The first part fits SearchClassifier and SearchRegressor, as they stand, beside a linear model, scikit-learn's own
network and gradient boosting, and scores them on rows that none has seen. The second times a suggestion of
SearchkitSampler's strategies and of Optuna's samplers, in a study that has so many random trials already.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import optuna
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

from benchmarks.common.machine import describe
from searchkit.integrations.optuna import SearchkitSampler
from searchkit.integrations.sklearn import SearchClassifier, SearchRegressor

STRATEGIES = ("random", "nsga2", "tpe", "bo")

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


def objective(trial: optuna.Trial) -> float:
    """Six numbers and four categories."""
    numbers = [trial.suggest_float(f"x{i}", -5, 5) for i in range(6)]
    return sum(x * x for x in numbers) + [trial.suggest_categorical(f"c{i}", list("abcd")) for i in range(4)].count("b")


def part_optuna(repeats: int = 5) -> None:
    """Milliseconds of a trial whose objective is free: the first of a process, and the median of those after it."""
    samplers: dict[str, Callable[[], Any]] = {
        "Optuna's TPE": lambda: optuna.samplers.TPESampler(seed=0),
        **{f"searchkit {name}": functools.partial(SearchkitSampler, name, seed=0) for name in STRATEGIES},
    }
    print("| sampler | 100 trials: first, then | 1,000 trials: first, then |\n|---|---|---|")
    for label, make in samplers.items():
        cells = []
        for n in (100, 1000):
            study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
            study.optimize(objective, n_trials=n)
            study.sampler = make()
            times = []
            for _ in range(repeats + 1):
                began = time.perf_counter()
                study.optimize(objective, n_trials=1)
                times.append(1000 * (time.perf_counter() - began))
            cells.append(f"{times[0]:.0f}, {statistics.median(times[1:]):.1f}")
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("sklearn", "optuna", "both"), default="both")
    parser.add_argument("--splits", type=int, default=3)
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # of networks that were not trained to the end
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(describe(), end="\n\n")
    if given.part != "optuna":
        part_sklearn(given.splits)
    if given.part != "sklearn":
        part_optuna()


if __name__ == "__main__":
    main()
