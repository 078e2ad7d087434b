"""Names of devices -> devices that are there, and one thread for work that more would slow down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from searchkit.errors import DeviceError, nearest


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """ "auto" (the first GPU, else the CPU), "cpu", "cuda" or "cuda:1" -> a device that is there, or DeviceError."""
    given = str(name).strip().lower()
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if given == "auto":
        return torch.device("cuda", 0) if n_gpus else torch.device("cpu")
    if given == "cpu":
        return torch.device("cpu")
    allowed = ["auto", "cpu", *(["cuda"] if n_gpus else []), *(f"cuda:{i}" for i in range(n_gpus))]
    cuda = re.fullmatch(r"cuda(?::(\d+))?", given)
    if cuda is None:
        near = nearest(given, ["auto", "cpu", "cuda"])
        hint = f" Did you mean '{near}'?" if near else ""
        raise DeviceError(f"unknown device {name!r}: choose from {', '.join(allowed)}.{hint}")
    index = int(cuda[1] or 0)
    if index >= n_gpus:
        build = "" if torch.version.cuda or torch.version.hip else ", and this torch is built for CPUs only"
        raise DeviceError(
            f"device {str(name)!r} is not there: this machine shows {n_gpus} GPU{'s' * (n_gpus != 1)}{build}; "
            f"choose from {', '.join(allowed)}, where 'auto' takes a GPU if there is one"
        )
    return torch.device("cuda", index)


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside, the former number after: beside a busy neighbour two ran 5 to 14 times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
