"""The name and driver of a GPU, and a lock with which one process at a time measures on it."""

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
    """The identity of a card.

    Attributes:
        name: model name, as the driver gives it.
        driver: version of the driver; empty where it is unknown.
        uuid: independent of the index under which a process sees the card; empty where torch does not provide it.
    """

    name: str
    driver: str
    uuid: str


def card_of(device: torch.device) -> Card:
    """The card behind an available CUDA device."""
    properties = torch.cuda.get_device_properties(device)
    return Card(properties.name, driver_version(), str(getattr(properties, "uuid", "")))


@functools.cache
def driver_version() -> str:
    """Version of the NVIDIA kernel driver, or of ROCm; empty where neither is known."""
    if _DRIVER.exists():
        return version_in(_DRIVER.read_text())
    return torch.version.hip or ""


def version_in(text: str) -> str:
    """The version number in the text of ``/proc/driver/nvidia/version``; empty where there is none."""
    found = re.search(r"\b\d{3,}\.\d+(?:\.\d+)?\b", text.partition("\n")[0])
    return found[0] if found else ""


@contextmanager
def measuring_on(card: str) -> Iterator[None]:
    """Lock a card while something is measured on it: threads and processes of this user measure one after another.

    Trainings of candidates wait by calling :func:`give_way`; other work on the card is not held back. When a process
    dies, its lock is released at once.

    Args:
        card: identifies the card on this machine, see :func:`key_of`.
    """
    with _turns[card], FileLock(_path(card)):
        yield


def give_way(card: str) -> None:
    """Wait while another thread or process measures on a card; takes microseconds where none does.

    To be called between two steps of a training. Kernels that are queued already still run, while the measurement
    warms up.
    """
    try:
        held = os.open(_path(card), os.O_RDONLY)
    except FileNotFoundError:  # nothing has been measured on this card yet
        return
    try:
        if fcntl is not None:
            fcntl.flock(held, fcntl.LOCK_SH)
    finally:
        os.close(held)


def key_of(device: torch.device) -> str:
    """Identifies a card on this machine: its UUID where known, which does not depend on the index, else its index."""
    return card_of(device).uuid or str(device)


def _path(card: str) -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "all"
    name = re.sub(r"[^\w.-]+", "-", card) or "card"
    return Path(tempfile.gettempdir()) / f"searchkit-{user}-{name}.lock"
