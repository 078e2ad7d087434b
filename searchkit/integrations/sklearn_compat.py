"""What is used of scikit-learn that has no public name; checked on scikit-learn 1.9.1.

A search is a subclass of ``BaseSearchCV`` whose ``_run_search`` says what to evaluate; scikit-learn documents that in
the class itself. Weights of rows are checked as its own estimators check them. Where a later one has moved a name,
``tests/test_compat.py`` says which.
"""

from __future__ import annotations

from typing import Any

from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

__all__ = ["PARAMETERS", "BaseSearchCV", "SearchCV", "check_sample_weight"]

PARAMETERS: dict[str, Any] = BaseSearchCV._parameter_constraints  # what scikit-learn checks before a fit


class SearchCV(BaseSearchCV):
    """A search that remembers the ``cv_results_`` that were made last, and what of.

    That is: parameters of the candidates, number of splits, one dictionary a fit, further columns.
    """

    _formatted: tuple[dict[str, Any], list[dict[str, Any]], int, list[dict[str, Any]], Any]

    def _format_results(self, candidate_params: Any, n_splits: int, out: Any, more_results: Any = None) -> Any:
        results = self.format_results(candidate_params, n_splits, out, more_results)
        self._formatted = (results, candidate_params, n_splits, out, more_results)
        return results

    def format_results(self, candidate_params: object, n_splits: int, out: object, more_results: object = None) -> Any:
        """``cv_results_`` of fits."""
        return super()._format_results(candidate_params, n_splits, out, more_results)
