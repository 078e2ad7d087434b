"""The network of a folder that ``result.export(..., format="hub")`` wrote, built by its space."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from searchkit.costs.counts import space_counts
from searchkit.errors import CandidateError, SearchkitError, SpaceError, first_line_said
from searchkit.results.studies import as_recorded, registered_space
from searchkit.space import NetworkSpace
from searchkit.storage.header import plain
from searchkit.surroundings import settled
from searchkit.training.normalised import Normalised
from searchkit.training.weights import load_weights

if TYPE_CHECKING:
    from torch import nn

CONFIG, WEIGHTS, PROGRAM, CARD = "config.json", "model.safetensors", "model.pt2", "README.md"

SURELY = 2**20  # a size that a space may have, whatever its weights
DAMAGE = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def load_network(folder: str | os.PathLike[str], *, space: NetworkSpace | None = None) -> nn.Module:
    """The network of a folder that ``result.export(..., format="hub")`` wrote, in eval mode, with its weights.

    It takes raw inputs and answers as :meth:`searchkit.Result.build`'s does. Nothing is fetched: a repository of the
    Hub is first downloaded, with ``huggingface_hub.snapshot_download``.

    Args:
        folder: with config.json and model.safetensors.
        space: that of the search; needed where it was made in Python and not by name.

    Raises:
        SearchkitError: the folder or a file is missing, or it is of no such export.
        SpaceError: the space is not known by its name, or the one that is given is another.
        CandidateError: the weights are of another network.
    """
    place = settled(folder)
    try:
        return _built(place, space)
    except SearchkitError:
        raise
    except DAMAGE as error:
        raise SearchkitError(f"'{place / CONFIG}' is damaged: {first_line_said(error)}") from error


def _built(place: Path, space: NetworkSpace | None) -> nn.Module:
    """The network of a folder; whatever is raised by what is wrong in its configuration."""
    config = _config(place)
    try:
        ours, normalisation = config["searchkit"], config["normalisation"]
        recorded, code = ours["space"], np.asarray(ours["code"], np.int64)
        mean, std, target = (normalisation[key] for key in ("mean", "std", "target"))
        n_axes = len(config["input"]["shape"])
    except (KeyError, TypeError, ValueError) as error:
        raise SearchkitError(f"'{place / CONFIG}' describes no network that searchkit exported for the Hub") from error
    if not (place / WEIGHTS).is_file():
        raise SearchkitError(f"'{place}' has no {WEIGHTS}, the weights of its network")
    with _reading_weights(place):
        held = _numbers_in(place / WEIGHTS)
    _check_sizes(place, recorded, held, options=space is None)
    fitted = _space(place, recorded, space)
    needed = float(space_counts(fitted, fitted.check(code[None]))["params"][0])
    if not needed <= held:  # before it is built, which could take all memory
        raise CandidateError(
            f"the network that '{place / CONFIG}' describes has {needed:,.0f} parameters, and {WEIGHTS} has {held:,} "
            "numbers"
        )
    made = Normalised(fitted.build(code), mean, std, target, n_axes)
    with _reading_weights(place):
        load_weights(made, place / WEIGHTS)
    return made.eval()


@contextmanager
def _reading_weights(place: Path) -> Iterator[None]:
    """Say of what is raised inside that the weights are damaged."""
    try:
        yield
    except SearchkitError:
        raise
    except (SafetensorError, OSError, *DAMAGE) as error:
        raise SearchkitError(f"'{place / WEIGHTS}' is damaged: {first_line_said(error)}") from error


def _numbers_in(file: Path) -> int:
    """How many numbers the tensors of a file have, by its header."""
    with safe_open(file, framework="pt") as held:
        return sum(math.prod(held.get_slice(name).get_shape()) for name in held.keys())  # noqa: SIM118 - not iterable


def _check_sizes(place: Path, recorded: Mapping[str, object], held: int, options: bool) -> None:
    """Refuse sizes that no network with these weights has, before a space is made for them.

    Args:
        held: numbers in the weights.
        options: whether the space is made with those that are recorded.
    """
    keys = ("input_shape", "output_shape", "n_classes", "vocabulary", *(["options"] if options else []))
    most = max(held, SURELY)
    for key in keys:
        for number in _numbers(recorded.get(key)):
            if not abs(number) <= most:
                raise SearchkitError(f"'{place / CONFIG}' is damaged: {key} of its space has the number {number:g}")


def _numbers(value: object) -> Iterator[float]:
    """All numbers in a JSON value."""
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, Mapping | list):
        for entry in value.values() if isinstance(value, Mapping) else value:
            yield from _numbers(entry)


def _config(place: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((place / CONFIG).read_text(encoding="utf-8"))
    except OSError as error:
        raise SearchkitError(
            f"'{place}' is no folder that an export with format 'hub' wrote: {first_line_said(error)}"
        ) from error
    except ValueError as error:
        raise SearchkitError(f"'{place / CONFIG}' is damaged: {first_line_said(error)}") from error
    return found if isinstance(found, dict) else {}


def _space(place: Path, recorded: Mapping[str, Any], given: NetworkSpace | None) -> NetworkSpace:
    """The space that builds the network: the user's, for the shapes of its data, or the registered one."""
    if given is None:
        found = registered_space(recorded)
        if found is None:
            raise SpaceError(
                f"the network in '{place}' is of space '{recorded['name']}', which this searchkit has not: give it as "
                f"space=, or load {PROGRAM}, which needs torch alone"
            )
        return found
    fitted = as_recorded(given, recorded)
    if plain(fitted.describe()) != recorded:
        raise SpaceError(f"the network in '{place}' is of space '{recorded['name']}' with other choices or options")
    return fitted
