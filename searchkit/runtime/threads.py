"""A single thread for small computations: on a machine busy with other processes, more threads are many times slower.

Torch has its own thread setting. The linear algebra libraries of numpy and scipy start a thread per core; with these,
small fits on a busy machine took ten times as long.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one torch thread inside, and restore the former number: on a busy machine, two were 5 to 14 times slower."""
    import torch  # not at the top: most searches of a function do not need torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_known: tuple[int, Any] = (0, None)  # number of modules loaded at the last look for libraries, and what was found


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Use one thread in the linear algebra libraries of numpy and scipy inside, and restore the former numbers."""
    global _known
    if _known[0] != len(sys.modules):  # an import may have loaded another library
        from threadpoolctl import ThreadpoolController

        _known = (len(sys.modules), ThreadpoolController())
    with _known[1].limit(limits=1, user_api="blas"):
        yield
