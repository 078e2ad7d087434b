"""One line that says where and with what a benchmark was run."""

from __future__ import annotations

import os
import platform

import numpy as np
import torch

from searchkit.runtime.processor import cpu_name


def describe() -> str:
    """Processor, cores, and the versions that matter."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}"
    return f"{cpu_name()}, {cores} cores, {versions}"
