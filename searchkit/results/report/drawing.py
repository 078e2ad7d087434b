"""Drawings of a network: a cell as its graph, or blocks as rows of boxes, one for each node."""

from __future__ import annotations

import re
from typing import Any

from searchkit.problem.trial import Trial
from searchkit.results.safe_html import Html, fill, joined
from searchkit.space import NetworkSpace, Node, Space

_EDGE = re.compile(r"edge_(\d+)_to_(\d+)")
_NOTHING = {"none", "no block"}  # options that leave the edge or block out
_PASSING = {"identity", "skip", "skip_connect"}  # options that compute nothing
_STEP, _RADIUS = 128, 15  # distance between nodes of a cell; radius of a node
_BOX, _GAP, _LABEL = 84, 8, 84  # least width of a block; of a gap between blocks, of a row's label
_SIGN, _ROOM = 7, 760  # width of a character; of a drawing, unless it has very many blocks in a row


def drawing(space: Space, trial: Trial) -> Html:
    """Inline SVG of one candidate; empty if the structure of its space is not known.

    A space whose choices are named ``edge_0_to_1`` is drawn as that graph. A :class:`~searchkit.space.NetworkSpace`
    with nodes is drawn as rows of blocks.
    """
    choices = space.decode(trial.code)[0]
    edges = {(int(m[1]), int(m[2])): str(choices[name]) for name in choices if (m := _EDGE.fullmatch(name))}
    if len(edges) > 1 and all(a < b for a, b in edges):
        return _cell(edges)
    nodes = space.nodes if isinstance(space, NetworkSpace) else ()
    return _blocks(nodes, choices) if nodes else joined([])


def _cell(edges: dict[tuple[int, int], str]) -> Html:
    """Nodes on a line; an edge to the next node is straight, longer ones are arcs, above and below by turns."""
    n = 1 + max(b for _, b in edges)
    above = max((b - a for a, b in edges if _is_above(a, b, n)), default=1)
    below = max((b - a for a, b in edges if not _is_above(a, b, n) and b - a > 1), default=0)
    top, bottom = 22 + 40 * (above - 1) + 14, (22 + 40 * (below - 1) if below else 30) + 20
    width, height, line = _STEP * (n - 1) + 4 * _RADIUS, top + bottom + 2 * _RADIUS, top + _RADIUS
    parts = [_edge(a, b, operation, line, n) for (a, b), operation in edges.items()]
    for node in range(n):
        x = 2 * _RADIUS + _STEP * node
        name = "in" if node == 0 else "out" if node == n - 1 else str(node)
        parts.append(fill('<circle class="node" cx="{}" cy="{}" r="{}"/>', x, line, _RADIUS))
        parts.append(fill('<text class="name" x="{}" y="{}" text-anchor="middle">{}</text>', x, line + 4, name))
    said = "; ".join(f"{a} to {b}: {operation}" for (a, b), operation in edges.items())
    return _svg(width, height, said, joined(parts), "cell")


def _is_above(a: int, b: int, n: int) -> bool:
    """The longest edge and those from even nodes are drawn above."""
    return b - a > 1 and (a % 2 == 0 or b - a == n - 1)


def _edge(a: int, b: int, operation: str, line: int, n: int) -> Html:
    kind = "nothing" if operation in _NOTHING else "passing" if operation in _PASSING else "working"
    start, end = 2 * _RADIUS + _STEP * a, 2 * _RADIUS + _STEP * b
    middle = (start + end) / 2
    if b - a == 1:
        path, y = f"M{start + _RADIUS} {line}H{end - _RADIUS - 7}", line - 7
    else:
        side = -1 if _is_above(a, b, n) else 1
        rise = side * (22 + 40 * (b - a - 1))
        lift = side * (_RADIUS - 2)
        peak = line + lift + rise  # of the curve's flat middle
        path = (
            f"M{start + 6} {line + lift}C{start + 20} {peak} {start + 30} {peak} {start + 60} {peak}"
            f"H{end - 60}C{end - 30} {peak} {end - 20} {peak} {end - 7} {line + lift + 7 * side}"
        )
        y = peak - 6 if side < 0 else peak + 15
    head = "" if kind == "nothing" else fill(' marker-end="url(#arrow)"')
    named = fill('<text class="{}" x="{}" y="{}" text-anchor="middle">{}</text>', kind, middle, y, operation)
    return fill('<path class="edge {}" d="{}"{}/>{}', kind, path, head, named)


