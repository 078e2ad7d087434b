"""A ladder's second chance: dropped candidates that later turn out to be among the best of their rung come back.

On a ladder a promotion is decided once for each batch. A good candidate of an early, good batch is dropped although it
is better than some that a later batch promotes. EcoNAS (Zhou et al., CVPR 2020, section 4.2) keeps its networks in
classes by how long they were trained, and goes on with the best of each class, early or late; asynchronous successive
halving (Li et al., MLSys 2020, algorithm 2) promotes late as well. Here a candidate that was dropped from a rung with
``again=True`` takes a place of a later batch where it is among the best third by then. It is a trial of its own, begins
with the values of its rungs, and goes on without being compared there again. All this is a function of the record.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from searchkit.problem.objectives import Goals
from searchkit.problem.trial import State, Trial
from searchkit.space import keys
from searchkit.training.fidelity import ETA, Ladder, n_promoted

SHARE = 1 / ETA  # of a batch, rounded up, that may be candidates that come back


def returning(ladder: Ladder, trials: Sequence[Trial], goals: Goals, size: int) -> list[Trial]:
    """The dropped trials whose candidates take places of the next batch, the most promising first.

    Args:
        trials: of all batches before.
        size: of the batch.
    """
    if not ladder.again:
        return []
    found: list[Trial] = []
    times: dict[bytes, int] = {}
    for trial in trials:
        times[_key(trial)] = times.get(_key(trial), 0) + 1
    for i in reversed(range(len(ladder.rungs))):  # those that came farther come first
        if ladder.rungs[i].again:
            order = ladder.order(trials, i, goals)
            best = order[: n_promoted(len(order))]
            found += [t for t in best if t.state is State.DROPPED and ladder.last(t) == i and times[_key(t)] == 1]
    return found[: math.ceil(SHARE * size)]


def carry(ladder: Ladder | None, trials: Sequence[Trial]) -> None:
    """Give candidates that came back, and have not ended, the values that they had at the rungs."""
    if ladder is None or not ladder.again:
        return
    dropped: dict[bytes, Trial] = {}
    for trial in trials:
        before = dropped.get(_key(trial))
        if trial.state is State.DROPPED:
            dropped.setdefault(_key(trial), trial)
        elif before is not None and not trial.finished:
            trial.values = before.values | trial.values


def _key(trial: Trial) -> bytes:
    return keys(trial.code[None])[0]
