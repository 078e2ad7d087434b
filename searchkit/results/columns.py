"""Columns of the tables of a result."""

from __future__ import annotations

from typing import Any

import numpy as np


def option_column(options: list[Any]) -> Any:
    """The options of a choice as a column: numbers or texts of one type as pandas has them, others as they are.

    Left to itself, pandas makes 1.0 of 1 beside 2.5 or None, and another type of a text, a date or a large number.
    """
    kinds = {type(option) for option in options}
    if len(kinds) < 2 and kinds <= {bool, float}:
        return options
    if kinds == {int} and all(abs(option) < 2**63 for option in options):
        return options
    if kinds == {str} and all(option.isprintable() for option in options):
        return options
    import pandas as pd

    column = np.empty(len(options), dtype=object)
    for i, option in enumerate(options):  # not all at once: arrays and lists would become rows and columns
        column[i] = option
    return pd.Series(column, dtype=object)
