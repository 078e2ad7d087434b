"""Text from the command line to what :func:`searchkit.run` takes."""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from searchkit import plugins
from searchkit.cli.json_reading import read_json
from searchkit.errors import (
    BudgetError,
    ConstraintError,
    DataError,
    DeviceError,
    SearchkitError,
    SpaceError,
    UnknownNameError,
    first_line_said,
    nearest,
)
from searchkit.runtime.cores import n_cores
from searchkit.space import Space
from searchkit.space.recipe_space import RecipeSpace
from searchkit.surroundings import settled

if TYPE_CHECKING:
    from searchkit.results.result import Result
    from searchkit.scoring.registry import Configured


def read_space(given: argparse.Namespace) -> Any:
    """The space of --space and its options."""
    if not given.space_option:
        return given.space
    if given.space is None:
        raise SpaceError("--space-option needs --space")
    return plugins.load_space_for_data(given.space, **dict(read_option(text) for text in given.space_option))


def read_candidate(text: str, option: str = "--candidate") -> dict[str, Any]:
    """Choices from JSON, or from the JSON file that an export wrote."""
    said = f'{option} is an object such as {{"width": 8}} or a file of it, not {text!r:.200}'
    try:
        path = settled(text) if text.endswith(".json") else None
        found = read_json(path.read_text(encoding="utf-8") if path is not None and path.exists() else text)
    except (OSError, ValueError) as error:  # ValueError: no JSON, or no UTF-8
        raise SpaceError(f"{said}: {first_line_said(error)}") from error
    if not isinstance(found, dict):
        raise SpaceError(f'{option} is an object such as {{"width": 8}}, not {text!r:.200}')
    choices = found.get("choices")
    return choices if isinstance(choices, dict) else found


def read_start(text: str, storage: str) -> Result | Mapping[str, object]:
    """What --start says: choices, as :func:`read_candidate` reads them, or a study by its name."""
    from searchkit.results.studies import load

    given = text.strip()
    is_json = given[:1] in ("{", "[") or given.endswith(".json")
    return read_candidate(given, "--start") if is_json else load(given, storage)


def listed(text: str | None) -> list[str] | None:
    """Names separated by commas; None where nothing was given."""
    return [name.strip() for name in text.split(",") if name.strip()] if text else None


def read_proxies(text: str | None) -> str | list[str | Configured]:
    """What --proxies says: "auto", names, or none."""
    names = listed(text) or []
    return names[0] if names in (["auto"], ["none"]) else [*names]


def read_executor(given: argparse.Namespace) -> dict[str, Any]:
    """Where candidates are trained: in one process per core; 1 is here, without a pool."""
    if given.workers is not None and given.workers < 1:
        raise SearchkitError(f"--workers must be at least 1, not {given.workers}")
    if getattr(given, "executor", None) is not None:
        return {"executor": given.executor, "workers": given.workers}
    n = given.workers or min(4, n_cores())
    return {"executor": None if n == 1 else n}


def read_budget(given: argparse.Namespace) -> dict[str, Any] | None:
    """The budget of --budget and --seconds; None where neither was given.

    Raises:
        BudgetError: one is no number.
    """
    parts: dict[str, Any] = {}
    for name, option, kind in (("evaluations", "budget", int), ("seconds", "seconds", float)):
        text = getattr(given, option)
        if text is None:
            continue
        try:
            parts[("more_" if text.startswith("+") else "") + name] = kind(text)
        except ValueError:
            raise BudgetError(
                f"--{option} is a number of {name}, such as 60, or +60 for so many more, not {text!r}"
            ) from None
    return parts or None


def budget_of(recorded: dict[str, Any], given: dict[str, Any] | None) -> dict[str, Any]:
    """The budget of a study that is continued: as it was begun with, but for what is given.

    So many more, of candidates or of seconds, is all that counts then: what the study had before may be spent.
    """
    given = given or {}
    if given and all(name.startswith("more_") for name in given):
        return given
    replaced = {name.removeprefix("more_") for name in given}
    kept = {name: value for name, value in recorded.items() if name.removeprefix("more_") not in replaced}
    return kept | given


def read_constraints(texts: Sequence[str]) -> dict[str, float | tuple[float | None, float | None]]:
    bounds: dict[str, Any] = {}
    for text in texts:
        found = re.fullmatch(r"\s*([\w@-]+)\s*(<=|>=)\s*([-+.\w]+)\s*", text)
        try:
            if found is None:
                raise ValueError
            name, sign, value = found[1], found[2], float(found[3])
        except ValueError:
            raise ConstraintError(
                f'constraint {text!r} is not of the form "params<=100000" or "accuracy>=0.9"'
            ) from None
        low, high = bounds.get(name, (None, None))
        bounds[name] = (low, value) if sign == "<=" else (value, high)
    return bounds


def read_targets(texts: Sequence[str], options: Sequence[str]) -> Mapping[str, Mapping[str, object]] | None:
    """The targets of --target, "phone=bench.sh {file}", as settings by name; None where none is given.

    Args:
        options: further settings, "phone.first=10"; of a study of another device, "phone.known.pi=STUDY:COLUMN".

    Raises:
        DeviceError: one is not of its form, a name or setting is given twice, or settings are of no target.
    """
    targets: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, equals, how = (part.strip() for part in text.partition("="))
        if not (name and equals and how):
            raise DeviceError(f"target {text!r} is not of the form 'phone=bench.sh {{file}}' or 'pi=ssh://user@host'")
        if name in targets:
            raise DeviceError(f"target '{name}' is given twice: give each device a name of its own")
        targets[name] = {"how": how}
    for text in options:
        found = re.fullmatch(r"\s*([^.=\s]+)\.(\w+)(?:\.([^=\s]+))?\s*=\s*(.+?)\s*", text)
        if found is None or found[2] == "how":
            raise DeviceError(f"--target-option is NAME.SETTING=VALUE, such as phone.timeout=600, not {text!r}")
        name, setting, other, value = found.groups()
        if name not in targets:
            raise UnknownNameError.of("target", name, list(targets))
        _set_option(targets[name], setting, other, value, text)
    return targets or None


