"""What a second chance on the ladder finds at a given cost, and what EcoNAS's name promises beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd

from benchmarks.common.tables import DATA, digits
from searchkit import plugins
from searchkit.errors import StopSearch
from searchkit.execution.executors import InProcess
from searchkit.problem.budget import Budget
from searchkit.problem.objectives import Goals, Objective
from searchkit.problem.problem import Problem
from searchkit.problem.trial import State, Trial
from searchkit.search.loop import Search
from searchkit.space import keys
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.storage.record import Memory
from searchkit.training.fidelity import Ladder, Rung
from searchkit.types import Codes, Floats

RATIO = 16.7  # trainings of 12 epochs at the cost of one of 200
COST = 20.0  # of a search, in trainings of 200 epochs
MOST = 400  # candidates of a search, which its cost ends before
GOALS = Goals((Objective("accuracy", "max"),), ())
SEARCHES = [(strategy, batch) for strategy in ("random", "evolution", "nsga2") for batch in (1, 9)]
LADDERS: dict[str, tuple[Rung, ...]] = {
    "no ladder": (),
    "12 epochs first": (Rung(epochs=12),),
    "with again": (Rung(epochs=12, again=True),),
}
PROMISES = """
What EcoNAS (CVPR 2020) promises: a search 400 times cheaper, by a setting of a quarter of the channels, a quarter of
the resolution and 60 epochs in three rounds of 20, and a population whose best networks of every age are trained
further. What `ladder="econas"` does of it: three rungs at one, two and three tenths of the epochs, from which dropped
candidates may come back. What it does not do: it reduces no channels and no resolution (a rung's `width` and
`resolution` do, where a space has them), continues no training from rung to rung, and has no population of its own;
the strategy proposes. The 400 are of a setting against a whole search, and nothing here repeats them.
"""


@cache
def tabled() -> tuple[dict[bytes, int], Floats, Floats, Floats]:
    """Row of each network, and validation accuracy after 200 and 12 epochs and test accuracy after 200."""
    rows = pd.read_csv(DATA / "nasbench201" / "nb201_cifar10.csv.gz", dtype={"ops": str})
    place: dict[bytes, int] = {}
    for i, key in enumerate(keys(nas_bench_201().check(digits(rows["ops"])))):
        place.setdefault(key, i)
    columns = ("cifar10valid_val200_mean", "cifar10_ep12_val", "cifar10_test200")
    full, cheap, test = (rows[column].to_numpy(np.float64) for column in columns)
    return place, full, cheap, test


@dataclass
class Looked:
    """Evaluations that are looked up, and what they would have cost."""

    spent: float = field(default=0.0)

    def __call__(self, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
        """Validation accuracy at the rung, or in full."""
        place, full, cheap, _ = tabled()
        row = place[keys(code[None])[0]]
        self.spent += 1.0 if rung is None else 1 / RATIO
        return {"accuracy": float(full[row] if rung is None else cheap[row])}

    def stop(self, trial: Trial, trials: list[Trial]) -> None:
        """End a search whose cost is spent."""
        if self.spent >= COST:
            raise StopSearch


def searched(strategy: str, batch: int, rungs: tuple[Rung, ...], seed: int) -> tuple[float, int, int]:
    """Test accuracy of the best by validation; how many came back; how many were trained in full."""
    evaluate, problem = Looked(), Problem(nas_bench_201(), 1, 0, budget=MOST)
    search = Search(
        problem, plugins.strategy_factory(strategy)(problem), GOALS, None, InProcess(evaluate, ("accuracy",), None),
        Memory(), Budget(MOST), batch, seed, [evaluate.stop], ladder=Ladder(rungs, ("accuracy",)) if rungs else None,
    )  # fmt: skip
    search.run()
    scored = [trial for trial in search.study.trials if trial.state is State.SCORED]
    best = max(scored, key=lambda trial: trial.values["accuracy"])
    asked = keys(np.stack([trial.code for trial in search.study.trials]))
    place, _, _, test = tabled()
    return float(test[place[keys(best.code[None])[0]]]), len(asked) - len(set(asked)), len(scored)


def ladder(seeds: int) -> None:
    """Each strategy with a ladder, with a second chance on it, and with neither, at one cost."""
    print(f"\n## A second chance: test accuracy found at the cost of {COST:.0f} trainings of 200 epochs\n")
    print("| strategy, batch | " + " | ".join(LADDERS) + " | gain of again | came back | trained in full |")
    print("|---|" + "---|" * (len(LADDERS) + 3))
    for strategy, batch in SEARCHES:
        found = {
            name: np.array([searched(strategy, batch, rungs, seed) for seed in range(seeds)])
            for name, rungs in LADDERS.items()
        }
        again = found["with again"]
        gain = again[:, 0] - found["12 epochs first"][:, 0]
        said = [_mean(entry[:, 0]) for entry in found.values()]
        more = [_mean(gain), f"{again[:, 1].mean():.1f}", f"{again[:, 2].mean():.1f}"]
        print(f"| {strategy}, {batch} | " + " | ".join([*said, *more]) + " |", flush=True)
    print(PROMISES)


def _mean(values: Floats) -> str:
    return f"{values.mean():.2f} ± {values.std(ddof=1) / len(values) ** 0.5:.2f}"
