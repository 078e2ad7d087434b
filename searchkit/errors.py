"""Exceptions of searchkit: one base class; each subclass is also a fitting builtin exception."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class SearchkitError(Exception):
    """Base class of all errors that searchkit raises on purpose."""


class UnknownNameError(SearchkitError, LookupError):
    """A name that is not registered."""

    @classmethod
    def of(cls, kind: str, name: object, allowed: Iterable[str]) -> UnknownNameError:
        """The error for an unknown name: it says what was given, what is allowed, and the nearest name."""
        names = sorted(allowed)
        near = nearest(name, names)
        hint = f" Did you mean '{near}'?" if near else ""
        return cls(f"unknown {kind} {name!r}: choose from {', '.join(names) or 'none'}.{hint}")


class SpaceError(SearchkitError, ValueError):
    """A space that contradicts itself, or a candidate that is not in it."""


class ModelError(SearchkitError, ValueError):
    """A trained network of the user's that cannot be taken apart, or an example that is not for it."""


class ObjectiveError(SearchkitError, ValueError):
    """An invalid objective, or an invalid value that an evaluation returned for it."""


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
    """A device that exists but that this process cannot use any more, or not now; no candidate's fault."""


class UnsteadyError(DeviceError):
    """A measurement whose runs differ more than was allowed, also when it was repeated."""


class TargetError(SearchkitError, RuntimeError):
    """A target that gave no measurement: it did not answer, too late, or what no measurement can be."""


class DataChangedError(DataError):
    """Data that a training function changed in place, which all candidates share; no later one would see the same."""


class StorageError(SearchkitError, OSError):
    """A storage that cannot be written, or is held by another search."""


class WritingError(StorageError):
    """A file of searchkit's own, such as trained weights, that cannot be written; no candidate's fault."""


class StudyMismatchError(SearchkitError, ValueError):
    """A recorded study that differs from the search that wants to continue it."""


class ExportError(SearchkitError, RuntimeError):
    """An export whose outputs differ from the measured network's."""


class CandidateError(SearchkitError, RuntimeError):
    """A fault of the candidate: it is recorded as a failed trial, and the search goes on."""


class TimeLimitError(CandidateError, TimeoutError):
    """A candidate that took longer than its time limit."""


class TimeUp(BaseException):
    """Raised in a candidate's evaluation when its time is over; it becomes a :class:`TimeLimitError`."""


class TrainingStopped(BaseException):
    """Raised out of ``report`` where a training function goes on after it was told to stop."""


class OutOfMemoryError(CandidateError, MemoryError):
    """A candidate that does not fit into the free memory; alone on the device it may fit."""


class WorkerLostError(SearchkitError, RuntimeError):
    """A worker that ended without an outcome for its candidate; raised by an executor's future."""


class SearchFailedError(SearchkitError, RuntimeError):
    """The first candidates all failed, so the cause is not in a single candidate."""


class StopSearch(Exception):  # noqa: N818 - like StopIteration, a request and not an error
    """Raised in a callback to end the search cleanly after the current candidate."""


STOPS_THE_SEARCH = (
    DeviceGoneError,
    WritingError,
    DataChangedError,
)  # raised in an evaluation, they are no failure of the candidate

# What is passed on where anything else that a user's code raises is its candidate's failure.
PASSED_ON = (KeyboardInterrupt, TimeUp, *STOPS_THE_SEARCH)


def nearest(name: object, names: Iterable[str]) -> str | None:
    """The registered name most similar to ``name``, or None if none is similar.

    Where names begin with what was written, of three letters or more, it is the most similar of these: 'accuracy' for
    'acc', though 'macs' has as many letters of it.
    """
    written, allowed = str(name).lower(), list(names)
    begun = [one for one in allowed if one.lower().startswith(written)] if len(written.lstrip("-")) >= 3 else []
    close = difflib.get_close_matches(written, begun or allowed, n=1, cutoff=0.0 if begun else 0.5)
    return close[0] if close else None


