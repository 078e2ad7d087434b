"""Options as numbers for models: a column for each where they are few, a fixed number of columns where they are many.

One column for each of thousands of options would make models slow, and kernels need only the distances between options.
So of more than :data:`ONE_HOT` options each takes one column in each of two or more groups of :data:`GROUP` columns.
With two groups, two options share one column at most, and one pair in 64 does.
"""

from __future__ import annotations

import math

import numpy as np

from searchkit.types import Codes, Floats

ONE_HOT = 1024  # options up to which each has a column of its own
GROUP = 127  # a prime number


def width(n: int) -> int:
    """The number of columns of :func:`indicators` for n options: n of few, and of many a few hundred."""
    return n if n <= ONE_HOT else GROUP * _groups(n)


def indicators(codes: Codes, n: int) -> Floats:
    """``(k, width(n))`` numbers in [0, 1] of option indices ``(k,)``: rows of norm 1, another one for each option."""
    if n <= ONE_HOT:
        one_hot: Floats = (codes[:, None] == np.arange(n)).astype(np.float64)
        return one_hot
    groups = _groups(n)
    first, rest = codes % GROUP, codes // GROUP
    columns = [first]
    for _ in range(groups - 1):
        columns.append((first + rest) % GROUP)
        rest = rest // GROUP
    made = np.zeros((len(codes), GROUP * groups))
    for g, column in enumerate(columns):
        made[np.arange(len(codes)), GROUP * g + column] = 1 / math.sqrt(groups)
    return made


def _groups(n: int) -> int:
    """The least number of digits, to the base of :data:`GROUP`, in which n numbers can be written."""
    groups = 2
    while GROUP**groups < n:
        groups += 1
    return groups
