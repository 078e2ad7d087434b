"""With which recipes networks are trained."""

from __future__ import annotations

from typing import Any

import pytest

from searchkit.data.data import Data
from searchkit.training import train as training
from searchkit.training.recipe import Recipe


def recipes_made(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """The recipes of the trainings that are made in this process from now on, in their order."""
    found: list[Recipe] = []

    class Seen(training.Steps):
        def __init__(self, network: Any, data: Data, recipe: Recipe, *rest: Any) -> None:
            found.append(recipe)
            super().__init__(network, data, recipe, *rest)

    monkeypatch.setattr(training, "Steps", Seen)
    return found
