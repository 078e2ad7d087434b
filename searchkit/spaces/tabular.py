"""Networks for tables: a linear model, plain layers, or residual blocks, of a chosen width and depth.

The residual block is that of Gorishniy et al., Revisiting Deep Learning Models for Tabular Data, NeurIPS 2021 (arXiv
2106.11959), section 3.2: normalisation, linear, ReLU, dropout, linear, dropout, and the input added. A plain layer is
linear, normalisation, ReLU, dropout, their MLP with a normalisation.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from searchkit.errors import SpaceError
from searchkit.space import Choice, NetworkSpace
from searchkit.spaces.skeleton import outputs, whole
from searchkit.types import Codes, Floats

_NAME = "tabular"
_BLOCKS = ("plain", "residual")
_NORMS = ("none", "batch", "layer")


def tabular(
    *,
    width: Sequence[int] = (16, 32, 64, 128, 256),
    depth: Sequence[int] = (0, 1, 2, 3),
    expansion: Sequence[int] = (1, 2),
    dropout: Sequence[float] = (0.0, 0.1, 0.25, 0.5),
    input_shape: Sequence[int] = (10,),
    n_classes: int = 10,
) -> NetworkSpace:
    """Linear, plain and residual networks for tables.

    The choices are ``block``, ``width``, ``depth``, ``expansion``, ``dropout`` and ``norm``.

    Depth 0 is the linear model, which the other choices do not change; a plain layer has no expansion. Equal networks
    have equal canonical candidates: 541 networks by default.

    Args:
        width: units of a layer.
        depth: numbers of plain layers or residual blocks.
        expansion: units inside a residual block, in widths.
        dropout: shares of units that training leaves out.
        input_shape: ``(features,)``.
        n_classes: number of outputs; 1 in regression.

    Raises:
        SpaceError: an option that is no whole number of at least 1 (0 of depth), or no share in [0, 1).
    """
    depth = _scale("depth", depth, 0)
    options: dict[str, Any] = {
        "width": _scale("width", width, 1),
        "depth": depth,
        "expansion": _scale("expansion", expansion, 1),
        "dropout": [_share(share) for share in _listed("dropout", dropout)],
    }
    if not isinstance(input_shape, tuple | list) or len(input_shape) != 1:
        raise SpaceError(f"space '{_NAME}' takes input_shape as (features,); got {input_shape!r}")
    return NetworkSpace(
        [
            Choice("block", _BLOCKS),
            *(Choice(name, options[name], ordered=True) for name in ("width", "depth", "expansion", "dropout")),
            Choice("norm", _NORMS),
        ],
        build,
        name=_NAME,
        canonical=functools.partial(_canonical, linear=depth.index(0) if 0 in depth else None),
        input_shape=(whole(_NAME, "the number of features", input_shape[0]),),
        n_classes=whole(_NAME, "n_classes", n_classes),
        options=options,
        count=count,
    )


def build(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int) -> nn.Module:
    """The network of one candidate: ``(batch, features)`` to ``(batch, n_classes)``."""
    return Network(int(input_shape[0]), n_classes, **choices)


class Residual(nn.Module):
    """A residual block; shapes are kept."""

    def __init__(self, width: int, hidden: int, dropout: float, norm: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_norm(norm, width),
            nn.Linear(width, hidden),
            nn.ReLU(),
            *_dropout(dropout),
            nn.Linear(hidden, width),
            *_dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y


class Network(nn.Module):
    """``(batch, features)`` rows to ``(batch, n_outputs)`` logits, or values."""

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        *,
        block: str,
        width: int,
        depth: int,
        expansion: int,
        dropout: float,
        norm: str,
    ) -> None:
        super().__init__()
        residual = block == "residual" and depth > 0
        self.stem = nn.Linear(n_features, width) if residual else nn.Identity()
        if residual:
            blocks: list[nn.Module] = [Residual(width, expansion * width, dropout, norm) for _ in range(depth)]
        else:
            blocks = [_plain_layers(width if i else n_features, width, dropout, norm) for i in range(depth)]
        self.blocks = nn.Sequential(*blocks)
        last = (*_norm(norm, width), nn.ReLU()) if residual else ()
        self.head = nn.Sequential(*last, nn.Linear(width if depth else n_features, n_outputs))

    def features(self, x: Tensor) -> list[Tensor]:
        """The outputs ``(batch, width)`` of the blocks, in depth order; the rows themselves where there are none."""
        return outputs(self.blocks, self.stem(x)) or [x]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x)[-1])
        return logits


def count(space: NetworkSpace, codes: Codes) -> Mapping[str, Floats]:
    """Exact ``params`` and ``macs`` ``(n,)``: every weight of a linear layer is one MAC a row."""
    column = {name: np.array(c.options)[codes[:, i]] for i, (name, c) in enumerate(_columns(space))}
    f, k = float(space.input_shape[0]), float(space.n_classes)
    width, depth = column["width"].astype(np.float64), column["depth"].astype(np.float64)
    hidden = width * column["expansion"]
    norm = np.where(column["norm"] == "none", 0.0, 2 * width)  # scale and shift of each unit
    plain_macs = f * width + (depth - 1) * width**2 + width * k
    plain = plain_macs + depth * (width + norm) + k
    residual_macs = f * width + 2 * depth * width * hidden + width * k
    residual = residual_macs + width + depth * (hidden + width + norm) + norm + k
    is_residual, linear = column["block"] == "residual", depth == 0
    return {
        "params": np.where(linear, (f + 1) * k, np.where(is_residual, residual, plain)),
        "macs": np.where(linear, f * k, np.where(is_residual, residual_macs, plain_macs)),
    }


def _columns(space: NetworkSpace) -> list[tuple[str, Choice]]:
    return [(choice.name, choice) for choice in space.choices if isinstance(choice, Choice)]


def _canonical(codes: Codes, linear: int | None) -> Codes:
    """First options for choices without effect: all but depth of a linear model, and expansion of plain layers."""
    codes = codes.copy()
    codes[codes[:, 0] == 0, 3] = 0
    if linear is not None:
        rows = codes[:, 2] == linear
        codes[rows] = 0
        codes[rows, 2] = linear
    return codes


def _plain_layers(n_in: int, width: int, dropout: float, norm: str) -> nn.Module:
    return nn.Sequential(nn.Linear(n_in, width), *_norm(norm, width), nn.ReLU(), *_dropout(dropout))


def _norm(norm: str, width: int) -> tuple[nn.Module, ...]:
    return {"none": (), "batch": (nn.BatchNorm1d(width),), "layer": (nn.LayerNorm(width),)}[norm]


def _dropout(share: float) -> tuple[nn.Module, ...]:
    return (nn.Dropout(share),) if share else ()


def _listed(name: str, given: Any) -> list[Any]:
    if not isinstance(given, tuple | list) or not given:
        raise SpaceError(f"space '{_NAME}' takes {name} as a sequence of options; got {given!r}")
    return list(given)


def _scale(name: str, given: Any, least: int) -> list[int]:
    return [whole(_NAME, f"each option of {name}", n, least) for n in _listed(name, given)]


def _share(share: Any) -> float:
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise SpaceError(f"space '{_NAME}' takes dropout as shares in [0, 1); got {share!r}")
    return float(share)
