"""Load, check and split a user's examples into :class:`Data`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from searchkit.data.assembling import assemble
from searchkit.data.bundled import NAMES, named
from searchkit.data.data import Augment, Data, Task
from searchkit.data.datasets import Items
from searchkit.data.examples import given_parts, has_items, split_examples
from searchkit.data.folders import load_folder
from searchkit.data.images import Channels, is_npz, read_npz
from searchkit.data.labels import Label
from searchkit.data.parting import Rare
from searchkit.data.pictures import MEMORY, Broken, Pictures, Resize, check_resize, read_size
from searchkit.data.tables import is_table
from searchkit.data.tokens import FIRST_WORD, is_tokens, read_parts
from searchkit.data.tokens import settled as settled_tokens
from searchkit.errors import DataError
from searchkit.problem.numbers import is_real, is_whole
from searchkit.space.inputs import Kind
from searchkit.surroundings import settled

Asked = Literal["images", "table", "tokens", "signals", "sequences"]  # "sequences": tokens or signals


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
    vocabulary: int | None = None,
    length: int | None = None,
) -> Data:
    """Load examples with labels and split them; the same seed gives the same split.

    Args:
        data: None or "digits" (bundled with scikit-learn), "fashion-mnist", "cifar-10"; a folder of pictures, with one
            folder for each class; an ``.npz`` file with arrays X and y (and optionally X_test and y_test); a pair
            ``(X, y)`` of arrays, tensors or lists; a torch Dataset, a data set of Hugging Face, or anything that gives
            pairs ``(image, label)`` or dictionaries of them, one after the other; a pair ``(train, test)``, or a
            dictionary with "train", and "val" and "test" where they are given, of two such pairs or data sets; or a
            Data, which is returned unchanged. X is images, or a table of numbers ``(n, features)`` such as a data
            frame; with kind="tokens" whole numbers ``(n, length)``, lists of them of any lengths, or sentences; with
            kind="signals" numbers ``(n, length)`` or ``(n, channels, length)``. Items may be pictures of any sizes.
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
        task: "classification", or "regression" if y is a quantity. None: classification.
        size: pixels that pictures, of a folder or a data set, are brought to: a side, or (height, width). None: the
            median of their shorter sides, 64 at most.
        resize: "crop" keeps their proportions and cuts off what is too long, "pad" puts black beside what is too
            short, "stretch" distorts them.
        broken: "skip" leaves out pictures that cannot be read, and says so; "refuse" raises.
        rare: what becomes of classes with too few examples to be in each part: "refuse" raises, "drop" leaves them out,
            "merge" makes them one class. A warning names them.
        normalise: whether networks get values that are standardised by mean and deviation of the train part, as part of
            the network that is delivered; False: the values as they are, for networks that expect these.
        vocabulary: of tokens, their number: each is from 0, the padding, to ``vocabulary - 1``; None: by the largest.
            Of sentences, the most frequent words of the train part that get a token, with padding and the unknown word;
            None: 10,000.
        length: of token sequences, to which longer ones are cut at their end and shorter ones padded there; None: that
            of the longest in the train part.
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
    if pictures != Pictures() and not read:
        raise DataError(
            "size, resize, broken and memory are for folders of pictures and for data sets that give one item after "
            "the other; other data are taken as they are"
        )
    _check_use(data, task, rare, normalise)
    if isinstance(data, Data):
        return _as_wanted(data if normalise else data.as_given(), kind, task)
    if isinstance(data, str | Path) and is_folder(data):
        asked_for = (
            f"kind='{kind}'" if kind not in (None, "images") else "task='regression'" if task == "regression" else ""
        )
        asked_for = f"channels={channels!r}" if channels is not None else asked_for
        if asked_for:
            raise DataError(f"folder '{data}' has pictures and their classes, for which {asked_for} means nothing")
        found = load_folder(
            settled(data), pictures, seed=seed, limit=limit, augment=augment, name=name, rare=rare, normalise=normalise
        )
        return replace(found, loaded=_loaded(asked))
    labels: tuple[Label, ...] | None = None
    if is_npz(data):
        name, data = name or re.sub(r"[^\w.+-]", "-", Path(data).stem), read_npz(data)
    if isinstance(data, Path) or (isinstance(data, str) and re.search(r"[/\\]|\.\w+$", data)):
        what = "no .npz file" if Path(data).exists() else "neither a folder nor a file"
        raise DataError(
            f"data '{data}' is {what}: give a folder with one folder of pictures for each class, or read it first and "
            "give (X, y), or write numpy.savez('data.npz', X=..., y=...)"
        )
    if data is None or isinstance(data, str):
        known = named("digits" if data is None else data)
        given, labels = {"train": Items(*known.train)}, known.classes
        given |= {} if known.test is None else {"test": Items(*known.test)}
        name, augment, channels = name or known.name, augment or known.augment, "first"  # type: ignore[assignment]
    else:
        given = given_parts(data, pictures, limit)
    wanted = _kind_of(given["train"].x, kind)
    _check_augment(augment, wanted)
    given, words = read_parts(given, vocabulary, length) if wanted == "tokens" else (given, ())
    splits, classes = split_examples(given, wanted, task == "regression", channels, labels, rare, limit, seed)
    n, tokenizer = 0, None
    if wanted == "tokens":
        splits, n, tokenizer = settled_tokens(splits, words, vocabulary)
    found = assemble(
        splits, classes, name=name or "custom", augment=augment, normalise=normalise, vocabulary=n, tokenizer=tokenizer
    )
    return replace(found, loaded=_loaded(asked))


