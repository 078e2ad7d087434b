"""Why a search ended says whether all of the space was evaluated, or all of it that keeps the bounds."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace


def build(choices: dict[str, int], input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    width = choices["width"]
    return nn.Sequential(nn.Linear(input_shape[0], width), nn.ReLU(), nn.Linear(width, n_classes))


@pytest.mark.parametrize("executor", [None, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("most", "said"), [(40, " that keeps the bounds"), (None, "")])
def test_it_says_what_was_used_up(most: int | None, said: str, executor: int | None) -> None:
    rng = np.random.default_rng(0)
    data = (rng.normal(size=(60, 4)).astype(np.float32), rng.integers(0, 2, 60))
    space = NetworkSpace([Choice("width", (2, 4, 8), ordered=True)], build, input_shape=(4,))
    bounds = {} if most is None else {"params": most}

    result = searchkit.run(
        "random", space=space, data=data, constraints=bounds, budget=9, epochs=1, storage="memory", executor=executor
    )

    assert result.stopped == f"every candidate of the space{said} has been evaluated"
    assert len(result.trials) == (3 if most is None else 2)
