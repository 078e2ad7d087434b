"""A griffe extension: the docstrings here are written for people and Sphinx; mkdocstrings reads Markdown."""

from __future__ import annotations

import html
import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc|obj):`(~?)([^`]+)`")
LITERAL = re.compile(r"``(.+?)``", re.DOTALL)
BLOCK = re.compile(r"::[ \t]*$", re.MULTILINE)
TABLE = re.compile(r"^([ \t]*)=+ =[= ]*\n(?:.*\n)+?\1=+ =[= ]*\n(?:.*\n)+?\1=+ =[= ]*$", re.MULTILINE)
NAMES = re.compile(r"^([ \t]+)((?:\w+, )+\w+,)\n[ \t]+((?:\w+, )*\w+:)", re.MULTILINE)
VALUE = re.compile(r"^([ \t]+)``(\w+) = ([^`]+)``:", re.MULTILINE)
DOCTEST = re.compile(r"^([ \t]*)>>> .*(?:\n\1\S.*)*", re.MULTILINE)


class Markdown(griffe.Extension):
    """Rewrites every docstring that has been read: roles become links, double backticks code."""

    def on_object(self, *, obj: griffe.Object, loader: griffe.GriffeLoader, **kwargs: Any) -> None:
        """Called with every object of a package that is loaded."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value, obj)


def markdown(text: str, where: griffe.Object) -> str:
    """A docstring in Markdown; code inside it is left as it is.

    Args:
        text: with roles, double backticks, ``::`` and ``>>>``.
        where: the object that it describes; short names in roles are looked up from there.
    """
    text = DOCTEST.sub(lambda found: _fenced(found, "pycon"), text)
    text = TABLE.sub(lambda found: _fenced(found, "text"), text)
    text = VALUE.sub(r"\1\2 (\3):", NAMES.sub(r"\1\2 \3", text))  # of lists of arguments and attributes
    parts = re.split(r"(```.*?```)", text, flags=re.DOTALL)
    return "".join(part if part.startswith("```") else _prose(part, where) for part in parts)


def _prose(text: str, where: griffe.Object) -> str:
    text = BLOCK.sub(":", text)
    text = ROLE.sub(lambda role: _link(role[1], role[2], where), text)
    return LITERAL.sub(lambda code: f"`{' '.join(code[1].split())}`", text)


def _fenced(found: re.Match[str], language: str) -> str:
    """A block that Markdown would take for something else, as it is: ``>>>`` for a quotation, say."""
    indent = found[1]
    return f"{indent}```{language}\n{found[0]}\n{indent}```"


def _link(tilde: str, name: str, where: griffe.Object) -> str:
    """A link where the documentation describes the name, else the name as code."""
    shown = name.rpartition(".")[2] if tilde else name
    return (
        f'<autoref identifier="{html.escape(_path(name, where))}" optional><code>{html.escape(shown)}</code></autoref>'
    )


def _path(name: str, where: griffe.Object) -> str:
    """The full name of what a short one means in a docstring: a member of the class, or a name of the module."""
    if name.startswith("searchkit"):
        return name
    first, dot, rest = name.partition(".")
    try:
        return where.resolve(first) + dot + rest
    except griffe.NameResolutionError:
        owner = where if where.is_class else where.parent
        return f"{owner.path}.{name}" if owner is not None else name
