"""Objects are told apart by their settings, and looking at them runs no code of theirs and never fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
import torch

from searchkit.runtime.fingerprint import fingerprint


class Slotted:
    __slots__ = ("__private", "setting", "unset")

    def __init__(self, setting: Any, private: Any = 0) -> None:
        self.setting, self.__private = setting, private

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"{name} was asked for")


class Derived(Slotted):
    """Has a dictionary beside the slots of the class that it derives from."""


def test_slots_are_read_without_the_objects_own_code() -> None:
    assert fingerprint(Slotted(1)) == fingerprint(Slotted(1))
    assert fingerprint(Slotted(1)) != fingerprint(Slotted(2))
    assert fingerprint(Slotted(1, private=1)) != fingerprint(Slotted(1, private=2))
    assert fingerprint(Derived(1)) != fingerprint(Derived(2))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2),
        torch.ones(2, dtype=torch.bfloat16),
        torch.ones(2, dtype=torch.complex64),
        torch.ones(2, 2).to_sparse(),
        torch.ones(2, device="meta"),
        torch.nn.Parameter(torch.ones(2)),
    ],
    ids=["float", "bfloat16", "complex", "sparse", "meta", "parameter"],
)
def test_any_tensor_can_be_looked_at(tensor: torch.Tensor) -> None:
    assert fingerprint(tensor) == fingerprint(tensor.clone())
    assert fingerprint(tensor) != fingerprint(torch.ones(3))


def test_tensors_are_told_apart_by_values_and_types() -> None:
    assert fingerprint(torch.ones(2)) != fingerprint(torch.zeros(2))
    assert fingerprint(torch.ones(2)) != fingerprint(torch.ones(2, dtype=torch.float64))


def test_a_function_may_close_over_an_open_database(tmp_path: Path) -> None:
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 's.db'}")

    def evaluate(choices: dict[str, Any]) -> dict[str, float]:
        return {"loss": float(len(storage.get_all_studies()))}

    before = fingerprint(evaluate)
    assert before == fingerprint(evaluate)
    storage.engine.dispose()


MODULE = """
FACTOR = {factor}
CACHE = []
count = 0

def helper(x):
    return x * {inner}

def nested(x):
    return [helper(y) for y in x]

def lambdas(x):
    return (lambda y: FACTOR * y)(x)

def in_a_closure():
    def evaluate(choices):
        def inside():
            return helper(choices["a"])
        return {{"loss": inside()}}
    return evaluate

def counts(choices):
    global count
    count += 1
    CACHE.append(count)
    return helper(count)

def uses_a_class(choices):
    return Model(1).value()

class Base:
    def value(self):
        return helper(self.a)

class Model(Base):
    LIMIT = {limit}

    def __init__(self, a):
        self.a = a

    def evaluate(self, choices):
        return {{"loss": self.score(choices)}}

    def score(self, choices):
        return {method}

    @property
    def doubled(self):
        return 2 * self.a

def one(x):
    return two(x)

def two(x):
    return one(x) + three(x)

def three(x):
    return one(x) + two(x)
"""


def module(factor: float = 2.0, inner: int = 1, limit: int = 3, method: str = "0.5") -> dict[str, Any]:
    """What a user's module defines."""
    names: dict[str, Any] = {"__name__": "a_module_of_mine"}
    exec(MODULE.format(factor=factor, inner=inner, limit=limit, method=method), names)
    return names


@pytest.mark.parametrize(
    ("changed", "differ"),
    [
        ({"inner": 2}, {"helper", "nested", "in_a_closure", "counts", "uses_a_class", "object", "method", "Model"}),
        ({"factor": 3.0}, {"lambdas"}),
        ({"limit": 4}, {"uses_a_class", "object", "method", "Model"}),
        ({"method": "0.25"}, {"uses_a_class", "object", "method", "Model"}),
    ],
)
def test_what_a_function_uses_of_its_module_is_part_of_it(changed: dict[str, Any], differ: set[str]) -> None:
    def prints(names: dict[str, Any]) -> dict[str, str]:
        told = {name: fingerprint(names[name]) for name in ("helper", "nested", "lambdas", "counts", "uses_a_class")}
        made = names["Model"](1)
        told |= {"in_a_closure": fingerprint(names["in_a_closure"]()), "Model": fingerprint(names["Model"])}
        return told | {"object": fingerprint(made), "method": fingerprint(made.evaluate)}

    before, same, after = prints(module()), prints(module()), prints(module(**changed))
    assert before == same
    assert {name for name in before if before[name] != after[name]} == differ


def test_what_changes_while_it_runs_is_no_part_of_it() -> None:
    names = module()
    before = fingerprint(names["counts"])
    names["counts"]({})
    assert fingerprint(names["counts"]) == before


def test_functions_that_call_each_other_are_described_once() -> None:
    names = module()
    assert fingerprint(names["one"]) == fingerprint(module()["one"])
    assert fingerprint(names["one"]) != fingerprint(names["two"])
