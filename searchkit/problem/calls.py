"""What functions of the user's take: whether they can be called as they will be is checked before any work."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

from searchkit.errors import SearchkitError, message_of


def check_call(
    what: str, function: Callable[..., object], given: Sequence[str], error: type[SearchkitError] = SearchkitError
) -> None:
    """Refuse a function that does not take some arguments by position.

    Functions that do not say what they take, such as some written in C, are believed.

    Args:
        what: the function is, such as "training"; begins the message.
        given: what it is called with.
        error: raised where it cannot be.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*given)
    except TypeError as refused:
        inner = getattr(function, "func", function)  # functools.partial
        name = getattr(inner, "__qualname__", type(inner).__name__)
        takes = signature.replace(return_annotation=signature.empty)
        raise error(
            f"{what} is called as function({', '.join(given)}), but {name} takes {takes}: {message_of(refused)}"
        ) from None


def n_needed(function: Callable[..., object]) -> int:
    """How many positional arguments have to be given to a function; 1 where it does not say."""
    try:
        given = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    return sum(
        one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in given
    )
