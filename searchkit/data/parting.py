"""Which examples go into which part: train, validation and test."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from searchkit.data.labels import Label
from searchkit.data.splits import split_rows
from searchkit.data.targets import rarest
from searchkit.errors import DataError, plural

log = logging.getLogger("searchkit.data")
VAL_FRACTION = 0.2  # of all examples, or of the training examples where a test set is given
TEST_FRACTION = 0.2  # of all examples, where no test set is given
LISTED = 5  # classes named in an error
Rare = Literal["refuse", "drop", "merge"]
MANY = 30  # distinct numeric labels above which an error asks whether y is a quantity


def parts_of(
    y: Mapping[str, npt.NDArray[Any]], classes: tuple[Label, ...], limit: int | None, rng: np.random.Generator
) -> dict[str, tuple[str, npt.NDArray[np.int64]]]:
    """For "train", "val" and "test", from which of the given parts it is, and its rows there.

    A part that is given is taken whole; one that is not is taken from the given train part.

    Args:
        y: labels ``(n,)`` by given part: "train", and "val" and "test" where they are given.
        classes: of which each part gets some; empty where examples have no class or several.
        limit: of the train part, so many examples are used, and of their classes alike.
    """
    own = y["train"]
    fractions = {"val": VAL_FRACTION, "test": TEST_FRACTION}
    taken = [part for part in fractions if part not in y]
    check_counts(own, classes, len(taken) + 1)
    rows = np.arange(len(own)) if limit is None else _limited(own, limit, len(taken) + 1, rng)
    found = split_rows(own[rows], [fractions[part] for part in taken], rng) if taken else [np.arange(len(rows))]
    parts = {part: ("train", rows[chosen]) for part, chosen in zip(("train", *taken), found, strict=True)}
    given = {part: (part, np.arange(len(y[part]))) for part in fractions if part in y}
    return {part: (parts | given)[part] for part in ("train", "val", "test")}


def settled_classes(
    y: Mapping[str, npt.NDArray[Any]], classes: tuple[Label, ...], rare: Rare
) -> tuple[dict[str, npt.NDArray[np.int64]], dict[str, npt.NDArray[np.int64]], tuple[Label, ...]]:
    """What becomes of classes that have too few training examples to be in each part of a split.

    Args:
        y: numbers of classes ``(n,)`` by given part.
        rare: "refuse" leaves all as it is, and splitting refuses them; "drop" leaves their examples out, and "merge"
            makes them one class, "other", or the next number where classes are numbers.

    Returns:
        for each given part its rows that are left and the numbers of their classes; and the classes that are left.

    Raises:
        DataError: all of them together are too few for a class, or fewer than two classes are left.
    """
    counts = np.bincount(y["train"], minlength=len(classes))
    needed = 1 + sum(part not in y for part in ("val", "test"))
    scarce = np.flatnonzero(counts < needed)
    everything = {part: np.arange(len(of_part)) for part, of_part in y.items()}
    if rare == "refuse" or not len(scarce):
        return everything, {part: of_part.astype(np.int64) for part, of_part in y.items()}, classes
    few, together = np.isin(np.arange(len(classes)), scarce), int(counts[scarce].sum())
    named = ", ".join(repr(classes[i]) for i in scarce[:LISTED]) + ", ..." * (len(scarce) > LISTED)
    kept = tuple(label for label, gone in zip(classes, few, strict=True) if not gone)
    numbers, of = np.cumsum(~few) - 1, f"{plural(len(scarce), 'rare class', 'rare classes')} ({named})"
    rows, merged = everything, ""
    if rare == "merge":
        other: Label = "other" if isinstance(classes[0], str) else max(int(label) for label in classes) + 1
        if together < needed or other in kept:
            why = f"class {other!r} is there already" if other in kept else f"{needed} are needed"
            raise DataError(f"{of} together have {plural(together, 'example')}, and {why}: leave them out, rare='drop'")
        numbers[few], kept, merged = len(kept), (*kept, other), f"merged into {other!r}"
    else:
        rows = {part: np.flatnonzero(~few[of_part]) for part, of_part in y.items()}
    if len(kept) < 2:
        raise DataError(f"without {of}, there {'is one class' if kept else 'is no class'}; two or more are needed")
    log.warning("%s %s, %s", of, merged or "left out", plural(together, "training example"))
    return rows, {part: numbers[of_part[rows[part]]].astype(np.int64) for part, of_part in y.items()}, kept


def check_counts(y: npt.NDArray[Any], classes: tuple[Label, ...], needed: int) -> None:
    """Raises DataError where a class, or all of them, have too few examples for each part of a split to get some."""
    if not classes:
        if len(y) < 2 * needed:  # a score needs two examples at least
            there = f"there {'is' if len(y) == 1 else 'are'} {plural(len(y), 'example')}"
            raise DataError(f"{there}; {2 * needed} are needed, two for each part of the split")
        return
    counts = np.bincount(y).tolist()
    scarce = [(classes[i], n) for i, n in enumerate(counts) if n < needed]
    if not scarce:
        return
    label, n_least = scarce[0]
    more = f" ({len(scarce):,} classes have fewer)" if len(scarce) > 1 else ""
    hint = ". Leave rare classes out, load_data(..., rare='drop'), or make them one class, rare='merge'"
    if len(counts) > MANY and not isinstance(classes[0], str | bool):
        hint = f". Are the {len(counts):,} different y a quantity? Then search for objectives=('r2', 'params')"
    raise DataError(
        f"class {label!r} has {n_least} example{'s' * (n_least != 1)}; {needed} are needed, one for each part of the "
        f"split{more}{hint}"
    )


def _limited(y: npt.NDArray[Any], limit: int, per_class: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Rows of a stratified subset of about ``limit`` examples; each class is rounded to whole examples."""
    if y.ndim > 1 or y.dtype.kind == "f":
        y, per_class = rarest(y), 2 * per_class
    y = np.unique(y, return_inverse=True)[1]
    counts = np.bincount(y)
    if not isinstance(limit, int) or limit < per_class * len(counts):
        raise DataError(f"limit is {limit!r}; {len(counts)} classes need at least {per_class * len(counts)} examples")
    if limit >= len(y):
        return np.arange(len(y))
    chosen = []
    for label, count in enumerate(counts):
        share = max(per_class, round(limit * count / len(y)))
        chosen.append(rng.permutation(np.flatnonzero(y == label))[:share])
    return np.sort(np.concatenate(chosen))
