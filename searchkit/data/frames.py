"""Data frames with text, categories, dates and missing values, as tables of numbers: by scikit-learn's own encoders.

The encoder is fitted on the train part alone, after the split, and is kept with the network: :attr:`Data.encoder`,
:attr:`searchkit.Result.encoder`. It is made of a ColumnTransformer, and what it does to a column depends on its kind:

* numbers and booleans: the median in place of what is missing (SimpleImputer), with a feature that says where it was
  (MissingIndicator), if that is in 1 % of the rows or more;
* text and categories: a feature for each value (OneHotEncoder). Values of fewer than 1 % of the rows, and what is
  beyond the 50 most frequent, share one feature, so that a column of thousands of names cannot explode the table; a
  value that the train part does not have counts among these. A missing value is a value of its own.
* dates: days since the first of the train part, year, month, day of the week (0 is Monday) and hour, as far as they
  vary; the median where one is missing, with such a feature. Durations are numbers, in days.

Columns without information are left out, and a warning names them: constant or empty ones, and text whose values are
all different, which is a name of each row and says nothing of others.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from searchkit.data.arrays import is_frame
from searchkit.data.datasets import Items
from searchkit.data.frame_blocks import feature_names, fitted_transformer, frame_of, useless
from searchkit.data.frame_columns import Column, check_there, is_plain, listed, names_of, read_columns
from searchkit.data.splits import Split
from searchkit.errors import DataError, SearchkitError, WritingError, first_line_said, plural
from searchkit.runtime.whole_files import written_whole

log = logging.getLogger("searchkit.data")

FILE = "encoder.joblib"  # in the folder of a study
_READ = {"numbers": "numbers", "text": "text or categories", "dates": "dates", "durations": "durations"}


@dataclass(frozen=True, eq=False)
class FrameEncoder:
    """Makes rows of numbers of data frames; fitted on the train part of a search, see :mod:`searchkit.data.frames`.

    Attributes:
        columns: the columns that are used, each with its kind: "numbers", "text", "dates" or "durations".
        left_out: the columns that are not, each with the reason.
        feature_names: of the rows that :meth:`transform` gives, such as ``"city=Oslo"`` or ``"age is missing"``.
        transformer: the fitted ColumnTransformer of scikit-learn, for the columns as they are prepared here.
    """

    columns: Mapping[str, Column]
    left_out: Mapping[str, str]
    feature_names: tuple[str, ...]
    transformer: object

    def transform(self, frame: object) -> npt.NDArray[np.float32]:
        """``(n, features)`` rows of numbers, as a network of the search takes them, of n rows of a data frame.

        Columns may have another order, further ones are not read, and values may be missing or new.

        Raises:
            DataError: it is no data frame, a column is missing, is of another kind than in training, or has values
                that are infinite or too large for float32.
        """
        if not is_frame(frame):
            raise DataError(f"the encoder takes a data frame with the columns of training, not {type(frame).__name__}")
        names = names_of(frame)
        check_there(self.columns, names)
        text = [name for name, kind in self.columns.items() if kind == "text"]
        read = read_columns(frame, {name: names[name] for name in self.columns}, text)
        return self.of_columns(read, len(cast(Any, frame)))

    def of_columns(self, read: Mapping[str, tuple[Column, npt.NDArray[Any]]], n: int) -> npt.NDArray[np.float32]:
        """The same of columns that :func:`~searchkit.data.frame_columns.read_columns` has read."""
        if not n:
            return np.empty((0, len(self.feature_names)), np.float32)
        prepared = {name: _as_fitted(name, *read[name], kind) for name, kind in self.columns.items()}
        with np.errstate(over="ignore"):
            found = np.asarray(cast(Any, self.transformer).transform(frame_of(prepared)), dtype=np.float32)
        odd = np.flatnonzero(~np.isfinite(found).all(axis=0))
        if len(odd):
            names = [self.feature_names[i] for i in odd]
            raise DataError(f"{listed(names)} of the data frame is too large for float32; rescale it")
        return found

    def described(self) -> dict[str, object]:
        """What a record says of it: the columns with their kinds, those left out, and the features; JSON values."""
        return {
            "columns": dict(self.columns),
            "left_out": dict(self.left_out),
            "features": list(self.feature_names),
        }

    def __repr__(self) -> str:
        return f"FrameEncoder({plural(len(self.columns), 'column')}, {plural(len(self.feature_names), 'feature')})"


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a data frame that is encoded once it is known which of them are the train part."""

    frame: object

    def __len__(self) -> int:
        return len(cast(Any, self.frame))

    def numbered(self) -> torch.Tensor:
        """``(n, 1)`` int64 the number of each row, which stands for it until then."""
        return torch.arange(len(self)).view(-1, 1)


def with_target(frame: object, target: str) -> Items:
    """Examples of a frame that has y as the column of that name, and the inputs as all others.

    Raises:
        DataError: there is no such column, or no other.
    """
    names = names_of(frame)
    check_there([target], names)
    others = [own for name, own in names.items() if name != target]
    if not others:
        raise DataError(f"the data frame has no column beside {target!r}, so there is nothing to predict it by")
    return Items(cast(Any, frame)[others], cast(Any, frame)[names[target]])


