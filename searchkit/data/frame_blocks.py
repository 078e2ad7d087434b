"""What scikit-learn's encoders are given for each kind of column of a data frame; see :mod:`searchkit.data.frames`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from searchkit.data.frame_columns import Column

if TYPE_CHECKING:
    import pandas as pd

MOST = 50  # features of a column of text at most
LEAST, LEAST_SHARE = 2, 0.01  # rows in which a value of text, or a gap, has a feature of its own, and their share: a
# rarer feature would be more than ten deviations of itself where it is not 0
GAPS = "gaps"  # the name of the block that says where numbers are missing
OTHERS, MISSING = "(other values)", "is missing"


def fitted_transformer(columns: Mapping[str, npt.NDArray[Any]], kinds: Mapping[str, Column]) -> object:
    """A ColumnTransformer of scikit-learn, fitted to the columns ``(n,)`` of a train part, by their kinds."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import MissingIndicator

    as_numbers = [name for name, kind in kinds.items() if kind in ("numbers", "durations")]
    as_text = [name for name, kind in kinds.items() if kind == "text"]
    n = len(next(iter(columns.values())))
    with_gaps = [name for name in as_numbers if np.isnan(columns[name]).sum() >= _least(n)]
    blocks = [("numbers", _imputer(), as_numbers)] if as_numbers else []
    blocks += [(GAPS, MissingIndicator(features="all"), with_gaps)] if with_gaps else []
    blocks += [("text", _one_hot(n), as_text)] if as_text else []
    blocks += [(f"dates {name}", _of_dates(columns[name]), [name]) for name, kind in kinds.items() if kind == "dates"]
    return ColumnTransformer(blocks, sparse_threshold=0).fit(frame_of(columns))


def frame_of(columns: Mapping[str, npt.NDArray[Any]]) -> pd.DataFrame:
    """The columns as a frame of pandas, without a change of their types."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})


def useless(kind: Column, values: npt.NDArray[Any]) -> str:
    """Why a column of the train part is left out; empty where it is not."""
    import pandas as pd

    gaps = np.asarray(pd.isna(values), dtype=bool)
    counts = pd.Series(values[~gaps]).value_counts()
    if not len(counts):
        return "empty"
    few = gaps.sum() < _least(len(values))
    if len(counts) == 1 and few:
        return "constant"
    if kind == "text" and few and counts.iloc[0] < _least(len(values)):
        return "all values differ" if counts.iloc[0] == 1 else "no value is frequent"
    return ""


def _least(n: int) -> int:
    """In how many of n rows a value of text, or a gap, has to occur."""
    return max(LEAST, math.ceil(LEAST_SHARE * n))


def _imputer() -> Any:
    from sklearn.impute import SimpleImputer

    return SimpleImputer(strategy="median")


def _one_hot(n: int) -> Any:
    from sklearn.preprocessing import OneHotEncoder

    return OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=_least(n),
        max_categories=MOST,
        sparse_output=False,
        dtype=np.float32,
        feature_name_combiner=_name_of_value,
    )


def _name_of_value(column: str, value: object) -> str:
    if value is None:
        return f"{column} {MISSING}"
    return f"{column}={OTHERS}" if value == "infrequent_sklearn" else f"{column}={value}"


def _of_dates(values: npt.NDArray[Any]) -> Any:
    """A transformer of one column of dates, by those of the train part."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    there = values[~np.isnat(values)]
    first = there.min().astype("datetime64[D]")
    parts = [part for part, of in _parts(there, first).items() if part == "days" or of.min() < of.max()]
    settings = {"first": str(first), "parts": parts, "gaps": bool(np.isnat(values).sum() >= _least(len(values)))}
    function = FunctionTransformer(_features_of_dates, kw_args=settings, feature_names_out=_names_of_dates)
    return make_pipeline(function, _imputer())


def _parts(dates: npt.NDArray[Any], first: np.datetime64) -> dict[str, npt.NDArray[np.float64]]:
    """``(n,)`` each of what is made of dates, none of which is missing."""
    seconds = dates.astype("datetime64[s]")
    days = seconds.astype("datetime64[D]")
    hour = (seconds - days).astype(np.float64) / 3600
    return {
        "days": (days - first).astype(np.float64) + hour / 24,
        "year": days.astype("datetime64[Y]").astype(np.float64) + 1970,
        "month": days.astype("datetime64[M]").astype(np.int64) % 12 + 1.0,
        "weekday": (days.astype(np.int64) + 3) % 7 * 1.0,  # 1970-01-01 was a Thursday
        "hour": hour,
    }


def _features_of_dates(frame: Any, first: str, parts: Sequence[str], gaps: bool) -> npt.NDArray[np.float64]:
    """``(n, parts)`` of a frame with one column of dates, NaN where one is missing; and where, if ``gaps``."""
    values = np.asarray(frame).reshape(-1).astype("datetime64[s]")
    there = ~np.isnat(values)
    found = np.full((len(values), len(parts) + gaps), np.nan)
    made = _parts(values[there], np.datetime64(first, "D"))
    for i, part in enumerate(parts):
        found[there, i] = made[part]
    if gaps:
        found[:, -1] = ~there
    return found


def _names_of_dates(transformer: Any, columns: Sequence[str]) -> npt.NDArray[Any]:
    settings, (name,) = transformer.kw_args, columns
    found = [f"{name} {part}" if part != "days" else f"{name} days since {settings['first']}" for part in
             settings["parts"]]  # fmt: skip
    return np.array(found + [f"{name} {MISSING}"] * settings["gaps"], dtype=object)


def feature_names(transformer: object, kinds: Mapping[str, Column]) -> tuple[str, ...]:
    """Readable names of the features."""
    found = []
    for raw in cast(Any, transformer).get_feature_names_out():
        block, _, name = str(raw).partition("__")
        if block == GAPS:
            found.append(f"{name.removeprefix('missingindicator_')} {MISSING}")
        else:
            found.append(f"{name} (days)" if kinds.get(name) == "durations" else name)
    return tuple(found)
