"""Files of an export, a report or a picture appear whole or not at all, and what cannot be exported says why."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace, Space
from searchkit.cli import main
from searchkit.errors import ExportError, SearchkitError
from searchkit.runtime.whole_files import whole_file, written_whole

DIGITS = searchkit.load_data("digits", limit=200)
ENDINGS = (".onnx", ".safetensors", ".json")


class Branching(nn.Module):
    """Its path depends on the values, which no graph has."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.layer = nn.Linear(n_in, n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(x)
        return y if y.sum() > 0 else 2 * y


class Half(nn.Module):
    """A layer of bfloat16, whose outputs are bfloat16 too."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.layer = nn.Linear(n_in, n_out, dtype=torch.bfloat16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(x.bfloat16())
        return y


KINDS: dict[str, Any] = {"plain": nn.Linear, "branching": Branching, "half": Half}


def build(choices: dict, input_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    n_in = input_shape[0] * input_shape[1] * input_shape[2]
    if choices["kind"] == "weight norm":
        return nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(n_in, n_classes)))
    return nn.Sequential(nn.Flatten(), KINDS[choices["kind"]](n_in, n_classes))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, searchkit.Result]:
    found = {}
    for kind in (*KINDS, "weight norm"):
        found[kind] = searchkit.run(
            "random", space=NetworkSpace([Choice("kind", (kind,))], build, name=kind.replace(" ", "-")), data=DIGITS,
            budget=1, epochs=1, storage=tmp_path_factory.mktemp("runs"), name=kind,
        )  # fmt: skip
    return found


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_bytes().hex() for path in folder.rglob("*") if path.is_file()}


def write(targets: list[Path], text: str) -> None:
    with written_whole(targets) as partial:
        for path in partial:
            path.write_text(text)


def agree(folder: Path) -> bool:
    """Whether the files beside a .json are those that it describes."""
    told = json.loads((folder / "best.json").read_text())["sha256"]
    return all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in told.items())


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "done"), [("branching", "ONNX"), ("half", "rebuilt")])
def test_a_failed_export_says_what_and_why_and_changes_nothing(
    kind: str, done: str, results: dict[str, searchkit.Result], tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=rf"candidate 0 of study '{kind}' cannot be .*{done}.*: \w+") as raised:
        results[kind].export(0, tmp_path / "new" / "folder" / "best")
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir()), "folders that were made for it are gone"
    results["plain"].export(0, tmp_path / "best")
    before = content(tmp_path)
    with pytest.raises(ExportError):
        results[kind].export(0, tmp_path / "best")
    assert content(tmp_path) == before
    assert agree(tmp_path)


@pytest.mark.slow
def test_what_can_be_exported_is_and_replaces_the_files_before(
    results: dict[str, searchkit.Result], tmp_path: Path
) -> None:
    for kind in ("plain", "weight norm"):
        written = results[kind].export(0, tmp_path / "best")
        assert written == [tmp_path / f"best{ending}" for ending in ENDINGS]
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"best{ending}" for ending in ENDINGS)
        assert json.loads((tmp_path / "best.json").read_text())["study"] == kind
        assert agree(tmp_path)


@pytest.mark.slow
def test_an_export_that_cannot_be_written_says_where(results: dict[str, searchkit.Result], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExportError, match=r"candidate 0 of study 'plain' cannot be written to .*file: \w+Error"):
        results["plain"].export(0, tmp_path / "file" / "best")
    results["plain"].export(0, tmp_path / "best")
    (tmp_path / "best.json").unlink()
    (tmp_path / "best.json").mkdir()
    before = content(tmp_path)
    with pytest.raises(ExportError, match=r"cannot be written to .*best\.json' is a folder"):
        results["plain"].export(0, tmp_path / "best")
    assert content(tmp_path) == before
    assert main(["export", "plain", "0", str(tmp_path / "best"), "--storage", str(results["plain"].folder.parent)]) != 0
    assert content(tmp_path) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("old", [False, True])
def test_killed_between_two_renames_no_file_stands_beside_one_of_another_export(old: bool, tmp_path: Path) -> None:
    targets = [tmp_path / f"best{ending}" for ending in ENDINGS]
    rename, seen = os.replace, []
    for n_renames in range(7 if old else 4):
        for path in targets:
            path.unlink(missing_ok=True)
            if old:
                path.write_text("old")
        child = os.fork()
        if not child:
            count = 0

            def counted(*given: Any, n_renames: int = n_renames) -> None:
                nonlocal count
                if count == n_renames:
                    os._exit(1)
                count += 1
                rename(*given)

            os.replace = counted
            write(targets, "new")
            os._exit(0)
        os.waitpid(child, 0)
        there = {path.suffix: path.read_text() for path in targets if path.exists()}
        if ".json" in there:
            assert set(there) == set(ENDINGS)
        assert len(set(there.values())) <= 1, f"after {n_renames} renames: {there}"
        seen.append(set(there.values()))
    assert seen[-1] == {"new"}


def test_a_rename_that_fails_puts_everything_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = [tmp_path / f"best{ending}" for ending in ENDINGS]
    rename = os.replace
    for failing in range(6):
        for path in targets:
            path.write_text("old")
        count = 0

        def full(*given: Any, failing: int = failing) -> None:
            nonlocal count
            count += 1
            if count == failing + 1:
                raise OSError(28, "No space left on device")
            rename(*given)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", full)
            with pytest.raises(OSError, match="No space"):
                write(targets, "new")
        assert content(tmp_path) == {path.name: b"old".hex() for path in targets}
        assert len(list(tmp_path.iterdir())) == 3


def test_a_link_stays_one_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "page.html").symlink_to(tmp_path / "real" / "page.html")
    with written_whole([tmp_path / "page.html"]) as (partial,):
        partial.write_text("new")
    assert (tmp_path / "page.html").is_symlink()
    assert (tmp_path / "real" / "page.html").read_text() == "new"


@pytest.mark.parametrize("fails", [False, True])
def test_a_file_appears_whole_in_a_folder_made_for_it_or_stays_as_it_was(fails: bool, tmp_path: Path) -> None:
    target = tmp_path / "new" / "weights.safetensors"
    for text in ("old", "new"):
        with contextlib.suppress(asyncio.CancelledError), whole_file(target) as partial:
            partial.write_text(text)
            assert not target.exists() or target.read_text() == "old"
            if fails and text == "new":
                raise asyncio.CancelledError
    assert content(tmp_path) == {"new/weights.safetensors": (b"old" if fails else b"new").hex()}


@pytest.mark.parametrize("name", ["page.html", "front.html", "front.png"])
def test_a_page_or_picture_that_cannot_be_completed_leaves_the_old_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = searchkit.run(
        "random", space=Space([Choice("a", range(9))]), evaluate=lambda choices: {"loss": choices["a"]},
        objectives={"loss": "min"}, budget=4, storage="memory",
    )  # fmt: skip
    target = tmp_path / name
    target.write_text("old")

    def write() -> None:
        result.report(target) if name == "page.html" else result.plot(target)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)  # the disk says at the end that it is full
        with pytest.raises(SearchkitError, match=rf"{name}' cannot be written: .*No space left"):
            write()
    assert content(tmp_path) == {name: b"old".hex()}
    write()
    assert target.read_bytes() != b"old"
    assert list(tmp_path.iterdir()) == [target]
