"""One thread around small linear algebra: beside a busy neighbour, more made small fits ten times slower.

Numpy and SciPy come with libraries of their own that start a thread per core.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside, the former number after: beside a busy neighbour two ran 5 to 14 times slower."""
    import torch  # only here: most searches of a function do without

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_known: tuple[int, Any] = (0, None)  # modules loaded when the libraries were looked for, and what was found


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """One thread of the linear algebra libraries that numpy and scipy use inside; as many as before after."""
    global _known
    if _known[0] != len(sys.modules):  # an import may have loaded another library
        from threadpoolctl import ThreadpoolController

        _known = (len(sys.modules), ThreadpoolController())
    with _known[1].limit(limits=1, user_api="blas"):
        yield