def _set_option(target: dict[str, Any], setting: str, other: str | None, value: str, text: str) -> None:
    """Set one setting of a target, or what is known of one other device."""
    if (setting in ("known", "families")) != (other is not None):
        raise DeviceError(
            "--target-option is NAME.known.OTHER=STUDY:COLUMN or NAME.families.OTHER=FAMILY for what is known of other "
            f"devices, and NAME.SETTING=VALUE for other settings, not {text!r}"
        )
    holder, key = (target, setting) if other is None else (target.setdefault(setting, {}), other)
    if key in holder:
        raise DeviceError(f"--target-option sets {text.partition('=')[0].strip()} twice")
    holder[key] = value_of(value) if setting in ("timeout", "repeats", "first") else value
    if setting == "known":
        study, colon, column = value.rpartition(":")
        if not colon or not study or not column:
            raise DeviceError(f"a known device is STUDY:COLUMN, such as camera:latency_ms@phone, not {value!r}")
        holder[key] = (study, column)


def read_shares(texts: Sequence[str]) -> dict[str, float | str]:
    """Upper bounds, some of which are shares of a network's own cost: "latency_ms<=50%"."""
    bounds: dict[str, float | str] = {}
    for text in texts:
        name, sign, value = (part.strip() for part in text.partition("<="))
        try:
            bounds[name] = value if value.endswith("%") else float(value)
        except ValueError:
            sign = ""
        if not sign:
            raise ConstraintError(f'constraint {text!r} is not of the form "params<=100000" or "latency_ms<=50%"')
    return bounds


def read_option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SpaceError(f"--space-option is NAME=VALUE, not {text!r}")
    return name, value_of(value)


def read_data(given: argparse.Namespace) -> dict[str, Any]:
    """The data, loaded where --data-option says how, and the seed of their split.

    Raises:
        DataError: an option is not of the form NAME=VALUE, or is none of load_data's.
    """
    if not given.data_option:
        return {"data": given.data, "split_seed": given.split_seed}
    from searchkit.data.loading import load_data

    allowed = [name for name in inspect.signature(load_data).parameters if name not in ("data", "seed")]
    options: dict[str, Any] = {}
    for text in given.data_option:
        name, equals, value = text.partition("=")
        if not equals or name not in allowed:
            near = nearest(name, allowed)
            hint = f". Did you mean '{near}'?" if equals and near else ""
            raise DataError(f"--data-option is NAME=VALUE, of {', '.join(allowed)}; not {text!r}{hint}")
        options[name] = value_of(value)
    return {"data": load_data(given.data, seed=given.split_seed, **options), "split_seed": 0}


def read_recipe(texts: Sequence[str]) -> dict[str, Any] | None:
    """The settings of --recipe: a value, or a list of options where commas separate several; None where none is given.

    Raises:
        SearchkitError: one is not of this form, or a setting is given twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        values = [value_of(part.strip()) for part in value.split(",")]
        if not equals or not name or "" in values:
            raise SearchkitError(
                f"--recipe is a setting and its value, such as lr=0.05, or its options, optimiser=sgd,adamw; not "
                f"{text!r}"
            )
        if name in found:
            raise SearchkitError(f"--recipe sets {name} twice: give its options in one, {name}=A,B")
        found[name] = values if len(values) > 1 else values[0]
    return found or None


def value_of(text: str) -> object:
    """A number, true, false or null as JSON has them, or as Python has them; else the text itself."""
    try:
        return json.loads({"True": "true", "False": "false", "None": "null"}.get(text, text))
    except json.JSONDecodeError:
        return text


def recorded_recipe(space: Space, recorded: dict[str, Any] | None) -> tuple[Space, dict[str, Any] | None]:
    """The space of a study's networks, and its recipe with its choices as objects, as they are given to a search."""
    if not isinstance(space, RecipeSpace):
        return space, recorded
    return space.networks, (recorded or {}) | {choice.name: choice for choice in space.settings}


def recorded_call(header: dict[str, Any]) -> tuple[dict[str, Any], list[str], list[str]]:
    """The recorded arguments of a call, the names of earlier studies, and of proxies that were given as objects.

    Before format 2 a record had proxies by name only, whatever they were.
    """
    context, call = header["context"], dict(header["context"]["call"])
    call.setdefault("split_seed", header["search"].get("seed"))
    if "objects" in context:
        if told := call.pop("proxy_settings", {}):
            from searchkit.scoring.registry import Configured

            call["proxies"] = [Configured(name, told[name]) if name in told else name for name in call["proxies"]]
        return call, list(context.get("earlier", [])), list(context["objects"])
    names = call.get("proxies", [])
    learned_from = [name.removeprefix("earlier:") for name in names if name.startswith("earlier:")]
    known = plugins.names("proxy")
    call |= {"proxies": [name for name in names if name in known]} if names else {}
    return call, learned_from, [name for name in names if name not in known and not name.startswith("earlier:")]
