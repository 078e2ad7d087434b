"""From a strategy's ideas to its proposals: canonical, allowed, new, and as many as were asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from searchkit.space import keys
from searchkit.types import Codes

if TYPE_CHECKING:
    from searchkit.problem.problem import Problem


def distinct(problem: Problem, proposals: Codes, seen: set[bytes]) -> Codes:
    """The proposals that are not seen and not repeated; canonical, order kept; known bounds are not checked."""
    codes = problem.space.canonical(proposals)
    rows = keys(codes)
    first = dict(zip(reversed(rows), range(len(rows) - 1, -1, -1), strict=True))
    return codes[sorted(i for key, i in first.items() if key not in seen)]


def first_allowed(problem: Problem, codes: Codes, n: int) -> Codes:
    """The first n of the codes that break no known bound.

    Checks no more of them than needed, since a bound may cost milliseconds a candidate where networks are built to be
    counted.
    """
    if problem.known is None:
        return codes[:n]
    found = codes[:0]
    start, size = 0, n
    while len(found) < n and start < len(codes):
        part = codes[start : start + size]
        found = np.concatenate([found, part[problem.allowed(part)]])[:n]
        start, size = start + size, 2 * size
    return found


def novel(problem: Problem, proposals: Codes, n: int, seen: set[bytes]) -> Codes:
    """The first n proposals that are allowed, not seen and not repeated; canonical, order kept."""
    return first_allowed(problem, distinct(problem, proposals, seen), n)


def complete(problem: Problem, proposals: Codes, n: int, seen: set[bytes], rng: np.random.Generator) -> Codes:
    """Exactly n distinct new candidates where so many are left: good proposals first, then random ones.

    With it a strategy repeats no candidate, proposes none that is known to be infeasible, and searches a small space to
    its end.
    """
    codes = novel(problem, proposals, n, seen)
    for _ in range(4):
        if len(codes) == n:
            return codes
        more = np.concatenate([codes, problem.sample(2 * (n - len(codes)) + 8, rng)])
        codes = novel(problem, more, n, seen)
    everything = problem.everything()
    if everything is not None:
        return novel(problem, np.concatenate([codes, everything[rng.permutation(len(everything))]]), n, seen)
    known = np.frombuffer(b"".join(sorted(seen)), dtype=np.int64).reshape(-1, problem.space.n_choices)
    # A large space with few allowed candidates: step from each known one to its neighbours.
    for code in known[rng.permutation(len(known))]:
        codes = novel(problem, np.concatenate([codes, problem.space.neighbours(code)]), n, seen)
        if len(codes) == n:
            break
    return codes
