"""What fails is kept away from, also where the model of the losses points at it."""

from __future__ import annotations

import pytest

from searchkit import Choice, Float, Int, Space, run
from searchkit.problem.trial import State


@pytest.mark.slow
def test_failures_become_fewer_where_losses_fall_towards_them() -> None:
    space = Space([Float("rate", 0, 1), Int("units", 1, 64), *(Choice(name, ("a", "b", "c")) for name in "pqr")])

    def evaluate(row: dict[str, object]) -> dict[str, float]:
        rate, units = float(str(row["rate"])), int(str(row["units"]))
        if rate > 0.5 or units > 40:
            raise ValueError("too large")
        return {"loss": 2 - rate - units / 64 + (row["p"] == "a")}

    result = run("exact", space=space, evaluate=evaluate, objectives={"loss": "min"}, budget=60, storage="memory")

    failed = [trial.state is State.FAILED for trial in result.trials]
    assert sum(failed[28:]) <= 6