def is_folder(data: str | Path) -> bool:
    """Whether data are read from a folder: it is one here, and no name of ours."""
    return str(data) not in NAMES and not is_npz(data) and Path(data).is_dir()


def _loaded(asked: Mapping[str, object]) -> dict[str, object] | None:
    """The arguments that read the same data again, where they are not objects; without those that are as usual."""
    data = "digits" if asked["data"] is None else asked["data"]
    if not isinstance(data, str | Path):
        return None
    usual = {name: one.default for name, one in signature(load_data).parameters.items()}
    changed = {name: value for name, value in asked.items() if name != "data" and value != usual[name]}
    return {"data": str(settled(data)) if is_npz(data) or is_folder(data) else str(data)} | changed


def _check_use(data: object, task: str | None, rare: str, normalise: object) -> None:
    if not isinstance(normalise, bool | np.bool_):
        raise DataError(f"normalise is True or False, not {normalise!r}")
    if rare != "refuse" and (task == "regression" or isinstance(data, Data)):
        of = f"data '{data.name}' are split already" if isinstance(data, Data) else "a regression has no classes"
        raise DataError(f"rare={rare!r} is about classes of examples that are split, and {of}")


def _pictures(size: object, resize: object, broken: object, memory: object) -> Pictures:
    check_resize(resize)
    if broken not in get_args(Broken):
        raise DataError(f"broken is one of {', '.join(get_args(Broken))}, not {broken!r}")
    if not is_real(memory) or not memory >= 0:
        raise DataError(f"memory is a number of bytes, 0 or more, not {memory!r}")
    return Pictures(read_size(size), resize, broken, float(memory))  # type: ignore[arg-type]


def _kind_of(X: object, kind: Asked | None) -> Kind:
    """The kind as which X is read."""
    if kind == "sequences":
        return "tokens" if is_tokens(X) else "signals"
    return kind or ("table" if is_table(X) else "images")


def _check_tokens(kind: object, vocabulary: object, length: object) -> None:
    for what, value, least in (("vocabulary", vocabulary, FIRST_WORD), ("length", length, 1)):
        if value is None:
            continue
        if kind not in ("tokens", "sequences"):
            raise DataError(f"{what} is of token sequences: give kind='tokens' with it, or leave it out")
        if not is_whole(value) or value < least:
            raise DataError(f"{what} is a whole number of at least {least}, not {value!r}")


def _check_augment(augment: object, kind: Kind) -> None:
    if kind == "signals" and augment not in (None, "shift", "none"):
        raise DataError(f"augment of signals is 'shift' (in time) or 'none', not {augment!r}")


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
