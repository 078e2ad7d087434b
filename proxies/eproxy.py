"""Eproxy: how well a network fits fixed synthetic maps within ten training steps.

Li et al., Extensible Proxy for Efficient NAS (arXiv 2210.09459); its predecessor is GenNAS (arXiv 2108.01899).

The feature maps of up to three stages, deepest first, go through a trainable head and through the **barrier**, one
random convolution that is never trained, and are regressed onto targets that are the same for every network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from searchkit.errors import CandidateError, ProxyError, SearchkitError
from searchkit.proxies.eproxy_pass import EproxyPass
from searchkit.proxies.eproxy_setting import Branch, EproxySetting
from searchkit.scoring.passes.counts import CountPass
from searchkit.surroundings import settled
from searchkit.training.reduced import Reduction

__all__ = ["Branch", "Eproxy", "EproxySetting"]


DEFAULT = EproxySetting()


@dataclass(frozen=True)
class Eproxy:
    """Minus the regression error after the last step: MSE of the deepest map + MSE/2 of the next + MSE/4 of the third.

    Where a network has fewer maps, their weighted mean stands for the others. Maps are ``(batch, c, h, w)``, or of one
    axis, the tokens of transformers ``(batch, tokens, width)`` among them; targets of these have one axis, too. Inputs
    are images or signals.

    It trains a reduced network in the candidate's place, with the candidate's choices and fewer channels, cells and
    pixels, as far as the space has them to reduce; ``Eproxy(width=None, cells=None, resolution=None)`` trains the
    candidate's own, as published.

    Args:
        setting: the task; :class:`searchkit.proxies.dps.DPS` finds one for a space and a target.
        width, cells, resolution: what is reduced, or None; see :class:`searchkit.training.reduced.Reduction`.

    Raises:
        ProxyError: a factor or a number that is out of range.
    """

    setting: EproxySetting = DEFAULT
    width: float | None = 0.5
    cells: int | None = 1
    resolution: int | None = 32

    names = ("eproxy",)

    def __post_init__(self) -> None:
        try:
            self.reduction  # noqa: B018 - checks the numbers
        except SearchkitError as error:
            raise ProxyError(f"Eproxy's {error}") from None

    @property
    def reduction(self) -> Reduction:
        """What is reduced."""
        return Reduction(self.width, self.cells, self.resolution)

    @property
    def passes(self) -> tuple[EproxyPass | CountPass, ...]:
        one = EproxyPass(self.setting, None if self.reduction.is_none else self.reduction)
        return (one, CountPass()) if self.setting.macs_weight else (one,)

    def values(self, recordings: Sequence[Any]) -> Mapping[str, float]:
        """``{"eproxy": minus the error}``; refused where the loss overflows."""
        errors: list[float] = recordings[0]
        # networks with fewer maps than there are branches are compared with others, which have more errors to add up
        missing = range(len(errors), len(self.setting.branches))
        share = 1 + sum(1 / 2**i for i in missing) / sum(1 / 2**i for i in range(len(errors)))
        error = share * sum(mse / 2**i for i, mse in enumerate(errors))
        if not math.isfinite(error):
            raise CandidateError("its regression diverges: the loss is not finite")
        if self.setting.macs_weight:
            error *= 1 - self.setting.macs_weight * recordings[1]["macs"] / self.setting.macs_max
        return {"eproxy": -error}

    def save(self, path: str | Path) -> None:
        """Write setting and reduction as JSON."""
        settled(path).write_text(json.dumps(asdict(self.setting) | asdict(self.reduction), indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The Eproxy that :meth:`save` wrote; a file without a reduction is of the candidates' own networks.

        Raises:
            ProxyError: the file holds no setting, or one that is out of range.
        """
        return cls.of(held_in(path))

    @classmethod
    def of(cls, held: Mapping[str, object]) -> Self:
        """From setting and reduction in one dictionary; without a reduction, of the candidates' own networks.

        Raises:
            ProxyError: a key that is none of theirs, or a value out of range.
        """
        reduced = {field.name: held.get(field.name) for field in fields(Reduction)}
        setting = EproxySetting.of({name: held[name] for name in held if name not in reduced})
        return cls(setting, **reduced)  # type: ignore[arg-type]


def held_in(path: str | Path) -> dict[str, object]:
    """The JSON object of a file that ``save`` wrote.

    Raises:
        ProxyError: the file cannot be read, or holds none.
    """
    try:
        held = json.loads(settled(path).read_text())
    except (OSError, ValueError) as error:
        raise ProxyError(f"{path} holds no Eproxy setting: {error}") from error
    if not isinstance(held, dict):
        raise ProxyError(f"{path} holds no Eproxy setting: it is not a JSON object")
    return held


FULL = Eproxy(width=None, cells=None, resolution=None)  # as published: of the candidates' own networks
