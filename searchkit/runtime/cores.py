"""How many processor cores this process may use."""

from __future__ import annotations

import os


def n_cores() -> int:
    """The cores that this process may run on, as far as the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
