"""Load, check and split a user's examples into :class:`Data`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any, get_args

import numpy as np

from searchkit.data.augmenting import Transform, n_taken
from searchkit.data.csv_files import is_csv
from searchkit.data.data import Augment, Data
from searchkit.data.examples import has_items
from searchkit.data.images import Channels, is_npz
from searchkit.data.labels import Label
from searchkit.data.parting import Rare
from searchkit.data.pictures import MEMORY, Broken, Pictures, Resize, check_resize, read_size
from searchkit.data.reading import Asked, How, is_folder, is_found, read_data, refuse_unread
from searchkit.data.tokens import FIRST_WORD
from searchkit.errors import DataError
from searchkit.problem.numbers import is_real, is_whole
from searchkit.surroundings import settled
from searchkit.types import Task


def load_data(
    data: object = None,
    *,
    seed: int = 0,
    limit: int | None = None,
    augment: Augment | None = None,
    channels: Channels | None = None,
    name: str | None = None,
    kind: Asked | None = None,
    task: Task | None = None,
    size: int | tuple[int, int] | None = None,
    resize: Resize = "crop",
    broken: Broken = "refuse",
    memory: float = MEMORY,
    rare: Rare = "refuse",
    normalise: bool = True,
    ignore: int | None = None,
    class_weights: str | Mapping[Label, float] | None = None,
    weights: object = None,
    transform: Transform | None = None,
    vocabulary: int | None = None,
    length: int | None = None,
    target: str | None = None,
) -> Data:
    """Load examples with labels and split them; the same seed gives the same split.

    Args:
        data: None or "digits" (bundled with scikit-learn), "fashion-mnist", "cifar-10"; a folder of pictures, with one
            folder for each class; an ``.npz`` file with arrays X and y (and optionally X_test and y_test); a ``.csv``
            file, with ``target=``; a pair
            ``(X, y)`` of arrays, tensors or lists; a torch Dataset, a data set of Hugging Face, or anything that gives
            pairs ``(image, label)`` or dictionaries of them, one after the other; a pair ``(train, test)``, or a
            dictionary with "train", and "val" and "test" where they are given, of two such pairs or data sets; or a
            Data, which is returned unchanged. X is images, or a table of numbers ``(n, features)``, or a data frame,
            whose columns may also be text, categories, dates or durations with missing values
            (:mod:`searchkit.data.frames`); y may then be the name of its column, ``(frame, "price")``. With
            kind="tokens" whole numbers ``(n, length)``, lists of them of any lengths, or sentences; with kind="signals"
            numbers ``(n, length)`` or ``(n, channels, length)``. Items may be pictures of any sizes.
            Without a test set, the examples are split 60/20/20 into train, validation and test part; with one, 80/20
            into train and validation part. A folder may have folders train, val and test, each with class folders; a
            part that it does not have is taken from its train part. Its pictures (JPEG, PNG, WebP and others) may have
            any sizes; decoded once, they are kept in ``$SEARCHKIT_CACHE``, or in ``~/.cache/searchkit``.
        seed: of the split.
        limit: use a stratified subset of about that many examples; a given test set is used whole. Of a stream, which
            has no length, so many items are read.
        augment: see :class:`Data`. None: that of the named data set, else "crop-flip" or "shift", by whether mirrored
            images are still like those of their class (:mod:`searchkit.data.symmetry`).
        channels: "first" or "last"; needed where the shape of 4-D images leaves it open.
        name: name of the data in records. None: that of the data set or file, else "custom".
        kind: "images", "table", "tokens", "signals", or "sequences": tokens where X is sentences or rows of whole
            numbers, else signals. None: images or a table, by :func:`searchkit.data.tables.is_table`.
        task: "classification", a class for each example; "multilabel", several labels at once: rows of 0 and 1, or a
            list of names for each example; "regression", a quantity ``(n,)`` or several ``(n, k)``; "segmentation",
            masks ``(n, h, w)`` of whole numbers; "maps", numbers for each pixel, ``(n, h, w)`` or ``(n, c, h, w)``, NaN
            where there is none. None: by the shape of y; quantities of an example have to be named.
        size: pixels that pictures, of a folder or a data set, are brought to: a side, or (height, width). None: the
            median of their shorter sides, 64 at most.
        resize: "crop" keeps their proportions and cuts off what is too long, "pad" puts black beside what is too
            short, "stretch" distorts them.
        broken: "skip" leaves out pictures that cannot be read, and says so; "refuse" raises.
        rare: what becomes of classes with too few examples to be in each part: "refuse" raises, "drop" leaves them out,
            "merge" makes them one class. A warning names them.
        normalise: whether networks get values that are standardised by mean and deviation of the train part, as part of
            the network that is delivered; False: the values as they are, for networks that expect these.
        ignore: in masks, the value of pixels that count neither in training nor in scores; -1 never does.
        class_weights: how much each class counts in training, a dictionary, or "balanced": all classes alike.
        weights: ``(n,)`` how much each of the (training) examples counts, in training and in scores.
        transform: a function of one training image ``(c, h, w)``, or of the image and its mask or map, that returns it
            changed, of the same shape; called whenever it is used, after ``augment``, with the global random states of
            the training. Images of the validation and test part are never changed.
        vocabulary: of tokens, their number: each is from 0, the padding, to ``vocabulary - 1``; None: by the largest.
            Of sentences, the most frequent words of the train part that get a token, with padding and the unknown word;
            None: 10,000.
        length: of token sequences, to which longer ones are cut at their end and shorter ones padded there; None: that
            of the longest in the train part.
        target: of a ``.csv`` or ``.tsv`` file, the name of the column that is y; all others are X.
        memory: bytes up to which decoded pictures are held in memory; more are read from their file as they are used.

    Returns:
        images uint8 or float32 ``(n, c, h, w)``, tables float32 ``(n, features)``, tokens int64 ``(n, length)`` or
        signals float32 ``(n, channels, length)``, in three disjoint parts.

    Raises:
        DataError: the data cannot be used; the message says what is wrong.
    """
    asked = locals()
    _check_choices(augment, kind, task, rare)
    _check_tokens(kind, vocabulary, length)
    pictures = _pictures(size, resize, broken, memory)
    read = is_folder(data) if isinstance(data, str | Path) else has_items(data)
    if isinstance(data, str | Path) and not is_found(data):
        refuse_unread(data)
    if pictures != Pictures() and not read:
        raise DataError(
            "size, resize, broken and memory are for folders of pictures and for data sets that give one item after "
            "the other; other data are taken as they are"
        )
    _check_use(data, rare, normalise, ignore, class_weights, weights, transform, seed, limit)
    if target is not None and not is_csv(data):
        raise DataError(
            'target names the column y of a .csv file; of a data frame it is the second of a pair, (frame, "price")'
        )
    if isinstance(data, Data):
        return _as_wanted(data if normalise else data.as_given(), kind, task)
    how = How(
        pictures, seed, limit, augment, channels, name, kind, task, rare, normalise, ignore, class_weights, weights,
        transform, vocabulary, length, target,
    )  # fmt: skip
    return replace(read_data(data, how), loaded=_loaded(asked))


def _loaded(asked: Mapping[str, object]) -> dict[str, object] | None:
    """The arguments that read the same data again, where they are not objects; without those that are as usual."""
    data = "digits" if asked["data"] is None else asked["data"]
    if not isinstance(data, str | Path) or asked["weights"] is not None or asked["transform"] is not None:
        return None
    usual = {name: one.default for name, one in signature(load_data).parameters.items()}
    changed = {name: value for name, value in asked.items() if name != "data" and value != usual[name]}
    return {"data": str(settled(data)) if is_npz(data) or is_csv(data) or is_folder(data) else str(data)} | changed


def _check_use(
    data: object,
    rare: str,
    normalise: object,
    ignore: object,
    class_weights: object,
    weights: object,
    transform: Transform | None,
    seed: Any,
    limit: Any,
) -> None:
    for what, value, least in (("seed", seed, 0), ("limit", limit, 1)):
        if not (value is None and what == "limit") and (not is_whole(value) or value < least):
            raise DataError(f"{what} is a whole number of at least {least}, not {value!r}")
    if transform is not None:
        n_taken(transform)
    if not isinstance(normalise, bool | np.bool_):
        raise DataError(f"normalise is True or False, not {normalise!r}")
    if ignore is not None and (isinstance(ignore, bool) or not isinstance(ignore, int | np.integer)):
        raise DataError(f"ignore is a whole number, the value of pixels that are left out, not {ignore!r}")
    given = {
        "rare": rare if rare != "refuse" else None,
        "ignore": ignore,
        "class_weights": class_weights,
        "weights": weights,
        "transform": transform,
    }
    for what, value in given.items():
        if value is not None and isinstance(data, Data):
            raise DataError(f"{what}= is about examples that are split, and data '{data.name}' are split already")


def _pictures(size: object, resize: object, broken: object, memory: object) -> Pictures:
    check_resize(resize)
    if broken not in get_args(Broken):
        raise DataError(f"broken is one of {', '.join(get_args(Broken))}, not {broken!r}")
    if not is_real(memory) or not memory >= 0:
        raise DataError(f"memory is a number of bytes, 0 or more, not {memory!r}")
    return Pictures(read_size(size), resize, broken, float(memory))  # type: ignore[arg-type]


def _check_tokens(kind: object, vocabulary: object, length: object) -> None:
    for what, value, least in (("vocabulary", vocabulary, FIRST_WORD), ("length", length, 1)):
        if value is None:
            continue
        if kind not in ("tokens", "sequences"):
            raise DataError(f"{what} is of token sequences: give kind='tokens' with it, or leave it out")
        if not is_whole(value) or value < least:
            raise DataError(f"{what} is a whole number of at least {least}, not {value!r}")


def _check_choices(augment: object, kind: object, task: object, rare: object) -> None:
    given = (("augment", augment, Augment), ("kind", kind, Asked), ("task", task, Task), ("rare", rare, Rare))
    for what, value, allowed in given:
        if value is not None and value not in get_args(allowed):
            raise DataError(f"{what} is one of {', '.join(get_args(allowed))}, not {value!r}")


def _as_wanted(data: Data, kind: Asked | None, task: Task | None) -> Data:
    """The Data, unchanged; raises DataError if it has another kind or task than asked for."""
    for what, asked, has in (("kind", kind, data.kind), ("task", task, data.task)):
        if asked == "sequences" and has in ("tokens", "signals"):
            continue
        if asked is not None and asked != has:
            raise DataError(
                f"data '{data.name}' have the {what} '{has}', and '{asked}' is asked for: load them with "
                f"load_data(..., {what}='{asked}')"
            )
    return data
