"""Data of any kind becomes three disjoint, stratified parts, or one sentence that says why not."""

from __future__ import annotations

import gzip
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.data.splits import stratified
from searchkit.errors import DataError, UnknownNameError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (60, 12, 12, 3), dtype=np.uint8)
Y = np.arange(60) % 3


class Listed(Dataset[Any]):
    """Items as they are given."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


class Endless(IterableDataset[Any]):
    """A dataset without a length."""

    def __iter__(self) -> Iterator[Any]:
        return iter([])


def rows_of(data: Data) -> list[set[bytes]]:
    return [{image.numpy().tobytes() for image in split.x} for split in (data.train, data.val, data.test)]


# --- the split


@given(data=st.data(), n_parts=st.integers(2, 3), seed=st.integers(0, 2**32 - 1))
def test_parts_are_disjoint_complete_and_hold_every_class(data: st.DataObject, n_parts: int, seed: int) -> None:
    counts = data.draw(st.lists(st.integers(n_parts, 40), min_size=2, max_size=6))  # the fewest there may be
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    parts = stratified(y, [0.2] * (n_parts - 1), np.random.default_rng(seed))
    assert sorted(np.concatenate(parts)) == list(range(len(y)))
    for label, count in enumerate(counts):
        shares = [int((y[part] == label).sum()) for part in parts]
        assert min(shares) >= 1
        assert all(abs(share - 0.2 * count) <= max(0.5, 1 - 0.2 * count) for share in shares[1:])


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    first, again, other = load_data((X, Y), seed=1), load_data((X, Y), seed=1), load_data((X, Y), seed=2)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert torch.equal(first.val.x, again.val.x)
    assert not torch.equal(first.val.x, other.val.x)


def test_no_image_is_in_two_parts_and_each_keeps_its_label() -> None:
    data = load_data((X, Y))
    train, val, test = rows_of(data)
    assert not train & val
    assert not train & test
    assert not val & test
    assert [len(data.train), len(data.val), len(data.test)] == [36, 12, 12]
    label_of = {np.moveaxis(image, 2, 0).tobytes(): label for image, label in zip(X, Y, strict=True)}
    for split in (data.train, data.val, data.test):
        assert [label_of[image.numpy().tobytes()] for image in split.x] == split.y.tolist()


def test_a_given_test_set_stays_whole_and_in_order() -> None:
    data = load_data(((X[:45], Y[:45]), (X[45:], Y[45:])))
    assert [len(data.train), len(data.val)] == [36, 9]
    assert np.array_equal(data.test.x.permute(0, 2, 3, 1).numpy(), X[45:])
    assert data.test.y.tolist() == Y[45:].tolist()


def test_a_limit_takes_a_stratified_subset() -> None:
    data = load_data((X, Y), limit=30)
    assert len(data.train) + len(data.val) + len(data.test) == 30
    assert np.bincount(data.train.y.numpy()).tolist() == [6, 6, 6]
    assert len(load_data((X, Y), limit=1000).train) == 36


# --- the type


def test_nothing_given_is_the_bundled_digits() -> None:
    data = load_data()
    assert data.name == "digits"
    assert [len(data.train), len(data.val), len(data.test)] == [1079, 359, 359]
    assert (data.input_shape, data.n_classes, data.classes) == ((1, 8, 8), 10, tuple(range(10)))
    assert (data.train.x.dtype, data.train.y.dtype, data.augment) == (torch.uint8, torch.int64, "shift")
    assert load_data("digits").fingerprint == data.fingerprint


def test_mean_and_deviation_are_those_of_the_train_part_alone() -> None:
    changed = X.copy()
    data = load_data((X, Y))
    test_rows = [i for i, image in enumerate(X) if np.moveaxis(image, 2, 0).tobytes() in rows_of(data)[2]]
    changed[test_rows] = 0
    assert load_data((changed, Y)).mean == data.mean
    pixels = data.train.x.double()
    assert data.mean == pytest.approx(pixels.mean(dim=(0, 2, 3)).tolist())
    assert data.std == pytest.approx(pixels.std(dim=(0, 2, 3), correction=0).tolist())


def test_a_constant_channel_has_deviation_one() -> None:
    constant = X.copy()
    constant[..., 1] = 7
    assert load_data((constant, Y)).std[1] == 1.0


def test_the_search_never_gets_the_test_part() -> None:
    data = load_data((X, Y))
    hidden = data.without_test()
    assert len(hidden.test) == 0
    assert len(data.test) == 12
    assert hidden.fingerprint == data.fingerprint
    assert len(pickle.dumps(hidden)) < hidden.train.x.numel() + hidden.val.x.numel() + 4_000


def test_data_survive_a_pickle() -> None:
    data = load_data((X, Y))
    back = pickle.loads(pickle.dumps(data, protocol=5))
    assert repr(back) == repr(data)
    assert torch.equal(back.test.x, data.test.x)
    assert torch.equal(back.train.y, data.train.y)


def test_read_only_buffers_are_copied() -> None:
    data = load_data((X, Y))
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(data, protocol=5, buffer_callback=buffers.append)
    back = pickle.loads(head, buffers=[bytes(buffer) for buffer in buffers])  # as from a shared store
    assert torch.equal(back.train.x, data.train.x)


def test_a_data_object_comes_back_as_it_is() -> None:
    data = load_data((X, Y))
    assert load_data(data) is data


def test_the_repr_says_what_it_is() -> None:
    assert repr(load_data((X, Y), name="mine")).startswith(
        "Data('mine', 36 train, 12 val, 12 test, 3x12x12, 3 classes, "
    )


# --- what is accepted


@pytest.mark.parametrize(
    ("images", "shape"),
    [
        (X[..., 0], (1, 12, 12)),
        (X, (3, 12, 12)),
        (np.moveaxis(X, 3, 1), (3, 12, 12)),
        (X[..., :1], (1, 12, 12)),
        (X[..., 0].reshape(60, 144), (1, 12, 12)),
        (torch.from_numpy(X), (3, 12, 12)),
        (X.tolist(), (3, 12, 12)),
        (list(X), (3, 12, 12)),
        (X[..., 0] > 100, (1, 12, 12)),
    ],
    ids=["grey", "channels last", "channels first", "one channel", "flat", "tensor", "lists", "list of arrays", "bool"],
)
def test_every_usual_layout_becomes_channels_first_bytes(images: Any, shape: tuple[int, ...]) -> None:
    data = load_data((images, Y))
    assert data.input_shape == shape
    assert data.train.x.dtype == torch.uint8


def test_bytes_stay_bytes_and_other_numbers_become_float32() -> None:
    assert load_data((X.astype(np.int64), Y)).train.x.dtype == torch.uint8
    assert load_data((X.astype(np.int64) - 5, Y)).train.x.dtype == torch.float32
    assert load_data((X / 255.0, Y)).train.x.dtype == torch.float32
    assert load_data((torch.from_numpy(X).bfloat16(), Y)).train.x.dtype == torch.float32


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (Y + 5, (5, 6, 7)),
        (Y.astype(float), (0, 1, 2)),
        (Y == 1, (False, True)),
        (np.array(["cat", "dog", "ant"])[Y], ("ant", "cat", "dog")),
        (np.array(["cat", "dog", "ant"], dtype=object)[Y], ("ant", "cat", "dog")),
        (torch.from_numpy(Y), (0, 1, 2)),
        (Y[:, None], (0, 1, 2)),
        (["b" if label else "a" for label in Y], ("a", "b")),
    ],
    ids=["ints", "whole floats", "bools", "strings", "objects", "tensor", "column", "list"],
)
def test_labels_of_any_kind_are_encoded_and_their_classes_kept(labels: Any, classes: tuple[Any, ...]) -> None:
    data = load_data((X, labels))
    assert data.classes == classes
    assert [type(label) for label in data.classes] == [type(label) for label in classes]
    assert set(data.train.y.tolist()) == set(range(len(classes)))


def test_channels_can_be_said_where_the_shape_does_not() -> None:
    images = np.zeros((60, 5, 9, 9), dtype=np.uint8)
    assert load_data((images, Y), channels="first").input_shape == (5, 9, 9)
    assert load_data((images, Y), channels="last").input_shape == (9, 5, 9)


@pytest.mark.parametrize("wrap", [lambda x, y: Listed(list(zip(x, y, strict=True))), TensorDataset])
def test_torch_datasets_are_read_whole(wrap: Any) -> None:
    x, y = torch.from_numpy(X).permute(0, 3, 1, 2), torch.from_numpy(Y)
    one = load_data(wrap(x, y))
    assert one.fingerprint == load_data((X, Y)).fingerprint
    two = load_data((wrap(x[:45], y[:45]), wrap(x[45:], y[45:])))
    assert two.fingerprint == load_data(((X[:45], Y[:45]), (X[45:], Y[45:]))).fingerprint


def test_datasets_may_hold_strings_and_arrays() -> None:
    items = [(image, f"class {label}") for image, label in zip(X, Y, strict=True)]
    assert load_data(Listed(items)).classes == ("class 0", "class 1", "class 2")


def test_test_labels_get_the_numbers_of_the_training_labels() -> None:
    names = np.array(["cat", "dog", "ant"])
    data = load_data(((X, names[Y]), (X[:2], ["dog", "dog"])))
    assert data.test.y.tolist() == [2, 2]


# --- what is refused

NAN = X.astype(float)
NAN[3, 2, 1, 0] = np.nan

REFUSED = {
    "one class": ((X, np.zeros(60, int)), "all 60 labels y are 0; two or more classes are needed"),
    "nan": ((NAN, Y), "images X hold 1 NaN or infinite pixel;"),
    "huge": ((X * 1e300, Y), "too large for float32"),
    "lengths": ((X[:50], Y), "there are 50 images X but 60 labels y"),
    "empty": ((X[:0], Y[:0]), r"images X are empty: their shape is \(0, 12, 12, 3\)"),
    "scarce": ((X, np.r_[Y[:-2], 7, 7]), "class 7 has 2 examples; 3 are needed"),
    "single": ((X, ["z", *["a", "b"] * 29, "a"]), "class 'z' has 1 example; 3 are needed"),
    "scarce with a test set": (((X, np.r_[Y[:-1], 7]), (X, Y)), "class 7 has 1 example; 2 are needed"),
    "float labels": ((X, Y + 0.5), "label 0 is 0.5; give ints, strings or bools"),
    "nan label": ((X, np.r_[Y[:-1], np.nan]), "label 59 is missing .nan."),
    "one-hot": ((X, np.eye(3)[Y]), r"shape \(60, 3\); for one-hot labels give y.argmax"),
    "mixed labels": (
        (X, [*Y.tolist()[:-1], None]),
        "label 59 is missing .None.; 1 of 60 are missing: leave these examples out, in X too",
    ),
    "complex labels": ((X, Y * 1j), "labels y are ints, strings or bools, not complex128"),
    "strings": ((["a"] * 60, Y), "X is text: load_data.*kind='tokens'"),
    "ragged": (([[1, 2], [3]], [0, 1]), "inputs X have no common shape"),
    "one-dimensional": ((np.zeros(60), Y), r"not \(60,\)"),
    "ambiguous channels": ((np.zeros((60, 3, 9, 3)), Y), "both axis 1 and axis 3 could be the channels"),
    "no channels": ((np.zeros((60, 9, 9, 9)), Y), "neither axis 1 nor axis 3 has the 1, 3 or 4 of the channels"),
    "number": (7, "data is a name, a folder, a pair .* not a int"),
    "triple": ((X, Y, Y), "not a tuple of length 3"),
    "new test class": (((X, Y), (X, Y + 1)), "in the test set, the labels hold class 3"),
    "other test shape": (((X, Y), (X[:, :8], Y)), "must be alike"),
    "other test type": (((X, Y), (X / 255, Y)), "must be alike"),
    "dataset of triples": (Listed([(X[0], 1, 2)]), "item 0 of the dataset Listed is not a pair"),
    "dataset of shapes": (
        Listed([(X[0] / 255, 1), (X[0, :5] / 255, 0)]),
        r"image 0 of the dataset Listed has shape \(12, 12, 3\) and float64; images of several shapes are resized",
    ),
    "empty dataset": (Listed([]), "the dataset Listed is empty"),
    "endless dataset": (Endless(), "the dataset Endless is empty"),
    "dataset and labels": ((Listed([]), Y), "data is a name, a folder, a pair"),
}


@pytest.mark.parametrize(("data", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_data_are_refused_in_one_sentence(data: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as refusal:
        load_data(data)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"augment": "flop"}, "augment is one of shift, crop-flip, flip, randaugment, none, not 'flop'"),
        ({"kind": "sound"}, "kind is one of images, table, tokens, signals, sequences, not 'sound'"),
        ({"channels": "middle"}, "channels is 'first', 'last' or None, not 'middle'"),
        ({"limit": 5}, "limit is 5; 3 classes need at least 9 examples"),
    ],
)
def test_bad_options_are_refused(options: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        load_data((X, Y), **options)


@pytest.mark.parametrize("n_features", [30, 16])
def test_rows_that_are_no_square_image_are_no_images(n_features: int) -> None:
    with pytest.raises(DataError, match=rf"images are needed: X has shape \(60, {n_features}\), rows of {n_features}"):
        load_data((np.zeros((60, n_features)), Y), kind="images")


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"cifar-10, digits, fashion-mnist\. Did you mean 'cifar-10'"):
        load_data("cifar10")


# --- named files


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar-10"])
def test_missing_files_are_named_with_the_places_looked_in(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEARCHKIT_DATA", str(tmp_path / "mine"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(DataError, match=f"the files of data set '{name}' are not in .*mine, .*data, .*data: put "):
        load_data(name)


def test_idx_files_are_read_straight_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = X[..., 0], np.arange(60, dtype=np.uint8) % 10
    for part, rows in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        for kind, array in (("images-idx3", images[rows]), ("labels-idx1", labels[rows])):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    monkeypatch.setenv("SEARCHKIT_DATA", str(tmp_path))
    data = load_data("fashion-mnist")
    assert (len(data.train), len(data.val), len(data.test)) == (30, 10, 20)
    assert np.array_equal(data.test.x[:, 0].numpy(), images[40:])
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz is not a readable gzipped idx file"):
        load_data("fashion-mnist")


def test_official_cifar_batches_are_read_and_code_in_them_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rows = RNG.integers(0, 256, (20, 3072), dtype=np.uint8)
    batch = {b"data": rows, b"labels": [i % 10 for i in range(20)]}
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    monkeypatch.setenv("SEARCHKIT_DATA", str(tmp_path))
    data = load_data("cifar-10")
    assert (data.name, len(data.train), len(data.val), len(data.test)) == ("cifar-10", 80, 20, 20)
    assert np.array_equal(data.test.x.numpy(), rows.reshape(20, 3, 32, 32))
    assert (data.classes[3], data.augment) == ("cat", "crop-flip")
    (folder / "test_batch").write_bytes(pickle.dumps(os.getcwd))
    with pytest.raises(DataError, match="does not belong in a CIFAR-10 batch"):
        load_data("cifar-10")


def test_fashion_mnist_has_its_official_test_set(
    real_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEARCHKIT_DATA", str(real_data("images/fashion-mnist").parents[1]))
    data = load_data("fashion-mnist", limit=6000)
    assert (len(data.train), len(data.val), len(data.test)) == (4800, 1200, 10_000)
    assert (data.input_shape, data.classes[9], data.augment) == ((1, 28, 28), "Ankle boot", "crop-flip")


@pytest.mark.slow
def test_a_part_of_cifar_is_called_a_part(real_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCHKIT_DATA", str(real_data("images/cifar10_subset.npz").parents[1]))
    data = load_data("cifar-10")
    if data.name != "cifar-10":
        assert data.name == f"cifar-10-subset-{len(data.train) + len(data.val)}"
    assert (data.input_shape, data.n_classes, data.augment) == ((3, 32, 32), 10, "crop-flip")
