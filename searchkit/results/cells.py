"""Values as people read them in the cells of a table."""

from __future__ import annotations

from numbers import Integral, Real


def visible(text: str) -> str:
    """A text with escapes for characters that cannot be seen, some of which would steer a terminal."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def cell_text(value: object) -> str:
    """Numbers with a few digits, "-" for what is missing, and anything else as it is."""
    if value is None or value != value:
        return "-"
    if isinstance(value, bool) or not isinstance(value, Real):
        return visible(str(value))
    number = float(value)
    if isinstance(value, Integral) or (number.is_integer() and abs(number) < 1e15):
        return f"{int(number):,}"
    return f"{number:,.1f}" if 1e3 <= abs(number) < 1e9 else f"{number:.4g}"
