"""Weights of networks that were trained before, for all networks of a space that have the same parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from torch import Tensor

from searchkit.random_state import seeded
from searchkit.sharing.keys import Key, Keys
from searchkit.space import NetworkSpace
from searchkit.types import Codes


class Given:
    """Tensors by name, as of a checkpoint: a network takes those that have the name and shape of its own.

    Args:
        identity: see :class:`~searchkit.training.starts.Start`.
    """

    def __init__(self, tensors: Mapping[str, Tensor], identity: str) -> None:
        self.tensors = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
        self.identity = identity

    def start(self, code: Codes) -> Mapping[str, Tensor]:
        """The same for every candidate."""
        return self.tensors


class TrainedBefore:
    """Weights of trained networks of a space, the best first: each parameter is taken from the first that has it.

    A parameter is the same where its name, its shape and the options of the node that governs its name are
    (:class:`~searchkit.sharing.keys.Key`); so a candidate that was trained itself begins where it ended if it is first.

    Args:
        space: of the candidates that take them.
        trained: canonical candidates ``(d,)`` of the other space with their state, by name.
        other: the space of the trained networks; codes of the candidates are told in it by ``into``. None: the same.
        identity: see :class:`~searchkit.training.starts.Start`.
    """

    def __init__(
        self,
        space: NetworkSpace,
        trained: Iterable[tuple[Codes, Mapping[str, Tensor]]],
        identity: str,
        other: NetworkSpace | None = None,
        into: Callable[[Codes], Codes] | None = None,
    ) -> None:
        self.space, self.identity, self._into = space, identity, into
        self._keys = Keys(other or space, "exact")
        self._tensors: dict[Key, Tensor] = {}
        self._own: dict[bytes, Mapping[str, Tensor]] = {}
        for code, state in trained:
            row = np.ascontiguousarray(code, dtype=np.int64)
            self._own.setdefault(row.tobytes(), state)
            for name, tensor in state.items():
                self._tensors.setdefault(self._keys.of(name, tuple(tensor.shape), row), tensor)

    def start(self, code: Codes) -> Mapping[str, Tensor]:
        """See :class:`~searchkit.training.starts.Start`; a candidate that was trained gets its own weights."""
        row = np.ascontiguousarray(code if self._into is None else self._into(code), dtype=np.int64)
        own = self._own.get(row.tobytes())
        if own is not None:
            return own
        with seeded(0):
            state = self.space.build(code).state_dict()
        found = {name: self._keys.of(name, tuple(tensor.shape), row) for name, tensor in state.items()}
        return {name: self._tensors[key] for name, key in found.items() if key in self._tensors}
