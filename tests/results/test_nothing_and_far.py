"""A result without a feasible candidate says why, and pictures draw what they can."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import searchkit
from searchkit import Choice, Space
from searchkit.errors import SearchkitError

VALUES = {0: (1.0, 9.0), 1: (5.0, 5.0), 2: (9.0, 1.0), 3: (4.0, 6.0)}


def search(values: dict[int, tuple[float, float]], **given: object) -> searchkit.Result:
    space = Space([Choice("i", list(values))])
    return searchkit.run(
        "random", space=space, objectives={"x": "min", "y": "min"}, budget=len(values), storage="memory",
        evaluate=lambda c: dict(zip(("x", "y"), values[c["i"]], strict=True)), **given,  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_bounds_and_the_nearest_candidate_are_named() -> None:
    result = search(VALUES, constraints={"x": 4.5, "y": 4.5})
    nearest = next(trial.number for trial in result.trials if trial.values["x"] == 5)
    assert result.nothing == (
        "no candidate meets x <= 4.5 and y <= 4.5 together: x <= 4.5 excluded 2 of 4 candidates; y <= 4.5 excluded 3 "
        f"of 4 candidates; the nearest is candidate {nearest} with x 5, y 5"
    )
    alone = search(VALUES, constraints={"x": 0.5})
    first = next(trial.number for trial in alone.trials if trial.values["x"] == 1)
    assert alone.nothing == (
        f"no candidate meets x <= 0.5: the nearest is 1 (candidate {first}); it excluded 4 of 4 candidates"
    )
    free = search(VALUES)
    number = next(trial.number for trial in free.trials if trial.values["x"] == 1)
    words = rf"has x <= 0.5: x <= 0.5 excluded 4 of 4 candidates; the nearest is candidate {number} with x 1$"
    with pytest.raises(SearchkitError, match=words):
        free.best(x=0.5)


@pytest.mark.parametrize(("far", "place"), [(1e308, 0), (-1e308, 1), (1e200, 1), (1e30, 0)])
def test_a_value_out_of_all_proportion_leaves_room_for_the_others(far: float, place: int, tmp_path: Path) -> None:
    odd = (far, 5.0) if place == 0 else (5.0, far)
    result = search(VALUES | {9: odd})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = result.plot(tmp_path / "front.svg").axes[0]
        result.plot(tmp_path / "front.html")
        page = result.report(tmp_path / "page.html").read_text(encoding="utf-8")
    low, high = sorted([*axes.get_xlim(), *axes.get_ylim()])[::3]
    assert -10 < low < high < 20
    assert any("outside the plot" in text.get_text() for text in axes.texts)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])  # type: ignore[index]
    drawn = [value for metric in data["candidates"]["metrics"] for value in metric["values"] if value is not None]
    assert len(drawn) == 9
    assert max(map(abs, drawn)) < 20
    assert np.isfinite([value for curve in data["progress"]["curves"] for value in curve["values"]]).all()


def test_equal_values_are_drawn(tmp_path: Path) -> None:
    result = search(dict.fromkeys(range(3), (3.0, 1e308)) | {4: (3.0, 2.0)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result.plot(tmp_path / "front.png")
        result.report(tmp_path / "page.html")
