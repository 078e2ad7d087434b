"""The section on failures: each reason with its count, candidates and a folded traceback."""

from __future__ import annotations

from collections.abc import Iterable

from searchkit.errors import plural
from searchkit.problem.trial import State, Trial
from searchkit.results.report.facts import Facts
from searchkit.results.report.markup import code, folded, nothing
from searchkit.results.safe_html import Html, fill, joined

_NUMBERS = 20  # candidates that are listed for a reason
_TRACEBACKS = 40  # on a page at most
_BREAK = ("breaks {}, and was not trained", "break {}, and were not trained", "a bound that is known without training")


def failures(facts: Facts) -> Html:
    """The section; one sentence if nothing failed."""
    result = facts.result
    failed = [trial for trial in result.trials if trial.state is State.FAILED]
    unbuilt = {number: entry["reason"] for number, entry in result.verifications.items() if "reason" in entry}
    parts = [
        _failed(failed),
        _named(_BREAK, result.trials, State.INFEASIBLE),
        _broken(facts),
        _named(
            ("was not {}", "were not {}", "trained to the end (ladder, early stopping)"), result.trials, State.DROPPED
        ),
        _named(("has {}", "have {}", "no outcome: the search ended before"), result.trials, State.ASKED),
    ]
    if unbuilt:
        listed = joined(fill("<li>candidate {}: {}</li>", number, reason) for number, reason in unbuilt.items())
        parts.append(fill("<h3>Trainings of the verification that failed</h3><ul>{}</ul>", listed))
    return joined(parts) or nothing("No candidate failed, and none broke a bound.")


def _failed(failed: list[Trial]) -> Html:
    if not failed:
        return joined([])
    items, left = [], _TRACEBACKS
    for reason, trials in _grouped((t.reason or "no reason on record", t) for t in failed):
        trace = next((trial.traceback for trial in trials if trial.traceback), None)
        parts = [_counted(reason, trials)]
        if trace and left:
            left -= 1
            parts.append(folded("traceback", code("Traceback", trace)))
        items.append(fill("<li>{}</li>", joined(parts)))
    share = f"{plural(len(failed), 'candidate')} failed, for {plural(len(items), 'reason')}."
    note = f" The page has tracebacks of the first {_TRACEBACKS} reasons, the record has all." if not left else ""
    return fill('<p>{}{}</p><ul class="reasons">{}</ul>', share, note, joined(items))


def _counted(reason: str, trials: list[Trial]) -> Html:
    return fill('<span class="count">{:,} ×</span> <b>{}</b> {}', len(trials), reason, _numbers(trials))


def _named(what: tuple[str, str, str], trials: Iterable[Trial], state: State) -> Html:
    """How many candidates ended in a state, grouped by the common part of their reasons.

    Args:
        what: the predicate for one candidate and for several, and what both have in common, for their "{}".
    """
    found = [trial for trial in trials if trial.state is state]
    if not found:
        return joined([])
    groups = _grouped(((t.reason or "").split(" (it has")[0].split(": ")[0], t) for t in found)
    listed = joined(fill("<li>{}</li>", _counted(reason, group)) for reason, group in groups if reason)
    said = fill("<p>{} {}.</p>", plural(len(found), "candidate"), what[len(found) > 1].format(what[2]))
    return joined([said, fill('<ul class="reasons">{}</ul>', listed) if listed else ""])


def _broken(facts: Facts) -> Html:
    """Candidates whose evaluation showed that they break a bound."""
    pairs = zip(facts.result.trials, facts.fates, strict=True)
    found = [trial for trial, fate in pairs if fate == "bound" and trial.state is State.SCORED]
    if not found:
        return joined([])
    counted = plural(len(found), "candidate")
    return fill("<p>{} scored, but not within {}: {}.</p>", counted, facts.bounds, _numbers(found))


def _grouped(pairs: Iterable[tuple[str, Trial]]) -> list[tuple[str, list[Trial]]]:
    """Trials by reason, the most frequent reason first."""
    groups: dict[str, list[Trial]] = {}
    for reason, trial in pairs:
        groups.setdefault(reason, []).append(trial)
    return sorted(groups.items(), key=lambda item: -len(item[1]))


def _numbers(trials: list[Trial]) -> Html:
    named = ", ".join(str(trial.number) for trial in trials[:_NUMBERS])
    more = f" and {len(trials) - _NUMBERS:,} more" if len(trials) > _NUMBERS else ""
    return fill('<span class="numbers">candidate{} {}{}</span>', "s" * (len(trials) > 1), named, more)
