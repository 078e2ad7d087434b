"""One page that says what a search found: a single HTML file that needs no network, to read, print and send.

Everything is inside it: the style, the data, and a small script that draws the charts from them. A content security
policy forbids the page to load anything, and every name and message of the user's is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchkit.errors import SearchkitError
from searchkit.results.plots import check_file
from searchkit.results.whole_files import written_whole

if TYPE_CHECKING:
    from searchkit.results.report.facts import Facts
    from searchkit.results.result import Result


def write_report(result: Result, path: str | Path, beside: Result | Sequence[Result] = ()) -> Path:
    """Write the page of :meth:`searchkit.Result.report` and return its path.

    Raises:
        SearchkitError: a file that cannot be written or does not end in .html, or a result beside this one that has
            other objectives.
    """
    from searchkit.results.report.facts import Facts
    from searchkit.results.result import Result

    target = check_page(path)
    others = (beside,) if isinstance(beside, Result) else tuple(beside)
    for other in others:
        if not isinstance(other, Result):
            raise SearchkitError(f"beside= takes results of other searches, not {other!r}")
    text = page(Facts(result, others))
    try:
        with written_whole([target]) as (partial,):
            partial.write_text(text, encoding="utf-8", errors="backslashreplace")  # options may be any text
    except OSError as error:
        raise SearchkitError(f"the report '{target}' cannot be written: {error}") from error
    return target


def check_page(path: str | Path) -> Path:
    """The file of a report, if it can be one; nothing is created.

    Raises:
        SearchkitError: an ending other than .html, or a folder that cannot be written.
    """
    return check_file("report", path, (".html", ".htm"))


def page(facts: Facts) -> str:
    """The whole page as text."""
    from searchkit.results.report import markup, summary
    from searchkit.results.report.call import call
    from searchkit.results.report.candidates import candidates
    from searchkit.results.report.convergence import convergence
    from searchkit.results.report.costs import costs
    from searchkit.results.report.failures import failures
    from searchkit.results.report.front_table import front_table
    from searchkit.results.report.progress import payload, progress
    from searchkit.results.report.provenance import provenance
    from searchkit.results.report.proxies import proxies
    from searchkit.results.report.verified import verified
    from searchkit.results.report.winner import winner

    found = convergence(facts)
    data = {"candidates": candidates(facts), "progress": payload(found) if found else None}
    sections = [
        ("front", "The front", '<figure class="chart" id="candidates"></figure>' + front_table(facts)),
        ("winner", "The winner", winner(facts)),
        ("verified", "Verified by training", verified(facts)),
        ("course", "How the search went", progress(facts, found)),
        ("proxies", "What each proxy was worth", proxies(facts)),
        ("costs", "Costs and how they were measured", costs(facts)),
        ("failures", "What went wrong", failures(facts)),
        ("origin", "Where the numbers come from", provenance(facts)),
        ("again", "To run it again", f"<pre><code>{markup.text(call(facts))}</code></pre>"),
    ]
    body = "".join(f'<section id="{key}"><h2>{title}</h2>{html}</section>' for key, title, html in sections if html)
    return _PAGE.format(
        title=markup.text(facts.result.name),
        style=_part("page.css"),
        head=summary.summary(facts),
        body=body,
        data=_inside_script(data),
        script=_part("axes.js") + _part("candidates.js") + _part("progress.js") + _part("page.js"),
    )


def _part(name: str) -> str:
    return resources.files("searchkit.results.report").joinpath(name).read_text(encoding="utf-8")


def _inside_script(data: Any) -> str:
    """JSON that no tag inside can end."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
{head}
{body}
</main>
<script type="application/json" id="data">{data}</script>
<script>
"use strict";
{script}</script>
</body>
</html>
"""
