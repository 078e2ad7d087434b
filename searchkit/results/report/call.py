"""The call that repeats a search, as Python code; parts that are not in its record are names to fill in."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from searchkit import plugins
from searchkit.costs.metrics import BUILT_IN
from searchkit.costs.task_scores import AT, in_float
from searchkit.data.bundled import NAMES
from searchkit.errors import SearchkitError
from searchkit.results.report.facts import Facts
from searchkit.results.result import Result
from searchkit.space import NetworkSpace, Parameter, Space, is_number
from searchkit.space.narrower_space import narrowed_as
from searchkit.space.prior import repr_of
from searchkit.space.recipe_space import listed_choice, networks_of
from searchkit.training.stopping_rules import RULES

_SCREEN = 16  # the default of searchkit.run
EARLIER = ("earlier:", "elsewhere:")  # beginnings of the names of proxies that learned from studies
COMPARISONS = "comparisons"  # the name of the proxy that learned from comparisons


Line = tuple[str, str]  # an argument and its comment, which may be empty


def call(facts: Facts) -> str:
    """Python that begins with ``import searchkit``; comments say what has to be filled in."""
    result, context = facts.result, facts.context
    networks = context.get("kind") == "networks"
    lines = [_strategy(context), _space(result)]
    lines.append(_data(context) if networks else ("evaluate=evaluate", "your function, which is not in the record"))
    lines += [_objectives(result, networks), *_constraints(result), *_settings(context), *_recipe(result)]
    lines += [*_training(context), *_weights(context)]
    lines.append((f"budget={_budget(context)}", ""))
    seed = context.get("seed")
    lines.append(
        ("seed=seed", "as in the original call; 0 if it had none") if seed is None else (f"seed={_python(seed)}", "")
    )
    lines.append((f"name={_text(result.name)}", "continues the recorded study; another name begins a new one"))
    body = "".join(f"    {code},{f'  # {_one_line(note)}' if note else ''}\n" for code, note in lines)
    return f"import searchkit\n\nresult = searchkit.run(\n{body})\n"


def _strategy(context: dict[str, Any]) -> Line:
    name = context.get("strategy")
    return ("strategy", f"an object: {context.get('chosen') or 'your own'}") if name is None else (_text(name), "")


def _space(result: Result) -> Line:
    """The space as a registered name with its options, else as its choices; a user's build function is filled in."""
    space = networks_of(result.space) if isinstance(result.space, NetworkSpace) else result.space
    if isinstance(space, NetworkSpace) and space.name in plugins.names("space"):
        try:
            whole = plugins.load_space(space.name, **space.options)
            part = narrowed_as(whole, space.describe())
            same = part.choices == space.choices
        except SearchkitError:
            same = False
        if same:
            given = "".join(
                f", {key}={_python(value)}"
                for key, value in space.options.items()
                if value is not None and key.isidentifier()
            )
            loaded = f"searchkit.load_space({_text(space.name)}{given})"
            return f"space={loaded if part is whole else _narrowed(loaded, whole, part)}", ""
    if isinstance(space, NetworkSpace) or result.context.get("kind") == "networks":
        return "space=space", f"'{space.name}', your own NetworkSpace, whose build function is not in the record"
    if not _writable(space):
        return "space=space", f"'{space.name}', with options that are objects, of which the record has only names"
    named = "" if space.name == "custom" else f", name={_text(space.name)}"
    choices = "".join(f"        {_choice(choice)},\n" for choice in space.choices)
    own = "and canonical=, your function" if space.canonical_function is not None else ""
    return f"space=searchkit.Space([\n{choices}    ]{named})", own


def _narrowed(loaded: str, whole: NetworkSpace, part: NetworkSpace) -> str:
    """The part of a registered space, by the options that it has of choices that have more in the whole."""
    pairs = [(a, b) for a, b in zip(part.choices, whole.choices, strict=True) if len(a.options) < len(b.options)]
    lines = "".join(f"        {_text(a.name)}: {_python(list(a.labels))},\n" for a, _ in pairs)
    return f"{loaded}.narrowed({{\n{lines}    }})"


