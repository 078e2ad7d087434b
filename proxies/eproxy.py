"""Eproxy: how well a network fits fixed synthetic maps within ten training steps.

Li et al., Extensible Proxy for Efficient NAS (arXiv 2210.09459); its predecessor is GenNAS (arXiv 2108.01899).

The feature maps of up to three stages, deepest first, go through a trainable head and through the **barrier**, one
random convolution that is never trained, and are regressed onto targets that are the same for every network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from searchkit.errors import CandidateError, ProxyError
from searchkit.proxies.eproxy_pass import EproxyPass
from searchkit.proxies.eproxy_setting import Branch, EproxySetting
from searchkit.scoring.passes.counts import CountPass
from searchkit.surroundings import settled

__all__ = ["Branch", "Eproxy", "EproxySetting"]


DEFAULT = EproxySetting()


@dataclass(frozen=True)
class Eproxy:
    """Minus the regression error after the last step: MSE of the deepest map + MSE/2 of the next + MSE/4 of the third.

    Args:
        setting: the task; :class:`searchkit.proxies.dps.DPS` finds one for a space and a target.
    """

    setting: EproxySetting = DEFAULT

    names = ("eproxy",)

    @property
    def passes(self) -> tuple[EproxyPass | CountPass, ...]:
        one = EproxyPass(self.setting)
        return (one, CountPass()) if self.setting.macs_weight else (one,)

    def values(self, recordings: Sequence[Any]) -> Mapping[str, float]:
        """``{"eproxy": minus the error}``; refused where the loss overflows."""
        errors: list[float] = recordings[0]
        error = sum(mse / 2**i for i, mse in enumerate(errors))
        if not math.isfinite(error):
            raise CandidateError("its regression diverges: the loss is not finite")
        if self.setting.macs_weight:
            error *= 1 - self.setting.macs_weight * recordings[1]["macs"] / self.setting.macs_max
        return {"eproxy": -error}

    def save(self, path: str | Path) -> None:
        """Write the setting as JSON."""
        settled(path).write_text(json.dumps(asdict(self.setting), indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """An Eproxy with the setting that :meth:`save` wrote.

        Raises:
            ProxyError: the file holds no setting, or one that is out of range.
        """
        try:
            held = json.loads(settled(path).read_text())
        except (OSError, ValueError) as error:
            raise ProxyError(f"{path} holds no Eproxy setting: {error}") from error
        if not isinstance(held, dict):
            raise ProxyError(f"{path} holds no Eproxy setting: it is not a JSON object")
        return cls(EproxySetting.of(held))
