"""Commands in the README and the documentation: all are understood, and those of each page run on a terminal."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.terminals import Terminal, plain
from PIL import Image

import searchkit
from searchkit.cli import main
from searchkit.cli.argparse_compat import commands_of
from searchkit.cli.arguments import parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^ *```(?:sh|bash|console)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of each call of the program in a page's shell blocks and indented lines."""
    text = page.read_text()
    inline = "\n".join(re.findall(r"^    (searchkit .*)$", text, re.MULTILINE))
    for block in [*BLOCK.findall(text), inline]:
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip().startswith("searchkit "):
                yield shlex.split(line, comments=True)[1:]


EVERY = [(page, words) for page in PAGES for words in commands(page)]


@pytest.mark.parametrize(("page", "words"), EVERY, ids=[f"{p.stem}-{i}" for i, (p, _) in enumerate(EVERY)])
def test_a_command_of_a_page_is_understood(page: Path, words: list[str]) -> None:
    if "--config" in words:
        words = [*words[: words.index("--config")], *words[words.index("--config") + 2 :]]
    given = parser().parse_args([word.replace("NAME", "name") for word in words])
    assert given.command in commands_of(parser())


def test_the_pages_have_commands_of_every_kind() -> None:
    assert {words[0] for _, words in EVERY} >= {"run", "resume", "show", "export", "list", "score", "compress"}


SHORT = {"run": ["--epochs", "1", "--workers", "1", "--no-baselines"], "resume": ["--workers", "1", "--no-baselines"]}
SMALL = {"cifar-10": "digits", "macro": "nas-bench-201", "100": "3"} | dict.fromkeys(("20", "60", "600"), "2")
ENDLESS = ("serve", "mcp")  # end by Ctrl-C or with the program that asks; they have tests of their own


def pictures(folder: Path) -> None:
    """Twelve photos in folders of two classes."""
    for i, colour in enumerate(["red", "blue"] * 6):
        (folder / colour).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), colour).save(folder / colour / f"{i}.png")


def orders(file: Path) -> None:
    """A table of a shop's orders."""
    rows = [f"{i % 7},{['tea', 'pot'][i % 2]},{['no', 'yes'][i % 3 == 0]}" for i in range(90)]
    file.write_text("\n".join(["price,kind,bought", *rows]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        ROOT / "README.md",
        ROOT / "docs" / "command-line.md",
        *(
            pytest.param(ROOT / f"docs/how-to/{p}.md", marks=pytest.mark.thorough)
            for p in ("objectives", "data", "compress")
        ),
    ],
    ids=lambda page: page.stem,
)
def test_the_commands_of_a_page_run_one_after_another_on_a_terminal(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With smaller budgets, spaces and data; what needs a device or a file of the user's is given one."""
    monkeypatch.chdir(tmp_path)
    digits = searchkit.load_data("digits", limit=300)
    pictures(tmp_path / "photos")
    orders(tmp_path / "shop.csv")
    np.savez("data.npz", X=digits.train.x.numpy(), y=digits.train.y.numpy())
    (tmp_path / "my_code.py").write_text(
        "from torch import nn\n\n\ndef model():\n    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), "
        "nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))\n"
    )
    with Terminal(monkeypatch) as terminal:
        for words in commands(page):
            if words[0] in ENDLESS or "ssh://" in " ".join(words) or "camera" in words or "--config" in words:
                continue
            names = [path.stem for path in (tmp_path / "searchkit-runs").glob("*.journal") if path.stem != "kettle"]
            words = [names[0] if word == "NAME" else SMALL.get(word, word) for word in words]
            words = [word.replace("<=96000", "<=9e6") for word in words]  # which two candidates may both exceed
            words = ["--budget" if word == "--seconds" else word for word in words]
            if words[0] == "run" and not {"--space", "--data"} & {*words}:
                words += ["--space", "residual", "--space-option", "stages=2", "--space-option", "width=8"]
            words += SHORT.get(words[0], [])
            if words[0] == "compress":
                words += ["--epochs", "0", "--workers", "1"]
                words = [re.sub("latency_ms<=50%", "params<=90%", word) for word in words]
            assert main(words) == 0, (words, plain(terminal.so_far()))
    said = plain(terminal.so_far())
    assert re.search("Result\\(|the network that was given", said)
    assert "accuracy" in said
