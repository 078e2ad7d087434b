"""The report of a search: a single HTML file that needs no network connection, to read, print and send.

The file contains the style, the data, and a small script that draws the charts from them. A content security policy
forbids the page to load anything and to run any script but this one, which it identifies by its digest. All names and
messages of the user are escaped by ``searchkit.results.safe_html``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from searchkit.errors import SearchkitError
from searchkit.results.plots import check_file
from searchkit.results.report.document import Around, document
from searchkit.results.safe_html import Html, fill, joined
from searchkit.runtime.whole_files import written_whole

if TYPE_CHECKING:
    from searchkit.results.report.facts import Facts
    from searchkit.results.result import Result


def write_report(result: Result, path: str | Path, beside: Result | Sequence[Result] = ()) -> Path:
    """Write the page of :meth:`searchkit.Result.report` and return its path.

    Raises:
        SearchkitError: the file cannot be written or does not end in .html, or a result in ``beside`` has other
            objectives.
    """
    from searchkit.results.report.facts import Facts
    from searchkit.results.result import Result

    target = check_page(path)
    others = (beside,) if isinstance(beside, Result) else tuple(beside)
    for other in others:
        if not isinstance(other, Result):
            raise SearchkitError(f"beside= takes results of other searches, not {other!r}")
    text = content(Facts(result, others)).written()
    try:
        with written_whole([target]) as (partial,):
            partial.write_text(text, encoding="utf-8", errors="backslashreplace")  # options may be any text
    except OSError as error:
        raise SearchkitError(f"the report '{target}' cannot be written: {error}") from error
    return target


def check_page(path: str | Path) -> Path:
    """The file of a report, checked; nothing is created.

    Raises:
        SearchkitError: an ending other than .html, or a folder that cannot be written.
    """
    return check_file("report", path, (".html", ".htm"))


@dataclass(frozen=True)
class Content:
    """What a report says, without the document around it: its title, its sections, and the data of its charts."""

    title: str
    main: Html
    data: object

    def written(self, around: Around | None = None) -> Html:
        """The whole page."""
        return document(self.title, self.main, self.data, around)


def content(facts: Facts) -> Content:
    """What the report says of a study."""
    from searchkit.results.report import summary
    from searchkit.results.report.beside import beside
    from searchkit.results.report.call import call
    from searchkit.results.report.candidates import candidates
    from searchkit.results.report.convergence import convergence
    from searchkit.results.report.costs import costs
    from searchkit.results.report.failures import failures
    from searchkit.results.report.front_table import front_table
    from searchkit.results.report.importances import parameters
    from searchkit.results.report.markup import code
    from searchkit.results.report.parting import parting
    from searchkit.results.report.progress import payload, progress
    from searchkit.results.report.provenance import provenance
    from searchkit.results.report.proxies import proxies
    from searchkit.results.report.verified import verified
    from searchkit.results.report.winner import winner

    found = convergence(facts)
    data = {"candidates": candidates(facts), "progress": payload(found) if found else None}
    sections = [
        ("front", "The front", joined([fill('<figure class="chart" id="candidates"></figure>'), front_table(facts)])),
        ("winner", "The best candidate", winner(facts)),
        *facts.result._report_sections(),
        ("parting", "Where MACs and milliseconds part", parting(facts)),
        ("verified", "Verified by training", verified(facts)),
        ("beside", "Beside simple models", beside(facts)),
        ("course", "Progress of the search", progress(facts, found)),
        ("parameters", "Which parameters matter", parameters(facts)),
        ("proxies", "How well each proxy predicted", proxies(facts)),
        ("costs", "Costs and how they were measured", costs(facts)),
        ("failures", "Failures", failures(facts)),
        ("origin", "Origin of the numbers", provenance(facts)),
        ("again", "Code to repeat the search", code("Code to repeat the search", call(facts))),
    ]
    body = joined(
        fill('<section id="{}"><h2>{}</h2>{}</section>', key, title, html) for key, title, html in sections if html
    )
    return Content(facts.result.name, joined([summary.summary(facts), body], "\n"), data)
