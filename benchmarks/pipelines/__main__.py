"""Pipelines of Optuna and scikit-learn: what is found there, beside what people use, and what it takes.

    python -m benchmarks.pipelines [--part study|check|time|sklearn|all] [--seeds 20] [--splits 3] [--cache FOLDER]

``study``: ten functions and models of numbers, categories and conditions, with Optuna's samplers in the same run; by
these, settings were chosen. ``check``: six more that no setting was chosen by. ``time``: milliseconds of a suggestion.
``sklearn``: SearchClassifier and SearchRegressor beside scikit-learn's own.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import optuna

from benchmarks.common.machine import describe
from benchmarks.pipelines import estimators, functions, models, study, suggestions

PARTS = ("study", "check", "time", "sklearn")


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=(*PARTS, "all"), default="all")
    parser.add_argument("--seeds", type=int, default=20, help="of the study and the check")
    parser.add_argument("--splits", type=int, default=3, help="of scikit-learn's estimators")
    parser.add_argument("--cache", type=Path, help="a folder that keeps runs")
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # of networks that were not trained to the end
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(describe(), end="\n\n")
    for part in PARTS if given.part == "all" else (given.part,):
        if part == "study":
            study.table([*functions.tuned(), *models.cases()], given.seeds, given.cache)
        elif part == "check":
            study.table(functions.kept_back(), given.seeds, given.cache)
        elif part == "time":
            suggestions.part_optuna()
            suggestions.part_strategy(functions.tuned())
        else:
            estimators.part_sklearn(given.splits)


if __name__ == "__main__":
    main()
