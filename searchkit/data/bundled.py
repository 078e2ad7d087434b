"""Data sets by name: scikit-learn's digits, and Fashion-MNIST and CIFAR-10 from files that the user has.

Nothing is downloaded. Files are looked for in ``$SEARCHKIT_DATA``, ``../shared/data`` and ``./data``.
"""

from __future__ import annotations

import gzip
import os
import pickle
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from searchkit.errors import DataError, UnknownNameError
from searchkit.surroundings import settled

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
NAMES = ("digits", "fashion-mnist", "cifar-10")  # of the data sets that can be loaded by name
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class NamedDataset:
    """The content of a data set's files: images uint8 ``(n, c, h, w)``, and labels ``(n,)`` from 0 to k - 1."""

    name: str
    train: tuple[Bytes, Ints]
    test: tuple[Bytes, Ints] | None
    classes: tuple[str | int, ...]
    augment: str


def named(name: str) -> NamedDataset:
    """The data set of that name.

    Raises:
        UnknownNameError: there is no data set of that name.
        DataError: its files are missing, in which case the message lists the folders searched, or cannot be read.
    """
    readers = dict(zip(NAMES, (_digits, _fashion_mnist, _cifar_10), strict=True))
    if name not in readers:
        error = UnknownNameError.of("data set", name, readers)
        raise UnknownNameError(f"{error} Nor is there a folder of that name.")
    return readers[name]()


def data_folders() -> list[Path]:
    """The folders that are searched for files of named data sets, in order."""
    given = os.environ.get("SEARCHKIT_DATA")
    return [*([settled(given)] if given else []), Path("../shared/data"), Path("data")]


def _digits() -> NamedDataset:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = digits.images.astype(np.uint8)[:, None]  # 0 to 16 grey levels, 8 x 8
    return NamedDataset("digits", (images, digits.target.astype(np.int64)), None, tuple(range(10)), "shift")


def _fashion_mnist() -> NamedDataset:
    names = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    folder = _find(
        [f"{sub}{names[0]}" for sub in ("images/fashion-mnist/", "fashion-mnist/", "")],
        "fashion-mnist",
        f"the four files {', '.join(names)} in one of them",
    ).parent
    x_train, y_train, x_test, y_test = (_read_idx(folder / name) for name in names)
    train, test = (x_train[:, None], y_train.astype(np.int64)), (x_test[:, None], y_test.astype(np.int64))
    return NamedDataset("fashion-mnist", train, test, FASHION_CLASSES, "crop-flip")


def _cifar_10() -> NamedDataset:
    batches = "cifar-10-batches-py"
    subset = "cifar10_subset.npz"
    found = _find(
        [f"{batches}/data_batch_1", f"images/{batches}/data_batch_1", f"images/{subset}", subset],
        "cifar-10",
        f"the folder {batches} of the official Python version in one of them",
    )
    if found.suffix != ".npz":
        parts = [_read_batch(found.parent / f"data_batch_{i}") for i in range(1, 6)]
        train = np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
        test = _read_batch(found.parent / "test_batch")
        return NamedDataset("cifar-10", train, test, CIFAR_CLASSES, "crop-flip")
    with np.load(found) as file:
        x_train, x_test = (file[key].transpose(0, 3, 1, 2) for key in ("x_train", "x_test"))
        y_train, y_test = (file[key].astype(np.int64) for key in ("y_train", "y_test"))
        classes = tuple(str(label) for label in file["class_names"])
    # A subset has its own name, because accuracies on it cannot be compared with those on CIFAR-10.
    name = f"cifar-10-subset-{len(x_train)}"
    return NamedDataset(name, (x_train, y_train), (x_test, y_test), classes, "crop-flip")


def _find(relative: list[str], name: str, wanted: str) -> Path:
    folders = data_folders()
    for folder in folders:
        for path in relative:
            if (folder / path).is_file():
                return folder / path
    places = ", ".join(str(folder.absolute()) for folder in folders)
    raise DataError(
        f"the files of data set '{name}' are not in {places}: put {wanted}, or set SEARCHKIT_DATA to where they are"
    )


def _read_idx(path: Path) -> Bytes:
    """Read a gzipped idx file: two zeros, type 8 (unsigned byte), the number of dimensions, each in 4 bytes, data."""
    try:
        content = gzip.decompress(path.read_bytes())
        dimensions = np.frombuffer(content, ">u4", count=content[3], offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(dimensions.tolist())
    except (OSError, EOFError, IndexError, ValueError, zlib.error) as error:
        raise DataError(f"{path} is not a readable gzipped idx file: {error}") from error


class _ArraysOnly(pickle.Unpickler):
    """Unpickles numpy arrays only, so that a file cannot run code."""

    allowed = (("numpy", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"))

    def find_class(self, module: str, name: str) -> Any:
        package = module.split(".")[0]
        if (package, name) in self.allowed:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} does not belong in a CIFAR-10 batch")


def _read_batch(path: Path) -> tuple[Bytes, Ints]:
    """Read a batch of the official files: rows of 3 x 32 x 32 bytes, and labels."""
    try:
        with path.open("rb") as file:
            batch = _ArraysOnly(file, encoding="bytes").load()
        images = np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
        return images, np.asarray(batch[b"labels"], dtype=np.int64)
    except (OSError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise DataError(f"{path} is not a readable CIFAR-10 batch: {error}") from error
