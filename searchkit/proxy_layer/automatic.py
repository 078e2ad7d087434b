"""``proxies="auto"``: whether judging networks before they are trained pays, and which signals judge them.

What judging brings is known from searches (docs/benchmarks.md): with twenty trainings or more, a search with signals
finds better networks earlier, and where size is an objective, counts alone bring most of it. What it takes depends on
the networks and on the machine, so it is measured: a few networks are scored, and the time of all scores is compared
with that of all trainings. Where the whole default set takes more than a small part of it, the quickest signals are
considered alone, and then the counts, for which nothing has to run. Block values, which are learned from the results,
are in all three, where the blocks of the space can be listed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from searchkit.errors import duration
from searchkit.proxy_layer.signals import N_REFERENCE
from searchkit.types import Codes, Floats

AUTO, NONE = "auto", "none"
SHARE = 0.1  # of the time of the trainings, which judging may take at most
PICK = 0.2  # seconds beside the scores that it takes to choose a network: more proposals, and the layer's own models
FEWEST = 20  # trainings of a search in which networks are judged
COUNTS = ("params", "macs", "mathnas")
QUICK = (*COUNTS, "jacov", "naswot")  # of the default set, those of one pass through a network
SCORED = 3  # networks by which a price is measured, after one that initialises libraries


@dataclass(frozen=True)
class Judges:
    """The proxies that judge networks before they are trained, and why these.

    Attributes:
        names: of the proxies; empty where no network is judged.
        why: one line for the log.
        seconds: that a network takes to be scored; 0 where that was not measured.
        new: whether they were chosen now, and not when the study was begun.
    """

    names: tuple[str, ...]
    why: str
    seconds: float = 0.0
    new: bool = True

    @classmethod
    def as_begun(cls, names: Sequence[str]) -> Judges:
        """Those that a study has on record."""
        judge = f"{', '.join(names)} judge networks before they are trained" if names else "none"
        return cls(tuple(names), f"proxies: {judge}, as this study was begun", new=False)


def few(candidates: float) -> Judges | None:
    """Nothing judges in a search of so few trainings; None where there are enough."""
    if candidates >= FEWEST:
        return None
    why = f"judging before training pays from {FEWEST} trainings on; here are {candidates:.0f}"
    return Judges((), f"proxies: none, since {why}")


def choose(
    sets: Sequence[Sequence[str]], price: Callable[[Sequence[str]], float], candidates: float, seconds: float,
    screen: int,
) -> Judges:  # fmt: skip
    """The first of several sets of proxies that is cheap enough.

    Args:
        sets: names of proxies, the best set first.
        price: seconds that a set takes to score one network; inf where it scores none.
        candidates: trainings of the search.
        seconds: of a training.
        screen: networks scored for each one that is trained.
    """
    scored = scored_in(candidates, screen)
    said = ""
    for names in sets:
        each = price(names)
        if math.isinf(each):
            said = "they score none of its networks"
            continue
        share = (scored * each / candidates + PICK) / seconds
        if share <= SHARE:
            return Judges(
                tuple(names),
                f"proxies: {', '.join(names)} judge networks before they are trained, which takes {duration(each)} a "
                f"network and in all about {math.ceil(100 * share)} % of the time of the trainings",
                each,
            )
        said = f"it would take {duration(share * seconds)} for each network that is trained in {duration(seconds)}"
    return Judges((), f"proxies: none, since judging before training does not pay here: {said}")


def scored_in(candidates: float, screen: int) -> float:
    """About how many networks are scored in a search of so many trainings."""
    return N_REFERENCE + candidates * (screen + 1)


def price_of(score: Callable[[Codes], Floats], codes: Codes) -> float:
    """Seconds that scoring one network takes, by the clock; the first of ``codes`` initialises libraries."""
    score(codes[:1])
    began = time.perf_counter()
    score(codes[1:])
    return (time.perf_counter() - began) / max(1, len(codes) - 1)
