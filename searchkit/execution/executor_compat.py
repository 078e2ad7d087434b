"""The number of jobs that an executor runs at once, which is a private attribute of most executors.

Checked with concurrent.futures of Python 3.11, loky 3.7.0 and distributed 2026.8.0. If a later version moves a private
name, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations


def n_workers(executor: object) -> int:
    """How many jobs an executor runs at the same time; 1 where that is unknown."""
    known = getattr(executor, "_max_workers", None)
    if not isinstance(known, int):
        threads = getattr(getattr(executor, "_client", None), "nthreads", None)  # Dask's
        known = sum(threads().values()) if callable(threads) else None
    return max(known or 1, 1)
