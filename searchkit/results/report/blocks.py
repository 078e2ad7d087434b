"""The section of a compressed network: its blocks beside those of the network that was given, and all alternatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from searchkit.compression.alternatives import ORIGINAL
from searchkit.compression.assembled import ModelSpace
from searchkit.compression.assembly import Cost
from searchkit.compression.bounds import SAVED, saving
from searchkit.compression.learned import Learned
from searchkit.compression.quality import Key
from searchkit.errors import plural
from searchkit.problem.trial import Trial
from searchkit.results.report.facts import Facts
from searchkit.results.report.markup import Cell, cell, drawn, identity, note, nothing, number, table
from searchkit.results.report.side_by_side import Block, Part, side_by_side
from searchkit.results.safe_html import Html, fill, joined
from searchkit.space.recipe_space import RecipeSpace
from searchkit.training.evaluator import BEFORE

_SHOWN = 12  # rows of alternatives that are visible at first


@dataclass(frozen=True)
class Compression:
    """What the section tells of.

    Attributes:
        library: the alternatives that have learned.
        costs: the bounded costs.
        within: whether a candidate keeps the bounds, by what was measured.
        others: a row for each network that was made for comparison, that of the chosen one first.
    """

    facts: Facts
    library: Learned
    costs: Sequence[Cost]
    within: Callable[[Trial], bool]
    others: Sequence[Mapping[Hashable, object]] = ()

    @cached_property
    def space(self) -> ModelSpace:
        """The space of the networks, without settings of the training."""
        space = self.facts.result.network_space
        space = space.networks if isinstance(space, RecipeSpace) else space
        assert isinstance(space, ModelSpace)
        return space

    @property
    def chosen(self) -> Trial:
        """Row 0 of the front."""
        return self.facts.winners[0]

    @property
    def given(self) -> Trial | None:
        """The network that was given, as a candidate."""
        return next((trial for trial in self.facts.result.trials if not self.code(trial).any()), None)

    @cached_property
    def labels(self) -> dict[str, str]:
        """node -> what the chosen network has there, of the nodes that have alternatives."""
        return self.space.decode(self.code(self.chosen))[0]

    def code(self, trial: Trial) -> np.ndarray:
        return trial.code[: self.space.n_choices]

    def outcome(self, key: Key) -> str:
        """What became of an alternative."""
        node, label = key
        if self.labels.get(node, ORIGINAL) == label:
            return "chosen"
        if label == ORIGINAL:
            return ""
        if key in self.library.errors:
            return "not chosen"
        if key not in saving(self.costs):
            return f"dropped: it saves less than {SAVED:.2%} of every bounded cost"
        return "dropped: another has a lower error at no higher cost, or its own is not finite"


def blocks(found: Compression) -> Html:
    """The chosen network, which is row 0 of the front, beside the one that was given; then the tables."""
    if not found.facts.winners:
        return nothing("The front is empty, so there is no network to draw beside the one that was given.")
    sides = side_by_side(list(_blocks(found)), [cost.name for cost in found.costs], [cost.own for cost in found.costs])
    picture = fill(
        '{}<p class="note">{}</p>',
        drawn("The network that was given and the chosen one", sides),
        "Blocks in the order of the network's modules, with the shape of their output. Bars are shares of the most "
        "that a block of the given network has; those of the whole network, of what the given one has. "
        "Differences are those that the block's replacement makes to the whole network; the error is the mean "
        "absolute error of its output over the standard deviation of the original block's, before any fine-tuning.",
    )
    titled = [("Bounds, and what was measured", _bounds(found)), ("Before and after fine-tuning", _scores(found))]
    if found.others:
        titled += [("Others within the bounds", _others(found))]
    titled += [("All alternatives of every block", _alternatives(found))]
    return joined([_lead(found), picture, *(fill("<h3>{}</h3>{}", title, html) for title, html in titled)])


def _lead(found: Compression) -> Html:
    cut, n = found.space.cut, sum(label != ORIGINAL for label in found.labels.values())
    said = (
        f"The network that was given was cut into {plural(len(cut.nodes), 'block')} with {cut.covered:.0%} of its "
        f"MACs. Candidate {found.chosen.number}, row 0 of the front, has {n or 'none'} of them replaced."
    )
    if not found.within(found.chosen):
        said += " It does not keep the bounds: no network that was put together and measured did."
    return fill("<p>{}</p>", said)


def _blocks(found: Compression) -> Iterator[Block]:
    """All blocks, then what is outside of them, then the whole network."""
    space = found.space
    rest = [space.cut.params, space.cut.macs]
    for node in space.cut.nodes:
        options, label = space.library.alternatives[node.name], found.labels.get(node.name, ORIGINAL)
        given, chosen = options[ORIGINAL], options[label]
        rest = [rest[0] - given.params, rest[1] - given.macs]
        key = node.name, label
        yield Block(
            node.name,
            "×".join(map(str, node.output_shape)),
            Part(ORIGINAL, given.params, given.macs),
            Part(label, chosen.params, chosen.macs),
            tuple(cost.differences.get(key, 0.0) for cost in found.costs),
            found.library.errors.get(key),
        )
    if any(rest):
        part = Part("as given", *rest)
        yield Block("outside of the blocks", "", part, part, (0.0,) * len(found.costs))
    assert space.count is not None
    counted = space.count(space, found.code(found.chosen)[None])
    changes = tuple(sum(cost.differences.get(key, 0.0) for key in found.labels.items()) for cost in found.costs)
    yield Block(
        "the whole network",
        "",
        Part("as given", space.cut.params, space.cut.macs),
        Part(f"candidate {found.chosen.number}", int(counted["params"][0]), int(counted["macs"][0])),
        changes,
        whole=True,
    )


def _bounds(found: Compression) -> Html:
    """A row for each bounded cost."""
    rows = []
    for cost in found.costs:
        promised = cost.own + sum(cost.differences.get(key, 0.0) for key in found.labels.items())
        measured = found.facts.value(found.chosen, cost.name)
        kept = "kept" if measured <= cost.asked else "broken"
        rows.append(
            [
                found.facts.label(cost.name),
                cost.own,
                _with_share(cost.asked, cost.own),
                _with_share(promised, cost.own),
                _with_share(measured, cost.own),
                kept,
            ]
        )
    head = ["cost", "as given", "bound", "sum over the blocks", "the chosen network, measured", "bound is"]
    said = [f"The sum is bound to at most {number(c.bound)} {c.name}." for c in found.costs if c.bound != c.asked]
    if any(cost.name == "latency_ms" for cost in found.costs):
        said.append("Shares of a latency are of the one that was measured beside the blocks' alternatives.")
    return joined([table(head, rows), note(said) if said else ""])


def _with_share(value: float, own: float) -> Cell:
    if math.isnan(value):
        return cell(value)
    return Cell(fill("{} <small>{:.0f} %</small>", number(value), 100 * value / own), value)


def _scores(found: Compression) -> Html:
    """A row for each network that was scored, the one that was given first."""
    facts, given = found.facts, found.given
    score = facts.result.goals.names[0]
    trials = [trial for trial in facts.result.trials if trial.values and trial is not given]
    trials = sorted(trials, key=lambda trial: (trial is not found.chosen, not found.within(trial)))
    tested = facts.result.tested if facts.result.test_accuracy else ""
    rows = []
    for trial in [*([given] if given is not None else []), *trials]:
        named = "the network that was given" if trial is given else "chosen" if trial is found.chosen else ""
        values = [facts.value(trial, name) for name in (score + BEFORE, score, tested) if name]
        costs = [facts.value(trial, cost.name) for cost in found.costs]
        rows.append([identity(trial.number), named, *map(cell, (*values, *costs)), _yes(found.within(trial))])
    heads = [f"{score} before", f"{score} after", *([facts.label(tested)] if tested else [])]
    said = ["Before: as the learned blocks were put together."]
    if not found.space.options.get("fine_tuned", True):
        said = ["Nothing was fine-tuned: networks were scored as the learned blocks were put together."]
    head = ["candidate", "network", *heads, *(facts.label(cost.name) for cost in found.costs), "within the bounds"]
    return joined([table(head, rows), note(said)])


def _others(found: Compression) -> Html:
    head = [str(name) for name in found.others[0]]
    said = "Random blocks and blocks narrowed alike have the weights that were learned, and the same fine-tuning."
    return joined([table(head, [[cell(value) for value in row.values()] for row in found.others]), note([said])])


def _yes(it_is: bool) -> str:
    return "yes" if it_is else "no"


def _alternatives(found: Compression) -> Html:
    """A row for each alternative that was made or left out, in the order of the network."""
    space, rows = found.space, []
    for node in space.cut.nodes:
        options = space.library.alternatives[node.name]
        tried = [label for name, label in found.costs[0].differences if name == node.name]
        for label in (ORIGINAL, *tried):
            key = node.name, label
            errors = [values.get(key) for values in (found.library.errors, found.library.divergences)]
            counts = [getattr(options[label], what) if label in options else None for what in ("params", "macs")]
            changes = [_known(cost.differences.get(key), signed) for cost in found.costs]
            outcome = found.outcome(key)
            shown = fill("<b>{}</b>", outcome) if outcome == "chosen" else outcome
            rows.append([node.name, label, *map(_known, (*counts, *errors)), *changes, Cell(shown)])
        empty = [_known(None)] * (4 + len(found.costs))
        for label, why in space.library.left_out.get(node.name, {}).items():
            rows.append([node.name, label, *empty, f"left out: {why}"])
    head = ["block", "alternative", "params", "MACs", "error", "effect on the answers"]
    head += [f"difference in {cost.name}" for cost in found.costs]
    many = len(rows) > _SHOWN
    button = fill('<button type="button" class="more">all {:,} rows</button>', len(rows)) if many else ""
    said = (
        "The effect on the answers is how far the network's answers are from its own when this block alone is "
        "replaced:",
        "the Kullback-Leibler divergence of the classes' probabilities, or the squared error over the variance.",
    )
    kind = f"alternatives{' long' if many else ''}"
    return joined([table([*head, "outcome"], rows, sortable=True, kind=kind), button, note(said)])


def _known(value: float | None, written: Callable[[float], str] = number) -> Cell:
    """A number, or a dash, which is sorted to the start."""
    return Cell("–", float("-inf")) if value is None else Cell(written(value), float(value))


def signed(value: float) -> str:
    """A difference with its sign."""
    return f"+{number(value)}" if value > 0 else number(value)
