"""Searches as scikit-learn estimators: fit finds a network, predict uses it."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import nn

from searchkit.errors import DataError
from searchkit.integrations.sklearn.search import checked, outputs, searched
from searchkit.integrations.sklearn.weights import class_weights, counting, row_weights
from searchkit.results.result import Result

BUDGET = 10  # on seven tables of 178 to 4,000 rows, 20 evaluations changed test scores by less than they vary by split


class SearchClassifier(ClassifierMixin, BaseEstimator):
    """Searches for a neural network that classifies, and predicts with the best that it found.

    X is a table ``(n, features)`` of finite numbers, or images ``(n, h, w)``, ``(n, h, w, c)`` or ``(n, c, h, w)``.
    All rows are used: a stratified share is held out to evaluate networks, and the chosen network is then trained on
    all of them.

    Args:
        strategy, space, budget, epochs, recipe, objectives, constraints, proxies, ladder, batch, executor,
            device, time_limit, callbacks, progress: see :func:`searchkit.run`. The space is "tabular" for tables where
            not given, the objectives ("accuracy", "params"), and ("balanced_accuracy", "params") with ``class_weight``.
        pick: which network of the front is used: the best in the first objective (None), the best in another one (its
            name), a row of the front, or a function ``(front) -> row``, the front a DataFrame.
        refit: train that network once more, on all rows. False: it stays as the search trained and measured it.
        class_weight: None, "balanced", or a mapping of classes to their weights in the training loss; classes that it
            leaves out have the weight 1.
        validation_fraction: share of the rows on which networks are evaluated; with fewer than ten rows, all of them.
        test_fraction: share of the rows that is held out from search and training, for ``result_.front``'s
            ``test_accuracy``.
        storage: "memory" (nothing is written), or as for :func:`searchkit.run`: then the same fit continues.
        name: of the study, for a storage.
        random_state: of everything random: an int gives the same network again. With ``executor=n`` worker processes
            n candidates are asked for at once; with an executor object, only a ``batch`` makes the search repeatable.

    Attributes:
        result_: the :class:`~searchkit.Result`: front, history, plots, export. The trained weights of a search in
            memory are files that go with the process; ``network_`` keeps its own.
        network_: the network, taking raw X and returning logits ``(n, classes)``.
        classes_: the labels, in the order of the logits.
        n_features_in_: features, or pixels of an image.
        feature_names_in_: of a data frame.
    """

    result_: Result
    network_: nn.Module
    classes_: npt.NDArray[Any]
    n_features_in_: int

    def __init__(
        self,
        strategy: object = "auto",
        *,
        space: object = None,
        budget: object = BUDGET,
        epochs: int | None = None,
        recipe: object = None,
        objectives: object = None,
        constraints: object = None,
        proxies: object = "auto",
        ladder: object = None,
        batch: int | None = None,
        pick: object = None,
        refit: bool = True,
        class_weight: object = None,
        validation_fraction: float = 0.2,
        test_fraction: float = 0.0,
        storage: object = "memory",
        name: str | None = None,
        executor: object = None,
        device: str = "auto",
        time_limit: float | None = None,
        callbacks: object = (),
        progress: bool | None = False,
        random_state: object = None,
    ) -> None:
        self.strategy = strategy
        self.space = space
        self.budget = budget
        self.epochs = epochs
        self.recipe = recipe
        self.objectives = objectives
        self.constraints = constraints
        self.proxies = proxies
        self.ladder = ladder
        self.batch = batch
        self.pick = pick
        self.refit = refit
        self.class_weight = class_weight
        self.validation_fraction = validation_fraction
        self.test_fraction = test_fraction
        self.storage = storage
        self.name = name
        self.executor = executor
        self.device = device
        self.time_limit = time_limit
        self.callbacks = callbacks
        self.progress = progress
        self.random_state = random_state

    def fit(self, X: object, y: object, sample_weight: object = None) -> Self:
        """Search on rows X ``(n, features)``, or images, and their labels y ``(n,)`` of any kind.

        Args:
            sample_weight: ``(n,)`` how much each row counts in the training's loss and in the scores of networks, 0 or
                more; only their ratios matter. A row of weight 0 is left out of everything.

        Raises:
            ValueError: NaN, one class, unequal lengths, negative weights, and whatever :func:`searchkit.run` refuses.
            TypeError: a sparse matrix.
        """
        x, y = checked(self, X, y, numeric=False)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(f"y holds one class, {self.classes_[0]!r}; a classifier needs two or more classes")
        rows = row_weights(sample_weight, x)
        weights = class_weights(self.class_weight, self.classes_, y, rows)
        x, numbers, rows = counting(x, numbers.astype(np.int64), rows, weights)
        if (numbers == numbers[0]).all():
            label = self.classes_[numbers[0]]
            raise DataError(f"all rows with a weight above 0 are of one class, {label!r}; a classifier needs two")
        self.result_, self.network_ = searched(
            self,
            x,
            numbers,
            tuple(self.classes_),
            None if weights is None else "balanced_accuracy",
            None if weights is None else tuple(weights.tolist()),
            rows,
        )
        return self

    def predict(self, X: object) -> npt.NDArray[Any]:
        """``(n,)`` the likeliest class of each row."""
        check_is_fitted(self)
        labels: npt.NDArray[Any] = self.classes_[outputs(self, X).argmax(axis=1)]
        return labels

    def predict_proba(self, X: object) -> npt.NDArray[np.float64]:
        """``(n, classes)`` probabilities, in the order of ``classes_``; rows add up to 1."""
        check_is_fitted(self)
        probabilities: npt.NDArray[np.float64] = softmax(outputs(self, X), axis=1)
        return probabilities

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


class SearchRegressor(RegressorMixin, BaseEstimator):
    """Searches for a neural network that predicts a quantity, and predicts with the best that it found.

    As :class:`SearchClassifier`, with ("r2", "params") for objectives where none are given, and y standardised in
    training; ``network_`` returns values ``(n,)`` in the unit of y.
    """

    result_: Result
    network_: nn.Module
    n_features_in_: int

    def __init__(
        self,
        strategy: object = "auto",
        *,
        space: object = None,
        budget: object = BUDGET,
        epochs: int | None = None,
        recipe: object = None,
        objectives: object = None,
        constraints: object = None,
        proxies: object = "auto",
        ladder: object = None,
        batch: int | None = None,
        pick: object = None,
        refit: bool = True,
        validation_fraction: float = 0.2,
        test_fraction: float = 0.0,
        storage: object = "memory",
        name: str | None = None,
        executor: object = None,
        device: str = "auto",
        time_limit: float | None = None,
        callbacks: object = (),
        progress: bool | None = False,
        random_state: object = None,
    ) -> None:
        self.strategy = strategy
        self.space = space
        self.budget = budget
        self.epochs = epochs
        self.recipe = recipe
        self.objectives = objectives
        self.constraints = constraints
        self.proxies = proxies
        self.ladder = ladder
        self.batch = batch
        self.pick = pick
        self.refit = refit
        self.validation_fraction = validation_fraction
        self.test_fraction = test_fraction
        self.storage = storage
        self.name = name
        self.executor = executor
        self.device = device
        self.time_limit = time_limit
        self.callbacks = callbacks
        self.progress = progress
        self.random_state = random_state

    def fit(self, X: object, y: object, sample_weight: object = None) -> Self:
        """Search on rows X ``(n, features)``, or images, and their targets y ``(n,)``.

        Args:
            sample_weight: ``(n,)`` how much each row counts in the training's loss and in the scores of networks, 0 or
                more; only their ratios matter. A row of weight 0 is left out of everything.

        Raises:
            ValueError: NaN, unequal lengths, negative weights, and whatever :func:`searchkit.run` refuses.
            TypeError: a sparse matrix.
        """
        x, y = checked(self, X, y, numeric=True)
        x, y, rows = counting(x, np.asarray(y, np.float64), row_weights(sample_weight, x), None)
        self.result_, self.network_ = searched(self, x, y, (), weight=rows)
        return self

    def predict(self, X: object) -> npt.NDArray[np.float64]:
        """``(n,)`` in the unit of y."""
        check_is_fitted(self)
        return outputs(self, X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
