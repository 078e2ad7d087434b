"""Functions of the user's that a space is made with."""

from __future__ import annotations

from searchkit.errors import SpaceError


def check_functions(**given: tuple[str, object]) -> None:
    """Refuse what should be a function and cannot be called, before it is called in the midst of a search.

    Args:
        given: name of an argument -> how its function is called, and what was given; None is no function.

    Raises:
        SpaceError: it is no function.
    """
    for name, (called, function) in given.items():
        if function is not None and not callable(function):
            raise SpaceError(f"{name} is a function {called}, not {function!r:.80}")
