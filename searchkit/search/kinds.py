"""Which kinds of data a space takes, how data are read for it, and what is said where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence

from searchkit.data.data import Data
from searchkit.data.reading import Asked
from searchkit.errors import DataError
from searchkit.space import NetworkSpace
from searchkit.space.inputs import CALLED, Kind

DEFAULTS: dict[Kind, str] = {
    "images": "residual", "table": "tabular", "tokens": "sequence", "signals": "sequence",
}  # fmt: skip


def called(data: Data) -> str:
    """What data are, in words."""
    return "a table" if data.kind == "table" else CALLED[data.kind]


def read_as(kinds: Sequence[Kind]) -> Asked | None:
    """The kind as which data are read for a space that takes these kinds.

    None: as they are read without a space. Where a space takes tokens and signals, the data decide.
    """
    if "images" in kinds or not kinds:
        return None
    if len(kinds) > 1 and set(kinds) <= {"tokens", "signals"}:
        return "sequences"
    return kinds[0] if len(kinds) == 1 else None


def unfit(space: NetworkSpace, data: Data) -> DataError:
    """Why a space does not take data that are loaded, and what to do."""
    shape, takes = data.input_shape, " and ".join(CALLED[kind] for kind in space.kinds)
    if "images" in space.kinds:
        to_do = f"take space='{DEFAULTS[data.kind]}', or make your own NetworkSpace(..., input_shape={shape})"
    else:
        to_do = " or ".join(f"load them with load_data(..., kind='{kind}')" for kind in space.kinds)
    is_of = f"an example of data '{data.name}', which are {called(data)}, has shape {tuple(shape)}"
    return DataError(f"space '{space.name}' takes {takes}, and {is_of}: {to_do}")
