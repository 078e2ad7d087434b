"""The methods that are compared: each makes the best of a number of seconds."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

import searchkit
from searchkit.data.data import Data
from searchkit.data.splits import Split
from searchkit.problem.pareto import hypervolume
from searchkit.search.space_setup import read_space
from searchkit.space import NetworkSpace
from searchkit.training.evaluator import Training
from searchkit.training.recipe import final_recipe, recipe_for
from searchkit.training.speed import measure
from searchkit.training.train import build_seeded, score, train

MOST_PARAMS, LEAST_ACCURACY = 6.5, 0.1


@dataclass(frozen=True)
class Row:
    """What a method delivered: test accuracy, size, and the hypervolume of its front."""

    accuracy: float
    params: float = 0.0
    networks: int = 0
    area: float = 0.0
    seconds: float = 0.0

    def after(self, seconds: float) -> Row:
        """With the seconds that it took."""
        return replace(self, seconds=seconds)


def area(accuracies: Sequence[float], params: Sequence[float]) -> float:
    """The hypervolume of networks by test accuracy and log10 of params."""
    losses = np.column_stack([-np.asarray(accuracies, float), np.log10(np.asarray(params, float))])
    return float(hypervolume(losses, np.array([-LEAST_ACCURACY, MOST_PARAMS])))


def of_searchkit(data: Data, seconds: float, seed: int, workers: int) -> Row:
    """searchkit.run with this time."""
    result = searchkit.run(
        data=data, budget={"seconds": seconds}, seed=seed, executor=workers, storage="memory", progress=False
    )
    front = result.front
    return Row(front.test_accuracy[0], front.params[0], len(result.trials), area(front.test_accuracy, front.params))


def of_grid(data: Data, seconds: float, seed: int, workers: int) -> Row:
    """Six plain residual networks by hand, with searchkit's recipe and as many passes as fit."""
    from joblib import Parallel, delayed

    space = read_space(None).for_data(data.input_shape, data.n_classes)
    codes = _designs(space)
    share = 0.93 * seconds * workers / len(codes)
    done = Parallel(n_jobs=workers)(delayed(_trained)(space, data, code, share, seed) for code in codes)
    validation, tested, params = (np.array(column) for column in zip(*done, strict=True))
    best = int(np.argmax(validation))
    return Row(tested[best], params[best], len(codes), area(tested, params))


def _designs(space: NetworkSpace) -> Any:
    """Six of the designs of the space, from small to large."""
    codes = space.reference[:6]
    assert len(codes) == 6, f"space '{space.name}' has no designs"
    return codes


def _trained(space: NetworkSpace, data: Data, code: Any, seconds: float, seed: int) -> tuple[float, float, float]:
    """Accuracy on the validation and the test part, and params, of a network that is trained for so many seconds."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    recipe = replace(recipe_for(data.kind, len(data.train), 5, data.augment), steps=10_000)
    speed = measure(Training(space, data.without_test(), recipe, "cpu", (), None), code[None])[0]  # type: ignore[arg-type]
    n = len(data.train)
    network = build_seeded(space, code, seed)
    left = seconds - (time.perf_counter() - began)
    recipe = final_recipe(data, n, left / (1.15 * speed.example))
    trained = train(network, data.without_test(), recipe=recipe, seed=seed, device="cpu", within=left)
    params = sum(parameter.numel() for parameter in network.parameters())
    return trained.accuracy, score(network, data.test, data, "cpu"), params


def of_tpe(data: Data, seconds: float, seed: int, workers: int) -> Row:
    """Optuna's TPE over searchkit's space, trained by searchkit's default recipe, without a plan."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    result = searchkit.run(
        optuna.samplers.TPESampler(seed=seed), data=data, budget={"seconds": seconds}, epochs=30, seed=seed,
        executor=workers, storage="memory", progress=False,
    )  # fmt: skip
    front = result.front
    if not len(front):
        return Row(math.nan)
    return Row(front.test_accuracy[0], front.params[0], len(result.trials), area(front.test_accuracy, front.params))


def _rows(part: Split, data: Data) -> tuple[Any, Any]:
    x = part.x.float().flatten(1).numpy()
    mean = np.repeat(data.mean, x.shape[1] // len(data.mean))
    std = np.repeat(data.std, x.shape[1] // len(data.std))
    return (x - mean) / std, part.y.numpy()


def of_mlp(data: Data, seconds: float, seed: int, workers: int) -> Row:
    """scikit-learn's MLP, pass after pass until the time is over; the best on the validation part is kept."""
    from sklearn.neural_network import MLPClassifier

    (x, y), (x_val, y_val), (x_test, y_test) = (_rows(part, data) for part in (data.train, data.val, data.test))
    model = MLPClassifier((256,), random_state=seed, batch_size=min(128, len(x)))
    began, best, tested, calm = time.perf_counter(), -1.0, 0.0, 0
    while time.perf_counter() - began < 0.95 * seconds and calm < 50:
        model.partial_fit(x, y, classes=np.arange(data.n_classes))
        found, calm = model.score(x_val, y_val), calm + 1
        if found > best:
            best, tested, calm = found, model.score(x_test, y_test), 0
    return Row(tested)


def of_boosting(data: Data, seconds: float, seed: int, workers: int) -> Row:
    """scikit-learn's histogram gradient boosting, in rounds until the time is over or it no longer improves."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    (x, y), (x_val, y_val), (x_test, y_test) = (_rows(part, data) for part in (data.train, data.val, data.test))
    model = HistGradientBoostingClassifier(
        max_iter=2, warm_start=True, early_stopping=False, random_state=seed, learning_rate=0.1
    )
    began, best, tested, calm = time.perf_counter(), -1.0, 0.0, 0
    while calm < 10:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before = time.perf_counter()
            model.fit(x, y)
        found, calm = model.score(x_val, y_val), calm + 1
        if found > best:
            best, tested, calm = found, model.score(x_test, y_test), 0
        if time.perf_counter() - began + 1.5 * (time.perf_counter() - before) > seconds:
            break
        model.max_iter += 10
    return Row(tested)


def of_flaml(data: Data, seconds: float, seed: int, workers: int) -> Row:
    """FLAML on the pixels: its choice among tree ensembles and linear models, judged on the validation part."""
    from flaml import AutoML

    (x, y), (x_val, y_val), (x_test, y_test) = (_rows(part, data) for part in (data.train, data.val, data.test))
    found = AutoML()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found.fit(
            x, y, X_val=x_val, y_val=y_val, task="classification", metric="accuracy", time_budget=seconds, seed=seed,
            n_jobs=workers, retrain_full=False, verbose=0,
        )  # fmt: skip
    return Row(float((found.predict(x_test) == y_test).mean()))


METHODS: dict[str, Callable[[Data, float, int, int], Row]] = {
    "searchkit": of_searchkit,
    "grid": of_grid,
    "tpe": of_tpe,
    "mlp": of_mlp,
    "boosting": of_boosting,
    "flaml": of_flaml,
}
