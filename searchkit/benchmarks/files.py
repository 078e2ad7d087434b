"""Finds the tables that benchmarks are made of and checks that they are what they should be.

A table is looked for in the folder that is given, otherwise in the one that $SEARCHKIT_DATA names.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from searchkit.errors import DataError
from searchkit.space import Space
from searchkit.surroundings import settled
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    import pandas as pd

VARIABLE = "SEARCHKIT_DATA"


def located(path: str, folder: Path | None) -> Path | None:
    """The file ``path`` under ``folder``, or under $SEARCHKIT_DATA where no folder is given; None where it is not."""
    given = folder or (settled(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    found = None if given is None else given / path
    return found if found is not None and found.is_file() else None


def required(path: str, folder: Path | None, hint: str = "") -> Path:
    """The same, or an error that says where it was looked for.

    Args:
        hint: what else can be done, as a sentence.

    Raises:
        DataError: the file is not there.
    """
    found = located(path, folder)
    if found is not None:
        return found
    where = os.environ.get(VARIABLE)
    looked = (
        f"{folder}" if folder else f"{settled(where)} (${VARIABLE})" if where else f"no folder: ${VARIABLE} is not set"
    )
    raise DataError(
        f"{path} was not found; looked in {looked}. Give folder= or set {VARIABLE} to the folder that has it."
        + (f" {hint}" if hint else "")
    )


def read_table(path: Path, numbers: Sequence[str], texts: Sequence[str] = (), rows: int | None = None) -> pd.DataFrame:
    """A CSV file, gzipped or not, with the named columns, of numbers and of text.

    Raises:
        DataError: it cannot be read, lacks columns, has something else than numbers, or another number of rows.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(texts, str))
    except (OSError, EOFError, zlib.error, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    missing = [name for name in (*texts, *numbers) if name not in table.columns]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    if rows is not None and len(table) != rows:
        raise DataError(f"{path} has {len(table):,} rows; {rows:,} were expected, one for each combination")
    for name in numbers:
        if not pd.api.types.is_numeric_dtype(table[name]):
            bad = table[name][pd.to_numeric(table[name], errors="coerce").isna() & table[name].notna()]
            raise DataError(f"{path}: column {name} has {bad.iloc[0]!r} in row {bad.index[0]}, which is not a number")
    return table


def read_digits(path: Path, column: pd.Series[str], space: Space) -> Codes:
    """``(n, d)`` option indices, as written, of architectures that are written as one digit a decision.

    Raises:
        DataError: other digits or another number of them, or one architecture twice.
    """
    d = space.n_choices
    codes = np.empty((len(column), d), dtype=np.int64)
    for row, text in enumerate(column):
        if not isinstance(text, str) or len(text) != d or not set(text) <= set("0123456789"):
            raise DataError(f"{path}: {column.name} is {text!r} in row {row}; expected {d} digits, read as text")
        codes[row] = [int(digit) for digit in text]
    outside = np.argwhere(codes >= space.n_options)
    if len(outside):
        row, at = outside[0]
        raise DataError(
            f"{path}: {column.name} is {column.iloc[row]!r} in row {row}; digit {at + 1} goes from 0 to "
            f"{space.n_options[at] - 1}"
        )
    if len(np.unique(codes, axis=0)) < len(codes):
        raise DataError(f"{path}: {column.name} has {column[column.duplicated()].iloc[0]!r} more than once")
    return codes


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, Floats]:
    """The named arrays of an .npz file.

    Raises:
        DataError: it cannot be read, or lacks some.
    """
    try:
        with np.load(path) as held:
            missing = [name for name in names if name not in held]
            if missing:
                raise DataError(f"{path} has no array {', '.join(missing)}; it has {', '.join(held)}")
            return {name: held[name] for name in names}
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
