"""Reads a table from a .csv file, in which one column is what is to be predicted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from searchkit.data.frame_columns import check_there, listed, names_of
from searchkit.errors import DataError, first_line_said
from searchkit.surroundings import settled

if TYPE_CHECKING:
    import pandas as pd

_ENDING = re.compile(r"\.([ct])sv(\.gz)?$", re.IGNORECASE)
_DATE = r"^\d{4}-\d{2}-\d{2}"  # how a date begins that is read as one


def is_csv(data: object) -> bool:
    """Whether data are the path of a .csv or .tsv file, which may be compressed by gzip."""
    return isinstance(data, str | Path) and _ENDING.search(str(data)) is not None


def stem_of(path: str | Path) -> str:
    """The name of the file without its ending."""
    return _ENDING.sub("", Path(path).name)


def read_csv(path: str | Path, target: str | None) -> tuple[pd.DataFrame, str]:
    """The table in a file, and its column y; text that is a date in ISO 8601 everywhere in a column is read as dates.

    Raises:
        DataError: the file cannot be read, or has no column of that name; the message names those that it has.
    """
    import pandas as pd

    kind = _ENDING.search(str(path))
    try:
        frame = pd.read_csv(settled(path), sep="\t" if kind is not None and kind[1].lower() == "t" else ",")
    except (OSError, ValueError, EOFError) as error:  # those of pandas are ValueErrors
        raise DataError(
            f"{path} cannot be read as a table: {type(error).__name__}: {first_line_said(error)}"
        ) from error
    names = names_of(frame)
    if target is None:
        raise DataError(
            f"say which column of {path} is to be predicted: load_data('{path}', target='...'), on the command line "
            f"--data-option target=...; it has {listed(names)}"
        )
    check_there([target], names, str(path))
    for name in frame.columns:
        if name != target and (frame[name].dtype == object or isinstance(frame[name].dtype, pd.StringDtype)):
            frame[name] = _with_dates(frame[name])
    return frame, target


def _with_dates(column: pd.Series[str]) -> pd.Series[str]:
    """A column of text as dates, if all of it is; else as it is."""
    import pandas as pd

    there = column.dropna()
    if not len(there) or not there.astype(str).str.match(_DATE).all():
        return column
    try:
        return pd.to_datetime(column, format="ISO8601")  # type: ignore[return-value]
    except (ValueError, OverflowError):
        return column
