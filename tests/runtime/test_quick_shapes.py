"""Outputs that are made by shape alone are those of torch on a processor, and what torch refuses is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from searchkit.costs.counts import count
from searchkit.runtime.meta_operations import QuickShapes
from searchkit.runtime.torch_compat import SAFE_SOFTMAX

aten = torch.ops.aten
LAST = torch.channels_last


def _ones(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.ones(shape, dtype=dtype)


MADE: dict[str, Callable[[], Any]] = {
    "a mean": lambda: _ones(2, 3, 4, 5).mean((2, 3)),
    "a mean of all": lambda: _ones(2, 3).mean(()),
    "a mean of one number": lambda: torch.ones(()).mean(0),
    "a mean in float64": lambda: _ones(2, 3).mean(1, dtype=torch.float64),
    "a mean of integers in float32": lambda: _ones(2, 3, dtype=torch.int64).mean(1, dtype=torch.float32),
    "a mean of complex numbers": lambda: _ones(2, 3, dtype=torch.complex64).mean(1),
    "times a number": lambda: aten.mul.Scalar(_ones(2, 3), 2),
    "times a complex number": lambda: aten.mul.Scalar(_ones(2, 3), 2j),
    "times a complex number, by an operator": lambda: _ones(2, 3) * 2j,
    "a softmax": lambda: SAFE_SOFTMAX(_ones(2, 3), -1),
    "a softmax in float64": lambda: SAFE_SOFTMAX(_ones(2, 3), -1, dtype=torch.float64),
    "a softmax, channels last": lambda: SAFE_SOFTMAX(_ones(2, 3, 4, 5).to(memory_format=LAST), 1),
    "a sum of integers": lambda: torch.add(_ones(2, 3, dtype=torch.int64), _ones(3, dtype=torch.int64), alpha=2),
    "a sum that spreads": lambda: _ones(2, 3, 4, 5).to(memory_format=LAST) + _ones(3, 1, 1),
    "a layer norm": lambda: torch.native_layer_norm(_ones(2, 3, 4), (4,), _ones(4), None, 1e-5),
    "a layer norm in bfloat16": lambda: torch.native_layer_norm(
        _ones(2, 4, dtype=torch.bfloat16), (4,), _ones(4), _ones(4), 1e-5
    ),
    "a batch norm": lambda: torch.native_batch_norm(_ones(2, 3, 4), None, None, None, None, True, 0.1, 1e-5),
}
REFUSED: dict[str, Callable[[], Any]] = {
    "a mean of integers": lambda: _ones(2, 3, dtype=torch.int64).mean(1),
    "a mean of answers": lambda: _ones(2, 3, dtype=torch.bool).mean((0, 1)),
    "an axis twice": lambda: _ones(2, 3).mean((1, 1)),
    "an axis twice, from both ends": lambda: _ones(2, 3).mean((1, -1)),
    "a softmax of no axis": lambda: SAFE_SOFTMAX(_ones(2, 3), 2),
    "a part of an integer": lambda: torch.add(
        _ones(2, dtype=torch.int64), _ones(2, dtype=torch.int64), alpha=2.5
    ),
    "a part of an integer, spread": lambda: torch.add(
        _ones(2, 3, dtype=torch.int64), _ones(3, dtype=torch.int64), alpha=2.5
    ),
    "a layer norm of integers": lambda: torch.native_layer_norm(
        _ones(2, 3, dtype=torch.int64), (3,), None, None, 1e-5
    ),
    "a layer norm over no axis": lambda: torch.native_layer_norm(_ones(2, 3), (), None, None, 1e-5),
    "a batch norm of integers": lambda: torch.native_batch_norm(
        _ones(2, 3, dtype=torch.int64), None, None, None, None, True, 0.1, 1e-5
    ),
}  # fmt: skip


def _said(made: Tensor | tuple[Tensor, ...]) -> list[tuple[torch.Size, torch.dtype, tuple[int, ...]]]:
    return [(one.shape, one.dtype, one.stride()) for one in (made if isinstance(made, tuple) else (made,))]


@pytest.mark.parametrize("case", MADE)
def test_shapes_are_those_of_a_processor(case: str) -> None:
    with QuickShapes(), torch.device("meta"):
        quick = MADE[case]()
    assert _said(quick) == _said(MADE[case]())


@pytest.mark.parametrize("case", REFUSED)
def test_what_torch_refuses_is_refused(case: str) -> None:
    with QuickShapes(), torch.device("meta"), pytest.raises((RuntimeError, ValueError, IndexError)):
        REFUSED[case]()


class _Share(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).mean((2, 3))


def test_a_network_that_cannot_run_is_not_counted() -> None:
    with pytest.raises(RuntimeError, match="mean"):
        count(_Share(), (3, 8, 8))
