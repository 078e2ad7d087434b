"""Optuna: searchkit's strategies as a sampler, and studies of the one read and written as those of the other."""

from searchkit.integrations.optuna.importances import Importances
from searchkit.integrations.optuna.sampler import SearchkitSampler, suggest
from searchkit.integrations.optuna.studies import read_study, write_study

__all__ = ["Importances", "SearchkitSampler", "read_study", "suggest", "write_study"]
