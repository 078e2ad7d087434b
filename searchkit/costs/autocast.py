"""The casts of torch.autocast on a CUDA card, applied to tensors on any device; torch has no autocast for meta tensors.

The lists of operations are those of torch (ATen/autocast_mode.h). Sums and norms are left out: their outputs are small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HALF = _names(
    "conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d linear matmul rmatmul mm bmm mv "
    "addmm addmv addr addbmm baddbmm einsum vecdot chain_matmul multi_dot prelu scaled_dot_product_attention "
    "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell"
)
_SINGLE = _names(
    "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow rpow softplus softmax "
    "log_softmax cumsum cumprod logsumexp layer_norm rms_norm group_norm cosine_similarity cosine_embedding_loss "
    "cross_entropy nll_loss kl_div l1_loss smooth_l1_loss huber_loss mse_loss poisson_nll_loss hinge_embedding_loss "
    "margin_ranking_loss multilabel_margin_loss soft_margin_loss triplet_margin_loss multi_margin_loss "
    "binary_cross_entropy_with_logits dist pdist cdist renorm interpolate upsample"
)
_MIXED = frozenset(["multi_head_attention_forward"])  # written in Python: its inner operations are not seen here


class HalfPrecision(TorchFunctionMode):
    """Matrix products and convolutions run in bfloat16, functions that need a wide range in float32, others unchanged.

    As under torch.autocast, each weight is cast once, and its copy is used until the context ends.

    Raises:
        NotImplementedError: a function was called whose inner operations need different types.
    """

    def __init__(self) -> None:
        super().__init__()
        self._copies: dict[int, tuple[Tensor, Tensor]] = {}  # id -> weight (kept, so that no other gets its id), copy

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name.startswith("__") and name.endswith("__"):
            name = name[2:-2]  # an operator such as @ has a name like __matmul__
        if name in _MIXED:
            raise NotImplementedError(f"{name} has inner operations of different types")
        dtype = torch.bfloat16 if name in _HALF else torch.float32 if name in _SINGLE else None
        if dtype is None:
            return func(*args, **(kwargs or {}))
        given = {key: self._cast(value, dtype) for key, value in (kwargs or {}).items()}
        return func(*(self._cast(value, dtype) for value in args), **given)

    def _cast(self, value: Any, dtype: torch.dtype) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(self._cast(part, dtype) for part in value) if _holds_tensors(value) else value
        if not isinstance(value, Tensor) or value.dtype == dtype or value.dtype == torch.float64:
            return value
        if not value.is_floating_point():
            return value
        if dtype is torch.float32 or not (value.requires_grad and value.is_leaf):
            return value.to(dtype)
        if id(value) not in self._copies:
            self._copies[id(value)] = value, value.to(dtype)
        return self._copies[id(value)][1]


def _holds_tensors(values: list[Any] | tuple[Any, ...]) -> bool:
    return any(isinstance(value, Tensor) for value in values)
