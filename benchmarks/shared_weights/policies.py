"""Policies of paths over published tables, whose accuracies stand in for what paths come to; no network is trained."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from benchmarks.common.tables import Table, cells, layers
from searchkit.sharing.paths import Paths
from searchkit.sharing.policies.grouped import Grouped
from searchkit.sharing.policies.protocol import Policy
from searchkit.sharing.policies.shrinking import Shrinking
from searchkit.sharing.policies.tree import Tree
from searchkit.sharing.policies.uniform import Fair, Uniform
from searchkit.space import Choice, NetworkSpace, keys
from searchkit.spaces.cell_form import OPERATIONS
from searchkit.types import Codes, Floats

SEEDS = 100
HALVES = (("nor_conv_1x1", "nor_conv_3x3"), ("skip_connect", "avg_pool_3x3"))
Make = Callable[[Paths], Policy]


def policies(seeds: int = SEEDS) -> None:
    """The best network that a policy draws, and the one that it is left with."""
    print(f"## Policies of paths over tables, {seeds} seeds\n")
    print("They are told validation accuracies; test accuracy, median (quartiles).\n")
    print("| table | policy | evaluations | best drawn | what is left |\n|---|---|---|---|---|")
    for table in (cells(unique=False), layers()):
        for name, make, n in (
            ("uniform", Uniform, 42 if "201" in table.title else 50),
            ("fair", Fair, 42 if "201" in table.title else 50),
            ("tree", Tree, 50),
            ("shrinking, 3 rounds", Shrinking, 0),
            ("shrinking, 10 rounds", functools.partial(Shrinking, rounds=10), 0),
        ):
            _row(table, name, make, n, seeds)
    _groups(cells(unique=False), seeds // 2)
    print()


def _row(table: Table, name: str, make: Make, n: int, seeds: int) -> None:
    best, left = [], []
    told, known = _by_network(table)
    for seed in range(seeds):
        policy, rng = make(Paths(table.space)), np.random.default_rng([seed, 1])
        n = n or int(getattr(policy, "n_paths"))  # noqa: B009 - of the policies that end by themselves
        policy.begin(n)
        seen = [_evaluated(policy, rng, told) for _ in range(n)]
        best.append(known[max(seen, key=lambda key: told[key])])
        answer = getattr(policy, "answer", None)
        left.append(np.nan if answer is None else known[keys(answer[None])[0]])
    print(f"| {table.space.name} | {name} | {n} | {_said(best)} | {_said(left)} |", flush=True)


def _by_network(table: Table) -> tuple[dict[bytes, float], dict[bytes, float]]:
    """Validation and test accuracy of every network of a table."""
    names = keys(table.codes)
    return dict(zip(names, table.validation, strict=True)), dict(zip(names, table.test, strict=True))


def _evaluated(policy: Policy, rng: np.random.Generator, told: dict[bytes, float]) -> bytes:
    code, _ = policy.draw(rng)
    (key,) = keys(code[None])
    policy.tell(code, told[key] / 100)
    return key


def _groups(table: Table, seeds: int) -> None:
    """TNAS on NAS-Bench-201 without "none", whose cells of other operations are all networks of four options."""
    told, known = _by_network(table)
    whole = table.space
    names = OPERATIONS[1:]
    space = NetworkSpace(
        [Choice(choice.name, names) for choice in whole.choices], whole.builder, name="nas-bench-201 without none",
        canonical=functools.partial(_same),
    )  # fmt: skip
    groups = {choice.name: HALVES for choice in space.choices}
    for at_once in (1, 3, 6):
        left, n = [], 0
        for seed in range(seeds):
            policy = Grouped(Paths(space), at_once=at_once, members=8, groups=groups)
            rng, n = np.random.default_rng([seed, 2]), policy.n_paths
            for _ in range(n):
                code, _ = policy.draw(rng)
                policy.tell(code, told[keys(whole.canonical(code[None] + 1))[0]] / 100)
            answer = policy.answer
            assert answer is not None
            left.append(known[keys(whole.canonical(answer[None] + 1))[0]])
        title = f"grouped, {at_once} at once, {n // 8} groups of 8 members"
        print(f"| {space.name} | {title} | {n} | | {_said(left)}, worst {min(left):.2f} |", flush=True)


def _same(codes: Codes) -> Codes:
    return codes


def _said(values: list[float]) -> str:
    found: Floats = np.array(values)
    if np.isnan(found).all():
        return ""
    low, middle, high = np.quantile(found, (0.25, 0.5, 0.75))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
