"""Simple models of scikit-learn that networks are compared with: each is fitted in bounded time, on one thread.

A fit takes rows of features and returns what predicts from others. scikit-learn is imported when a model is fitted.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from searchkit.errors import plural
from searchkit.types import Floats

Features = npt.NDArray[np.float32]
Predict = Callable[[Features], Floats]

TREES = 100
TREES_AT_ONCE = 10  # the clock is read after so many
HIDDEN = 128
EPOCHS, USUAL_EPOCHS, PATIENCE = 60, 40, 8  # of the MLP: at most, usually, and without progress before it ends
ITERATIONS, TRIED = 100, 10  # of the logistic regression: at most, and by which the time of one is measured
HELD_OUT = 10  # one row in so many stops the MLP early
LEAST_HELD_OUT = 100  # rows from which some are held out
FOREST_BYTES = 2**29
COEFFICIENTS = 2**21  # of the logistic regression at most; its solver keeps about 240 bytes for each
OUTPUTS = 2**24  # rows times classes of one fit at most
STANDARD = 10.0  # standardised features are cut off here: a pixel that is nearly always 0 has others far out


@dataclass(frozen=True)
class Examples:
    """What a model is fitted on.

    Attributes:
        x: ``(n, features)``, on a scale of about 1.
        y: ``(n,)`` class numbers from 0 to k - 1, all of them there; or quantities on a scale of about 1.
        weight: ``(n,)`` how much each row counts, 1 on average; None: all alike.
        n_classes: k; 0 in regression.
        deadline: of ``time.perf_counter``, at which a fit ends with what it has.
    """

    x: Features
    y: npt.NDArray[Any]
    weight: Floats | None
    n_classes: int
    deadline: float

    @property
    def left(self) -> float:
        """Seconds to the deadline."""
        return self.deadline - time.perf_counter()


@dataclass(frozen=True)
class Fitted:
    """A fitted model.

    Attributes:
        predict: ``(n, features) -> (n, k)`` probabilities of the classes, or ``(n,)`` quantities.
        note: what was cut short, in words; empty where nothing was.
    """

    predict: Predict
    note: str = ""


@dataclass(frozen=True)
class SimpleModel:
    """A kind of model.

    Attributes:
        seconds: ``(rows, features, classes) -> seconds`` that a fit takes on one core of 2020, with more rows never
            less; classes is 0 in regression.
        share: of the time for all models.
        refused: ``(features, classes) -> reason`` why it cannot be fitted at all; empty where it can.
    """

    name: str
    fit: Callable[[Examples], Fitted]
    seconds: Callable[[int, int, int], float]
    share: float
    refused: Callable[[int, int], str] = lambda features, classes: ""


def spread_rows(y: npt.NDArray[Any], m: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """m sorted row numbers in which classes are as frequent as in y, and quantities spread alike.

    Every class is there if there are at least twice as many rows as classes.
    """
    n = len(y)
    if m >= n:
        return np.arange(n)
    shuffled = rng.permutation(n)
    order = shuffled[np.argsort(y[shuffled], kind="stable")]
    kept = order[:0]
    if y.dtype.kind != "f":
        first = np.flatnonzero(np.diff(y[order], prepend=-1))
        if 2 * len(first) <= m:
            kept, order = order[first], np.delete(order, first)
    places = ((np.arange(m - len(kept)) + 0.5) * len(order) / (m - len(kept))).astype(np.int64)
    chosen: npt.NDArray[np.int64] = np.sort(np.concatenate([kept, order[places]]))
    return chosen


def logistic_regression(given: Examples) -> Fitted:
    """On standardised features."""
    from sklearn.linear_model import LogisticRegression

    scaled = _standardised(given.x)
    x = scaled(given.x)
    model = LogisticRegression(max_iter=TRIED, warm_start=True)
    began, note = time.perf_counter(), ""
    model.fit(x, given.y, given.weight)
    if int(model.n_iter_[0]) >= TRIED:
        each = (time.perf_counter() - began) / TRIED
        more = max(0, min(ITERATIONS - TRIED, int(given.left / max(each, 1e-9))))
        if more:
            model.set_params(max_iter=more).fit(x, given.y, given.weight)
        if more < ITERATIONS - TRIED and (not more or int(model.n_iter_[0]) >= more):
            note = f"ended after {TRIED + more} iterations, at its limit of time"
    return Fitted(lambda rows: np.asarray(model.predict_proba(scaled(rows)), np.float64), note)


def ridge(given: Examples) -> Fitted:
    """On standardised features."""
    from sklearn.linear_model import Ridge

    scaled = _standardised(given.x)
    model = Ridge().fit(scaled(given.x).astype(np.float64), given.y, given.weight)
    return Fitted(lambda rows: np.asarray(model.predict(scaled(rows).astype(np.float64)), np.float64))


def random_forest(given: Examples) -> Fitted:
    """Of 100 trees; probabilities are those of one more tree, too, which knows the frequencies only, so none is 0."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    settings: dict[str, Any] = {"warm_start": True, "random_state": 0, "n_jobs": 1}
    if given.n_classes:
        leaves = _most_leaves(given.n_classes)
        model = RandomForestClassifier(max_leaf_nodes=leaves if leaves < len(given.y) else None, **settings)
    else:
        model = RandomForestRegressor(max_features=_tried_features(given.x.shape[1], 0), **settings)
    grown = 0
    for grown in range(TREES_AT_ONCE, TREES + 1, TREES_AT_ONCE):
        began = time.perf_counter()
        model.set_params(n_estimators=grown).fit(given.x, given.y, given.weight)
        if given.left < time.perf_counter() - began:
            break
    note = f"ended with {grown} trees, at its limit of time" if grown < TREES else ""
    if not given.n_classes:
        return Fitted(lambda rows: np.asarray(model.predict(rows), np.float64), note)
    frequent = np.bincount(given.y, given.weight, given.n_classes) / len(given.y)
    return Fitted(lambda rows: (grown * np.asarray(model.predict_proba(rows)) + frequent) / (grown + 1), note)


