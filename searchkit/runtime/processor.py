"""The processor of this machine."""

from __future__ import annotations

import platform
from pathlib import Path


def cpu_name() -> str:
    """Model name of this machine's CPU, as far as the system tells."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
