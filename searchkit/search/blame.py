"""Errors of a strategy, raised as what they are: the strategy's, with what became of the search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from searchkit.errors import PASSED_ON, SearchkitError, StopSearch, message_of, readable
from searchkit.execution.outcome import reason_of


@contextmanager
def blamed(strategy: str, done: str) -> Iterator[None]:
    """Name the strategy in whatever it raises inside; the original exception is the cause.

    Args:
        strategy: its name.
        done: what it was asked to do, such as "ask".

    Raises:
        SearchkitError: it raised something; of the same class where it raised an error of searchkit's.
    """
    try:
        yield
    except (*PASSED_ON, StopSearch):
        raise
    except BaseException as error:
        kind = type(error) if isinstance(error, SearchkitError) else SearchkitError
        said = message_of(error) if isinstance(error, SearchkitError) else reason_of(error)
        raise kind(
            f"strategy '{strategy}' failed in {done}: {readable(said).removesuffix('.')}. What is recorded is intact: "
            "the same call goes on from there once the strategy is mended, and so does one with another strategy under "
            "the same name="
        ) from error
