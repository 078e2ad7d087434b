"""Several Eproxies as one: the mean of their standardised scores.

A task that was chosen with some twenty labels owes much of its rank correlation with them to chance. Tasks that ranked
the labels about as well were lucky in other ways, so that their mean ranks further networks better than the best does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from searchkit.errors import CandidateError, ProxyError
from searchkit.proxies.eproxy import Eproxy, held_in
from searchkit.proxies.eproxy_pass import EproxyPass
from searchkit.scoring.passes.counts import CountPass
from searchkit.surroundings import settled
from searchkit.types import Floats

MOST = 5.0  # standard deviations from the mean that a score counts at most; so much below where a network diverges
_SMALLEST = 1e-12  # error: a weight of MACs may take all of it from a network beyond the largest that was seen


@dataclass(frozen=True)
class EproxyMean:
    """The mean of what several Eproxies say, each as minus the logarithm of its error, standardised.

    Args:
        members: two or more.
        centres, scales: of each member, mean and standard deviation of minus the logarithm of its error on networks
            that are known; see :meth:`of`.

    Raises:
        ProxyError: fewer than two members, or numbers that do not fit them.
    """

    members: tuple[Eproxy, ...]
    centres: tuple[float, ...]
    scales: tuple[float, ...]

    names = ("eproxy",)

    def __post_init__(self) -> None:
        n = len(self.members)
        if n < 2 or len(self.centres) != n or len(self.scales) != n or min(self.scales) <= 0:
            raise ProxyError(f"a mean is of two or more Eproxies, with a centre and a scale above 0 for each; got {n}")

    @classmethod
    def of(cls, members: Sequence[Eproxy], scores: Floats) -> Self:
        """With centres and scales from the members' scores ``(m, n)`` of n networks, all finite.

        Raises:
            ProxyError: fewer than two members.
        """
        logs = -np.log(np.maximum(-scores, _SMALLEST))
        scales = [float(scale) or 1.0 for scale in logs.std(axis=1)]
        return cls(tuple(members), tuple(logs.mean(axis=1).tolist()), tuple(scales))

    @property
    def passes(self) -> tuple[EproxyPass | CountPass, ...]:
        return tuple(one for member in self.members for one in member.passes)

    def values(self, recordings: Sequence[Any]) -> Mapping[str, float]:
        """``{"eproxy": the mean}``; refused where no member has a finite error."""
        found, at = [], 0
        for member in self.members:
            n = len(member.passes)
            found.append(_score(member, recordings[at : at + n]))
            at += n
        if all(score is None for score in found):
            raise CandidateError("its regression diverges: the loss is not finite")
        return {"eproxy": mean_of(found, self.centres, self.scales)}

    def save(self, path: str | Path) -> None:
        """Write the members, their centres and scales as JSON."""
        members = [asdict(member.setting) | asdict(member.reduction) for member in self.members]
        held = {"members": members, "centres": self.centres, "scales": self.scales}
        settled(path).write_text(json.dumps(held, indent=2) + "\n")


def mean_of(scores: Sequence[float | None], centres: Sequence[float], scales: Sequence[float]) -> float:
    """The mean of standardised scores; None, of a member that diverges, counts as the lowest."""
    standard = [
        -MOST if score is None else (-math.log(max(-score, _SMALLEST)) - centre) / scale
        for score, centre, scale in zip(scores, centres, scales, strict=True)
    ]
    return float(np.clip(standard, -MOST, MOST).mean())


def load_eproxy(path: str | Path) -> Eproxy | EproxyMean:
    """The proxy that ``save`` wrote, of one setting or of several.

    Raises:
        ProxyError: the file holds no setting, or one that is out of range.
    """
    held: dict[str, Any] = held_in(path)
    if "members" not in held:
        return Eproxy.of(held)
    try:
        members = tuple(Eproxy.of(member) for member in held["members"])
        return EproxyMean(members, tuple(map(float, held["centres"])), tuple(map(float, held["scales"])))
    except (KeyError, TypeError) as error:
        raise ProxyError(f"{path} holds no Eproxy setting: {error!r}") from error


def _score(member: Eproxy, recordings: Sequence[Any]) -> float | None:
    try:
        return member.values(recordings)["eproxy"]
    except CandidateError:
        return None
