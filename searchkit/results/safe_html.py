"""Markup that user's text cannot get into: the only place where text becomes HTML.

Every page is put together with :func:`fill` and :func:`joined`. They escape all that is not :class:`Html` already, and
nothing but the functions here makes a :class:`Html`, so that a forgotten call shows too many escapes and never too few.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import string
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from searchkit.errors import printable

if TYPE_CHECKING:
    import pandas as pd


class Html(str):
    """Markup that may stand in a page as it is. Only the functions of this module make it."""

    __slots__ = ()


def text(given: object) -> Html:
    """Anything as text that is safe inside an element and inside a quoted attribute; :class:`Html` as it is."""
    if isinstance(given, Html):
        return given
    return Html(html.escape(printable(str(given)), quote=True))


def fill(template: str, /, *given: object, **named: object) -> Html:
    """A template of our own, with what is given in its places, as ``str.format`` does it; what is no Html is escaped.

    Args:
        template: written out in the code, never put together.
        given, named: text, numbers (a format behind a colon is applied first) and :class:`Html`.
    """
    return Html(_ESCAPING.vformat(template, given, named))


def joined(parts: Iterable[object], between: str = "") -> Html:
    """Parts behind one another, each escaped unless it is :class:`Html`; so is what stands between them."""
    return Html(text(between).join(text(part) for part in parts))


def json_data(data: Any) -> Html:
    """JSON for a script element of type application/json: no text inside can end it, or begin a comment or a tag."""
    written = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return Html(printable(written))


def table(frame: pd.DataFrame) -> Html:
    """A data frame as pandas draws it, with the markup in its cells and column names escaped."""
    return Html(printable(frame.to_html(escape=True)))


def own_file(name: str) -> Html:
    """A style or script of the report's own folder, as it stands."""
    return Html(resources.files("searchkit.results.report").joinpath(name).read_text(encoding="utf-8"))


def digest(inside: Html) -> str:
    """The source expression by which a content security policy lets a script of exactly this content run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'"


class _Escaping(string.Formatter):
    """``str.format`` that escapes what it puts in, and reads no attributes or items of it."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return self.get_value(int(field_name) if field_name.isdecimal() else field_name, args, kwargs), field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        return text(format(value, format_spec) if format_spec else value)


_ESCAPING = _Escaping()