def _settings(context: dict[str, Any]) -> list[Line]:
    """Other arguments of the call; defaults are left out."""
    given = dict(context.get("call") or {})
    for apart in ("recipe", "early_stopping"):
        given.pop(apart, None)
    proxies, told = given.pop("proxies", None), given.pop("proxy_settings", {})
    objects = [*context.get("objects", ()), *(f"earlier:{name}" for name in context.get("earlier", ()))]
    proxies = [*(proxies or ()), *objects] if objects else proxies  # a call's own are names alone
    if given.get("device") == "auto":
        del given["device"]
    if given.get("screen") == _SCREEN:
        given.pop("screen", None)
    if "ladder" in given:
        given["ladder"] = tuple(given["ladder"])
    targets = given.pop("targets", None)
    named = {key: value for key, value in given.items() if value is not None and key.isidentifier()}
    others = [(f"{key}={_python(value)}", "") for key, value in named.items()]
    return [*_proxies(proxies, told), *_targets(targets), *others]


def _targets(given: dict[str, Any] | None) -> list[Line]:
    """Devices elsewhere; one that is asked by a function is a name to fill in."""
    if not given:
        return []
    hows = [f"{_text(name)}: {'measure' if how is None else _python(how)}" for name, how in given.items()]
    own = "measure: your function, which is not in the record" if None in given.values() else ""
    return [(f"targets={{{', '.join(hows)}}}", own)]


def _recipe(result: Result) -> list[Line]:
    """The settings of the training; options as a list, or as a Choice where they lie on a scale and do not look it."""
    given = (result.context.get("call") or {}).get("recipe") or {}
    choices = {choice.name: choice for choice in result.space.choices}
    settings = [
        f"{_text(name)}: {_python(value) if not isinstance(value, list) else _options(choices[name])}"
        for name, value in given.items()
    ]
    return [(f"recipe={{{', '.join(settings)}}}", "")] if settings else []


def _weights(context: dict[str, Any]) -> list[Line]:
    """Weights that are not in the record: those that networks began with, and shared ones that were given."""
    given = "weights" in context and "weights_file" not in context
    lines = [("weights=weights", "which networks began with; they are not in the record")] if given else []
    if context.get("shared"):
        lines.append(("evaluation=shared", "your searchkit.SharedWeights, which are not in the record"))
    return lines


def _training(context: dict[str, Any]) -> list[Line]:
    """The user's own training, and the rule that stops it early."""
    if "trained_by" not in context:
        return []
    lines = [("training=training", f"{context['trained_by']}, your function, which is not in the record")]
    given = dict((context.get("call") or {}).get("early_stopping") or {})
    if not given:
        return lines
    rule: Any = RULES[given.pop("rule")]
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    if rule(**settings) == rule():
        return [*lines, (f"early_stopping={_text(rule.__name__.lower())}", "")]
    said = ", ".join(f"{name}={_python(value)}" for name, value in settings.items())
    return [*lines, (f"early_stopping=searchkit.training.{rule.__name__}({said})", "")]


def _options(choice: Parameter) -> str:
    if is_number(choice):
        return _choice(choice)
    same = listed_choice(choice.name, choice.options).ordered == choice.ordered
    return _python(list(choice.options)) if same else _choice(choice)


def _writable(space: Space) -> bool:
    plain, infinite = (str, int, float, bool, type(None)), float("inf")
    options = [option for choice in space.choices if not is_number(choice) for option in choice.options]
    return all(type(option) in plain and option == option and option not in (infinite, -infinite) for option in options)


