"""Data that look right and are not: nothing is turned into something else without a word."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.dense import masked, pixelwise
from helpers.photos import folder, picture, scenes
from PIL import Image

import searchkit
from searchkit import Metric
from searchkit.data.decoded import cache_folder
from searchkit.data.loading import load_data
from searchkit.errors import DataError

X, MASKS = masked(n=60)
Y = np.arange(60) % 3
TABLE = np.random.default_rng(0).normal(size=(60, 3))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCHKIT_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_masks_are_turned_upright_as_their_pictures(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("images", "masks"):
        (tmp_path / "in" / name).mkdir(parents=True)
    for i, (x, mask) in enumerate(zip(X, MASKS, strict=True)):
        Image.fromarray(x).save(tmp_path / "in" / "images" / f"{i}.png", exif=exif)
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "in" / "masks" / f"{i}.png", exif=exif)
    data = load_data(tmp_path / "in", size=12)
    bright = [float(data.train.x[:, 0][data.train.y == k].float().mean()) for k in range(3)]
    assert bright[0] + 30 < bright[1] < bright[2] - 30


def test_masks_whose_format_changes_values_are_refused(tmp_path: Path) -> None:
    scenes(tmp_path / "in")
    mask = tmp_path / "in" / "masks" / "3.png"
    Image.open(mask).save(mask.with_suffix(".jpg"))
    mask.unlink()
    with pytest.raises(DataError, match="mask .*3.jpg is a JPEG, which changes values"):
        load_data(tmp_path / "in")


def test_two_pictures_do_not_share_a_mask(tmp_path: Path) -> None:
    scenes(tmp_path / "in")
    Image.open(tmp_path / "in" / "images" / "3.jpg").save(tmp_path / "in" / "images" / "3.png")
    with pytest.raises(DataError, match="pictures .*3.jpg and .*3.png have one name, and so one mask"):
        load_data(tmp_path / "in")


def test_folders_of_the_system_are_no_classes_and_parts_stand_alone(tmp_path: Path) -> None:
    for part in ("train", "test"):
        folder(tmp_path / "in" / part, n=4)
    plain = load_data(tmp_path / "in", size=8)
    (tmp_path / "in" / "__MACOSX").mkdir()
    picture(tmp_path / "in" / "__MACOSX" / "._1.png")
    assert load_data(tmp_path / "in", size=8).classes == plain.classes
    picture(tmp_path / "in" / "extra" / "1.png")
    with pytest.raises(DataError, match="has the parts train and test, and 'extra' is none: move it elsewhere"):
        load_data(tmp_path / "in")


def test_pictures_of_shares_of_one_are_refused(tmp_path: Path) -> None:
    folder(tmp_path / "in", n=4)
    Image.fromarray(np.random.default_rng(0).random((9, 9)).astype(np.float32)).save(tmp_path / "in" / "cat" / "x.tiff")
    with pytest.raises(DataError, match="x.tiff cannot be read: its values are from .* and not from 0 to 255"):
        load_data(tmp_path / "in")


@pytest.mark.parametrize("ending", [".json", ".bytes"])
def test_damaged_files_of_decoded_pictures_are_made_again(tmp_path: Path, ending: str) -> None:
    first = load_data(folder(tmp_path / "in", n=4), size=8)
    (kept,) = cache_folder().glob(f"*{ending}")
    kept.write_bytes(kept.read_bytes()[:20])
    assert load_data(tmp_path / "in", size=8).fingerprint == first.fingerprint


def test_columns_of_y_go_by_name() -> None:
    labels = (np.c_[TABLE, TABLE[:, :1]] > 0.2).astype(int)[:, :3]
    frame = pd.DataFrame(labels, columns=["a", "b", "c"])
    plain = load_data(((TABLE[:40], frame[:40]), (TABLE[40:], frame[40:])))
    assert (
        load_data(((TABLE[:40], frame[:40]), (TABLE[40:], frame[40:][["c", "a", "b"]]))).fingerprint
        == plain.fingerprint
    )
    with pytest.raises(DataError, match="the test targets have the columns"):
        load_data(((TABLE[:40], frame[:40]), (TABLE[40:], frame[40:].rename(columns={"a": "z"}))))


def test_channels_of_maps_are_told_by_the_sides_of_the_pictures() -> None:
    last = np.stack([X / 16.0, X * 3.0], -1)
    assert load_data((X, last)).output_shape == (2, 12, 12)
    assert load_data((X, last)).fingerprint == load_data((X, np.moveaxis(last, -1, 1))).fingerprint
    either = np.zeros((60, 12, 12, 12))
    either[..., 0] = 1
    with pytest.raises(DataError, match="of which either side may be the channels: give channels="):
        load_data((X, either))


def test_pixels_of_minus_one_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "searchkit"):
        load_data((X, np.where(MASKS == 2, -1, MASKS)))
    assert any("of the pixels of the masks are -1, which counts as no class" in line for line in caplog.messages)


def shares(image: torch.Tensor) -> torch.Tensor:
    return image.float() / 255


def test_a_function_that_brings_images_to_another_scale_is_refused() -> None:
    with pytest.raises(DataError, match="it has to keep their scale, in which validation and test images are"):
        load_data((X, Y), transform=shares)


def test_a_metric_of_predictions_sees_only_pixels_that_count() -> None:
    seen = []

    def right(y_true: Any, y_pred: Any) -> float:
        seen.append(set(np.unique(y_true)))
        return float((y_true == y_pred).mean())

    data = load_data((X, np.where(MASKS == 2, 255, MASKS)), ignore=255)
    result = searchkit.run(
        "random", space=pixelwise(), data=data, objectives=(Metric("right", right, direction="max"), "pixel_accuracy"),
        budget=2, epochs=2, storage="memory", progress=False,
    )  # fmt: skip
    assert result.front["right"].tolist() == pytest.approx(result.front["pixel_accuracy"].tolist())
    assert all(values == {0, 1} for values in seen)


def test_parts_in_which_nothing_counts_are_refused() -> None:
    weights = np.zeros(60)
    weights[:4] = 1
    with pytest.raises(DataError, match="all examples of the .* part have weight 0"):
        load_data((X, Y), weights=weights)
    with pytest.raises(DataError, match="all pixels of the masks of the validation part are left out"):
        load_data({"train": (X, MASKS), "val": (X[:9], np.full_like(MASKS[:9], 9))}, ignore=9)


@pytest.mark.parametrize(
    ("data", "given", "said"),
    [
        ((X, Y), {"seed": "a"}, "seed is a whole number of at least 0, not 'a'"),
        ((X, Y), {"limit": "50"}, "limit is a whole number of at least 1, not '50'"),
        ((X, Y), {"limit": True}, "limit is a whole number of at least 1, not True"),
        ((X, Y), {"class_weights": {0: 1, 1: 1, 2: "x"}}, "class_weights are finite numbers"),
        ((["a b", "b c", "c"] * 20, Y), {}, "X is text: load_data.*kind='tokens'"),
        ((X, MASKS), {"task": "classification"}, "masks are task='segmentation', scored by 'miou'"),
    ],
)
def test_what_is_meant_is_said(data: Any, given: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load_data(data, **given)


def test_items_may_have_a_mask() -> None:
    items = [{"image": x, "mask": mask} for x, mask in zip(X, MASKS, strict=True)]
    assert load_data(iter(items), limit=60).task == "segmentation"


def test_one_sentence_is_no_list_of_them() -> None:
    data = load_data((["a b", "b c", "c"] * 20, Y), kind="tokens")
    assert data.tokenizer is not None
    with pytest.raises(DataError, match="encode takes a list of sentences"):
        data.tokenizer.encode("a b")


def test_a_folder_that_is_gone_is_said_to_be_gone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone' is neither a folder nor a file"):
        load_data(str(tmp_path / "gone"), size=8)
    with pytest.raises(DataError, match="gone' is neither a folder nor a file"):
        load_data(tmp_path / "gone")
