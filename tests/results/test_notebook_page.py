"""What a notebook shows: a result as a picture and a table, and a search while it runs."""

from __future__ import annotations

import base64
import re
import sys
from types import SimpleNamespace
from typing import Any

import IPython.display
import pytest

import searchkit

SPACE = searchkit.Space([searchkit.Choice("a", tuple(range(12)))], name="numbers")


def search(**given: Any) -> searchkit.Result:
    given = {"objectives": {"loss": "min", "<size>": "min"}, "budget": 12, "storage": "memory"} | given
    return searchkit.run("random", space=SPACE, evaluate=lambda c: {"loss": c["a"], "<size>": -c["a"]}, **given)


def test_a_result_is_a_picture_and_a_table() -> None:
    result = search(progress=False)
    html = result._repr_html_()
    (image,) = re.findall(
        r'<img src="data:image/png;base64,([^"]*)" alt="the front of [^"]*, by loss and &lt;size', html
    )
    assert base64.b64decode(image).startswith(b"\x89PNG")
    assert len(image) < 60_000
    assert "<th>loss</th>" in html
    assert "<script" not in html


def test_a_result_with_nothing_to_draw_is_a_table() -> None:
    nothing = search(progress=False, constraints={"loss": -1.0})
    nothing.trials.clear()
    nothing.refresh()
    assert "<img" not in nothing._repr_html_()
    assert "numbers" in nothing._repr_html_()


class Handle:
    """What IPython returns for a display that can be updated."""

    def __init__(self) -> None:
        self.pages: list[str] = []

    def update(self, page: Any) -> None:
        self.pages.append(page.data)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Handle:
    handle = Handle()
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr(IPython.display, "display", lambda page, display_id: handle)
    return handle


def test_a_search_in_a_notebook_is_a_page_of_its_output_and_no_widget(
    notebook: Handle, capsys: pytest.CaptureFixture[str]
) -> None:
    search()
    first, last = notebook.pages[0], notebook.pages[-1]
    assert re.search(r'<progress value="\d+" max="12" aria-label="candidates evaluated"></progress>', first)
    assert "12 candidates of 12 in " in last
    assert "front 12, best loss 0" in last
    assert "<progress" not in last
    assert '<th scope="col">&lt;size&gt;</th>' in last
    assert "and 4 more" in last
    assert not re.search("<script|widget", last)
    assert capsys.readouterr().err == ""


def test_a_search_in_a_notebook_is_quiet_where_that_is_wanted(notebook: Handle) -> None:
    search(progress=False)
    assert notebook.pages == []
