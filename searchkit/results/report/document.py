"""A page as one HTML document: the style, the script, and a policy that forbids to load or to run anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from searchkit.results.safe_html import Html, digest, fill, joined, json_data, own_file

REPORT = "searchkit.results.report"  # the package with the files below
SCRIPTS = ("axes.js", "candidates.js", "progress.js", "page.js")


@dataclass(frozen=True)
class Around:
    """What a page has beside its content where a server shows it.

    Attributes:
        bar: stands above the content.
        style, script: added to those of the page.
        version: identifies what is shown; the script compares it with what the server has.
    """

    bar: Html
    style: Html
    script: Html
    version: str


def document(title: str, main: Html, data: object = None, around: Around | None = None) -> Html:
    """The document.

    Args:
        title: not escaped.
        main: content.
        data: JSON values for the script that draws charts; None: no charts.
        around: what a server adds. Its script may connect to the server that the page came from; without it the page
            connects to nothing.
    """
    script, policy = script_and_policy(around, charts=data is not None)
    nothing = fill("")
    return fill(
        _PAGE,
        policy=policy,
        title=title,
        version=around.version if around else "",
        style=joined([own_file("page.css", REPORT), around.style if around else nothing]),
        bar=around.bar if around else nothing,
        main=main,
        data=fill('<script type="application/json" id="data">{}</script>\n', json_data(data)) if data else nothing,
        script=fill("<script>{}</script>", script) if script else nothing,
    )


def script_and_policy(around: Around | None, *, charts: bool) -> tuple[Html, str]:
    """The script of a page, and the content security policy that allows it and no other."""
    parts: Sequence[Html] = [own_file(name, REPORT) for name in SCRIPTS] if charts else []
    parts = [*parts, *([around.script] if around else [])]
    script = joined([fill('\n"use strict";\n'), *parts]) if parts else fill("")
    return script, _POLICY.format(digest(script), "connect-src 'self'; " if around else "")


_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src {}; img-src data:; {}base-uri 'none'; form-action 'none'"
)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" \
content="{policy}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
</head>
<body data-version="{version}">
{bar}<main>
{main}
</main>
{data}{script}
</body>
</html>
"""
