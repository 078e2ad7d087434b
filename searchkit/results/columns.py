"""Columns of the tables of a result."""

from __future__ import annotations

from typing import Any

import numpy as np


def option_column(options: list[Any]) -> Any:
    """The options of a choice as a column that keeps their types: an object column, if pandas would convert them.

    pandas would convert 1 to 1.0 in a column with 2.5 or None, and some strings, dates and large integers, too.
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
    for i, option in enumerate(options):  # one by one: numpy would spread arrays and lists over rows and columns
        column[i] = option
    return pd.Series(column, dtype=object)
