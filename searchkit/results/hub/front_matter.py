"""The front matter of a model card: the fields that the Hub reads, as YAML."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence

from searchkit.errors import printable
from searchkit.results.cells import visible
from searchkit.results.hub.figures import Figures
from searchkit.space.inputs import kind_of

Yaml = str | int | float | bool | None | Sequence["Yaml"] | Mapping[str, "Yaml"]

TAGS = {  # of the Hub's own tasks, those that are certain
    ("classification", "images"): "image-classification",
    ("segmentation", "images"): "image-segmentation",
    ("classification", "table"): "tabular-classification",
    ("regression", "table"): "tabular-regression",
}
METRICS = {"f1_macro": "f1", "r2": "r_squared", "miou": "mean_iou"}  # as the Hub calls them; others by our names
LICENCE = "# license: say here under which licence you give it away, such as apache-2.0"


def front_matter(figures: Figures) -> str:
    """The lines between the two ``---`` of a card; the licence is the user's to say."""
    result, tag = figures.result, pipeline_tag(figures)
    results: list[Yaml] = [_measured(figures, *score) for score in figures.scores()]
    fields: dict[str, Yaml] = {
        "library_name": "searchkit",
        "tags": ["pytorch", "searchkit", "neural-architecture-search", *([tag] if tag else [])],
    }
    if tag:
        fields["pipeline_tag"] = tag
    if results:
        fields["metrics"] = list(dict.fromkeys(METRICS.get(name, name) for name, *_ in figures.scores()))
        fields["model-index"] = [{"name": result.name, "results": results}]
    return "\n".join([LICENCE, *yaml(fields)])


def pipeline_tag(figures: Figures) -> str | None:
    """What the Hub calls the task; None where none of its names is certain to fit."""
    if figures.task == "classification" and figures.data.tokenizer is not None:
        return "text-classification"
    return TAGS.get((figures.task, kind_of(figures.result.network_space.input_shape)))


def _measured(figures: Figures, name: str, part: str, value: float) -> Yaml:
    data = figures.data.name
    slug = re.sub(r"[^\w.-]+", "-", data).strip("-") or "data"
    return {
        "task": {"type": pipeline_tag(figures) or "other"},
        "dataset": {"type": slug, "name": data, "split": part},
        "metrics": [{"type": METRICS.get(name, name), "value": round(value, 6), "name": f"{name} ({part} part)"}],
    }


def yaml(value: Yaml, indent: str = "") -> Iterator[str]:
    """The lines of a mapping or a list in YAML. Scalars are nearly JSON, see :func:`_scalar`."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            if _nested(entry):
                yield f"{indent}{key}:"
                yield from yaml(entry, indent + "  ")
            else:
                yield f"{indent}{key}: {_scalar(entry)}"
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for entry in value:
            if _nested(entry):
                first, *rest = yaml(entry, indent + "  ")
                yield f"{indent}- {first.lstrip()}"
                yield from rest
            else:
                yield f"{indent}- {_scalar(entry)}"


def _scalar(value: Yaml) -> str:
    """A scalar that YAML 1.1 reads as the same type: a number with an exponent needs a point in front of it."""
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and "e" in text and "." not in text:
        return text.replace("e", ".0e")
    return visible(printable(text))


def _nested(value: Yaml) -> bool:
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str) and len(value) > 0
