"""Folders of pictures beside folders of their masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.dense import masked, pixelwise
from PIL import Image

import searchkit
from searchkit.cli import main
from searchkit.data.loading import load_data
from searchkit.data.masks import IGNORED
from searchkit.errors import DataError

X, MASKS = masked(n=40, side=24)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCHKIT_CACHE", str(tmp_path / "cache"))


def written(
    folder: Path, rows: Any = range(40), *, images: str = "images", masks: str = "masks", end: str = ""
) -> Path:
    for name in (images, masks):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i in rows:
        Image.fromarray(X[i]).save(folder / images / f"{i:02}.png")
        Image.fromarray(MASKS[i].astype(np.uint8)).save(folder / masks / f"{i:02}{end}.png")
    return folder


def pairs(data: Any) -> set[tuple[bytes, bytes]]:
    found = set()
    for part in (data.train, data.val, data.test):
        found |= {
            (x.numpy().tobytes(), y.numpy().astype(np.int16).tobytes()) for x, y in zip(part.x, part.y, strict=True)
        }
    return found


EXPECTED = {(x[None].tobytes(), y.astype(np.int16).tobytes()) for x, y in zip(X, MASKS, strict=True)}


@pytest.mark.parametrize(
    "given",
    [{}, {"images": "JPEGImages", "masks": "SegmentationClass"}, {"end": "_mask"}],
    ids=["usual", "voc", "ends"],
)
def test_pictures_have_the_masks_of_their_names(tmp_path: Path, given: Any) -> None:
    data = load_data(written(tmp_path / "scenes", **given), size=24)
    assert (data.task, data.classes, data.output_shape, data.name) == ("segmentation", (0, 1, 2), (3, 24, 24), "scenes")
    assert pairs(data) == EXPECTED
    assert data.loaded == {"data": str(tmp_path / "scenes"), "size": 24}


@pytest.mark.parametrize("inside", [True, False])
def test_parts_are_taken_as_they_are(tmp_path: Path, inside: bool) -> None:
    parts = {"train": range(24), "val": range(24, 32), "test": range(32, 40)}
    for part, rows in parts.items():
        if inside:
            written(tmp_path / part, rows)
        else:
            written(tmp_path, rows, images=f"images/{part}", masks=f"masks/{part}")
    data = load_data(tmp_path, size=24)
    assert [len(data.train), len(data.val), len(data.test)] == [24, 8, 8]
    assert pairs(data) == EXPECTED


@pytest.mark.slow
def test_masks_follow_their_pictures_into_another_size(tmp_path: Path) -> None:
    whole = load_data(written(tmp_path), size=24)
    assert load_data(tmp_path, size=12).output_shape == (3, 12, 12)
    padded = load_data(tmp_path, size=(24, 30), resize="pad")
    assert (padded.train.y[:, :, :3] == IGNORED).all()
    assert (padded.train.y[:, :, -3:] == IGNORED).all()
    assert torch.equal(padded.train.y[:, :, 3:-3], whole.train.y)
    cropped = load_data(tmp_path, size=(24, 48))
    assert torch.equal(cropped.train.y[:, :, ::2], whole.train.y[:, 6:18].repeat_interleave(2, 1))
    ignoring = load_data(tmp_path, size=24, ignore=0)
    assert ignoring.classes == (1, 2)


def test_memory_is_bounded(tmp_path: Path) -> None:
    mapped = load_data(written(tmp_path), size=24, memory=1000)
    assert mapped.train.mapped is not None
    assert pairs(mapped) == EXPECTED
    result = searchkit.run(
        "random", space=pixelwise(), data=mapped, budget=1, epochs=1, storage="memory", progress=False
    )
    assert len(result.front)


def broken_picture(folder: Path) -> None:
    (folder / "images/03.png").write_bytes(b"no picture")


def broken_mask(folder: Path) -> None:
    (folder / "masks/03.png").write_bytes(b"no mask")


def missing(folder: Path) -> None:
    (folder / "masks/03.png").unlink()


def smaller(folder: Path) -> None:
    Image.new("L", (5, 6)).save(folder / "masks/03.png")


def colour(folder: Path) -> None:
    Image.new("RGB", (24, 24)).save(folder / "masks/03.png")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (broken_picture, "picture .*images/03.png cannot be read"),
        (broken_mask, "picture .*masks/03.png cannot be read"),
        (missing, "picture .*images/03.png has no mask of its name in '.*masks'"),
        (smaller, "mask .*masks/03.png has 5 x 6 pixels, and its picture .*images/03.png 24 x 24; they must be alike"),
        (colour, "mask .*masks/03.png is in colour .RGB."),
    ],
)
def test_what_is_wrong_is_said_with_the_name_of_the_file(
    tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(written(tmp_path))
    with pytest.raises(DataError, match=said):
        load_data(tmp_path)


@pytest.mark.parametrize("spoil", [broken_picture, broken_mask])
def test_broken_ones_are_left_out_where_that_is_allowed(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(written(tmp_path))
    data = load_data(tmp_path, broken="skip", size=24)
    assert len(data.train) + len(data.val) + len(data.test) == 39
    assert pairs(data) < EXPECTED


@pytest.mark.slow
def test_the_command_line_takes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "scenes")
    where = ["--storage", str(tmp_path / "runs"), "--name", "s"]
    code = main(
        ["run", "--data", str(tmp_path / "scenes"), "--data-option", "size=16", "--strategy", "random", "--budget", "1",
         "--epochs", "1", *where]
    )  # fmt: skip
    assert code == 0
    assert "miou" in capsys.readouterr().out


def test_masks_of_a_data_set_follow_their_pictures_too() -> None:
    items = [
        (
            Image.fromarray(X[i]).resize((24 + i % 3, 24)),
            Image.fromarray(MASKS[i].astype(np.uint8)).resize((24 + i % 3, 24)),
        )
        for i in range(40)
    ]
    data = load_data(iter(items), limit=40, size=12)
    assert (data.task, data.classes, data.output_shape) == ("segmentation", (0, 1, 2), (3, 12, 12))
    bright = [float(data.train.x[:, 0][data.train.y == k].float().mean()) for k in range(3)]
    assert bright == sorted(bright)
    assert bright[2] > bright[0] + 60
    padded = load_data(iter(items), limit=40, size=(12, 20), resize="pad")
    assert padded.classes == (0, 1, 2)
    assert bool((padded.train.y[:, :, 0] == IGNORED).all())


def test_pixels_of_minus_one_are_left_out() -> None:
    data = load_data((X, np.where(MASKS == 2, -1, MASKS)))
    assert data.classes == (0, 1)
    assert int((data.train.y == IGNORED).sum()) > 0