def _blocks(nodes: tuple[Node, ...], choices: dict[str, Any]) -> Html:
    """A row for each block with a box for each node, in order of depth; beside a row stands its output shape."""
    rows: dict[str, list[Node]] = {}
    for node in nodes:
        rows.setdefault(node.block or node.name, []).append(node)
    if any(len(members) > 8 for members in rows.values()) or len(rows) == len(nodes) > 6:
        rows = {f"{i + 1} to {min(i + 4, len(nodes))}": list(nodes[i : i + 4]) for i in range(0, len(nodes), 4)}
    lines = max(len(_told(node, choices)) for node in nodes)
    height = 16 * lines + 14
    most = max(len(members) for members in rows.values())
    box = _wide_enough([line for node in nodes for line in _told(node, choices)], most)
    width = _LABEL + most * (box + _GAP) + 4
    parts: list[Html] = []
    y, said = 4, []
    for name, members in rows.items():
        shape = "×".join(str(n) for n in members[-1].output_shape)
        middle = y + height / 2
        parts.append(fill('<text class="name" x="0" y="{}">{}</text>', middle - 2, name.replace("_", " ")))
        parts.append(fill('<text class="shape" x="0" y="{}">{}</text>', middle + 13, shape))
        for j, node in enumerate(members):
            told = _told(node, choices)
            said.append(f"{node.name}: {' '.join(told)}")
            parts.append(_block(_LABEL + j * (box + _GAP), y, box, height, told))
        y += height + 18
    return _svg(width, y - 10, "; ".join(said), joined(parts), "blocks")


def _told(node: Node, choices: dict[str, Any]) -> list[str]:
    """The options of a node, one per line; of several choices, each with the part of its name that differs."""
    if node.left_out(choices):
        return ["no block"]
    if len(node.choices) == 1:
        return [str(choices[node.choices[0]])]
    return [f"{node.part_of(name)} {choices[name]}" for name in node.choices]


def _wide_enough(lines: list[str], most: int) -> int:
    """The width of a block in which all lines have room, as far as a row of so many blocks allows."""
    wanted = _SIGN * max(map(len, lines)) + 2 * _GAP
    return min(max(_BOX, wanted), max(_BOX + 2 * _GAP, (_ROOM - _LABEL) // most - _GAP))


def _block(x: int, y: int, width: int, height: int, told: list[str]) -> Html:
    only = told[0] if len(told) == 1 else ""
    kind = "nothing" if only in _NOTHING else "passing" if only in _PASSING else "working"
    first = y + height / 2 - 8 * (len(told) - 1) + 4
    written = '<text class="{}" x="{}" y="{}" text-anchor="middle">{}</text>'
    fit = (width - _GAP) // _SIGN
    lines = joined(
        fill(written, kind, x + width / 2, first + 16 * i, _fitting(line, fit)) for i, line in enumerate(told)
    )
    box = '<rect class="block {}" x="{}" y="{}" width="{}" height="{}" rx="6"/>{}'
    return fill(box, kind, x, y, width, height, lines)


def _fitting(line: str, most: int) -> str:
    return line if len(line) <= most else line[: most - 1] + "…"


def _svg(width: float, height: float, said: str, inside: Html, kind: str) -> Html:
    arrow = (
        fill(
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="2" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto">'
            '<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>'
        )
        if kind == "cell"
        else ""
    )
    return fill(
        '<svg class="network {}" viewBox="0 0 {:g} {:g}" style="max-width:{:g}px" role="img" aria-label="{}">{}{}'
        "</svg>",
        kind,
        width,
        height,
        1.25 * width,
        said,
        arrow,
        inside,
    )