def _choice(choice: Parameter) -> str:
    if is_number(choice):
        return f"searchkit.{choice!r}"
    ordered = ", ordered=True" if choice.ordered else ""
    both = repr_of(choice.when, choice.prior, choice.options)
    return f"searchkit.Choice({_text(choice.name)}, {_python(choice.options)}{ordered}{both})"


def _data(context: dict[str, Any]) -> Line:
    data = context.get("data") or {}
    loaded = dict(data.get("loaded") or {})
    if data.get("object") and loaded:
        given = "".join(f", {name}={_python(value)}" for name, value in loaded.items() if name != "data")
        return f"data=searchkit.load_data({_text(loaded['data'])}{given})", ""
    if data.get("object"):  # which its name does not tell: it may be limited, or split otherwise
        return "data=data", f"'{data.get('name', '')}': the same data as then, split with the same seed"
    if data.get("source"):
        return f"data={_text(data['source'])}", ""
    if data.get("name") in NAMES:
        return f"data={_text(data['name'])}", ""
    return "data=data", f"'{data.get('name', '')}': your own arrays or data set"


def _objectives(result: Result, networks: bool) -> Line:
    objectives = result.goals.objectives
    if not networks:
        return f"objectives={_python({o.name: o.direction for o in objectives})}", ""
    ends = tuple(f"{AT}{name}" for name in (result.context.get("call") or {}).get("targets") or {})
    names = [o.name for o in objectives if not (ends and o.name.endswith(ends))]
    own = [name for name in names if in_float(name) not in BUILT_IN and not _is_signal(name)]
    if own and "trained_by" in result.context:  # the function may return them
        return f"objectives={_python({o.name: o.direction for o in objectives})}", ""
    note = f"{', '.join(own)}: give your own Metric instead of its name" if own else ""
    return f"objectives={_python(tuple(o.name for o in objectives))}", note


def _is_signal(name: str) -> bool:
    return any(name == known or name.startswith("az_") for known in plugins.names("proxy"))


def _constraints(result: Result) -> list[Line]:
    bounds = {
        bound.name: tuple(None if abs(end) == float("inf") else end for end in (bound.low, bound.high))
        for bound in result.goals.bounds
    }
    return [(f"constraints={_python(bounds)}", "")] if bounds else []


def _proxies(names: Sequence[str] | None, told: dict[str, Any]) -> list[Line]:
    """Proxies by name; objects, settings and earlier studies have to be filled in."""
    earlier = [name.partition(":")[2] for name in names or () if name.startswith(EARLIER)]
    given = [name for name in names or () if not name.startswith(EARLIER) and name != COMPARISONS]
    own = [name for name in given if name not in plugins.names("proxy")]
    notes = [f"{', '.join(own)}: give your own object instead of its name"] if own else []
    notes += [f"{name} had the settings {_python(settings)}" for name, settings in told.items()]
    compared = COMPARISONS in (names or ())
    loads = ", ".join([f"searchkit.load({_text(name)})" for name in earlier] + ["comparisons"] * compared)
    lines = [(f"proxies={_python(tuple(given))}", "; ".join(notes))] if given or names == [] else []
    said = "comparisons: give your own searchkit.Comparisons" if compared else ""
    return [*lines, *([(f"earlier=[{loads}]", said)] if loads else [])]


def _budget(context: dict[str, Any]) -> str:
    budget = context.get("budget") or {}
    evaluations, seconds = budget.get("evaluations"), budget.get("seconds")
    return _python(evaluations) if seconds is None and evaluations is not None else _python(budget)


def _python(value: Any) -> str:
    """JSON-like values as Python code: strings in double quotes, whole floats as integers."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_python(key)}: {_python(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        inner = ", ".join(_python(entry) for entry in value)
        return f"({inner}{',' if len(value) == 1 else ''})" if isinstance(value, tuple) else f"[{inner}]"
    return repr(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else repr(value)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=not value.isprintable())


def _one_line(text: str) -> str:
    """The text on one line, as a comment needs it."""
    return re.sub(r"\s+", " ", text)
