"""A CUDA graph's rules on a CPU: work is recorded operation by operation, without effect, and repeated on its tensors.

What differs between two runs in Python only (a number, a branch, an index) is frozen, as on a card; waiting for a
value is refused, as on a card.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal"}


def replayed(work: Callable[[], None]) -> Callable[[], None]:
    """As :func:`searchkit.runtime.cuda_graphs.captured`, on a CPU."""
    random_state = torch.get_rng_state()
    with _Recorder() as recorder:
        work()
    recorder.undo()
    torch.set_rng_state(random_state)
    return recorder.run


def refused(work: Callable[[], None]) -> Callable[[], None]:
    """A card that records nothing."""
    raise RuntimeError("CUDA error: operation not permitted when stream is capturing")


class Recording:
    """:func:`replayed`, with counts of what it recorded, what it could not, and how often the former was repeated."""

    def __init__(self) -> None:
        self.recorded = self.refused = self.repeated = 0

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        try:
            repeat = replayed(work)
        except Exception:
            self.refused += 1
            raise
        self.recorded += 1

        def again() -> None:
            self.repeated += 1
            repeat()

        return again


class TwoStages(nn.Module):
    """A network that names its stages, with something in between them."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.between = between
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())

    def features(self, x: Tensor) -> list[Tensor]:
        """Outputs of both."""
        x = self.first(x)
        return [x, self.second(self.between(x))]

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, 8)``."""
        return self.features(x)[-1].mean(dim=(2, 3))


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps every operation with the tensors that it read and wrote."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operations: list[tuple[Any, tuple[Any, ...], Mapping[str, Any], Any]] = []
        self._made: dict[int, Any] = {}  # storages of tensors that the work makes; kept, so that no number comes twice
        self._before: dict[int, tuple[Tensor, Tensor]] = {}  # of all others: a view of everything in it, and a copy

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.name().partition(".")[0] in _WAITS:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        for tensor in _tensors([*args, *kwargs.values()]):
            self._remember(tensor)
        out = func(*args, **kwargs)
        given = {_key(tensor) for tensor in _tensors([*args, *kwargs.values()])}
        for tensor in _tensors([out]):
            if _key(tensor) not in given:
                self._made[_key(tensor)] = tensor
        self._operations.append((func, args, kwargs, out))
        return out

    def run(self) -> None:
        """Everything again, on the same tensors."""
        with torch.no_grad():
            for func, args, kwargs, out in self._operations:
                given = {_key(tensor) for tensor in _tensors([*args, *kwargs.values()])}
                again = func(*args, **kwargs)
                for old, new in zip(_tensors([out]), _tensors([again]), strict=True):
                    if _key(old) not in given:
                        old.copy_(new)

    def undo(self) -> None:
        """Nothing of what was recorded has happened."""
        with torch.no_grad():
            for whole, copy in self._before.values():
                whole.copy_(copy)

    def _remember(self, tensor: Tensor) -> None:
        key = _key(tensor)
        if key in self._made or key in self._before or not tensor.untyped_storage().nbytes():
            return
        whole = torch.empty(0, dtype=torch.uint8)
        whole.set_(tensor.untyped_storage())  # type: ignore[call-overload]
        self._before[key] = (whole, whole.clone())


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)
