"""The section on the winning candidate: its values, its choices, its network drawn, and the layers of that."""

from __future__ import annotations

from searchkit.problem.trial import Trial
from searchkit.results.report.drawing import drawing
from searchkit.results.report.facts import Facts
from searchkit.results.report.front_table import measured
from searchkit.results.report.layers import Layer, layers
from searchkit.results.report.markup import Cell, folded, number, pairs, plural, table, text
from searchkit.space import NetworkSpace

_DRAWN = 13  # networks of the front, at most


def winner(facts: Facts) -> str:
    """The best of the front by the first objective."""
    if not facts.winners:
        return '<p class="nothing">Nothing is on the front, so that there is no winner.</p>'
    result, trial = facts.result, facts.winners[0]
    best = f"Candidate {trial.number} is best in {text(result.goals.names[0])}"
    among = f", among the {len(facts.winners):,} on the front" if len(facts.winners) > 1 else ""
    values = [(facts.label(n), measured(facts, trial, n).html) for n in facts.metrics if _there(facts, trial, n)]
    drawn = drawing(result.space, trial)
    choices = _choices(facts, trial)
    listed = (
        folded(f"All {len(result.space.names)} choices", choices, "print") if len(values) + 25 < _n(facts) else choices
    )
    figure = f"<figure>{drawn}<figcaption>{_caption(facts)}</figcaption></figure>" if drawn else ""
    return (
        f"<p>{best}{among}.</p>"
        f'<div class="winner"><div>{pairs(values)}</div>{figure}</div>'
        f"{listed}{_layers(facts, trial)}{_others(facts)}{_use(facts)}"
    )


def _n(facts: Facts) -> int:
    return len(facts.result.space.names)


def _there(facts: Facts, trial: Trial, name: str) -> bool:
    value = facts.value(trial, name)
    return value == value


def _choices(facts: Facts, trial: Trial) -> str:
    chosen = facts.result.space.decode(trial.code)[0]
    return f'<div class="chosen">{pairs((name, text(option)) for name, option in chosen.items())}</div>'


def _caption(facts: Facts) -> str:
    space = facts.result.space
    if any(name.startswith("edge_") for name in space.names):
        return (
            "The cell that the network repeats: a node is the sum of what its edges bring; dashed ones carry nothing."
        )
    return "The blocks in the order of depth; under a row's name the shape that leaves it, channels first."


def _layers(facts: Facts, trial: Trial) -> str:
    space = facts.result.space
    if not isinstance(space, NetworkSpace):
        if facts.context.get("kind") != "networks":
            return ""
        return (
            '<p class="note">The layers are not listed: this space was made in Python. '
            "<code>searchkit.load(name, space=space).report(path)</code> lists them.</p>"
        )
    try:
        found = layers(space, trial)
    except Exception as error:  # of the user's build: the page says so and does without
        return f'<p class="note">The layers cannot be listed: {text(type(error).__name__)}: {text(error)}</p>'
    total = sum(layer.params for layer in found)
    said = f"{plural(len(found), 'layer')}, {number(total)} parameters, input {_shape(space.input_shape)}"
    rows = [
        [layer.name, Cell(f"<code>{text(layer.kind)}</code>"), _shape(layer.output_shape), _params(layer)]
        for layer in found
    ]
    head = ["layer", "what it is", "gives", "params"]
    return folded(f"Layers: {said}", table(head, rows, kind="layers"))


def _others(facts: Facts) -> str:
    """The other networks of the front, drawn small."""
    figures = []
    for row, trial in enumerate(facts.winners[1:_DRAWN], start=1):
        drawn = drawing(facts.result.space, trial)
        values = ", ".join(f"{text(n)} {number(trial.values[n])}" for n in facts.result.goals.names)
        if drawn:
            figures.append(f"<figure><figcaption>row {row}: {values}</figcaption>{drawn}</figure>")
    if not figures:
        return ""
    left = len(facts.winners) - 1 - len(figures)
    return folded(
        f"The {'next ' if left else 'other '}{plural(len(figures), 'network')} of the front, drawn",
        f'<div class="others">{"".join(figures)}</div>',
    )


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(str(n) for n in shape) or "–"


def _params(layer: Layer) -> Cell:
    return Cell(number(layer.params) if layer.params else "", float(layer.params))


def _use(facts: Facts) -> str:
    """How to get it out."""
    if facts.context.get("kind") != "networks" or not facts.result.folder:
        return ""
    return (
        f'<p class="note">It is row 0 of the front. With the result of <code>searchkit.run</code>, or of '
        f"<code>searchkit.load({text(repr(facts.result.name))})</code>, <code>result.build(0)</code> is the trained "
        'network, and <code>result.export(0, "best")</code> writes it as ONNX and safetensors.</p>'
    )
