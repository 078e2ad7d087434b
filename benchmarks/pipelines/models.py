"""Models of scikit-learn on bundled data, tuned as people write it: three folds of a few hundred rows."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.pipelines.parameters import Case, Config, number, one_of, whole


@functools.cache
def rows(name: str, n: int) -> tuple[Any, Any]:
    """A part of the rows of a bundled data set, the same in every run."""
    load = {"cancer": load_breast_cancer, "digits": load_digits, "diabetes": load_diabetes}[name]
    X, y = load(return_X_y=True)
    kept = np.random.default_rng(0).permutation(len(X))[:n]
    return X[kept], y[kept]


def support_vectors(config: Config) -> float:
    """Error of a support vector machine."""
    X, y = rows("cancer", 250)
    model = SVC(
        C=config["C"], gamma=config["gamma"], kernel=config["kernel"], degree=config["degree"], coef0=config["coef0"],
        class_weight=config["weights"], max_iter=3000,
    )  # fmt: skip
    return _error(make_pipeline(StandardScaler(), model), X, y)


def network(config: Config) -> float:
    """Error of a network whose number of layers is chosen, and with it their widths."""
    X, y = rows("digits", 250)
    layers = tuple(config[f"width{i}"] for i in range(config["layers"]))
    more: dict[str, Any] = {"momentum": config["momentum"]} if config["solver"] == "sgd" else {}
    if config["solver"] == "adam":
        more = {"beta_1": config["beta"]}
    model = MLPClassifier(
        layers, activation=config["activation"], solver=config["solver"], alpha=config["alpha"], batch_size=50,
        learning_rate_init=config["rate"], max_iter=12, random_state=0, **more,
    )  # fmt: skip
    return _error(make_pipeline(StandardScaler(), model), X, y)


def boosting(config: Config) -> float:
    """1 - R2 of gradient boosting, whose trees are bounded by depth or by leaves."""
    X, y = rows("diabetes", 300)
    bound = {"max_depth": config["depth"], "max_leaf_nodes": None} if config["grow"] == "depth" else {
        "max_leaf_nodes": config["leaves"], "min_samples_leaf": config["rows"],
    }  # fmt: skip
    model = HistGradientBoostingRegressor(
        loss=config["loss"], learning_rate=config["rate"], max_iter=config["trees"], max_bins=32,
        l2_regularization=config["l2"] if config["penalty"] == "yes" else 0.0, early_stopping=False, **bound,
    )  # fmt: skip
    scores = cross_val_score(model, X, y, cv=KFold(3, shuffle=True, random_state=0))
    return float(1 - np.maximum(scores, -1.0).mean())


def _error(model: Any, X: Any, y: Any) -> float:
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of networks that were not trained to the end
        scores = cross_val_score(model, X, y, cv=folds)
    return float(1 - np.nan_to_num(scores, nan=0.0).mean())  # of a training that diverged


def cases() -> list[Case]:
    """A flat mixed one and two that are conditional."""
    sgd, adam = ("solver", ("sgd",)), ("solver", ("adam",))
    return [
        Case(
            "support vectors",
            (number("C", 1e-3, 1e3, log=True), number("gamma", 1e-5, 1e1, log=True), number("coef0", -1, 1),
             one_of("kernel", ("rbf", "poly", "sigmoid")), whole("degree", 2, 5),
             one_of("weights", (None, "balanced"))),
            support_vectors,
        ),
        Case(
            "network, conditional",
            (whole("layers", 1, 3), *(whole(f"width{i}", 4, 64, log=True, when=("layers", tuple(range(i + 1, 4))))
                                      for i in range(3)),
             one_of("activation", ("relu", "tanh", "logistic")), one_of("solver", ("adam", "sgd")),
             number("rate", 1e-4, 1, log=True), number("alpha", 1e-6, 1e-1, log=True),
             number("momentum", 0.0, 0.99, when=sgd), number("beta", 0.7, 0.99, when=adam)),
            network,
        ),
        Case(
            "boosting, conditional",
            (one_of("loss", ("squared_error", "absolute_error")), number("rate", 1e-3, 1, log=True),
             whole("trees", 3, 30, log=True), one_of("grow", ("depth", "leaves")),
             whole("depth", 1, 8, when=("grow", ("depth",))),
             whole("leaves", 2, 32, log=True, when=("grow", ("leaves",))),
             whole("rows", 3, 60, log=True, when=("grow", ("leaves",))), one_of("penalty", ("no", "yes")),
             number("l2", 1e-4, 1e3, log=True, when=("penalty", ("yes",)))),
            boosting,
        ),
    ]  # fmt: skip