def check_functions(**given: tuple[str, object]) -> None:
    """Refuse what should be a function of a space and cannot be called, before it is called in the midst of a search.

    Args:
        given: name of an argument -> how its function is called, and what was given; None is no function.

    Raises:
        SpaceError: it is no function.
    """
    for name, (called, function) in given.items():
        if function is not None and not callable(function):
            raise SpaceError(f"{name} is a function {called}, not {function!r:.80}")


def first_line_said(error: BaseException) -> str:
    """The first line of an error's message, without passwords; empty if it has none."""
    return concealed((message_of(error).strip().splitlines() or [""])[0])


LONGEST_REASON = 1000  # characters of a reason that is recorded or shown
LONGEST_TRACEBACK = 4000  # of a traceback


def message_of(error: BaseException) -> str:
    """An error's message, also of an error whose ``__str__`` raises."""
    try:
        return str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as raised:
        return f"its message cannot be made: {type(raised).__name__}"


def readable(text: str, longest: int = LONGEST_REASON) -> str:
    """A text as every storage, table and page can take it, without the passwords of URLs.

    Lone surrogates (of file names that are not UTF-8) and null characters are replaced by their escapes. A text of more
    than ``longest`` characters loses its middle: an error says what it is about at its beginning or its end.
    """
    clean = printable(concealed(text))
    if len(clean) <= longest:
        return clean
    end = longest // 4
    return f"{clean[: longest - end - 5]} ... {clean[len(clean) - end :]}"


def printable(text: str) -> str:
    """A text with escapes for what UTF-8 cannot write (lone surrogates) and for null characters."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def duration(seconds: float) -> str:
    """Seconds in a suitable unit: 40 µs, 12 ms, 1.4 s, 3 min 12 s, 2 h 5 min."""
    if seconds < 0.9995:
        return f"{1e3 * seconds:.3g} ms" if seconds >= 0.0009995 or not seconds else f"{1e6 * seconds:.3g} µs"
    if seconds < 59.5:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"


def plural(n: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 candidate", "12 candidates"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def check_name(what: str, name: object, error: type[SearchkitError]) -> None:
    """Refuse a name that no table and no storage can hold.

    Args:
        what: is named so, such as "a choice".
        error: raised where the name is no text, is empty, or has characters that UTF-8 cannot write.
    """
    if not isinstance(name, str) or not name:
        raise error(f"{what}'s name is a non-empty string, not {name!r}")
    if printable(name) != name:
        raise error(f"{what}'s name has characters that UTF-8 cannot write, or a null: '{printable(name)}'")


def concealed(text: str) -> str:
    """A text with ``***`` for the passwords of the URLs in it: behind the user's name, and among the settings."""
    text = re.sub(r"(://[^\s/:@'\"<>]*):[^\s'\"<>]+@", r"\1:***@", text)
    return re.sub(
        r"([?&;](?:\w*pass\w*|pwd|\w*secret\w*|\w*token\w*|\w*key)=)[^\s&;'\"<>]+", r"\1***", text, flags=re.I
    )


_HALF = re.compile(r"(?=.*\b(BFloat16|Half)\b)(?=.*\b[Ff]loat\b).*\b(dtype|type)\b", re.DOTALL)


def advised(text: str) -> str:
    """The message of an error of torch's with what to do, where its cause is a network in half precision."""
    if not _HALF.match(text):
        return text
    return (
        f"{text}. Inputs are float32: a network in bfloat16 or float16 converts them in its forward "
        "(x.to(torch.bfloat16)) and its outputs back (.float()), or is built in float32"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out: by its class (Python's, ours, torch's) or by its message."""
    kinds = isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
    return kinds or (
        isinstance(error, RuntimeError) and any(words in message_of(error).lower() for words in _NO_MEMORY)
    )


# torch's CPU allocator, CUDA and ROCm outside of torch's own, cuDNN and cuBLAS raise a plain RuntimeError
_NO_MEMORY = ("can't allocate memory", "cuda error: out of memory", "hip error: out of memory", "status_alloc_failed")