def mlp(given: Examples) -> Fitted:
    """One hidden layer of 128 units; it ends early, where rows that were held out are predicted no better."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    rng = np.random.RandomState(0)
    held = spread_rows(given.y, len(given.y) // HELD_OUT, np.random.default_rng(0))
    if len(given.y) < LEAST_HELD_OUT:
        held = held[:0]
    learned = np.delete(np.arange(len(given.y)), held)
    settings: dict[str, Any] = {"batch_size": min(200, max(16, len(learned) // 20), len(learned)), "random_state": rng}
    model = (MLPClassifier if given.n_classes else MLPRegressor)(hidden_layer_sizes=(HIDDEN,), **settings)
    x, y, more = _counted(model, given, learned)
    if given.n_classes:
        more["classes"] = np.arange(given.n_classes)
    best: tuple[float, ...] = ()
    epoch = at = 0
    kept: Any = None
    for epoch in range(1, EPOCHS + 1):
        began = time.perf_counter()
        model.partial_fit(x, y, **more)
        reached = _reached(model, given, held) if len(held) else (float(epoch),)
        if not best or reached > best:
            best, at, kept = reached, epoch, [[part.copy() for part in parts] for parts in _parts(model)]
        if epoch - at >= PATIENCE or given.left < time.perf_counter() - began:
            break
    model.coefs_, model.intercepts_ = kept
    cut = epoch < EPOCHS and epoch - at < PATIENCE
    note = f"ended after {plural(epoch, 'epoch')}, at its limit of time" if cut else ""
    predict = model.predict_proba if given.n_classes else model.predict
    return Fitted(lambda rows: np.asarray(predict(rows), np.float64), note)


def _parts(model: Any) -> tuple[list[Any], list[Any]]:
    return model.coefs_, model.intercepts_


def _counted(
    model: Any, given: Examples, rows: npt.NDArray[np.int64]
) -> tuple[Features, npt.NDArray[Any], dict[str, Any]]:
    """x and y of these rows, and their weights as arguments; where MLPs take none, rows are drawn by weight."""
    if given.weight is None:
        return given.x[rows], given.y[rows], {}
    if "sample_weight" in inspect.signature(model.partial_fit).parameters:
        return given.x[rows], given.y[rows], {"sample_weight": given.weight[rows]}
    chances = given.weight[rows] / given.weight[rows].sum()
    rows = rows[np.random.default_rng(0).choice(len(rows), len(rows), p=chances)]
    return given.x[rows], given.y[rows], {}


def _reached(model: Any, given: Examples, rows: npt.NDArray[np.int64]) -> tuple[float, ...]:
    """How well rows are predicted, more is better: the accuracy and what was given to the right class, or the error."""
    x, y = given.x[rows], given.y[rows]
    weight = np.ones(len(rows)) if given.weight is None else given.weight[rows]
    if not given.n_classes:
        return (-float((weight * (model.predict(x) - y) ** 2).sum()),)
    found = model.predict_proba(x)
    right = np.log(np.maximum(found[np.arange(len(y)), y], 1e-30))
    return float((weight * (found.argmax(1) == y)).sum()), float((weight * right).sum())


def _standardised(x: Features) -> Callable[[Features], Features]:
    """Rows with each feature standardised as x is, in float32."""
    mean, std = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    scale = 1 / np.where(std > 0, std, 1)

    def scaled(rows: Features) -> Features:
        made: Features = np.clip((rows - mean) * scale, -STANDARD, STANDARD).astype(np.float32)
        return made

    return scaled


def _most_leaves(classes: int) -> int:
    """Of one tree: a node keeps a number for each class, and there are twice as many nodes as leaves."""
    return FOREST_BYTES // (TREES * 2 * 8 * classes)


def _tried_features(features: int, classes: int) -> int:
    """Features that are tried at each split of a tree."""
    return max(1, math.isqrt(features) if classes else min(features // 3, 64))


def _forest_seconds(rows: int, features: int, classes: int) -> float:
    deep = rows * math.log2(max(rows, 2)) * TREES
    tried = _tried_features(features, classes)
    return deep * (1.4e-8 * (tried + 5) * (1 + classes / 20) if classes else 1.9e-8 * (tried + 8))


def _forest_refused(features: int, classes: int) -> str:
    few = classes > 0 and _most_leaves(classes) < classes
    return f"with {classes:,} classes its trees would take more than {FOREST_BYTES >> 20} MB" if few else ""


def _logistic_refused(features: int, classes: int) -> str:
    n = features * classes
    return f"{features:,} features by {classes:,} classes are more coefficients than it is fitted with" * (
        n > COEFFICIENTS
    )


def _mlp_seconds(rows: int, features: int, classes: int) -> float:
    return USUAL_EPOCHS * rows * (2.5e-6 + 1.6e-10 * HIDDEN * (features + max(classes, 1)))


def _logistic_seconds(rows: int, features: int, classes: int) -> float:
    return ITERATIONS * rows * max(classes, 1) * (2.8e-10 * features + 3e-9)


def _ridge_seconds(rows: int, features: int, classes: int) -> float:
    return 1e-10 * rows * features * min(rows, features)


SIMPLE_MODELS = {
    "classification": (
        SimpleModel("logistic regression", logistic_regression, _logistic_seconds, 0.15, _logistic_refused),
        SimpleModel("random forest", random_forest, _forest_seconds, 0.45, _forest_refused),
        SimpleModel("MLP", mlp, _mlp_seconds, 0.4),
    ),
    "regression": (
        SimpleModel("ridge regression", ridge, _ridge_seconds, 0.15),
        SimpleModel("random forest", random_forest, _forest_seconds, 0.45),
        SimpleModel("MLP", mlp, _mlp_seconds, 0.4),
    ),
}
