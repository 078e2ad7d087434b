"""Data sets that give one item after the other: of torch, of Hugging Face, streams."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import repeat
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

import searchkit
from searchkit.data.datasets import LOOKED_AT
from searchkit.data.loading import load_data
from searchkit.errors import DataError

RNG = np.random.default_rng(0)
Y = np.arange(30) % 3
SIZES = RNG.integers(12, 30, (30, 2)).tolist()
PICTURES = [Image.fromarray(RNG.integers(0, 255, (h, w, 3), dtype=np.uint8)) for h, w in SIZES]
X = RNG.integers(0, 255, (30, 8, 8, 3), dtype=np.uint8)


class Items(Dataset[Any]):
    """Items as they are given, with the attributes that data sets have."""

    def __init__(self, items: list[Any], **attributes: Any) -> None:
        self.items = items
        vars(self).update(attributes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


def encoded(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "png")
    return file.getvalue()


def pairs(images: Any) -> list[Any]:
    return list(zip(images, Y.tolist(), strict=True))


def test_pictures_of_any_size_become_one_size_whatever_they_are_given_as() -> None:
    first = load_data(Items(pairs(PICTURES)))
    side = int(np.median([min(size) for size in SIZES]))
    assert first.input_shape == (3, side, side)
    for images in (map(encoded, PICTURES), [{"bytes": encoded(one), "path": None} for one in PICTURES]):
        assert load_data(Items(pairs(images))).fingerprint == first.fingerprint
    arrays = [np.asarray(picture) for picture in PICTURES]
    assert load_data(Items(pairs(arrays))).fingerprint == first.fingerprint
    channels_first = [np.moveaxis(array, 2, 0) for array in arrays]
    assert load_data(Items(pairs(channels_first))).fingerprint == first.fingerprint
    assert load_data(Items(pairs(PICTURES)), size=(10, 20), resize="pad").input_shape == (3, 10, 20)
    grey = [picture.convert("L") for picture in PICTURES]
    assert load_data(Items(pairs(grey)), size=9).input_shape == (1, 9, 9)


def test_arrays_of_one_shape_stay_as_they_are_unless_a_size_is_given() -> None:
    plain = load_data((X, Y))
    assert load_data(Items(pairs(X))).fingerprint == plain.fingerprint
    assert load_data(Items(pairs(X)), size=6).input_shape == (3, 6, 6)


def test_one_picture_of_another_shape_after_many_is_resized_too() -> None:
    n = LOOKED_AT + 30
    images = [X[i % 30] for i in range(n - 1)] + [np.zeros((20, 9, 3), np.uint8)]
    data = load_data(Items(list(zip(images, [i % 2 for i in range(n)], strict=True))))
    assert data.input_shape == (3, 8, 8)
    assert sum(map(len, (data.train, data.val, data.test))) == n


@pytest.mark.parametrize(("image", "label"), [("image", "label"), ("img", "labels"), ("jpg", "cls"), ("x", "y")])
def test_items_may_be_dictionaries(image: str, label: str) -> None:
    items = [{"id": i, image: one, label: y} for i, (one, y) in enumerate(pairs(X))]
    assert load_data(Items(items)).fingerprint == load_data((X, Y)).fingerprint


def test_names_of_classes_are_kept_in_their_order() -> None:
    """As torchvision and Hugging Face have them: labels count them, whatever their alphabet."""
    names = ["sea", "dog", "cat"]
    assert load_data(Items(pairs(X), classes=names)).classes == ("sea", "dog", "cat")
    features = {"image": None, "label": SimpleNamespace(names=names)}
    items = [{"image": one, "label": y} for one, y in pairs(X)]
    assert load_data(Items(items, features=features)).classes == ("sea", "dog", "cat")
    some = [(one, 2 * (y > 0)) for one, y in pairs(X)]
    data = load_data(Items(some, classes=names))
    assert data.classes == ("sea", "cat")
    assert data.fingerprint == load_data((X, [y for _, y in some])).fingerprint
    assert load_data(Items(pairs(X), classes=["one", "two"])).classes == (0, 1, 2)  # they are of something else


def test_parts_by_their_names() -> None:
    whole = load_data(((X, Y), (X[:9], Y[:9])))
    parts = {"train": Items(pairs(X)), "test": (X[:9], Y[:9])}
    assert load_data(parts).fingerprint == whole.fingerprint
    three = load_data(parts | {"validation": (X[9:15], Y[9:15])})
    assert [len(part) for part in (three.train, three.val, three.test)] == [30, 6, 9]
    assert np.array_equal(three.val.x.numpy(), np.moveaxis(X[9:15], 3, 1))


def test_streams_are_read_to_their_end_or_to_a_limit() -> None:
    def stream() -> Iterator[Any]:
        yield from pairs(X)

    assert load_data(stream()).fingerprint == load_data((X, Y)).fingerprint
    endless = ((X[i % 30], i % 3) for i in iter(int, 1) for i in range(30))
    data = load_data(endless, limit=20)
    assert sum(map(len, (data.train, data.val, data.test))) == 20


def test_an_endless_stream_is_stopped_by_the_memory_that_it_may_take() -> None:
    for image in (X[0], PICTURES[0]):
        with pytest.raises(DataError, match="has more than 1 MiB of images: give limit= to read fewer"):
            load_data(repeat((image, 1)), memory=2**20)


def test_a_loader_stands_for_its_data_set() -> None:
    loader = DataLoader(Items(pairs(torch.from_numpy(X))), batch_size=4, shuffle=True)
    assert load_data(loader).fingerprint == load_data((X, Y)).fingerprint
    both = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    assert load_data(both).fingerprint == load_data((X, Y)).fingerprint


def test_images_that_cannot_be_read_are_named_or_left_out_and_counted(caplog: Any) -> None:
    images: list[Any] = [encoded(picture) for picture in PICTURES]
    images[7] = images[7][:100]
    with pytest.raises(DataError, match="image 7 of the dataset Items cannot be read.*broken='skip'"):
        load_data(Items(pairs(images)))
    data = load_data(Items(pairs(images)), broken="skip")
    assert sum(map(len, (data.train, data.val, data.test))) == 29
    assert "1 image left out, which cannot be read, the first: image 7" in caplog.text


BAD: dict[str, tuple[Any, str]] = {
    "no train": ({"test": (X, Y)}, "has 'test'; it needs 'train', and may have 'val' and 'test'"),
    "two vals": ({"train": (X, Y), "val": (X, Y), "valid": (X, Y)}, "two parts called val"),
    "parts of parts": ({"train": {"train": (X, Y), "test": (X, Y)}}, "the train part of data is itself in parts"),
    "columns": ({"x": X, "y": Y}, "has 'x', 'y'; it needs 'train'"),
    "nothing": ({}, "is a dictionary and is empty; it needs 'train'"),
    "no image": (Items([{"picture of": 1, "label": 1}]), "item 0 .* has no image .* its keys: picture of, label"),
    "a missing file": (Items([("/nowhere/a.jpg", 0)]), "image 0 .* cannot be read: .*No such file"),
    "several channels": (
        Items([(np.zeros((5, 5, 7)), 0), (np.zeros((6, 5, 7)), 1)]),
        "images of several shapes are resized where they are whole numbers from 0 to 255 with 1, 3 or 4 channels",
    ),
    "validation of another shape": (
        {"train": (X, Y), "val": (X[:, :7], Y)},
        "but validation images are .3, 7, 8.*must be alike",
    ),
    "validation of another class": (
        {"train": (X, Y), "val": (X, Y + 1)},
        "in the validation set, the labels hold class 3",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_sets_are_refused(case: str) -> None:
    given, said = BAD[case]
    with pytest.raises(DataError, match=said):
        load_data(given)


@pytest.mark.slow
def test_a_search_over_a_data_set_of_pictures() -> None:
    result = searchkit.run(
        "random", data=Items(pairs(PICTURES), classes=["a", "b", "c"]), budget=1, epochs=1, storage="memory", proxies=()
    )
    assert list(result.classes) == ["a", "b", "c"]
