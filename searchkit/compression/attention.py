"""Attention with fewer heads: the most important ones of the original."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from searchkit.compression.given import same
from searchkit.compression.layers import SelfAttention
from searchkit.costs.meta_tensors import no_gradients
from searchkit.errors import PASSED_ON
from searchkit.random_state import untouched
from searchkit.runtime.copies import copied
from searchkit.runtime.submodules import put

_EXACT = 1e-4  # relative, between a layer and its rewritten form
_QKV, _PROJ = ("qkv", "to_qkv", "in_proj"), ("proj", "out_proj", "to_out", "project")


def fewer_heads(module: nn.Module, fed: Tensor, shares: Mapping[str, float]) -> dict[str, nn.Module]:
    """Copies of a module whose attention layers have a share of their heads, at least one each, by the share's label.

    Layers are :class:`torch.nn.MultiheadAttention`, and modules with ``num_heads``, one linear layer for queries, keys
    and values, and one behind the heads. Rewritten with all heads they have to give what they gave, or they stay.

    Args:
        fed: ``(n, ...)`` inputs of the module.
        shares: by their labels, the largest first. Of several that leave equally many heads the first is made.
    """
    found = {}
    for name, layer in module.named_modules():
        if name and hasattr(layer, "num_heads"):
            rewritten = _rewritten(layer)
            if rewritten is not None and _gives_the_same(module, name, rewritten, fed):
                found[name] = (rewritten, _importance(module, name, rewritten, fed))
    made: dict[str, nn.Module] = {}
    fewest = sum(layer.num_heads for layer, _ in found.values())
    for label, share in shares.items():
        smaller, total = copied(module), 0
        for name, (layer, importance) in found.items():
            n = max(1, round(share * layer.num_heads))
            total += n
            put(smaller, name, layer.with_heads(torch.topk(importance, n).indices.sort().values))
        if found and total < fewest:
            made[label], fewest = smaller.eval(), total
    return made


def _rewritten(layer: nn.Module) -> SelfAttention | None:
    if isinstance(layer, nn.MultiheadAttention):
        if layer.in_proj_weight is None or layer.bias_k is not None or layer.add_zero_attn:
            return None
        out = layer.out_proj
        return SelfAttention(
            layer.in_proj_weight, layer.in_proj_bias, out.weight, out.bias, layer.num_heads, not layer.batch_first, True
        )
    qkv = next((getattr(layer, name) for name in _QKV if isinstance(getattr(layer, name, None), nn.Linear)), None)
    proj = next((getattr(layer, name) for name in _PROJ if isinstance(getattr(layer, name, None), nn.Linear)), None)
    heads = layer.num_heads
    if qkv is None or proj is None or not isinstance(heads, int) or qkv.out_features != 3 * proj.in_features:
        return None
    if proj.in_features % heads:
        return None
    return SelfAttention(qkv.weight, qkv.bias, proj.weight, proj.bias, heads)


def _gives_the_same(module: nn.Module, name: str, layer: nn.Module, fed: Tensor) -> bool:
    other = copied(module)
    put(other, name, layer)
    try:
        with no_gradients(), untouched():
            return same(other.eval()(fed.clone()), module(fed.clone()), _EXACT)
    except PASSED_ON:
        raise
    except Exception:  # the module's own code looks into the layer
        return False


def _importance(module: nn.Module, name: str, layer: SelfAttention, fed: Tensor) -> Tensor:
    """``(heads,)`` mean square of a head's outputs times the squared norm of the weights that read them, summed."""
    seen: list[Tensor] = []
    handle = module.get_submodule(name).register_forward_pre_hook(
        lambda part, args, kwargs: seen.append((args[0] if args else next(iter(kwargs.values()))).detach().clone()),
        with_kwargs=True,
    )
    try:
        with no_gradients(), untouched():
            module(fed.clone())
            rows = seen[0].transpose(0, 1) if layer.tokens_first else seen[0]
            squares = layer.mixed(rows).square().mean((0, 1))
    finally:
        handle.remove()
    return (squares * layer.proj.weight.detach().square().sum(0)).reshape(layer.num_heads, -1).sum(1)
