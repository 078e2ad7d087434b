"""The pages: the list of studies, the report of one under a bar, and what is said where there is nothing to show."""

from __future__ import annotations

import hashlib
from datetime import datetime
from urllib.parse import quote

from searchkit.errors import plural
from searchkit.results.report.document import Around, document, script_and_policy
from searchkit.results.safe_html import Html, fill, joined, own_file
from searchkit.serving.rows import Row, Word
from searchkit.serving.studies import Listing, Shown

HERE = "searchkit.serving"

WORDS: dict[Word, str] = {
    "running": "running",
    "ended": "ended",
    "stopped": "stopped",
    "begun": "begun",
    "damaged": "cannot be read",
    "gone": "gone",
}
MEANING: dict[Word, str] = {
    "running": "A search is writing it now.",
    "ended": "Its budget is used up, or every candidate of its space was evaluated.",
    "stopped": "No search is writing it; the call that began it goes on with it.",
    "begun": "Its budget is not used up; whether a search is writing it cannot be seen from here.",
    "damaged": "Its record cannot be read.",
    "gone": "Its record is no longer there.",
}


def address(name: str) -> str:
    """The path of a study's page; a name is any text, so it is in the query, where no part of a path means anything."""
    return f"/study?name={quote(name, safe='', errors='backslashreplace')}"


def list_page(listing: Listing, where: str) -> Html:
    """All studies, those that run first, then those that were written last."""

    def order(row: Row) -> tuple[bool, float, str]:
        return listing.words[row.name] != "running", -(row.written.timestamp() if row.written else 0.0), row.name

    rows = sorted(listing.rows.values(), key=order)
    running = sum(word == "running" for word in listing.words.values())
    counted = f"{plural(len(rows), 'study', 'studies')} in {where}" + (f", {running} running" if running else "")
    head = fill('<header><p class="kicker">searchkit</p><h1>Studies</h1><p>{}.</p></header>', counted)
    said = fill('<p class="alarm">{}</p>', listing.problem) if listing.problem else fill("")
    if not rows and not listing.problem:
        said = fill(
            '<p class="nothing">Nothing was searched here yet. A search that begins appears by itself, such as one by '
            "<code>searchkit run</code> in the same folder.</p>"
        )
    cards = joined(_card(row, listing.words[row.name]) for row in rows)
    listed = fill('<ul class="studies">{}</ul>', cards) if rows else fill("")
    around = _around(fill(""), listing.version)
    return document("searchkit studies", joined([head, said, listed], "\n"), around=around)


def _card(row: Row, word: Word) -> Html:
    facts: list[Html] = [fill("<b>{}</b> {}", value, f"best {name}") for name, value in row.best[:3]]
    if not row.problem:
        facts.append(fill("<b>{}</b> on the front", f"{row.front:,}"))
    if row.failed:
        facts.append(fill("<b>{}</b> failed", f"{row.failed:,}"))
    told = fill('<p class="alarm">{}</p>', row.problem) if row.problem else _progress(row)
    by = "" if row.problem else fill("<span>{}</span>", f"proposed by {row.strategy}")
    return fill(
        '<li id="{}"><h2><a href="{}">{}</a></h2><p class="facts">{}{}{}</p>{}<p class="facts">{}</p></li>',
        "study-" + hashlib.blake2b(row.name.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest(),
        address(row.name),
        row.name,
        state(word),
        by,
        _written(row.written),
        told,
        joined(fill("<span>{}</span>", fact) for fact in facts),
    )


def state(word: Word) -> Html:
    """The state of a study as a word, with what it means."""
    return fill('<span class="state {}" title="{}">{}</span>', word, MEANING[word], WORDS[word])


def _progress(row: Row) -> Html:
    """How far the budget is used, as text and where it is a number of evaluations as a bar."""
    if not row.budget:
        return fill('<p class="facts">{}</p>', plural(row.outcomes, "evaluation"))
    done = min(row.outcomes, row.budget)
    return fill(
        '<p class="facts"><progress value="{}" max="{}" aria-label="{}"></progress><span>{}</span></p>',
        done,
        row.budget,
        f"evaluations of {row.name}",
        f"{row.outcomes:,} of {plural(row.budget, 'evaluation')}",
    )


def bar(shown: Shown) -> Html:
    """What the bar above a study's report says: its state, and why the report is not that of now."""
    row = shown.row
    links = fill('<a href="/">All studies</a>{}{}', state(shown.word), _written(row.written))
    count = f"{row.outcomes:,}" + (f" of {row.budget:,}" if row.budget else "") + " evaluations"
    parts = [links, fill("") if row.problem else fill("<span>{}</span>", count)]
    if shown.problem:
        kept = fill(" Below is what was shown last, as it was at {}.", clock(shown.made)) if shown.report else ""
        parts.append(fill('<p class="alarm" role="alert">{}.{}</p>', shown.problem.rstrip("."), kept))
    return joined(parts)


def study_page(shown: Shown) -> Html:
    """The report of a study under a bar that says its state; where there is none, why."""
    around = _around(bar(shown), shown.version)
    if shown.report is not None:
        return shown.report.written(around)
    main = fill('<header><p class="kicker">searchkit study</p><h1>{}</h1></header>', shown.row.name)
    return document(shown.row.name, main, around=around)


def message_page(title: str, said: str) -> Html:
    """A page with one sentence, such as one that there is no such page."""
    main = fill('<header><h1>{}</h1></header><p>{}</p><p><a href="/">All studies</a></p>', title, said)
    return document(title, main)


def clock(when: datetime | None) -> Html:
    """A time, which the script of the page writes as one ago."""
    if when is None:
        return fill("")
    return fill('<time datetime="{}">{}</time>', when.isoformat(timespec="seconds"), f"{when:%Y-%m-%d %H:%M:%S}")


def _written(when: datetime | None) -> Html:
    return fill("<span>written {}</span>", clock(when)) if when else fill("")


def _around(told: Html, version: str) -> Around:
    """What stands around a page's content: the bar, whose button the script shows, and the script."""
    bar = fill(_BAR, told)
    return Around(bar, own_file("live.css", HERE), own_file("live.js", HERE), version)


_BAR = """<div class="live">
<div id="told">{}</div>
<p id="said" role="status"></p>
<noscript><p>Reload this page to see what is new.</p></noscript>
<button type="button" id="pause" aria-pressed="false" hidden>Pause</button>
</div>
"""


def policies() -> tuple[str, str]:
    """The content security policies of pages with charts and without them, as a header says them."""
    around = _around(fill(""), "")
    with_charts, without = (script_and_policy(around, charts=charts)[1] for charts in (True, False))
    return with_charts, without
