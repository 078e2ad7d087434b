"""The data of a study, for what is done with its networks after the search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from searchkit.costs.task_scores import recorded_task
from searchkit.data.bundled import NAMES
from searchkit.data.data import Data
from searchkit.data.images import is_npz
from searchkit.data.loading import load_data
from searchkit.data.reading import is_folder
from searchkit.errors import SearchkitError
from searchkit.surroundings import settled

if TYPE_CHECKING:
    from searchkit.results.result import Result


def recorded(given: object, data: Data) -> dict[str, object]:
    """What the record of a study says of its data.

    Args:
        given: by the user, from which ``data`` were loaded.
    """
    described: dict[str, object] = {
        "name": data.name,
        "source": _source(given, data),
        "object": isinstance(given, Data),
        "loaded": None if data.loaded is None else dict(data.loaded),
        "classes": list(data.classes),
        "mean": list(data.mean),
        "std": list(data.std),
    }
    if data.target is not None:
        mean, std = data.target.mean, data.target.std
        described["target"] = [mean[0], std[0]] if len(mean) == 1 else [list(mean), list(std)]
    if data.tokenizer is not None:
        described["words"] = list(data.tokenizer.words)
    if data.encoder is not None:
        described["frame"] = data.encoder.described()
    return described | ({} if data.task in ("classification", "regression") else {"task": data.task})


def _source(given: object, data: Data) -> str | None:
    """What data can be loaded by again: a file or a folder, or a name that is not the data's own; None of objects."""
    if isinstance(given, str | Path) and (is_npz(given) or is_folder(given)):
        return str(settled(given))
    return given if isinstance(given, str) and given != data.name else None


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
    noted = result.context["data"]
    source = given if given is not None else noted.get("source") or noted.get("name")
    loaded = noted.get("loaded") if given is None or isinstance(given, str | Path) else None
    if loaded is not None and given is not None:  # the file has moved
        loaded = loaded | {"data": given}
    if given is None and loaded is None and noted.get("source") is None and source not in NAMES:
        raise SearchkitError(f"study '{result.name}' was loaded without its data '{source}': give data=, as to run")
    split_seed = int(result.context.get("call", {}).get("split_seed") or 0)
    task = recorded_task(noted)
    if loaded is not None:
        data = load_data(**loaded)
    else:
        kind = getattr(result.space, "kind", None)
        kind = None if kind == "images" else kind
        data = given if isinstance(given, Data) else load_data(source, seed=split_seed, kind=kind, task=task)
    wanted = result.context.get("fingerprint")
    if wanted is not None and data.fingerprint != wanted:
        raise SearchkitError(
            f"data '{data.name}' are others than those of study '{result.name}', or split otherwise: give the same, "
            "so that its test part stays untouched"
        )
    return data
