"""SearchkitCV beside RandomizedSearchCV: five estimators on five data sets, the same folds and number of candidates.

    python -m benchmarks.pipelines.searches [--seeds 20] [--candidates 30]

Each row is one estimator: the best cross-validated score that the searches found (median and quartiles over the seeds),
in how many seeds the first was ahead, and the score of the estimator with the found parameters on rows that no search
has seen.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine, make_friedman1
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import ElasticNet
from sklearn.model_selection import KFold, RandomizedSearchCV, StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.common.machine import describe
from searchkit.integrations.sklearn import SearchkitCV

ROWS = 500  # of a data set that are searched on, at most; the others are those that no search has seen


@dataclass(frozen=True)
class Case:
    """An estimator with its parameters' distributions, as people write them, and data."""

    name: str
    estimator: Callable[[], Any]
    distributions: dict[str, Any]
    data: tuple[Any, Any]
    classes: bool


def cases() -> Iterator[Case]:
    """The five of the table."""
    yield Case(
        "SVC, digits", lambda: make_pipeline(StandardScaler(), SVC()),
        {"svc__C": stats.loguniform(1e-2, 1e3), "svc__gamma": stats.loguniform(1e-5, 1)},
        load_digits(return_X_y=True), True,
    )  # fmt: skip
    yield Case(
        "gradient boosting, friedman1", lambda: HistGradientBoostingRegressor(max_iter=60, random_state=0),
        {
            "learning_rate": stats.loguniform(1e-3, 1), "max_leaf_nodes": stats.randint(4, 64),
            "min_samples_leaf": stats.randint(2, 60), "l2_regularization": stats.loguniform(1e-6, 1e2),
        },
        make_friedman1(900, noise=1.0, random_state=0), False,
    )  # fmt: skip
    yield Case(
        "MLP, wine", lambda: make_pipeline(StandardScaler(), MLPClassifier((32,), max_iter=60, random_state=0)),
        {
            "mlpclassifier__alpha": stats.loguniform(1e-6, 10), "mlpclassifier__activation": ["relu", "tanh"],
            "mlpclassifier__learning_rate_init": stats.loguniform(1e-4, 0.3),
            "mlpclassifier__batch_size": stats.randint(8, 128),
        },
        load_wine(return_X_y=True), True,
    )  # fmt: skip
    yield Case(
        "random forest, breast cancer", lambda: RandomForestClassifier(40, random_state=0),
        {
            "max_features": stats.uniform(0.02, 0.98), "max_depth": stats.randint(2, 20),
            "min_samples_leaf": stats.randint(1, 20), "criterion": ["gini", "entropy"],
        },
        load_breast_cancer(return_X_y=True), True,
    )  # fmt: skip
    yield Case(
        "elastic net, diabetes", lambda: make_pipeline(StandardScaler(), ElasticNet(max_iter=3000)),
        {"elasticnet__alpha": stats.loguniform(1e-4, 1e2), "elasticnet__l1_ratio": stats.uniform(0, 1)},
        load_diabetes(return_X_y=True), False,
    )  # fmt: skip


def scores(case: Case, candidates: int, seed: int, strategies: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """For each search, its best cross-validated score, and the score on rows that it has not seen."""
    x, y = case.data
    size = min(ROWS, int(0.6 * len(x)))
    seen, unseen, y_seen, y_unseen = train_test_split(
        x, y, train_size=size, random_state=0, stratify=y if case.classes else None
    )
    folds: Any = (StratifiedKFold if case.classes else KFold)(3, shuffle=True, random_state=0)
    searches: dict[str, Any] = {
        "random": RandomizedSearchCV(
            case.estimator(), case.distributions, n_iter=candidates, cv=folds, random_state=seed
        )
    }
    for strategy in strategies:
        searches[strategy] = SearchkitCV(
            case.estimator(), case.distributions, strategy=strategy, budget=candidates, cv=folds, random_state=seed
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = {name: search.fit(seen, y_seen) for name, search in searches.items()}
    return {name: (search.best_score_, search.score(unseen, y_unseen)) for name, search in fitted.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--candidates", type=int, default=30)
    parser.add_argument("--strategies", default="tpe,bo")
    given = parser.parse_args()
    strategies = tuple(given.strategies.split(","))
    print(describe(), end="\n\n")
    print("| case | search | best score: median, quartiles | ahead of random, behind | unseen rows: median |")
    print("|---|---|---|---|---|")
    for case in cases():
        rows = [scores(case, given.candidates, seed, strategies) for seed in range(given.seeds)]
        for name in ("random", *strategies):
            best = np.array([row[name][0] for row in rows])
            other = np.array([row["random"][0] for row in rows])
            low, middle, high = np.quantile(best, [0.25, 0.5, 0.75])
            against = "-" if name == "random" else f"{(best > other).sum()}, {(best < other).sum()}"
            unseen = np.median([row[name][1] for row in rows])
            print(
                f"| {case.name} | {name} | {middle:.4f}, {low:.4f} to {high:.4f} | {against} | {unseen:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
