"""Which units of a network are active for which images: the sign of every ReLU's output, counted during the pass.

Every ReLU is seen, whether a module or a function call inside a user's ``forward``; and so are the smooth units that
transformers have in its place (GELU, SiLU, Mish), whose outputs have the sign of their inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_RELUS: set[Callable[..., Any]] = {
    functional.relu,
    functional.relu6,
    functional.leaky_relu,
    functional.prelu,
    functional.hardswish,
    functional.hardtanh,
    functional.gelu,
    functional.silu,
    functional.mish,
    torch.relu,
    torch.relu_,
    Tensor.relu,
    Tensor.relu_,
}
_CHUNK = 20  # images whose signs, as bits, fit a float32 exactly
MOST_PATTERNS = 3 * _CHUNK  # images whose signs fit an int64


class Signs(TorchFunctionMode):
    """While entered, counts the signs of ReLU outputs of ``batch`` images.

    Args:
        batch: number of images; activations with another first axis are ignored.
        n_patterns: of how many of the images (the first, at most 60) to keep each unit's sign pattern; 0 for none.
        agreement: whether to add up the agreement matrix.

    Attributes:
        n_relus: calls seen.
        n_units: ReLU outputs per image, over all calls.
        kernel: ``(batch, batch)`` float64, number of units on which two images agree.
    """

    def __init__(self, batch: int, device: torch.device, *, agreement: bool, n_patterns: int = 0) -> None:
        super().__init__()
        self.batch = batch
        self.agreement = agreement
        self.n_patterns = min(batch, n_patterns)
        self.n_relus = self.n_units = 0
        self.kernel = torch.zeros(batch, batch, dtype=torch.float64, device=device)
        self._seen: dict[int, tuple[Tensor, Tensor | None]] = {}  # by id of the input; both are held, so ids are unique
        self._patterns: list[Tensor] = []
        self._bits = _bit_weights(batch, self.n_patterns, device)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if _tells(func, out, self.batch):
            self._count(args[0], out)
        return out

    def distinct(self, n_images: int) -> int:
        """Number of distinct sign patterns of units over the first ``n_images``, at most ``n_patterns``."""
        if not self._patterns:
            return 0
        return len(torch.unique(torch.cat(self._patterns) & ((1 << n_images) - 1)))

    def forget_activations(self) -> None:
        """Release what was held of the network's activations."""
        self._seen.clear()

    def _count(self, x: Tensor, out: Tensor) -> None:
        self.n_relus += 1
        known = self._seen.get(id(x)) if x is not out else None
        if known is not None:  # several edges of a cell rectify the same value: it is counted again, not computed
            gram = known[1]
        else:
            gram = self._compute(out.detach())
            if x is not out:
                self._seen[id(x)] = (x, gram)
        self.n_units += out[0].numel()
        if gram is not None:
            self.kernel += gram

    def _compute(self, out: Tensor) -> Tensor | None:
        if out.ndim == 4:
            out = out.permute(0, 2, 3, 1)  # the order in memory; which unit is which does not matter
        signs = (out.reshape(self.batch, -1) > 0).to(torch.float32)
        if self.n_patterns:
            chunks = (self._bits @ signs[: self.n_patterns]).to(torch.int64)
            pattern = chunks[0]
            for i, chunk in enumerate(chunks[1:], start=1):
                pattern = pattern + (chunk << (i * _CHUNK))
            self._patterns.append(pattern)
        if not self.agreement:
            return None
        signs = signs.mul_(2).sub_(1)  # then the product is agreements minus disagreements, in one pass
        product = (signs @ signs.T).to(torch.float64)
        return (product + signs.shape[1]) / 2


class Patterns(TorchFunctionMode):
    """While entered, keeps which units are active for each of ``batch`` inputs, as bits."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch
        self._bits: list[npt.NDArray[np.uint8]] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if _tells(func, out, self.batch):
            active = (out.detach().reshape(self.batch, -1) > 0).cpu().numpy()
            self._bits.append(np.packbits(active, axis=1))
        return out

    def distinct(self) -> int:
        """Number of distinct patterns over all units; 0 where there were none."""
        if not self._bits:
            return 0
        rows = np.ascontiguousarray(np.concatenate(self._bits, axis=1))
        return len({row.tobytes() for row in rows})


def _tells(func: Callable[..., Any], out: object, batch: int) -> bool:
    """Whether a call's output has signs of units, for each of ``batch`` inputs."""
    return func in _RELUS and isinstance(out, Tensor) and out.ndim > 1 and len(out) == batch


def _bit_weights(batch: int, n_patterns: int, device: torch.device) -> Tensor:
    """``(chunks, n_patterns)``: powers of two that turn 20 signs into one exact float32."""
    n_chunks = -(-n_patterns // _CHUNK)
    weights = torch.zeros(n_chunks, n_patterns)
    for image in range(n_patterns):
        weights[image // _CHUNK, image] = 2.0 ** (image % _CHUNK)
    return weights.to(device)