def with_rows(given: Mapping[str, Items]) -> dict[str, Items]:
    """The parts, where frames that need an encoder are :class:`Rows`; frames of a part get the order of the first's.

    Frames of complete numbers stay as they are.

    Raises:
        DataError: a frame has two columns of one name, or a validation or test set lacks a column or is no frame.
    """
    for items in given.values():
        if is_frame(items.x):
            names_of(items.x)
    first = given["train"].x
    if not is_frame(first):
        return dict(given)
    names, found = list(names_of(first)), dict(given)
    for part, items in given.items():
        if part != "train" and is_frame(items.x):
            own = names_of(items.x)
            check_there(names, own, f"the data frame of the {part} part")
            if list(own) != names:
                found[part] = replace(items, x=cast(Any, items.x)[[own[name] for name in names]])
    if all(is_plain(items.x) for items in found.values() if is_frame(items.x)):
        return found
    for part, items in found.items():
        if not is_frame(items.x):
            raise DataError(f"the train part is a data frame, and the {part} part is not: give one of the same columns")
    return {part: replace(items, x=Rows(items.x)) for part, items in found.items()}


def encoded(splits: Sequence[Split], given: Mapping[str, Items]) -> tuple[list[Split], FrameEncoder]:
    """The parts with features ``(n, f)`` float32 in place of numbers of rows, and the encoder, fitted on the first.

    Args:
        splits: train, validation and test part, of which ``x`` is numbers of rows of the given parts.
        given: what users gave, with :class:`Rows`; a part that is not given was taken from "train".

    Raises:
        DataError: a column cannot be encoded, or none says anything.
    """
    frame = _frame_of(given["train"])
    read, train = read_columns(frame, names_of(frame)), splits[0].x[:, 0].numpy()
    encoder = fitted({name: (kind, values[train]) for name, (kind, values) in read.items()})
    whole: dict[str, npt.NDArray[np.float32]] = {}
    for part, items in given.items():
        try:
            own = encoder.of_columns(read, len(frame)) if part == "train" else encoder.transform(_frame_of(items))
        except DataError as error:
            raise DataError(f"in the {part} part, {error}") from error
        whole[part] = own
    made = []
    for part, split in zip(("train", "val", "test"), splits, strict=True):
        source = whole[part if part in whole else "train"]
        made.append(replace(split, x=torch.from_numpy(source[split.x[:, 0].numpy()])))
    if encoder.left_out:
        log.warning(
            "%s of the data frame left out: %s", plural(len(encoder.left_out), "column"), _reasons(encoder.left_out)
        )
    return made, encoder


def fitted(train: Mapping[str, tuple[Column, npt.NDArray[Any]]]) -> FrameEncoder:
    """The encoder of the columns of a train part, as :func:`~searchkit.data.frame_columns.read_columns` gives them.

    Raises:
        DataError: no column says anything, or one has infinite values.
    """
    left_out = {name: why for name, (kind, values) in train.items() if (why := useless(kind, values))}
    kinds = {name: kind for name, (kind, _) in train.items() if name not in left_out}
    if not kinds:
        raise DataError(f"no column of the data frame says anything: {_reasons(left_out) or 'it has none'}")
    prepared = {name: _as_fitted(name, *train[name], kind) for name, kind in kinds.items()}
    transformer = fitted_transformer(prepared, kinds)
    return FrameEncoder(kinds, left_out, feature_names(transformer, kinds), transformer)


def _frame_of(items: Items) -> Any:
    assert isinstance(items.x, Rows)
    return items.x.frame


def _reasons(left_out: Mapping[str, str]) -> str:
    return ", ".join(f"{name!r} ({why})" for name, why in left_out.items())


def _as_fitted(name: str, kind: Column, values: npt.NDArray[Any], wanted: Column) -> npt.NDArray[Any]:
    """The values of a column as the transformer takes them, which was fitted to columns of a kind."""
    import pandas as pd

    if kind != wanted:
        if pd.isna(values).all():  # which has no kind
            empty: dict[str, Any] = {"text": None, "dates": np.datetime64("NaT", "s")}
            made = np.full(len(values), empty.get(wanted, np.nan), dtype=object if wanted == "text" else None)
            return made.astype("datetime64[s]") if wanted == "dates" else made
        if (kind, wanted) == ("text", "dates"):  # as they stand in a file of rows
            with contextlib.suppress(ValueError, TypeError):
                return np.asarray(pd.to_datetime(pd.Series(values), format="ISO8601"), dtype="datetime64[s]")
        raise DataError(f"column {name!r} of the data frame holds {_READ[kind]}, and {_READ[wanted]} in training")
    if kind in ("numbers", "durations") and np.isinf(values).any():
        raise DataError(f"column {name!r} of the data frame holds infinite values; replace them, or leave them missing")
    return values


def keep(encoder: FrameEncoder | None, folder: Path | None) -> None:
    """Write an encoder, where there is one, to its file in a folder.

    Raises:
        WritingError: the file cannot be written.
    """
    if encoder is None or folder is None:
        return
    path = folder / FILE
    try:
        with written_whole([path]) as (partial,):
            partial.write_bytes(as_bytes(encoder))
    except OSError as error:
        raise WritingError(
            f"the encoder of the data frame '{path}' cannot be written ({type(error).__name__}: "
            f"{first_line_said(error)}): make room, or make the folder writable"
        ) from error


def as_bytes(encoder: FrameEncoder) -> bytes:
    """What the file of an encoder holds."""
    import joblib

    with io.BytesIO() as stream:
        joblib.dump(encoder, stream)
        return stream.getvalue()


def kept(path: Path) -> FrameEncoder:
    """The encoder in a file. It is a pickle: read only files that you trust.

    Raises:
        SearchkitError: there is no such file, or it cannot be read.
    """
    import joblib

    try:
        found = joblib.load(path)
    except Exception as error:
        raise SearchkitError(
            f"the encoder of the data frame cannot be read from '{path}': {type(error).__name__}: "
            f"{first_line_said(error)}"
        ) from error
    if not isinstance(found, FrameEncoder):
        raise SearchkitError(f"'{path}' is no encoder of a data frame but {type(found).__name__}")
    return found
