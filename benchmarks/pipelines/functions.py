"""Functions with known minima, those that settings were chosen by and those that were kept back for a check."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.pipelines.parameters import Case, Config, number, one_of, whole
from searchkit.types import Floats

_HARTMANN_A = np.array([
    [10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14],
])  # fmt: skip
_HARTMANN_P = 1e-4 * np.array([
    [1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
    [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381],
])  # fmt: skip
_HARTMANN_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])


def vector(config: Config, n: int) -> Floats:
    """The numbers x0, x1, ... of a configuration."""
    return np.array([float(config[f"x{i}"]) for i in range(n)])


def box(n: int, low: float, high: float) -> tuple:  # type: ignore[type-arg]
    """The numbers x0, x1, ... between the same ends."""
    return tuple(number(f"x{i}", low, high) for i in range(n))


def branin(x: Floats) -> float:
    """Three equal minima."""
    b, c, t = 5.1 / (4 * math.pi**2), 5 / math.pi, 1 / (8 * math.pi)
    return float((x[1] - b * x[0] ** 2 + c * x[0] - 6) ** 2 + 10 * (1 - t) * math.cos(x[0]) + 10)


def hartmann(x: Floats) -> float:
    """Six dimensions, six local minima, on the unit cube."""
    return float(-_HARTMANN_WEIGHTS @ np.exp(-(_HARTMANN_A * (x - _HARTMANN_P) ** 2).sum(axis=1)))


def ackley(x: Floats) -> float:
    """A funnel with ripples."""
    far = 20 * math.exp(-0.2 * math.sqrt(float(np.mean(x * x))))
    return float(20 + math.e - far - math.exp(float(np.mean(np.cos(2 * math.pi * x)))))


def rosenbrock(x: Floats) -> float:
    """A curved valley; losses over six orders of magnitude."""
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def levy(x: Floats) -> float:
    """Ripples on a bowl; the minimum is at 1."""
    w = 1 + (x - 1) / 4
    inner = ((w[:-1] - 1) ** 2 * (1 + 10 * np.sin(math.pi * w[:-1] + 1) ** 2)).sum()
    ends = math.sin(math.pi * w[0]) ** 2 + (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)
    return float(inner + ends)


def schedule(config: Config) -> float:
    """A training's loss as a response to rate, decay, momentum and batch: a valley, beside it divergence."""
    rate, decay = math.log10(config["rate"]), math.log10(config["decay"])
    still, batch = math.log10(1 - config["momentum"]), math.log2(config["batch"])
    effective = rate - still - 0.15 * (batch - 5)  # what a step amounts to
    if effective > 0.6:
        return 2.3 + 0.05 * (effective - 0.6)
    fit = 0.25 * (effective + 0.7) ** 2 if effective < -0.7 else 0.9 * (effective + 0.7) ** 2
    return 0.2 + fit + 0.05 * (decay + rate + 5.5) ** 2 + 0.02 * (batch - 6) ** 2 + 0.03 * (still + 1) ** 2


def mixture(config: Config) -> float:
    """Three numbers, two whole ones and two categories, of which one moves the minimum."""
    moved = {"a": (0.2, 0.7, 0.4), "b": (0.6, 0.3, 0.8), "c": (0.85, 0.15, 0.1), "d": (0.5, 0.5, 0.5)}[config["kind"]]
    base = {"a": 0.3, "b": 0.0, "c": 0.15, "d": 0.6}[config["kind"]] + {"p": 0.0, "q": 0.1, "r": 0.25}[config["form"]]
    bowl = sum((config[f"x{i}"] - at) ** 2 * (1 + 2 * i) for i, at in enumerate(moved))
    steps = 0.02 * (config["depth"] - (5 if config["form"] == "p" else 8)) ** 2
    width = 0.1 * (math.log2(config["width"]) - 6.3) ** 2
    return base + bowl + steps + width + 0.1 * math.sin(9 * config["x0"]) * math.sin(7 * config["x1"])


def camel(x: Floats) -> float:
    """Six humps, two equal minima."""
    a, b = x
    return float((4 - 2.1 * a**2 + a**4 / 3) * a**2 + a * b + (4 * b**2 - 4) * b**2)


def griewank(x: Floats) -> float:
    """A wide bowl with waves."""
    return float(1 + (x * x).sum() / 4000 - np.prod(np.cos(x / np.sqrt(np.arange(1, len(x) + 1)))))


def michalewicz(x: Floats) -> float:
    """Steep valleys that cross."""
    return float(-(np.sin(x) * np.sin(np.arange(1, len(x) + 1) * x**2 / math.pi) ** 20).sum())


def categories(config: Config) -> float:
    """Ackley's function of four numbers of three options each and three floats."""
    options = [{"low": -1.0, "middle": 0.0, "high": 2.0}[config[f"c{i}"]] for i in range(4)]
    return ackley(np.array([*options, *(config[f"x{i}"] - 0.3 for i in range(3))]))


def rounded(config: Config) -> float:
    """A smooth error in steps of 1/300, as counted on 300 rows: ties."""
    x = vector(config, 6)
    at = np.array([0.3, 0.8, 0.55, 0.1, 0.65, 0.4])
    error = 0.08 + 0.4 * (1 - math.exp(-float((np.array([4, 2, 1, 0.5, 0.25, 0.1]) * (x - at) ** 2).sum())))
    return round(300 * error) / 300


_MOVED = np.array([3.1, -4.2, 1.7, -0.6, 4.4, -2.3, 0.9, -3.5, 2.6, -1.4, 3.8, 0.2])


def tuned() -> list[Case]:
    """Those by which settings were chosen."""
    return [
        Case("Branin", (number("x0", -5, 10), number("x1", 0, 15)), lambda c: branin(vector(c, 2)), least=0.397887),
        Case("Hartmann-6", box(6, 0, 1), lambda c: hartmann(vector(c, 6)), least=-3.32237),
        Case("Ackley-5", box(5, -10, 15), lambda c: ackley(vector(c, 5))),
        Case("Rosenbrock-4", box(4, -5, 10), lambda c: rosenbrock(vector(c, 4))),
        Case("Levy-12", box(12, -10, 10), lambda c: levy(vector(c, 12) - _MOVED)),
        Case(
            "rate and decay",
            (number("rate", 1e-5, 1, log=True), number("decay", 1e-7, 1e-1, log=True), number("momentum", 0.0, 0.99),
             whole("batch", 8, 512, log=True)),
            schedule, noise=0.01,
        ),
        Case(
            "mixture",
            (*box(3, 0, 1), whole("depth", 1, 12), whole("width", 8, 512, log=True), one_of("kind", "abcd"),
             one_of("form", "pqr")),
            mixture,
        ),
    ]  # fmt: skip


def kept_back() -> list[Case]:
    """Those that no setting was chosen by."""
    options = ("low", "middle", "high")
    return [
        Case("camel", (number("x0", -3, 3), number("x1", -2, 2)), lambda c: camel(vector(c, 2)), least=-1.031628),
        Case("Griewank-7", box(7, -400, 600), lambda c: griewank(vector(c, 7))),
        Case("Michalewicz-5", box(5, 0, math.pi), lambda c: michalewicz(vector(c, 5)), least=-4.687658),
        Case(
            "Ackley, categories",
            (*(one_of(f"c{i}", options) for i in range(4)), *box(3, -1, 1)),
            categories,
        ),
        Case("noisy Hartmann-6", box(6, 0, 1), lambda c: hartmann(vector(c, 6)), noise=0.15, least=-3.32237),
        Case("rounded, noisy", box(6, 0, 1), rounded, noise=0.008),
    ]
