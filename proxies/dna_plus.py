"""DNA+: the best network of a round, made wider and trained, is the teacher of the next round.

Wang et al., DNA Family, 2024 (arXiv 2403.01326), progressive learning: no strong teacher is needed at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from searchkit.blocks.solve import Limit, solve
from searchkit.errors import ProxyError, SpaceError
from searchkit.proxies.dna import DNA
from searchkit.proxies.dna_setting import DNASetting
from searchkit.proxies.dna_teacher import trained_teacher
from searchkit.space import NetworkSpace
from searchkit.surroundings import settled
from searchkit.training.reduced import narrower
from searchkit.training.train import build_seeded, score
from searchkit.types import Codes


@dataclass(frozen=True)
class Round:
    """One round of DNA+.

    Attributes:
        dna: the ratings of this round; a proxy.
        code: ``(d,)`` the network of the best rating within the limits.
        teacher: that network, wider and trained: the next round's teacher. None after the last round.
        accuracy: of that teacher on the validation part, 0 to 1; NaN without one.
    """

    dna: DNA
    code: Codes
    teacher: nn.Module | None
    accuracy: float


def dna_plus(
    space: NetworkSpace,
    data: object = None,
    *,
    rounds: int = 2,
    scale: float = 1.5,
    limits: Sequence[Limit] = (),
    teacher: nn.Module | None = None,
    setting: DNASetting | None = None,
    device: str = "cpu",
    seed: int = 0,
    executor: object = None,
    folder: str | Path | None = None,
    on_round: Callable[[Round], None] | None = None,
) -> list[Round]:
    """Rate the space, train the best network scaled up, rate again with it as the teacher, and so on.

    Args:
        rounds: ratings in all.
        scale: factor on the width of the network that becomes a teacher; a space without a width keeps its own.
        limits: bounds on the found networks, over the blocks of the space.
        teacher: of the first round; see :class:`DNA`, as for the other arguments.
        folder: every round has a folder of its own in it, and a run that was stopped goes on.
        on_round: called with every round as it ends.

    Raises:
        ProxyError: no network keeps the limits; names them and their violation.
    """
    if rounds < 1:
        raise ProxyError(f"rounds is a number of at least 1, not {rounds!r}")
    setting, done = setting or DNASetting(), list[Round]()
    for i in range(rounds):
        own = None if folder is None else settled(folder) / f"round_{i + 1}"
        dna = DNA(
            space, data, teacher=teacher, setting=setting, device=device, seed=seed, executor=executor, folder=own
        ).fit()
        best = solve(dna.losses, limits)
        if best.picked is None:
            raise ProxyError(f"no network of space '{space.name}' can be picked: {best.reason}")
        code, accuracy = dna.blocks.codes(best.picked[None])[0], float("nan")
        teacher = None
        if i < rounds - 1:
            network = build_seeded(_wider(dna.space, scale), code, seed)
            path = None if own is None else own / "next_teacher.safetensors"
            teacher = trained_teacher(network, dna.data, setting, device, seed, path)
            accuracy = score(teacher, dna.data.val, dna.data, device)
        done.append(Round(dna, code, teacher, accuracy))
        if on_round is not None:
            on_round(done[-1])
    return done


def _wider(space: NetworkSpace, scale: float) -> NetworkSpace:
    try:
        return narrower(space, scale)
    except SpaceError:
        return space
