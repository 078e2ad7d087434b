"""The section on what went wrong: every reason with its count and candidates, tracebacks folded."""

from __future__ import annotations

from collections.abc import Iterable

from searchkit.problem.trial import State, Trial
from searchkit.results.report.facts import Facts
from searchkit.results.report.markup import folded, plural, text

_NUMBERS = 20  # candidates that are named for a reason
_TRACEBACKS = 40  # that a page holds


def failures(facts: Facts) -> str:
    """The section; a sentence where nothing went wrong."""
    result = facts.result
    failed = [trial for trial in result.trials if trial.state is State.FAILED]
    unbuilt = {number: entry["reason"] for number, entry in result.verifications.items() if "reason" in entry}
    parts = [
        _failed(failed),
        _named("break a bound that is known without training, and were not trained", result.trials, State.INFEASIBLE),
        _broken(facts),
        _named("were not promoted from a rung of the ladder", result.trials, State.DROPPED),
        _named("have no outcome yet: the search stopped while they were evaluated", result.trials, State.ASKED),
    ]
    if unbuilt:
        listed = "".join(f"<li>candidate {number}: {text(reason)}</li>" for number, reason in unbuilt.items())
        parts.append(f"<h3>Trainings of the verification that failed</h3><ul>{listed}</ul>")
    return "".join(parts) or '<p class="nothing">No candidate failed, and none broke a bound.</p>'


def _failed(failed: list[Trial]) -> str:
    if not failed:
        return ""
    items, left = [], _TRACEBACKS
    for reason, trials in _grouped((t.reason or "no reason on record", t) for t in failed):
        trace = next((trial.traceback for trial in trials if trial.traceback), None)
        body = f'<span class="count">{len(trials):,} ×</span> <b>{text(reason)}</b> {_numbers(trials)}'
        if trace and left:
            left -= 1
            body += folded("traceback", f"<pre>{text(trace)}</pre>")
        items.append(f"<li>{body}</li>")
    share = f"{plural(len(failed), 'candidate')} failed, for {plural(len(items), 'reason')}."
    note = f" Tracebacks of the first {_TRACEBACKS} reasons are here, all of them in the record." if not left else ""
    return f'<p>{share}{note}</p><ul class="reasons">{"".join(items)}</ul>'


def _named(what: str, trials: Iterable[Trial], state: State) -> str:
    """How many ended in a state, by what their reasons have in common."""
    found = [trial for trial in trials if trial.state is state]
    if not found:
        return ""
    groups = _grouped(((t.reason or "").split(" (it has")[0].split(": ")[0], t) for t in found)
    listed = "".join(
        f'<li><span class="count">{len(group):,} ×</span> <b>{text(reason)}</b> {_numbers(group)}</li>'
        for reason, group in groups
        if reason
    )
    return f"<p>{plural(len(found), 'candidate')} {what}.</p>" + (
        f'<ul class="reasons">{listed}</ul>' if listed else ""
    )


def _broken(facts: Facts) -> str:
    """Those that were evaluated and then found to break a bound."""
    pairs = zip(facts.result.trials, facts.fates, strict=True)
    found = [trial for trial, fate in pairs if fate == "bound" and trial.state is State.SCORED]
    if not found:
        return ""
    return f"<p>{plural(len(found), 'candidate')} scored, but not within {text(facts.bounds)}: {_numbers(found)}.</p>"


def _grouped(pairs: Iterable[tuple[str, Trial]]) -> list[tuple[str, list[Trial]]]:
    """By reason, the most frequent first."""
    groups: dict[str, list[Trial]] = {}
    for reason, trial in pairs:
        groups.setdefault(reason, []).append(trial)
    return sorted(groups.items(), key=lambda item: -len(item[1]))


def _numbers(trials: list[Trial]) -> str:
    named = ", ".join(str(trial.number) for trial in trials[:_NUMBERS])
    more = f" and {len(trials) - _NUMBERS:,} more" if len(trials) > _NUMBERS else ""
    return f'<span class="numbers">candidate{"s" * (len(trials) > 1)} {named}{more}</span>'
