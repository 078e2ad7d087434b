"""The documentation says only what works: its Python runs, its links lead somewhere, and it names every option."""

from __future__ import annotations

import argparse
import ast
import builtins
import html
import importlib
import inspect
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.photos import folder, scenes
from helpers.readers import a_network, compress_less, search_less

import searchkit

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(set(DOCS.rglob("*.md")) - {DOCS / "architecture.md", DOCS / "benchmarks.md"})
BLOCK = re.compile(r"^(<!-- (?:not run|needs): [^\n]* -->\n)?```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
WRITTEN = {page: BLOCK.findall(page.read_text()) for page in PAGES}
RUN = [page for page in PAGES if any(not note for note, _ in WRITTEN[page])]
READ = [(page, block) for page in PAGES for note, block in WRITTEN[page] if note.startswith("<!-- not run: ")]


def name(value: Any) -> str:
    return str(value.relative_to(DOCS)) if isinstance(value, Path) else ""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches and tables of scores as the pages call them, with less to do."""
    search_less(monkeypatch, evaluations=8, workers=None)
    compress_less(monkeypatch)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
@pytest.mark.filterwarnings("ignore")  # what a reader would see of other libraries is not of interest here
@pytest.mark.parametrize("page", RUN, ids=name)
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEARCHKIT_CACHE", str(tmp_path / "cache"))
    folder(tmp_path / "photos")
    scenes(tmp_path / "scenes")
    names = readers()
    for note, block in WRITTEN[page]:
        code = compile(block, str(page), "exec")
        if is_run(note):
            exec(code, names)


def is_run(note: str) -> bool:
    """Whether a block of a page is run: always, or where the package of an extra is there that its note names."""
    needed = re.match(r"<!-- needs: (\w+) -->", note)
    return not note or (needed is not None and find_spec(needed[1]) is not None)


def readers() -> dict[str, Any]:
    """What a reader has: pages say what X, y, table and the like are."""
    digits = searchkit.load_data("digits", limit=200).train
    rng = np.random.default_rng(0)
    table = rng.normal(size=(120, 5))
    return {
        "__name__": "docs",
        "X": digits.x.numpy()[:, 0],
        "images": digits.x.numpy().astype(np.float32),
        "model": a_network(),
        "y": digits.y.numpy(),
        "table": table,
        "labels": np.where(table[:, 0] > 0, "yes", "no"),
        "prices": table @ rng.normal(size=5),
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of other libraries, when they are imported
@pytest.mark.parametrize(("page", "block"), READ, ids=name)
def test_what_is_not_run_names_what_is_there_and_calls_it_rightly(page: Path, block: str) -> None:
    """Imports are made, attributes looked up, arguments bound; nothing is called."""
    known: dict[str, Any] = vars(builtins) | readers()
    for note, other in WRITTEN[page]:
        if not note:
            known |= dict.fromkeys(assigned(ast.parse(other)))
            known |= imported(ast.parse(other))
    tree = ast.parse(block)
    known |= dict.fromkeys(assigned(tree))
    known |= imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            assert node.id in known, f"{page.name}: what is {node.id}?"
        if isinstance(node, ast.Call):
            called = looked_up(node.func, known)
            if callable(called) and not any(keyword.arg is None for keyword in node.keywords):
                inspect.signature(called).bind(*node.args, **{str(keyword.arg): 0 for keyword in node.keywords})


def assigned(tree: ast.AST) -> set[str]:
    """Names that a block gives something to."""
    nodes = list(ast.walk(tree))
    found = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    found |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return found | {node.arg for node in nodes if isinstance(node, ast.arg)}


def imported(tree: ast.AST) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = importlib.import_module(alias.name)
                top = alias.name.partition(".")[0]
                found[alias.asname or top] = module if alias.asname else sys.modules[top]
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = member(str(node.module), alias.name)
    return found


def member(module: str, name: str) -> Any:
    """What ``from module import name`` gives: a submodule that nobody has imported yet, too."""
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError:
        return importlib.import_module(f"{module}.{name}")


def looked_up(node: ast.AST, known: dict[str, Any]) -> Any:
    """What a dotted name stands for; None where that is known only when it runs."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        inside = looked_up(node.value, known)
        return getattr(inside, node.attr) if inspect.ismodule(inside) or inspect.isclass(inside) else None
    return None


def last_changed() -> float:
    """When something of what the site is made of was last changed."""
    read = [*ROOT.glob("*.md"), ROOT / "mkdocs.yml", *(path for path in DOCS.rglob("*") if path.is_file())]
    code = [path for name in ("searchkit", "strategies", "proxies") for path in (ROOT / name).rglob("*.py")]
    return max(path.stat().st_mtime for path in [*read, *code])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, or has built it of what is there now: warnings are errors."""
    made = ROOT / "build" / "site.made"
    if made.exists() and made.stat().st_mtime > last_changed():
        return ROOT / "build" / "site"
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.mark.slow
def test_the_site_is_built_without_warnings_and_shows_no_raw_markup(site: Path) -> None:
    """Docstrings have Sphinx's roles and double backticks; a reader sees links and code."""
    for page in site.rglob("*.html"):
        seen = re.sub(r"<(pre|script|style)\b.*?</\1>", "", page.read_text(), flags=re.DOTALL)
        text = html.unescape(re.sub(r"<[^>]+>", "", seen))
        for raw in (r":(?:class|func|meth|mod|attr|data):", "`", ">>> ", "=====", r"::\s*\n"):
            assert not re.search(raw, text), f"{page.name} shows {re.search('.{0,40}' + raw + '.{0,40}', text)}"


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for tag in re.findall(r"<(?:link|script|img|iframe|source)\b[^>]*>", page.read_text()):
            address = re.search(r'(?:src|href)="?([^"\s>]+)', tag)
            assert address is None or not re.match(r"(?:https?:)?//", address[1]), f"{page.name} loads {tag}"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", style.read_text()), f"{style.name} loads from elsewhere"


@pytest.mark.slow
def test_every_public_name_is_in_the_reference(site: Path) -> None:
    anchors = {
        found for page in (site / "api").glob("*.html") for found in re.findall(r'id="([^"]+)"', page.read_text())
    }
    for public in searchkit.__all__:
        value = getattr(searchkit, public)
        assert {f"searchkit.{public}", f"{value.__module__}.{public}"} & anchors, public
    for kind in ("strategies", "proxies", "integrations"):
        assert any(anchor.startswith(f"searchkit.{kind}.") for anchor in anchors)


def test_the_command_line_page_has_every_command_and_option() -> None:
    from searchkit.cli.arguments import parser as _parser

    page = (DOCS / "command-line.md").read_text()
    sections = dict(re.findall(r"^## `searchkit (\w+)`.*?\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))
    commands = next(a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    assert sections.keys() == commands.keys()
    for command, parser in commands.items():
        options = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
        assert set(re.findall(r"(--[a-z][a-z-]*)", sections[command])) == options - {"--help"}, command


def test_every_page_of_names_has_the_names_that_are_registered() -> None:
    from searchkit import plugins

    for kind, page in (("strategy", "strategies.md"), ("proxy", "proxies.md")):
        text = (DOCS / page).read_text()
        assert [known for known in plugins.names(kind) if f"`{known}`" not in text] == []


@pytest.mark.slow
def test_the_search_of_the_site_finds_pages_where_it_is_opened_from_a_folder(site: Path) -> None:
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip(f"{chromium} is not there")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    said: list[str] = []
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto((site / "how-to" / "space.html").as_uri())
        tab.click("input.md-search__input")
        tab.keyboard.type("SharedWeights")
        tab.wait_for_selector(".md-search-result__item a")
        first = tab.eval_on_selector(".md-search-result__item a", "link => link.href")
        browser.close()
    assert said == []
    pages = {page.as_uri(): page for page in site.rglob("*.html")}
    assert "SharedWeights" in pages[first.partition("#")[0].partition("?")[0]].read_text()
