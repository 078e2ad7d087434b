"""Whether images may be mirrored is told by the images: blobs may, arrows may not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from searchkit.data.bundled import named
from searchkit.data.loading import load_data
from searchkit.data.symmetry import ALIKE, mirrored_share
from searchkit.integrations.sklearn.data import parts


def pictures(kind: str, n: int = 300, channels: int = 1) -> tuple[Any, Any]:
    """Three classes: by the height of a bright row ("rows"), or by the place of a bright column ("columns")."""
    rng, y = np.random.default_rng(0), np.arange(n) % 3
    x = rng.integers(0, 120, (n, channels, 12, 12), dtype=np.uint8)
    for i, label in enumerate(y):
        place = slice(1 + 2 * label, 3 + 2 * label)  # in the upper or left half
        x[i, :, place if kind == "rows" else slice(None), place if kind == "columns" else slice(None)] += 100
    return x, y


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("kind", "augment"), [("rows", "crop-flip"), ("columns", "shift")])
def test_images_are_mirrored_where_mirrors_are_alike(kind: str, augment: str, channels: int) -> None:
    assert load_data(pictures(kind, channels=channels), channels="first").augment == augment


@pytest.mark.parametrize(("kind", "augment"), [("rows", "crop-flip"), ("columns", "shift")])
def test_the_same_in_floats_of_another_scale(kind: str, augment: str) -> None:
    x, y = pictures(kind)
    assert load_data((x[:, 0] / 1e6 - 3, y)).augment == augment


def test_what_is_said_holds() -> None:
    assert load_data(pictures("columns"), channels="first", augment="flip").augment == "flip"
    assert load_data(pictures("rows"), channels="first", augment="none").augment == "none"


def test_nothing_is_mirrored_where_nothing_can_be_told() -> None:
    x, y = pictures("rows")
    assert load_data((x[:40], y[:40]), channels="first").augment == "shift"
    assert load_data((x, y + np.linspace(0, 0.5, len(y))), channels="first", task="regression").augment == "shift"
    grey = np.full((90, 12, 12), 7, np.uint8)
    assert load_data((grey, np.arange(90) % 3)).augment == "shift"
    noise = np.random.default_rng(0).integers(0, 255, (90, 12, 12), dtype=np.uint8), np.arange(90) % 3
    assert load_data(noise).augment in ("shift", "crop-flip")


def test_tables_are_not_augmented() -> None:
    assert load_data((np.random.default_rng(0).normal(size=(90, 4)), np.arange(90) % 3)).augment == "none"


def test_many_classes_of_few_images() -> None:
    x = np.random.default_rng(0).integers(0, 255, (3_000, 6, 6), dtype=np.uint8)
    assert load_data((x, np.arange(3_000) % 1_000)).augment in ("shift", "crop-flip")


def test_the_same_images_are_judged_alike_each_time() -> None:
    data, found = load_data("digits"), set()
    for seed in range(3):
        torch.manual_seed(seed)
        found.add(mirrored_share(data.train, data.n_classes))
    assert len(found) == 1


def test_digits_are_not_mirrored() -> None:
    data = load_data("digits")
    assert mirrored_share(data.train, data.n_classes) < 0.4 < ALIKE


@pytest.mark.slow
@pytest.mark.parametrize(("name", "limit"), [("fashion-mnist", 1_000), ("cifar-10", 2_000)])
def test_clothes_and_things_may_be_mirrored(name: str, limit: int) -> None:
    try:
        named(name)
    except Exception as missing:
        pytest.skip(str(missing))
    data = load_data(name, limit=limit)
    assert mirrored_share(data.train, data.n_classes) > ALIKE


@pytest.mark.parametrize(("kind", "augment"), [("rows", "crop-flip"), ("columns", "shift")])
def test_the_estimators_decide_alike(kind: str, augment: str) -> None:
    x, y = pictures(kind)
    made = parts(torch.from_numpy(x), y.astype(np.int64), (0, 1, 2), validation=0.2, test=0.2, seed=0)
    assert made.augment == augment
