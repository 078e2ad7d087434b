"""A folder of pictures, with one folder for each class, as data."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.photos import folder, picture
from PIL import Image

import searchkit
from searchkit.data.class_folders import list_folder
from searchkit.data.data import Data
from searchkit.data.loader import train_batches
from searchkit.data.pictures import Shape, decoded, header
from searchkit.data.splits import joined
from searchkit.errors import DataError
from searchkit.results.recorded_data import data_of

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEARCHKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pictures"


def test_it_is_split_into_parts_and_decoded_to_one_size(tmp_path: Path) -> None:
    data = searchkit.load_data(folder(tmp_path / "photos"), size=16)
    assert (data.name, data.classes, data.input_shape) == ("photos", ("cat", "dog", "sea"), (3, 16, 16))
    assert [len(part) for part in (data.train, data.val, data.test)] == [18, 6, 6]
    for part in (data.train, data.val, data.test):
        assert part.x.dtype == torch.uint8
        assert np.bincount(part.y).tolist() == [len(part) // 3] * 3
        # the channel of a picture's class is the brightest but for the blue of its own
        brightest = part.x.float().mean(dim=(2, 3))[:, :2] > 60
        assert [row.tolist() for row in brightest] == [[y == 0, y == 1] for y in part.y.tolist()]


def test_the_same_call_gives_the_same_data_from_what_was_decoded(tmp_path: Path, cache: Path, caplog: Any) -> None:
    photos = folder(tmp_path / "photos")
    first = searchkit.load_data(str(photos))
    with caplog.at_level(logging.INFO, "searchkit"):
        again = searchkit.load_data(photos)
    assert not [line for line in caplog.messages if "decoding" in line]
    assert again.fingerprint == first.fingerprint
    assert len(list(cache.glob("*.bytes"))) == 1
    other = searchkit.load_data(photos, seed=1)
    assert other.fingerprint != first.fingerprint
    picture(photos / "cat" / "0.jpg", (40, 40), (255, 255, 255))  # the folder has changed
    assert searchkit.load_data(photos).fingerprint != first.fingerprint


def test_what_was_decoded_may_be_deleted(tmp_path: Path, cache: Path) -> None:
    photos = folder(tmp_path / "photos")
    first = searchkit.load_data(photos, memory=0)
    for path in cache.iterdir():
        path.unlink()
    assert int(first.train.x.sum()) > 0  # the map is there as long as it is used
    assert searchkit.load_data(photos).fingerprint == first.fingerprint


def test_a_note_without_its_bytes_or_the_other_way_round_is_decoded_anew(tmp_path: Path, cache: Path) -> None:
    """A process that was killed leaves a partial file, or bytes without a note."""
    photos = folder(tmp_path / "photos")
    first = searchkit.load_data(photos)
    (note,), (held,) = cache.glob("*.json"), cache.glob("*.bytes")
    note.unlink()
    held.write_bytes(b"half")
    assert searchkit.load_data(photos).fingerprint == first.fingerprint


@pytest.mark.parametrize("augment", ["crop-flip", "flip", "shift", "none"])
def test_pictures_in_a_file_make_the_same_batches_as_those_in_memory(tmp_path: Path, augment: Any) -> None:
    photos = folder(tmp_path / "photos")
    held, mapped = (searchkit.load_data(photos, size=16, augment=augment, memory=m) for m in (1e9, 0))
    assert (held.train.mapped is None, mapped.train.mapped is not None) == (True, True)
    assert (held.fingerprint, held.mean, held.std) == (mapped.fingerprint, mapped.mean, mapped.std)

    def batches(data: Data) -> list[torch.Tensor]:
        made = train_batches(data, 5, CPU, torch.Generator().manual_seed(0))
        made.shuffle()
        return [made.batch(slice(i, i + 5))[0].clone() for i in range(0, 15, 5)]

    for a, b in zip(batches(held), batches(mapped), strict=True):
        assert torch.equal(a, b)


def test_a_map_travels_to_another_process_by_the_name_of_its_file(tmp_path: Path) -> None:
    mapped = searchkit.load_data(folder(tmp_path / "photos"), size=64, memory=0)
    sent = pickle.dumps(mapped.train)
    assert len(sent) < 2_000 < mapped.train.x.numel()
    assert torch.equal(pickle.loads(sent).x, mapped.train.x)
    both = mapped.with_validation_in_train().train
    assert both.mapped is not None
    assert torch.equal(both.x, torch.cat([mapped.train.x, mapped.val.x]))
    assert joined(mapped.train, mapped.test).mapped is None  # they are not neighbours
    assert torch.equal(joined(mapped.train, mapped.test).x, torch.cat([mapped.train.x, mapped.test.x]))
    for part in (mapped.val, mapped.test):
        assert torch.equal(pickle.loads(pickle.dumps(part)).x, part.x)


def test_many_pictures_have_the_moments_that_they_have_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos")
    whole = searchkit.load_data(photos)
    monkeypatch.setattr("searchkit.data.assembling.LARGE", 10)
    monkeypatch.setattr("searchkit.data.assembling.AT_ONCE", 7)
    parts = searchkit.load_data(photos)
    np.testing.assert_allclose((parts.mean, parts.std), (whole.mean, whole.std), rtol=1e-12)


def test_parts_that_the_folder_has_are_taken_and_others_split_off(tmp_path: Path) -> None:
    for part, n in (("train", 10), ("Validation", 4), ("test", 3)):
        folder(tmp_path / "photos" / part, n)
    data = searchkit.load_data(tmp_path / "photos", size=8)
    assert [len(part) for part in (data.train, data.val, data.test)] == [30, 12, 9]
    for path in sorted((tmp_path / "photos" / "test").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "photos" / "test").rmdir()
    data = searchkit.load_data(tmp_path / "photos", size=8)
    assert [len(part) for part in (data.train, data.val, data.test)] == [24, 12, 6]
    (tmp_path / "photos" / "Validation").rename(tmp_path / "photos" / "test")
    data = searchkit.load_data(tmp_path / "photos", size=8)
    assert [len(part) for part in (data.train, data.val, data.test)] == [24, 6, 12]


def test_classes_may_be_called_like_parts(tmp_path: Path) -> None:
    data = searchkit.load_data(folder(tmp_path / "vehicles", classes=("train", "bus")))
    assert data.classes == ("bus", "train")
    assert searchkit.load_data(folder(tmp_path / "states", classes=("train", "test"))).classes == ("test", "train")


def test_limit_takes_so_many_pictures_and_decodes_no_others(tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos", n=20)
    data = searchkit.load_data(photos, limit=15, size=8, memory=0)
    assert sum(map(len, (data.train, data.val, data.test))) == 15
    assert data.train.mapped is not None
    assert Path(data.train.mapped.path).stat().st_size == 15 * 3 * 8 * 8


def test_the_size_is_that_of_the_pictures_and_at_most_64(tmp_path: Path) -> None:
    for k in range(2):
        for i in range(6):
            picture(tmp_path / "small" / str(k) / f"{i}.png", (28, 30), 10 * i, "L")
            picture(tmp_path / "large" / str(k) / f"{i}.png", (300, 200), (10 * i, 0, 0))
    assert searchkit.load_data(tmp_path / "small").input_shape == (1, 28, 28)
    assert searchkit.load_data(tmp_path / "large").input_shape == (3, 64, 64)
    assert searchkit.load_data(tmp_path / "large", size=(20, 30)).input_shape == (3, 20, 30)
    picture(tmp_path / "small" / "0" / "coloured.png", (28, 28))
    assert searchkit.load_data(tmp_path / "small").input_shape == (3, 28, 28)


def halves(path: Path, size: tuple[int, int] = (40, 20)) -> Path:
    """Left half black, right half white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0]), np.uint8)
    pixels[:, size[0] // 2 :] = 255
    Image.fromarray(pixels).save(path)
    return path


def test_ways_to_resize(tmp_path: Path) -> None:
    path = halves(tmp_path / "a.png")
    cropped = decoded(path, Shape(1, 10, 10, "crop"))[0]
    assert cropped[:, :4].max() == 0  # the middle of the picture, in its proportions
    assert cropped[:, 6:].min() == 255
    padded = decoded(path, Shape(1, 10, 10, "pad"))[0]
    assert padded[:2].max() == 0
    assert padded[3:7, 6:].min() == 255
    assert padded[8:].max() == 0
    stretched = decoded(path, Shape(1, 10, 10, "stretch"))[0]
    np.testing.assert_array_equal(stretched, cropped)
    assert decoded(path, Shape(3, 5, 7, "pad")).shape == (3, 5, 7)


def test_a_picture_on_its_side_is_turned(tmp_path: Path) -> None:
    path = halves(tmp_path / "a.png")
    turned, exif = Image.open(path), Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "b.jpg", exif=exif, quality=95)
    assert header(tmp_path / "b.jpg") == ("L", 20, 40)
    pixels = decoded(tmp_path / "b.jpg", Shape(1, 20, 10, "stretch"))[0]
    assert pixels[:8].max() < 30
    assert pixels[12:].min() > 225


