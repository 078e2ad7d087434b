"""The data of a study, for what is done with its networks after the search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from searchkit.data.bundled import NAMES
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.errors import SearchkitError

if TYPE_CHECKING:
    from searchkit.results.result import Result


def data_of(result: Result, given: object = None) -> Data:
    """The data of a search, which must be those that it had.

    Args:
        given: the data; None: those that the result has, or that are found by the name on record.

    Raises:
        SearchkitError: they are not known, or others than those of the search.
    """
    own = result.source.data() if given is None and result.source is not None else None
    if own is not None:
        return own
    recorded = result.context["data"]
    source = given if given is not None else recorded.get("source") or recorded.get("name")
    if given is None and recorded.get("source") is None and source not in NAMES:
        raise SearchkitError(f"study '{result.name}' was loaded without its data '{source}': give data=, as to run")
    split_seed = int(result.context.get("call", {}).get("split_seed") or 0)
    task = "regression" if "target" in recorded else "classification"
    data = given if isinstance(given, Data) else load_data(source, seed=split_seed, task=task)  # type: ignore[arg-type]
    wanted = result.context.get("fingerprint")
    if wanted is not None and data.fingerprint != wanted:
        raise SearchkitError(
            f"data '{data.name}' are others than those of study '{result.name}', or split otherwise: give the same, "
            "so that its test part stays untouched"
        )
    return data
