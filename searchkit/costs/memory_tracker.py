"""Bytes of the tensors that exist while torch runs, after each operation; on any device, also the meta device."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from searchkit.runtime.meta_operations import run
from searchkit.runtime.torch_compat import DispatchMode


class LiveMemory(DispatchMode):
    """Tracks tensor storages: each counts from the operation that made it until it is freed.

    An operation's inputs still exist when its outputs have been made, so the peak is updated after each operation.

    Attributes:
        live: bytes of the storages that exist now.
        peak: the maximum of ``live`` so far.
        history: ``live`` after each new storage, in order.

    Args:
        held: tensors that exist already, and count from the beginning.
    """

    def __init__(self, held: Sequence[Tensor]) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self.history: list[int] = []
        self._seen: dict[int, weakref.ref[Any]] = {}
        for tensor in held:
            self._add(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = run(func, args, kwargs or {})
        for tensor in _tensors(out):
            self._add(tensor)
        return out

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, n_bytes = id(storage), storage.nbytes()
        if key in self._seen:  # a view, or an operation in place
            return

        def freed(_: Any) -> None:
            del self._seen[key]
            self.live -= n_bytes

        self._seen[key] = weakref.ref(storage, freed)
        self.live += n_bytes
        self.peak = max(self.peak, self.live)
        self.history.append(self.live)


def _tensors(out: Any) -> Iterator[Tensor]:
    """The tensors that an operation returned: one, or a sequence of them."""
    if isinstance(out, Tensor):
        yield out
    elif isinstance(out, (tuple, list)):
        for part in out:
            yield from _tensors(part)
