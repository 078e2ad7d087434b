"""What the tools take: a model for each, of which clients see the JSON schema, and sentences for what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from searchkit.errors import SearchkitError, UnknownNameError, readable
from searchkit.results.formats.table import FORMATS

Study = Annotated[str, Field(description="name of a study; list_studies has them")]
Data = Annotated[
    str | None,
    Field(
        description="digits, fashion-mnist, cifar-10, or the path of a folder with one folder of pictures for each "
        "class, of an .npz file with arrays X and y, or of a .csv file, with data_options {'target': COLUMN}"
    ),
]
DataOptions = Annotated[
    dict[str, JsonValue] | None,
    Field(description="arguments of searchkit.load_data, such as {'size': 96}, {'limit': 1000} or {'target': 'price'}"),
]
Space = Annotated[str | None, Field(description="what to search, see describe; by default what suits the data")]
SpaceOptions = Annotated[
    dict[str, JsonValue] | None, Field(description="arguments of the space, such as {'width': 16}; needs space")
]
Workers = Annotated[int | None, Field(description="processes; by default as many as the server allows")]
Seed = Annotated[int, Field(description="of everything random but the split of the data")]
SplitSeed = Annotated[int, Field(description="of the split of the data into train, validation and test parts")]
Device = Annotated[str, Field(description="auto, cpu, cuda or cuda:1")]
Bound = float | list[float | None]
FORMS = {"dict_type": "an object", "list_type": "a list"}  # by the name of pydantic's error
MOST = 10_000  # candidates of one call that scores


class Input(BaseModel):
    """What a tool takes; names that it does not have are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Nothing(Input):
    """No arguments."""


class DescribeInput(Input):
    kind: Annotated[
        Literal["strategies", "spaces", "proxies", "objectives", "formats", "data", "server"] | None,
        Field(description="what to describe; without it the names of all"),
    ] = None


class FrontInput(Input):
    study: Study
    history: Annotated[bool, Field(description="every candidate, not only those on the front")] = False
    rows: Annotated[int, Field(ge=1, le=1000, description="the most rows to return")] = 50


class CompareInput(Input):
    studies: Annotated[
        list[str], Field(min_length=2, description="names of two or more studies with the same objectives")
    ]


class SearchInput(Input):
    """A search; the same call again continues it."""

    data: Data = None
    data_options: DataOptions = None
    space: Space = None
    space_options: SpaceOptions = None
    strategy: Annotated[str, Field(description="how to search, see describe")] = "auto"
    objectives: Annotated[
        list[str] | dict[str, Literal["min", "max"]] | None,
        Field(
            description="names of metrics or proxies, see describe; by default the first score of the task and params"
        ),
    ] = None
    constraints: Annotated[
        dict[str, Bound] | None,
        Field(description="bounds, such as {'params': 100000} (in its bad direction) or {'accuracy': [0.9, null]}"),
    ] = None
    proxies: Annotated[
        list[str] | str, Field(description="judge candidates before they are trained: auto, default, none, or names")
    ] = "auto"
    screen: Annotated[int | None, Field(description="candidates scored by proxies for each one trained (16)")] = None
    budget: Annotated[int | None, Field(description="candidates to evaluate in the whole study")] = None
    seconds: Annotated[
        float | None,
        Field(description="that the whole study takes; without epochs, searchkit plans how the time is spent"),
    ] = None
    epochs: Annotated[int | None, Field(description="of each candidate's training")] = None
    recipe: Annotated[
        dict[str, JsonValue] | None,
        Field(description="settings of the training, such as {'lr': 0.05}, or lists of options to choose from"),
    ] = None
    time_limit: Annotated[float | None, Field(description="seconds that one candidate may take")] = None
    batch: Annotated[int | None, Field(description="candidates asked for at once")] = None
    evaluation: Annotated[
        str | dict[str, JsonValue] | None,
        Field(
            description="one-shot: judge by weights that all networks share; or settings of these, such as "
            "{'policy': 'fair', 'epochs': 50}"
        ),
    ] = None
    verify: Annotated[int | None, Field(description="of a search without training, train the N best")] = None
    baselines: Annotated[bool, Field(description="say what simple models reach on the same data, in about 10 s")] = True
    earlier: Annotated[list[str], Field(description="names of studies to learn from")] = []
    start: Annotated[
        list[dict[str, JsonValue] | str],
        Field(description="candidates to begin with: choices, or names of studies, whose fronts are taken"),
    ] = []
    workers: Workers = None
    device: Device = "auto"
    seed: Seed = 0
    split_seed: SplitSeed = 0
    name: Annotated[str | None, Field(description="of the study; by default made from the call")] = None
    plan_only: Annotated[bool, Field(description="say how the time would be spent, and search nothing")] = False


