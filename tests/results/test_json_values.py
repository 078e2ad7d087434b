"""Values of results as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from searchkit.results.json_values import json_value


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.float32(0.5), 0.5),
        (float("nan"), None),
        (np.float64("inf"), None),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1.0, np.nan], [2.0, -np.inf]]), [[1.0, None], [2.0, None]]),
        (np.array(2.5), 2.5),
        (pd.NA, None),
        (pd.NaT, None),
        ((1, "two", None), [1, "two", None]),
        (frozenset({4}), [4]),
        ({1: {"x": np.nan}, None: Path("y")}, {"1": {"x": None}, "None": "y"}),
        (1 + 2j, "(1+2j)"),
    ],
)
def test_every_value_becomes_one_of_json(given: object, expected: object) -> None:
    found = json_value(given)
    assert found == expected
    assert json.loads(json.dumps(found, allow_nan=False)) == expected
