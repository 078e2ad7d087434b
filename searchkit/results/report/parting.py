"""The section on where MACs and milliseconds part: for each block of a network its share of both."""

from __future__ import annotations

import math

from searchkit.blocks.block_costs import BlockCost, BlockCosts
from searchkit.errors import duration
from searchkit.problem.trial import Trial
from searchkit.results.report.facts import Facts
from searchkit.results.report.markup import Cell, drawn, note, number, table
from searchkit.results.safe_html import Html, fill, joined

_NAME, _BAR, _VALUE, _ROW, _TOP = 172, 200, 62, 26, 26  # widths of columns; height of a row; above the first
_FEW = 0.05  # shares that differ by no more do not part


def parting(facts: Facts) -> Html:
    """A sentence, a drawing and a table for each network whose blocks were timed; empty where none was."""
    timed, trials = facts.result.timed_blocks, facts.result.trials
    first = [trial for trial in facts.winners if trial.number in timed]
    shown = {trial.number for trial in first}
    others = [trials[n] for n in sorted(timed) if n < len(trials) and n not in shown]
    return joined(_network(facts, trial, timed[trial.number]) for trial in [*first, *others] if timed[trial.number].ms)


def _network(facts: Facts, trial: Trial, found: BlockCosts) -> Html:
    """What is known of one network."""
    row = next((i for i, one in enumerate(facts.winners) if one is trial), None)
    where = "" if row is None else f", row {row} of the front"
    picture = drawn("Shares of each block", shares(found))
    head = ["block", "choice", "MACs", "share of MACs", "ms", "share of ms", "ms share / MACs share"]
    rows = [_row(found, one) for one in [*found.sorted, found.outside]]
    listed = table(head, rows, kind="parting")
    return joined(
        [
            fill("<p>Candidate {}{}: {}</p>", trial.number, where, _lead(found)),
            picture,
            listed,
            _sum(facts, trial, found),
        ]
    )


def _lead(found: BlockCosts) -> str:
    """The largest disagreement, in one sentence."""
    if not found.blocks:
        return "it has no block."
    of_macs, of_ms = found.shares(found.sorted[0])
    if abs(of_ms - of_macs) <= _FEW:
        return f"no block's share of the milliseconds is more than {100 * _FEW:g} points from its share of the MACs."
    return f"{found.said()}."


def _row(found: BlockCosts, one: BlockCost) -> list[Cell | str | float]:
    of_macs, of_ms = found.shares(one)
    ratio = of_ms / of_macs if of_macs else math.nan
    return [
        one.block,
        one.choice,
        Cell(number(one.macs), float(one.macs)),
        Cell(_percent(of_macs), of_macs),
        Cell(number(one.ms), one.ms),
        Cell(_percent(of_ms), of_ms),
        Cell(number(round(ratio, 2)), ratio) if not math.isnan(ratio) else Cell("–"),
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %".replace("-", "−")


def _sum(facts: Facts, trial: Trial, found: BlockCosts) -> Html:
    """How the blocks' times add up to that of the network, and how they were measured."""
    alone = sum(one.ms for one in found.blocks)
    rest = found.outside.ms
    searched = facts.value(trial, "latency_ms")
    said = [
        f"Timed alone, the blocks take {number(alone)} ms together, and the network takes {number(found.ms)} ms"
        + (f" ({number(searched)} ms in the search)." if not math.isnan(searched) else "."),
        f"The {number(abs(rest))} ms between ({_percent(rest / found.ms)}) are what is outside of the blocks, and what "
        "blocks take more or less within the network than alone.",
        f"Timed in turn with random weights: {found.method}.",
    ]
    if found.call_ms:
        said.insert(
            2, f"The time of a call that computes nothing, {duration(found.call_ms / 1e3)}, is taken off every module."
        )
    return note(said)


def shares(found: BlockCosts) -> Html:
    """Inline SVG: a row for each block in the order of the network, with a bar for each share."""
    rows = [*found.blocks, found.outside]
    most = max([1e-9, *(share for one in rows for share in found.shares(one))])
    second = _NAME + _BAR + _VALUE + 20
    width, height = second + _BAR + _VALUE, _TOP + _ROW * len(rows)
    heads = [("block", 0), ("share of MACs", _NAME), ("share of milliseconds", second)]
    parts = [fill('<text class="name" x="{:g}" y="14">{}</text>', x, name) for name, x in heads]
    for i, one in enumerate(rows):
        y = _TOP + _ROW * i
        name = fill('<text x="0" y="{:g}">{}<title>{}</title></text>', y + 15, _end(one.block), one.block)
        bars = [
            _bar(share, most, x, y, kind)
            for share, x, kind in zip(found.shares(one), (_NAME, second), ("amount passing", "amount"), strict=True)
        ]
        parts += [name, *bars]
    said = "; ".join(
        f"{one.block}: {_percent(of_macs)} of the MACs, {_percent(of_ms)} of the milliseconds"
        for one in rows
        for of_macs, of_ms in [found.shares(one)]
    )
    return fill(
        '<svg class="network parts" viewBox="0 0 {0:g} {1:g}" style="max-width:{0:g}px;min-width:{2:g}px" role="img" '
        'aria-label="Shares of MACs and milliseconds. {3}">{4}</svg>',
        width,
        height,
        0.8 * width,
        said,
        joined(parts),
    )


def _bar(share: float, most: float, x: float, y: float, kind: str) -> Html:
    bar = '<rect class="{}" x="{:g}" y="{:g}" width="{:.2f}" height="12" rx="2"/>'
    shown = '<text class="value" x="{:g}" y="{:g}" text-anchor="end">{}</text>'
    parts = [fill(bar, "room", x, y + 5, _BAR), fill(bar, kind, x, y + 5, _BAR * max(0.0, share) / most)]
    return joined([*parts, fill(shown, x + _BAR + _VALUE - 4, y + 15, _percent(share))])


def _end(name: str) -> str:
    """The end of a module's name, which tells blocks apart."""
    return name if len(name) <= 24 else "…" + name[-23:]
