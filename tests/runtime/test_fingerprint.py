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
