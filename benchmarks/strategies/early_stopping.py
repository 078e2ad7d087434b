"""Searches with a training function, with and without early stopping: who is stopped, epochs spent, and the winner.

    python -m benchmarks.strategies.early_stopping [--problems digits,front,table] [--seeds 5] [--budget 40]

Three problems. "digits": perceptrons of several depths, widths and activations, trained by a plain loop for 27 epochs,
as a user would write it; "front": the same with params as the second objective. "table": cells of NAS-Bench-201 with
the published validation accuracies of CIFAR-10, of a training of 12 epochs and of one of 200, which the function
reports without training; it needs the table. Searches of a seed try the same candidates in the same order (strategy
"random"), so that the winner differs only where it was stopped. A winner, the most accurate of a front, is the same if
its accuracy is; of the front it is counted how many of its candidates are on the front without early stopping, among
how many there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.nn import functional

import searchkit
from benchmarks.common.machine import describe
from benchmarks.common.tables import table
from searchkit import Choice, NetworkSpace
from searchkit.problem.trial import State
from searchkit.training import Halving, Median

EPOCHS = 27
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}
COLUMNS = ("problem", "early_stopping", "stopped", "epochs", "CPU seconds", "same winner", "its accuracy", "front")
EDGES = 6  # of a cell


def perceptron(choices: dict[str, Any], shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """A perceptron for small images."""
    layers: list[nn.Module] = [nn.Flatten()]
    width = shape[0] * shape[1] * shape[2]
    for _ in range(choices["layers"]):
        layers.append(nn.Linear(width, choices["width"]))
        if choices["norm"]:
            layers.append(nn.BatchNorm1d(choices["width"]))
        layers += [ACTIVATIONS[choices["activation"]](), nn.Dropout(choices["dropout"])]
        width = choices["width"]
    return nn.Sequential(*layers, nn.Linear(width, n_classes))


PERCEPTRONS = NetworkSpace(
    [
        Choice("layers", range(1, 6), ordered=True),
        Choice("width", (4, 8, 16, 32, 64, 128), ordered=True),
        Choice("activation", tuple(ACTIVATIONS)),
        Choice("norm", (False, True)),
        Choice("dropout", (0.0, 0.1, 0.3), ordered=True),
    ],
    build=perceptron, input_shape=(1, 8, 8), n_classes=10, name="perceptrons",
)  # fmt: skip


def train(network: nn.Module, data: Any, report: Any) -> None:
    """The loop of a user."""
    optimiser = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    x, y = data.train.x, data.train.y
    for epoch in range(1, EPOCHS + 1):
        network.train()
        for rows in torch.randperm(len(y)).split(64):
            optimiser.zero_grad()
            functional.cross_entropy(network(x[rows]), y[rows]).backward()
            optimiser.step()
        network.eval()
        with torch.no_grad():
            accuracy = (network(data.val.x).argmax(1) == data.val.y).double().mean()
        if report(epoch, {"accuracy": accuracy}):
            return


class Cell(nn.Module):
    """Stands for a trained cell."""

    def __init__(self, operations: str) -> None:
        super().__init__()
        self.operations = operations
        self.layer = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Ten outputs of an image."""
        outputs: torch.Tensor = self.layer(x.flatten(1))
        return outputs


def cell(choices: dict[str, Any], shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """The cell of some choices."""
    return Cell("".join(str(choices[f"edge {i}"]) for i in range(EDGES)))


CELLS = NetworkSpace(
    [Choice(f"edge {i}", range(5)) for i in range(EDGES)],
    build=cell, input_shape=(1, 8, 8), n_classes=10, name="cells",
)  # fmt: skip


def published() -> Callable[..., None]:
    """A training function that reports what is published of a cell."""
    read = pd.read_csv(table("nasbench201/nb201_cifar10.csv.gz"), dtype={"ops": str}).set_index("ops")
    early, late = (read[name].to_dict() for name in ("cifar10_ep12_val", "cifar10valid_val200_mean"))

    def replay(network: Any, data: Any, report: Any) -> None:
        operations = network.network.operations
        if not report(12, {"accuracy": early[operations] / 100}):
            report(200, {"accuracy": late[operations] / 100})

    return replay


RULES: dict[str, dict[str, Any]] = {
    "digits": {
        "none": None,
        '"halving"': "halving",
        "Halving(first=3)": Halving(first=3),
        "Halving(eta=2)": Halving(eta=2),
        '"median"': "median",
        "Median(first=3)": Median(first=3),
    },
    "front": {"none": None, '"halving"': "halving", '"median"': "median"},
    "table": {
        "none": None,
        "Halving(first=12)": Halving(first=12),
        "Halving(first=12, eta=2)": Halving(first=12, eta=2),
        '"median"': "median",
    },
}


def search(problem: str, seed: int, budget: int, rule: object, training: Any) -> tuple[searchkit.Result, float]:
    """One search, and its CPU seconds."""
    began = time.process_time()
    found = searchkit.run(
        "random", space=CELLS if problem == "table" else PERCEPTRONS, data=searchkit.load_data("digits"),
        objectives=("accuracy", "params") if problem == "front" else "accuracy", training=training,
        early_stopping=rule, budget=budget, seed=seed, proxies=(), storage="memory", device="cpu", progress=False,
    )  # fmt: skip
    return found, time.process_time() - began


def compare(problem: str, seeds: int, budget: int) -> None:
    """Print the lines of one problem."""
    training = published() if problem == "table" else train
    fronts: dict[int, set[int]] = {}
    winners: dict[int, float] = {}
    for name, rule in RULES[problem].items():
        stopped, epochs, taken, best, kept = [], 0.0, 0.0, [], 0
        for seed in range(seeds):
            found, seconds = search(problem, seed, budget, rule, training)
            front = set(found.front.trial)
            fronts.setdefault(seed, front)
            winners.setdefault(seed, found.best().accuracy)
            stopped.append(sum(trial.state is State.DROPPED for trial in found.trials))
            epochs += sum(trial.reports[-1][0] for trial in found.trials)
            taken += seconds
            best.append(found.best().accuracy)
            kept += len(front & fronts[seed])
        same = sum(one == winners[seed] for seed, one in enumerate(best))
        cells = [
            problem, name, f"{sum(stopped) / (seeds * budget):.0%} ({min(stopped)} to {max(stopped)} of {budget})",
            f"{epochs / seeds:,.0f}", f"{taken / seeds:.1f}", f"{same} of {seeds}", f"{sum(best) / seeds:.2%}",
            f"{kept} of {sum(map(len, fronts.values()))}",
        ]  # fmt: skip
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", default="digits,front,table")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=40)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"# Early stopping\n\n{describe()}. {given.budget} candidates, {given.seeds} seeds.\n")
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
    for one in given.problems.split(","):
        compare(one, given.seeds, given.budget)
