"""Drawing of two networks side by side, block by block, with what each block costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from searchkit.results.report.markup import number
from searchkit.results.safe_html import Html, fill, joined

_NAME, _BOX, _HEIGHT, _BETWEEN, _COST, _ERROR = 172, 220, 62, 44, 92, 62  # widths of columns; height of a box
_GAP, _TOP = 12, 30  # between rows; above the first
_BAR, _BAR_AT = 76, 134  # width of a bar, and its place in a box


@dataclass(frozen=True)
class Part:
    """What a network has at one place: the label of an alternative, its parameters, and its MACs for one input."""

    label: str
    params: int
    macs: int


@dataclass(frozen=True)
class Block:
    """One place of two networks.

    Attributes:
        shape: of the output, as text.
        differences: of the whole network's costs, for this choice, in the order of the costs.
        error: of the chosen alternative; None: there is none.
        whole: it is the network as a whole.
    """

    name: str
    shape: str
    given: Part
    chosen: Part
    differences: tuple[float, ...]
    error: float | None = None
    whole: bool = False

    @property
    def replaced(self) -> bool:
        return self.given != self.chosen


def side_by_side(blocks: Sequence[Block], costs: Sequence[str], own: Sequence[float]) -> Html:
    """Inline SVG: a row for each block, with a box for each network, the differences in costs, and the error.

    Args:
        costs: names of the costs of which blocks have differences.
        own: these costs of the network that was given.
    """
    most = [max((getattr(b.given, what) for b in blocks if not b.whole), default=0) for what in ("params", "macs")]
    parts, y = [_heads(costs)], _TOP
    for block in blocks:
        if block.whole:
            y += 8
            parts.append(fill('<path class="grid" d="M0 {:g}H{:g}"/>', y - 10, _width(costs)))
        top = [block.given.params, block.given.macs] if block.whole else most
        parts.append(_row(block, own, top, y))
        y += _HEIGHT + _GAP
    said = "; ".join(f"{b.name}: {b.chosen.label if b.replaced else 'as given'}" for b in blocks if not b.whole)
    return fill(
        '<svg class="network sides" viewBox="0 0 {0:g} {1:g}" style="max-width:{0:g}px;min-width:{2:g}px" role="img" '
        'aria-label="The network that was given and the chosen one. {3}">{4}</svg>',
        _width(costs),
        y,
        0.8 * _width(costs),
        said,
        joined(parts),
    )


def _width(costs: Sequence[str]) -> float:
    return _NAME + 2 * _BOX + _BETWEEN + _COST * len(costs) + _ERROR


def _right(j: int) -> float:
    """Right end of the column of the j-th cost."""
    return _NAME + 2 * _BOX + _BETWEEN + _COST * (j + 1)


def _heads(costs: Sequence[str]) -> Html:
    left = [("block", 0), ("the network that was given", _NAME), ("the chosen one", _NAME + _BOX + _BETWEEN)]
    right = [(name, _right(j)) for j, name in enumerate(costs)] + [("error", _right(len(costs) - 1) + _ERROR)]
    written = '<text class="name" x="{:g}" y="16"{}>{}</text>'
    ends = fill(' text-anchor="end"')
    return joined(
        [fill(written, x, "", name) for name, x in left] + [fill(written, x, ends, name) for name, x in right]
    )


def _row(block: Block, own: Sequence[float], most: Sequence[float], y: float) -> Html:
    middle, second = y + _HEIGHT / 2, _NAME + _BOX + _BETWEEN
    place = middle - 2 if block.shape else middle + 4
    parts = [fill('<text class="name" x="0" y="{:g}">{}<title>{}</title></text>', place, _end(block.name), block.name)]
    if block.shape:
        parts.append(fill('<text class="shape" x="0" y="{:g}">{}</text>', middle + 14, block.shape))
    parts.append(_box(block.given, "passing", most, _NAME, y))
    kind = "passing" if not block.replaced else "nothing" if not block.chosen.macs else "working"
    parts.append(_box(block.chosen, kind, most, second, y))
    if block.replaced:
        start = _NAME + _BOX + 8
        path = f"M{start} {middle:g}H{second - 9}m-6 -5l6 5l-6 5"
        parts.append(fill('<path class="edge" d="{}"/>', path))
        for j, (change, whole) in enumerate(zip(block.differences, own, strict=True)):
            parts.append(_number(f"{'+' if change > 0 else ''}{number(change)}", _right(j), middle - 2))
            share = f"{100 * change / whole:+.1f} %".replace("-", "−")
            parts.append(_number(share, _right(j), middle + 14, "shape"))
    if block.replaced and block.error is not None:
        parts.append(_number(f"{block.error:.3g}", _right(len(own) - 1) + _ERROR, middle + 4))
    return joined(parts)


def _number(shown: str, x: float, y: float, kind: str = "value") -> Html:
    return fill('<text class="{}" x="{:g}" y="{:g}" text-anchor="end">{}</text>', kind, x, y, shown)


def _box(part: Part, kind: str, most: Sequence[float], x: float, y: float) -> Html:
    box = '<rect class="block {}" x="{:g}" y="{:g}" width="{}" height="{}" rx="6"/>'
    label = '<text class="label" x="{:g}" y="{:g}">{}<title>{}</title></text>'
    parts = [fill(box, kind, x, y, _BOX, _HEIGHT), fill(label, x + 10, y + 18, _start(part.label), part.label)]
    for i, (value, name) in enumerate(((part.params, "params"), (part.macs, "MACs"))):
        line = y + 36 + 16 * i
        share = value / most[i] if most[i] else 0.0
        bar = '<rect class="{}" x="{:g}" y="{:g}" width="{:.2f}" height="7" rx="2"/>'
        parts.append(fill('<text class="shape" x="{:g}" y="{:g}">{} {}</text>', x + 10, line, _short(value), name))
        parts.append(fill(bar, "room", x + _BAR_AT, line - 7, _BAR))
        parts.append(fill(bar, f"amount {kind}", x + _BAR_AT, line - 7, _BAR * min(share, 1.0)))
    return joined(parts)


def _short(value: int) -> str:
    """A count that fits into a box: millions and thousands of millions are abbreviated."""
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e8, "M")):
        if value >= unit:
            return f"{value / (1e6 if name == 'M' else unit):.4g} {name}"
    return number(value)


def _start(label: str) -> str:
    return label if len(label) <= 30 else label[:29] + "…"


def _end(name: str) -> str:
    """The end of a module's name, which tells blocks apart."""
    return name if len(name) <= 24 else "…" + name[-23:]
