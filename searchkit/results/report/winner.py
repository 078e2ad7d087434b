"""The section on the best candidate: its values, its choices, and its network as a drawing and a list of layers."""

from __future__ import annotations

from searchkit.errors import message_of, plural
from searchkit.problem.trial import Trial
from searchkit.results.report.drawing import drawing
from searchkit.results.report.facts import Facts
from searchkit.results.report.front_table import measured
from searchkit.results.report.layers import Layer, layers
from searchkit.results.report.markup import Cell, folded, nothing, number, pairs, table
from searchkit.results.safe_html import Html, fill, joined
from searchkit.space import NetworkSpace

_DRAWN = 13  # networks of the front that are drawn at most


def winner(facts: Facts) -> Html:
    """The section on row 0 of the front: the best in the first objective, unless the result has an order of its own."""
    if not facts.winners:
        return nothing("The front is empty.")
    result, trial = facts.result, facts.winners[0]
    is_best = trial is facts.best
    best = f"Candidate {trial.number} is {f'best in {result.goals.names[0]}' if is_best else 'row 0 of the front'}"
    among = f", among the {len(facts.winners):,} on the front" if len(facts.winners) > 1 else ""
    values = [(facts.label(n), measured(facts, trial, n).html) for n in facts.metrics if _there(facts, trial, n)]
    drawn = drawing(result.space, trial)
    choices = _choices(facts, trial)
    listed = (
        folded(f"All {len(result.space.names)} choices", choices, "print") if len(values) + 25 < _n(facts) else choices
    )
    figure = fill("<figure>{}<figcaption>{}</figcaption></figure>", drawn, _caption(facts)) if drawn else ""
    shown = fill('<p>{}{}.</p><div class="winner"><div>{}</div>{}</div>', best, among, pairs(values), figure)
    return joined([shown, listed, _layers(facts, trial), _others(facts), _use(facts)])


def _n(facts: Facts) -> int:
    return len(facts.result.space.names)


def _there(facts: Facts, trial: Trial, name: str) -> bool:
    value = facts.value(trial, name)
    return value == value


def _choices(facts: Facts, trial: Trial) -> Html:
    chosen = facts.result.space.decode(trial.code)[0]
    return fill('<div class="chosen">{}</div>', pairs(chosen.items()))


def _caption(facts: Facts) -> str:
    space = facts.result.space
    if any(name.startswith("edge_") for name in space.names):
        return "The cell that the network repeats: a node is the sum of its incoming edges; dashed edges carry nothing."
    return "The blocks in the order of depth; under a row's name its output shape, channels first."


def _layers(facts: Facts, trial: Trial) -> Html:
    space = facts.result.space
    if not isinstance(space, NetworkSpace):
        if facts.context.get("kind") != "networks":
            return joined([])
        return fill(
            '<p class="note">The layers are not listed: this space was made in Python. '
            "<code>searchkit.load(name, space=space).report(path)</code> lists them.</p>"
        )
    try:
        found = layers(space, trial)
    except Exception as error:  # raised by the user's build function: the page has its message instead
        return fill('<p class="note">The layers cannot be listed: {}: {}</p>', type(error).__name__, message_of(error))
    total = sum(layer.params for layer in found)
    said = f"{plural(len(found), 'layer')}, {number(total)} parameters, input {_shape(space.input_shape)}"
    rows = [
        [layer.name, Cell(fill("<code>{}</code>", layer.kind)), _shape(layer.output_shape), _params(layer)]
        for layer in found
    ]
    head = ["layer", "kind", "output shape", "params"]
    return folded(f"Layers: {said}", table(head, rows, kind="layers"))


def _others(facts: Facts) -> Html:
    """Small drawings of the other networks of the front."""
    figures = []
    for row, trial in enumerate(facts.winners[1:_DRAWN], start=1):
        drawn = drawing(facts.result.space, trial)
        values = ", ".join(f"{n} {number(trial.values[n])}" for n in facts.result.goals.names)
        if drawn:
            figures.append(fill("<figure><figcaption>row {}: {}</figcaption>{}</figure>", row, values, drawn))
    if not figures:
        return joined([])
    left = len(facts.winners) - 1 - len(figures)
    return folded(
        f"The {'next ' if left else 'other '}{plural(len(figures), 'network')} of the front, drawn",
        fill('<div class="others">{}</div>', joined(figures)),
    )


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(str(n) for n in shape) or "–"


def _params(layer: Layer) -> Cell:
    return Cell(number(layer.params) if layer.params else "", float(layer.params))


def _use(facts: Facts) -> Html:
    """How to build and export the network."""
    if facts.context.get("kind") != "networks" or not facts.result.folder:
        return joined([])
    return fill(
        '<p class="note">It is row 0 of the front. With the result of <code>searchkit.run</code>, or of '
        "<code>searchkit.load({!r})</code>, <code>result.build(0)</code> is the trained "
        'network, and <code>result.export(0, "best")</code> writes it as ONNX and safetensors.</p>',
        facts.result.name,
    )