@pytest.mark.parametrize(
    ("mode", "colour", "wanted"),
    [("RGBA", (255, 0, 0, 0), 255), ("LA", (0, 0), 255), ("P", 0, 0), ("I;16", 65535, 255), ("1", 1, 255)],
)
def test_modes_of_pictures(mode: str, colour: Any, wanted: int, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", (8, 8), colour, mode)
    assert decoded(path, Shape(1, 8, 8)).flatten().tolist() == [wanted] * 64


def test_other_files_are_left_out_and_named_and_hidden_ones_are_not(tmp_path: Path, caplog: Any) -> None:
    photos = folder(tmp_path / "photos")
    for name in (".DS_Store", "cat/Thumbs.db", "cat/.hidden.png", "cat/notes.txt", "list.csv"):
        (photos / name).write_text("no picture")
    (photos / "empty").mkdir()
    searchkit.load_data(photos)
    (line,) = [line for line in caplog.messages if "left out" in line]
    assert "2 other files (cat/notes.txt, list.csv)" in line
    assert "1 empty class folder (empty)" in line
    assert "hidden" not in line
    assert len(list_folder(photos).parts["train"]) == 30


def test_folders_within_a_class_folder_are_of_the_class(tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos")
    picture(photos / "cat" / "black" / "old" / "1.png")
    assert [label for _, label in list_folder(photos).parts["train"]].count("cat") == 11


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_broken_picture_is_refused_by_name_or_left_out_and_counted(tmp_path: Path, caplog: Any) -> None:
    photos = folder(tmp_path / "photos")
    (photos / "dog" / "odd.jpg").write_text("no picture")
    whole = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(whole).save(photos / "cat" / "cut.jpg")
    cut(photos / "cat" / "cut.jpg")  # its header can be read
    with pytest.raises(DataError, match=r"odd\.jpg cannot be read.*broken='skip'"):
        searchkit.load_data(photos)
    (photos / "dog" / "odd.jpg").unlink()
    with pytest.raises(DataError, match=r"cut\.jpg cannot be read.*broken='skip'"):
        searchkit.load_data(photos)
    data = searchkit.load_data(photos, broken="skip")
    assert sum(map(len, (data.train, data.val, data.test))) == 30
    assert "cut.jpg" in caplog.text
    assert "1 picture left out" in caplog.text
    mapped = searchkit.load_data(photos, broken="skip", memory=0)
    assert mapped.fingerprint == data.fingerprint
    with pytest.raises(DataError, match=r"cut\.jpg cannot be read"):  # also where it was skipped before
        searchkit.load_data(photos)


def test_a_class_of_broken_pictures_is_refused(tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos", n=3)
    for path in (photos / "cat").iterdir():
        path.write_text("no picture")
    assert searchkit.load_data(photos, broken="skip").classes == ("dog", "sea")
    noise = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(noise.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(photos / "cat" / f"{i}.jpg")
        cut(photos / "cat" / f"{i}.jpg")
    for path in (photos / "cat").glob("*.[pw]*"):
        path.unlink()
    with pytest.raises(DataError, match="class 'cat' has no picture in the train part that can be read"):
        searchkit.load_data(photos, broken="skip")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda at: at.mkdir(), "has no folders; it is empty: give a folder with one folder for each class"),
    "flat": (lambda at: picture(at / "1.jpg"), "has pictures and no class folders"),
    "text": (lambda at: ((at / "a").mkdir(parents=True), (at / "a" / "b.txt").write_text("x")), "no pictures in its"),
    "one": (lambda at: folder(at, classes=("cat",)), "one class folder with pictures, 'cat'; two or more"),
    "few": (lambda at: folder(at, n=2), "class 'cat' has 2 examples; 3 are needed"),
    "new": (
        lambda at: (folder(at / "train"), folder(at / "test", classes=("cat", "cow"))),
        "the test folder of .* has class 'cow', which the train folder does not have",
    ),
    "nothing in test": (
        lambda at: (folder(at / "train"), (at / "test" / "cat").mkdir(parents=True)),
        "the test folder of .* has no pictures",
    ),
    "two tests": (
        lambda at: (folder(at / "train"), folder(at / "test"), folder(at / "testing")),
        "two folders of one part",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_folder_of_pictures_is_refused(case: str, tmp_path: Path) -> None:
    make, said = BAD[case]
    make(tmp_path / "photos")
    with pytest.raises(DataError, match=said):
        searchkit.load_data(tmp_path / "photos")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": 0}, "size is a side"),
        ({"size": (1, 2, 3)}, "size is a side"),
        ({"resize": "fit"}, "resize is one of crop, stretch, pad"),
        ({"broken": "ignore"}, "broken is one of"),
        ({"memory": -1}, "memory is a number of bytes"),
        ({"memory": "1GB"}, "memory is a number of bytes"),
        ({"task": "regression"}, "task='regression' means nothing"),
        ({"kind": "table"}, "kind='table' means nothing"),
        ({"channels": "last"}, "channels='last' means nothing"),
    ],
)
def test_bad_arguments_are_refused(given: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        searchkit.load_data(folder(tmp_path / "photos"), **given)


def test_a_size_of_other_data_is_refused() -> None:
    with pytest.raises(DataError, match="are for folders of pictures"):
        searchkit.load_data("digits", size=16)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEARCHKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="Set SEARCHKIT_CACHE to a folder with more room"):
        searchkit.load_data(folder(tmp_path / "photos"))


@pytest.mark.parametrize("rare", ["drop", "merge"])
def test_rare_classes_are_left_out_or_made_one(rare: Any, tmp_path: Path, caplog: Any) -> None:
    photos = folder(tmp_path / "photos", n=6)
    for name, n in (("cow", 2), ("ant", 1)):
        for i in range(n):
            picture(photos / name / f"{i}.png")
    with pytest.raises(DataError, match=r"class 'ant' has 1 example.*rare='drop'.*rare='merge'"):
        searchkit.load_data(photos)
    data = searchkit.load_data(photos, rare=rare)
    assert data.classes == (("cat", "dog", "sea") if rare == "drop" else ("cat", "dog", "sea", "other"))
    assert sum(map(len, (data.train, data.val, data.test))) == (18 if rare == "drop" else 21)
    assert "2 rare classes ('ant', 'cow')" in caplog.text
    assert "3 training examples" in caplog.text


@pytest.mark.slow
def test_a_search_by_the_folder_is_continued_and_shown(tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos", n=20)
    call: dict[str, Any] = {"space": "nas-bench-201", "epochs": 1, "storage": tmp_path / "studies", "proxies": ()}
    first = searchkit.run("random", data=str(photos), budget=2, **call)
    both = searchkit.run("random", data=photos, budget=3, executor=2, **call)
    assert (len(first.history), len(both.history)) == (2, 3)
    loaded = searchkit.load(both.name, storage=tmp_path / "studies")
    assert loaded.context["data"]["source"] == str(photos)
    assert loaded.context["data"]["classes"] == ["cat", "dog", "sea"]
    assert data_of(loaded).fingerprint == loaded.context["fingerprint"]


def test_new_pictures_are_made_as_those_of_the_folder(tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos")
    data = searchkit.load_data(photos, size=16)
    every = {x.numpy().tobytes() for part in (data.train, data.val, data.test) for x in part.x}
    made = data.pictures(photos / "cat" / "0.jpg", str(photos / "dog" / "1.png"))
    assert made.shape == (2, 3, 16, 16)
    assert all(one.numpy().tobytes() in every for one in made)
    with pytest.raises(DataError, match="data 'digits' are of no folder of pictures"):
        searchkit.load_data("digits").pictures(photos / "cat" / "0.jpg")
    with pytest.raises(DataError, match="none.jpg cannot be read"):
        data.pictures(tmp_path / "none.jpg")
