"""HTML that escapes text of users: the only module that turns text into HTML.

Every page is made with :func:`fill` and :func:`joined`. They escape every value that is not :class:`Html` already, and
only the functions here create :class:`Html`. So a mistake can lead to text that is escaped twice, but not to text that
is not escaped.
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
    """HTML that needs no escaping. Only the functions of this module create it."""

    __slots__ = ()


def text(given: object) -> Html:
    """Any value as text escaped for elements and quoted attributes; :class:`Html` is returned unchanged."""
    if isinstance(given, Html):
        return given
    return Html(html.escape(printable(str(given)), quote=True))


def fill(template: str, /, *given: object, **named: object) -> Html:
    """Fill a template as ``str.format`` does, escaping every value that is not :class:`Html`.

    Args:
        template: HTML with fields in braces; always a literal in the code, since it is not escaped.
        given, named: values of the fields; a format after a colon is applied before the value is escaped.
    """
    return Html(_ESCAPING.vformat(template, given, named))


def joined(parts: Iterable[object], between: str = "") -> Html:
    """Join parts with a separator; all of them are escaped unless they are :class:`Html`."""
    return Html(text(between).join(text(part) for part in parts))


def json_data(data: object) -> Html:
    """JSON for a script element of type application/json; no string in it can end the element or begin a comment."""
    written = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return Html(printable(written))


def table(frame: pd.DataFrame) -> Html:
    """A data frame as an HTML table made by pandas, with escaped cells and column names."""
    return Html(printable(frame.to_html(escape=True)))


def own_file(name: str, package: str) -> Html:
    """The content of a style sheet or script in the folder of a package of ours, without escaping."""
    return Html(resources.files(package).joinpath(name).read_text(encoding="utf-8"))


def digest(inside: Html) -> str:
    """The source expression with which a content security policy allows a script of exactly this content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'"


class _Escaping(string.Formatter):
    """``str.format`` that escapes its values; fields cannot read attributes or items of them."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return self.get_value(int(field_name) if field_name.isdecimal() else field_name, args, kwargs), field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        return text(format(value, format_spec) if format_spec else value)


_ESCAPING = _Escaping()
