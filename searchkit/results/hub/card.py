"""The model card: front matter, figures, and how to load the network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from searchkit.results.cells import visible
from searchkit.results.export_description import names_in
from searchkit.results.hub.figures import Figures, number
from searchkit.results.hub.front_matter import front_matter
from searchkit.results.hub.loading import PROGRAM, WEIGHTS
from searchkit.results.hub.snippets import with_searchkit, without_searchkit
from searchkit.space.inputs import kind_of

FETCH = (
    'The folder is that of these files; `huggingface_hub.snapshot_download("NAME/OF-THIS-REPOSITORY")` fetches them '
    "and returns it."
)


def card(figures: Figures, config: Mapping[str, object], by_name: bool) -> str:
    """The text of README.md.

    Args:
        config: what config.json says.
        by_name: whether searchkit has the space, and can build the network.
    """
    result, data = figures.result, figures.data
    _, outputs = names_in(result)
    made = config["made_with"]
    assert isinstance(made, Mapping)
    versions = ", ".join(f"{name} {version}" for name, version in made.items())
    recorded = result.context.get("version")
    choices = config["choices"]
    assert isinstance(choices, Mapping)
    parts = [
        f"---\n{front_matter(figures)}\n---",
        f"# {plain(result.name)}",
        f"Candidate {figures.trial.number} of the study {plain(result.name)}, a network of the space "
        f"{plain(result.space.name)} that [searchkit](https://pypi.org/project/searchkit-nas/) found. "
        f"It takes {_taken(figures)} and returns {_returned(figures, outputs)}.",
        "## Figures",
        table(("figure", "value", "measured"), figures.measured),
        "## What it was chosen from",
        plain(figures.chosen_from) + (f" {figures.about_neighbours}" if figures.neighbours[1] else ""),
        *([table(*figures.neighbours)] if figures.neighbours[1] else []),
        "Its choices:",
        table(("choice", "option"), [(name, str(option)) for name, option in choices.items()]),
        "## Data and training",
        f"Data {plain(data.name)}: {len(data.train):,} examples to train on, {len(data.val):,} to validate, "
        f"{len(data.test):,} to test. {plain(figures.training)} Seed {result.context.get('seed')}.",
        "## How to load it",
        *_loading(figures, by_name),
        *_encoder(config),
        "## Made with",
        f"{versions}." + (f" The search was one of searchkit {recorded}." if recorded else ""),
    ]
    return "\n\n".join(parts) + "\n"


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(plain(cell) for cell in line)} |" for line in lines)


def plain(text: str) -> str:
    """A text in Markdown as it reads: in one line, and with what Markdown and HTML would take for theirs.

    Characters that cannot be seen, some of which steer a terminal, are escapes.
    """
    return re.sub(r"([\\`*|<\[\]#]|(?<!\w)_|_(?!\w))", r"\\\1", visible(" ".join(text.split())))


def _taken(figures: Figures) -> str:
    shape = figures.result.network_space.input_shape
    kind, sizes = kind_of(shape), " x ".join(str(n) for n in shape)
    said = {"table": f"rows of {sizes} features", "tokens": f"sequences of {sizes} tokens"}.get(
        kind, f"{kind} of {sizes}"
    )
    if figures.pixels is None:
        return said
    least, most = (number(value) for value in figures.pixels)
    return f"{said} (raw pixels, in the train part from {least} to {most})"


def _returned(figures: Figures, outputs: str) -> str:
    classes = figures.result.classes
    if outputs != "logits":
        return "values in the unit of the targets"
    shown = ", ".join(plain(str(label)) for label in classes[:20]) + (", ..." if len(classes) > 20 else "")
    kind = "labels at once" if figures.task == "multilabel" else "classes"
    each = " for each pixel" if len(figures.result.network_space.output_shape) > 1 else ""
    return f"logits of {len(classes)} {kind}{each} ({shown})"


def _loading(figures: Figures, by_name: bool) -> list[str]:
    alone = [
        f"With PyTorch alone ({PROGRAM} is a program of torch.export; PyTorch does not promise to load it in other "
        "versions than the one below):",
        f"```python\n{without_searchkit(figures.result)}```",
    ]
    if not by_name:
        name = plain(figures.result.space.name)
        said = f"With searchkit and the code of the space {name}: `searchkit.load_network(folder, space=...)`, which "
        return [FETCH, *alone, said + f"reads {WEIGHTS}."]
    built = f"```python\n{with_searchkit(figures.result)}```"
    first = f"With searchkit (`pip install searchkit-nas`), which builds the network and reads {WEIGHTS}:"
    return [FETCH, first, built, *alone]


def _encoder(config: Mapping[str, object]) -> list[str]:
    encoder, inputs = config.get("encoder"), config["input"]
    if isinstance(inputs, Mapping) and "words" in inputs:
        return [f"Sentences become tokens by `words` of `input` in config.json: {inputs['encoding']}."]
    if not isinstance(encoder, Mapping):
        return []
    return [f"Rows of a data frame become features by `{encoder['file']}`: {encoder['use']}."]
