"""scikit-learn: searches as estimators, and searchkit's strategies over the parameters of any estimator."""

from searchkit.integrations.sklearn.cv import SearchkitCV
from searchkit.integrations.sklearn.estimators import SearchClassifier, SearchRegressor

__all__ = ["SearchClassifier", "SearchRegressor", "SearchkitCV"]
