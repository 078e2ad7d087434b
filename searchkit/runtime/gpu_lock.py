"""A GPU as a label and as something that one at a time may hold: its name, its driver, its lock."""

from __future__ import annotations

import functools
import os
import re
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_DRIVER = Path("/proc/driver/nvidia/version")
_turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # of the threads of this process


@dataclass(frozen=True)
class Card:
    """Which card it is.

    Attributes:
        name: as the driver gives it.
        driver: its version; empty where it does not say.
        uuid: the same whatever index a process sees it under; empty where torch does not tell.
    """

    name: str
    driver: str
    uuid: str


def card_of(device: torch.device) -> Card:
    """The card behind a CUDA device that is there."""
    properties = torch.cuda.get_device_properties(device)
    return Card(properties.name, driver_version(), str(getattr(properties, "uuid", "")))


@functools.cache
def driver_version() -> str:
    """Version of the NVIDIA kernel driver, or that of ROCm; empty where neither says."""
    if _DRIVER.exists():
        return version_in(_DRIVER.read_text())
    return torch.version.hip or ""


def version_in(text: str) -> str:
    """The version in what the kernel module says of itself; empty where there is none."""
    found = re.search(r"\b\d{3,}\.\d+(?:\.\d+)?\b", text.partition("\n")[0])
    return found[0] if found else ""


@contextmanager
def turn_on(card: str) -> Iterator[None]:
    """Hold a card while something is measured on it: threads and processes of this user take turns.

    A candidate's training keeps off by :func:`give_way`; other work is not kept off. The lock of a process that dies is
    free at once.

    Args:
        card: whatever tells cards apart on this machine, see :func:`key_of`.
    """
    with _turns[card], FileLock(_path(card)):
        yield


def give_way(card: str) -> None:
    """Wait while another thread or process measures on a card; some microseconds where none does.

    For between two steps of a training. What is queued already still runs: measuring begins with a warm-up.
    """
    try:
        held = os.open(_path(card), os.O_RDONLY)
    except FileNotFoundError:  # nobody has measured there yet
        return
    try:
        if fcntl is not None:
            fcntl.flock(held, fcntl.LOCK_SH)
    finally:
        os.close(held)


def key_of(device: torch.device) -> str:
    """What tells a card from the others of this machine, whatever index a process sees it under."""
    return card_of(device).uuid or str(device)


def _path(card: str) -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "all"
    name = re.sub(r"[^\w.-]+", "-", card) or "card"
    return Path(tempfile.gettempdir()) / f"searchkit-{user}-{name}.lock"
