"""The searches that are hit: of a function, by several strategies and in workers, and of networks that are trained."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import searchkit
from searchkit import Choice, NetworkSpace, Space

SPACE = Space([Choice("a", range(6)), Choice("b", ("u", "vv", "www", "xxxx")), Choice("c", (1, 2, 4, 8), ordered=True)])
BUDGET, TRAININGS = 44, 6
DIGITS = searchkit.load_data("digits", limit=300)


@dataclass
class Case:
    """A search that can be begun, and continued by the same call.

    Attributes:
        run: ``(storage, log)``; appends a line to the file ``log`` where an evaluation begins, and one where it ends.
        ordered: whether its history depends on nothing but its seed.
        slow: seconds that an evaluation takes, more or less.
        at_once: evaluations that a kill may leave without a result: of each worker two, one of them sent in advance.
    """

    name: str
    run: Callable[[Any, Path], searchkit.Result]
    budget: int
    ordered: bool = True
    slow: float = 0.01
    at_once: int = 1


def evaluate(log: Path, choices: dict[str, Any]) -> dict[str, float]:
    """A function of which some values fail, and that takes some milliseconds."""
    _note(log, f"begin {os.getpid()} {choices}")
    time.sleep(0.002 * (7 * choices["a"] + 5 * choices["c"]) % 0.02)
    if choices["a"] == 3:
        raise ValueError("hidden constraint")
    _note(log, f"end {os.getpid()} {choices}")
    return {
        "loss": choices["a"] * 1.5 - choices["c"] + len(choices["b"]),
        "cost": (choices["a"] - 2) ** 2 + choices["c"],
    }


def _note(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text + "\n")


def of_a_function(strategy: str, executor: Any) -> Case:
    """A search of a function."""

    def run(storage: Any, log: Path) -> searchkit.Result:
        return searchkit.run(
            strategy, space=SPACE, evaluate=lambda choices: evaluate(log, choices), budget=BUDGET, batch=4,
            objectives={"loss": "min", "cost": "max"}, storage=storage, name="s", executor=executor,
        )  # fmt: skip

    return Case(
        f"{strategy}, {'one process' if executor is None else f'{executor} workers'}",
        run,
        BUDGET,
        at_once=1 if executor is None else 2 * executor,
    )


def of_networks() -> Case:
    """A search that trains networks and keeps the weights of the front."""

    def run(storage: Any, log: Path) -> searchkit.Result:
        def build(choices: dict[str, Any], shape: tuple[int, int, int], n_classes: int) -> torch.nn.Module:
            _note(log, f"begin {os.getpid()} {choices}")
            width = choices["width"]
            return torch.nn.Sequential(
                torch.nn.Flatten(), torch.nn.Linear(64, width), torch.nn.Linear(width, n_classes)
            )

        space = NetworkSpace([Choice("width", range(2, 2 + TRAININGS))], build, name="narrow")
        return searchkit.run(
            "random", space=space, data=DIGITS, budget=TRAININGS, epochs=12, batch=1, storage=storage, name="s"
        )

    return Case("trainings of networks, one process", run, TRAININGS, slow=0.1)


def all_cases() -> list[Case]:
    """The searches that are killed and sent signals."""
    return [
        *(of_a_function(strategy, None) for strategy in ("random", "nsga2", "exact", "tpe")),
        of_a_function("nsga2", 2),
        of_networks(),
    ]
