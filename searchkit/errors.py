"""What searchkit raises: one root, each kind also the builtin that fits it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SearchkitError(Exception):
    """Root of every error that searchkit raises on purpose."""


class UnknownNameError(SearchkitError, LookupError):
    """A name that nothing is registered under."""

    @classmethod
    def of(cls, kind: str, name: object, allowed: Iterable[str]) -> UnknownNameError:
        """The sentence that every unknown name gets: what was given, what is allowed, what is near."""
        names = sorted(allowed)
        near = nearest(name, names)
        hint = f" Did you mean '{near}'?" if near else ""
        return cls(f"unknown {kind} {name!r}: choose from {', '.join(names) or 'none'}.{hint}")


class SpaceError(SearchkitError, ValueError):
    """A space that contradicts itself, or a candidate that is not in it."""


class ObjectiveError(SearchkitError, ValueError):
    """An objective, or what an evaluation returned for it, that cannot be used."""


class ConstraintError(SearchkitError, ValueError):
    """A bound that is malformed or that no candidate can meet."""


class BudgetError(SearchkitError, ValueError):
    """A budget that is empty, negative or of the wrong type."""


class DataError(SearchkitError, ValueError):
    """Data that cannot be learned from: one class, NaN, unequal lengths."""


class ProxyError(SearchkitError, ValueError):
    """A setting of a proxy that it cannot have, or observations that it cannot learn from."""


class DeviceError(SearchkitError, ValueError):
    """A device that is unknown or not there."""


class DeviceGoneError(DeviceError):
    """A device that was there and that this process can use no more, or not yet; the fault of no candidate."""


class StorageError(SearchkitError, OSError):
    """A storage that cannot be written, or is held by another search."""


class StudyMismatchError(SearchkitError, ValueError):
    """A recorded study that differs from the search that wants to continue it."""


class ExportError(SearchkitError, RuntimeError):
    """An exported network that does not do what the measured one did."""


class CandidateError(SearchkitError, RuntimeError):
    """The candidate's own fault: recorded as a failed trial, and the search goes on."""


class TimeLimitError(CandidateError, TimeoutError):
    """A candidate that took longer than it was given."""


class OutOfMemoryError(CandidateError, MemoryError):
    """A candidate that does not fit into the memory that is free; beside no others it may."""


class WorkerLostError(SearchkitError, RuntimeError):
    """Whatever evaluated one candidate is gone, and with it the outcome; an executor's future raises it."""


class SearchFailedError(SearchkitError, RuntimeError):
    """Every one of the first candidates failed: the fault is in what is evaluated, not in them."""


class StopSearch(Exception):  # noqa: N818 - like StopIteration, a request and not an error
    """Raised in a callback to end the search cleanly after the current candidate."""


def nearest(name: object, names: Iterable[str]) -> str | None:
    """The registered name most like ``name``, or None where none is near."""
    close = difflib.get_close_matches(str(name).lower(), list(names), n=1, cutoff=0.5)
    return close[0] if close else None


def first_line_said(error: BaseException) -> str:
    """The first line of what an error says; empty where it says nothing."""
    return (str(error).strip().splitlines() or [""])[0]


def is_out_of_memory(error: BaseException) -> bool:
    """Python's own kind, ours, torch's, which has another root and is not imported for this; or a library's words."""
    kinds = isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
    return kinds or (isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _NO_MEMORY))


# torch's CPU allocator, CUDA and ROCm past torch's own allocator, cuDNN and cuBLAS have no kind of their own
_NO_MEMORY = ("can't allocate memory", "cuda error: out of memory", "hip error: out of memory", "status_alloc_failed")
