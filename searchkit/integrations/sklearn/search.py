"""Shared by the estimators: check the input, search, pick a network of the front, train it on all rows."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d, validate_data
from torch import nn

from searchkit.api import run
from searchkit.data.arrays import is_frame
from searchkit.data.data import Data
from searchkit.data.images import as_images
from searchkit.data.labels import as_labels
from searchkit.data.tables import as_table
from searchkit.data.targets import as_target
from searchkit.errors import CandidateError, DataError, SearchkitError
from searchkit.integrations.sklearn.data import parts, whole
from searchkit.results.result import Result
from searchkit.search.loop import evaluation_seed
from searchkit.space.recipe_space import settings_of
from searchkit.training.normalised import normalised
from searchkit.training.own_recipe import recorded_recipe
from searchkit.training.recipe import recipe_for
from searchkit.training.train import build_seeded, train
from searchkit.types import Floats

PASSED = (
    "space", "budget", "epochs", "recipe", "objectives", "constraints", "proxies", "ladder", "storage", "name",
    "executor", "device", "time_limit", "callbacks", "progress",
)  # fmt: skip
ROWS = 4096  # predicted at once


def checked(estimator: Any, X: Any, y: Any, numeric: bool) -> tuple[torch.Tensor, npt.NDArray[Any]]:
    """X and y of ``fit`` as scikit-learn's conventions have them; sets ``n_features_in_`` and ``feature_names_in_``.

    Args:
        numeric: y is numbers.

    Returns:
        a table ``(n, features)`` float32, or images ``(n, c, h, w)`` where X has three or four axes; y ``(n,)``.
    """
    _check_inputs(X)
    y = _checked_targets(y, numeric)
    if not _is_images(X):
        X, y = validate_data(estimator, X, y, dtype="numeric", ensure_min_samples=2, y_numeric=numeric)
        return as_table(X), y
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
    images = as_images(check_array(X, ensure_2d=False, allow_nd=True, ensure_min_samples=2))
    y = column_or_1d(y, warn=True, dtype=np.float64 if numeric else None)
    check_consistent_length(images, y)
    if hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_  # of an earlier fit
    estimator.n_features_in_ = images[0].numel()
    return images, y


def searched(
    estimator: Any,
    x: torch.Tensor,
    y: npt.NDArray[Any],
    classes: tuple[Any, ...],
    score: str | None = None,
    class_weights: tuple[float, ...] | None = None,
    weight: Floats | None = None,
) -> tuple[Result, nn.Module]:
    """The result of the search that an estimator's parameters describe, and the network that it takes.

    Args:
        x, y, classes, class_weights, weight: see :func:`searchkit.integrations.sklearn.data.parts`.
        score: the objective besides params where the user gives none; the task's default if None.
    """
    state = estimator.random_state
    given_seed = isinstance(state, int | np.integer) and not isinstance(state, bool)
    seed = int(state) if given_seed else int(check_random_state(state).randint(2**31 - 1))
    data = parts(
        x,
        y,
        classes,
        validation=estimator.validation_fraction,
        test=estimator.test_fraction,
        seed=seed,
        class_weights=class_weights,
        weight=weight,
    )
    given = {name: getattr(estimator, name) for name in PASSED}
    given["batch"] = estimator.batch or (estimator.executor if isinstance(estimator.executor, int) else None)
    if given["objectives"] is None and score is not None:
        given["objectives"] = (score, "params")
    result = run(estimator.strategy, data=data, seed=seed, **given)
    row = picked(result, estimator.pick)
    if not estimator.refit or _trained_on_all(result, row):
        return result, result.build(row)
    return result, _refitted(estimator, result, row, data, seed)


def outputs(estimator: Any, X: object) -> npt.NDArray[np.float64]:
    """Outputs of a fitted estimator's network for X: ``(n, classes)`` logits, or ``(n,)`` values.

    Computed in float64, so that rounding, which depends on the other rows of a batch, is not visible in the output.
    """
    network = copy.deepcopy(estimator.network_).double()
    with torch.inference_mode():
        x = _inputs(estimator, X)
        return np.asarray(torch.cat([network(x[i : i + ROWS].double()) for i in range(0, len(x), ROWS)]))


def picked(result: Result, pick: object) -> int:
    """Row of the front: the best first objective for None, that of an objective, a row, or that of a function.

    Raises:
        SearchkitError: it is none of these, or the front is empty.
    """
    front = result.front
    if front.empty:
        raise SearchkitError(f"no network can be taken, since the front is empty: {result.nothing}")
    chosen: Any = pick
    if pick is None:
        chosen = 0
    elif isinstance(pick, str):
        chosen = result.best(pick).name
    elif callable(pick):
        chosen = pick(front)
    if isinstance(chosen, bool) or not isinstance(chosen, int | np.integer) or not -len(front) <= chosen < len(front):
        raise SearchkitError(
            f"pick is None, an objective, a row of the front or a function (front) -> row; {pick!r} gave {chosen!r}, "
            f"and the front has rows 0 to {len(front) - 1}"
        )
    return int(chosen) % len(front)


def _check_inputs(X: Any) -> None:
    """Say what to give instead of what scikit-learn has no words for, or words about something else."""
    if is_frame(X) or isinstance(X, np.ma.MaskedArray) or (hasattr(X, "to_frame") and getattr(X, "ndim", 0) == 1):
        as_table(X)


def _checked_targets(y: Any, numeric: bool) -> Any:
    """y, with objects as ints, bools, texts or floats.

    Raises:
        DataError: there are several values per example, or some are missing.
    """
    try:
        array = np.asarray(y)
    except (ValueError, TypeError):  # no common shape
        array = np.empty((0, 2), dtype=object)
    several = array.ndim == 2 and array.shape[1] > 1
    listed = isinstance(y, list) and len({isinstance(one, str) for one in y}) > 1
    odd = array.dtype.kind in "OTSMm"
    if array.dtype.kind == "f" and not numeric:  # of NaN in arrays, and of quantities, scikit-learn says it itself
        odd = bool((np.isfinite(array) & (np.abs(array.astype(np.float64)) >= 2**63)).any())
        odd |= hasattr(y, "isna") and bool(np.isnan(array).any())
    if hasattr(y, "tocsr") or (array.ndim and (several or listed or odd)):
        return as_target(y) if numeric else as_labels(y)
    return y


def _is_images(X: Any) -> bool:
    shape = getattr(X, "shape", None)
    return len(shape if shape is not None else np.shape(X) if isinstance(X, list | tuple) else ()) in (3, 4)


def _inputs(estimator: Any, X: Any) -> torch.Tensor:
    wanted = estimator.result_.network_space.input_shape
    if len(wanted) == 1:
        return torch.from_numpy(np.array(validate_data(estimator, X, dtype="numeric", reset=False), np.float64))
    images = as_images(check_array(X, ensure_2d=False, allow_nd=True))
    if tuple(images.shape[1:]) != wanted:
        raise DataError(
            f"{type(estimator).__name__} was fitted on images of shape {wanted}, and X has {tuple(images.shape[1:])}"
        )
    return images


def _trained_on_all(result: Result, row: int) -> bool:
    """Whether the search itself trained the network of a row on the validation part as well, in its planned time."""
    final = result.finals.get(int(result.front.trial[row]))
    return final is not None and "reason" not in final


def _refitted(estimator: Any, result: Result, row: int, data: Data, seed: int) -> nn.Module:
    """The network of a row trained once more, on the validation part's rows as well."""
    every = whole(data)
    space, trial = result.network_space, result.trials[int(result.front.trial[row])]
    own = evaluation_seed(seed, trial.code)
    network = build_seeded(space, trial.code, own)
    recipe = recipe_for(data.kind, len(every.train), result.context["call"]["epochs"], data.augment)
    recipe = recorded_recipe(result.context, space).applied(
        recipe, data.kind, len(every.train), settings_of(space, trial.code)
    )
    try:
        train(network, every, recipe=recipe, seed=own, device=estimator.device, time_limit=estimator.time_limit)
    except CandidateError as error:
        warnings.warn(
            f"the network that was picked could not be trained on all rows ({error}); it stays as the search trained "
            "it, on the train part",
            stacklevel=4,
        )
        return result.build(row)
    return normalised(network, every)