class ScoreInput(Input):
    space: Space = None
    space_options: SpaceOptions = None
    candidates: Annotated[
        Annotated[int, Field(ge=1, le=MOST)] | list[dict[str, JsonValue]],
        Field(description="how many random ones, at most 10000, or choices to score, such as [{'width': 8}]"),
    ] = 10
    proxies: Annotated[list[str] | str, Field(description="default, or names of proxies, see describe")] = "default"
    values: Annotated[
        list[float] | None, Field(description="what given candidates are worth, one each: how well proxies rank them")
    ] = None
    data: Data = None
    data_options: DataOptions = None
    workers: Workers = None
    device: Device = "auto"
    seed: Seed = 0
    split_seed: SplitSeed = 0


class ExportInput(Input):
    study: Study
    row: Annotated[int, Field(description="row of the front, from 0, see front")] = 0
    trial: Annotated[int | None, Field(ge=0, description="number of a candidate, such as a verified one, in place")] = (
        None
    )
    to: Annotated[str, Field(description="name of the files, or of the folder of format hub, in the server's folder")]
    format: Annotated[str, Field(description=f"one of {', '.join(FORMATS)}")] = "onnx"
    precision: Annotated[Literal["float32", "int8"], Field(description="int8: a quantised ONNX file as well")] = (
        "float32"
    )
    data: Annotated[
        str | None, Field(description="the data of the search, where they are not known by their name: a path")
    ] = None


class CompressInput(Input):
    model: Annotated[str, Field(description="MODULE:FUNCTION, a function without arguments that returns the network")]
    data: Annotated[str, Field(description="digits, fashion-mnist, cifar-10, or an .npz file with arrays X and y")]
    constraints: Annotated[
        dict[str, float | str],
        Field(description="upper bounds such as {'params': 50000}, or shares, {'latency_ms': '50%'}; macs, file_bytes"),
    ]
    epochs: Annotated[int | None, Field(description="of fine-tuning; 0 for none (2)")] = None
    seconds: Annotated[float | None, Field(description="about the time of the fine-tuning, in place of epochs")] = None
    networks: Annotated[int, Field(description="networks within the bounds to fine-tune")] = 1
    recipe: Annotated[dict[str, JsonValue] | None, Field(description="settings of the fine-tuning")] = None
    export_to: Annotated[str | None, Field(description="write the most accurate one, see export's to")] = None
    workers: Workers = None
    device: Device = "auto"
    seed: Seed = 0
    name: Annotated[str | None, Field(description="of the study; by default made from the call")] = None


Kind = TypeVar("Kind", bound=Input)


def read_input(tool: str, kind: type[Kind], arguments: Mapping[str, object]) -> Kind:
    """The arguments of a call, as the model of its tool.

    Raises:
        UnknownNameError: an argument that the tool does not have; the message has the nearest name.
        SearchkitError: one is missing, or of another type.
    """
    for given in arguments:
        if given not in kind.model_fields:
            raise UnknownNameError.of(f"argument of {tool}", given, kind.model_fields)
    try:
        return kind.model_validate(dict(arguments))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    said = kind.model_fields[name].description if name in kind.model_fields else ""
    if first["type"] == "missing" and len(first["loc"]) == 1:
        raise SearchkitError(f"{tool} needs {name}: {said}")
    form = FORMS.get(str(first["type"]), "")
    raise SearchkitError(f"{name} is {form and f'{form}: '}{said}; not {readable(repr(arguments.get(name)), 200)}")
