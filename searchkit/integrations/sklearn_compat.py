"""What is used of scikit-learn that has no public name; checked on scikit-learn 1.9.1.

A search is a subclass of ``BaseSearchCV`` whose ``_run_search`` says what to evaluate; scikit-learn documents that in
the class itself. Weights of rows are checked as its own estimators check them.
Where a later one has moved a name, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations

from typing import Any

from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

__all__ = ["PARAMETERS", "BaseSearchCV", "check_sample_weight"]

PARAMETERS: dict[str, Any] = BaseSearchCV._parameter_constraints  # what scikit-learn checks before a fit
