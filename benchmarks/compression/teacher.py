"""The trained network of the benchmarks of compression, and what is measured of networks made of it."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import torch
from torch import nn

from benchmarks.compression.networks import ResNet
from searchkit.compressing import fine_tuning as settings
from searchkit.costs.counts import count
from searchkit.costs.together import latencies_together
from searchkit.data.data import Data
from searchkit.training.normalised import normalised
from searchkit.training.recipe import Recipe, recipe_of_length
from searchkit.training.train import course, score, train
from searchkit.training.turns import finish


class Benchmark:
    """One teacher, and what is made of it."""

    def __init__(self, data: Data, passes: int, seed: int, width: int, depth: int) -> None:
        self.data, self.passes, self.seed, self.width, self.depth = data, passes, seed, width, depth
        self.plain = replace(data, mean=(0.0,) * len(data.mean), std=(1.0,) * len(data.std))
        began = time.process_time()
        network = self.network(width)
        train(network, data, recipe=self.schedule(), seed=seed, device="cpu")
        self.teacher = normalised(network, data)
        self.seconds = time.process_time() - began
        self.test = self.tested(self.teacher)

    def network(self, width: int) -> nn.Module:
        torch.manual_seed(self.seed)
        return ResNet(self.data.input_shape[0], self.data.n_classes, width, self.depth)

    def schedule(self) -> Recipe:
        """The teacher's training."""
        n = len(self.data.train)
        return replace(recipe_of_length("images", n, self.passes, self.data.augment), epochs=self.passes)

    def tested(self, network: nn.Module) -> float:
        return score(network, self.data.test, self.plain, "cpu")

    def tuned(self, network: nn.Module, recipe: Recipe) -> tuple[float, float]:
        """``(validation, test)`` after a training with the teacher's answers."""
        found = finish(course(network, self.plain, recipe=recipe, seed=self.seed, device="cpu", teacher=self.teacher))
        return found.accuracy, self.tested(network)

    def cost(self, name: str, networks: list[nn.Module]) -> list[float]:
        """Of each network."""
        if name == "latency_ms":
            return [float(ms) for ms in latencies_together(networks, self.data.input_shape, 0.3)]
        return [float(count(network, self.data.input_shape)[name]) for network in networks]


def teacher_arguments(parser: argparse.ArgumentParser) -> None:
    """The data, the network and its schedule, and where what is learned is kept."""
    parser.add_argument("--data", default="cifar-10")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--passes", type=int, default=40)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--storage", default="compression-runs")


def fine_tuning(epochs: int, steps: int | None = None) -> Recipe:
    """As ``compress`` does it; with a number of steps in place of epochs where it is given."""
    asked = settings(epochs)
    if steps is not None:
        asked = {name: value for name, value in asked.items() if name != "epochs"} | {"steps": steps}
    return Recipe(**asked)  # type: ignore[arg-type]
