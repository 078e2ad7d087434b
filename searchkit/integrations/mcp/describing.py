"""The tool that says what there is: strategies, spaces, proxies, objectives, formats, data sets, and the limits."""

from __future__ import annotations

import dataclasses
import inspect
import re

from pydantic import JsonValue

from searchkit import plugins
from searchkit.costs.metrics import BUILT_IN
from searchkit.data.bundled import NAMES
from searchkit.integrations.mcp.inputs import DescribeInput
from searchkit.integrations.mcp.outputs import Described, Row
from searchkit.integrations.mcp.settings import Settings
from searchkit.results.formats.table import FORMATS
from searchkit.results.json_values import json_value
from searchkit.storage.urls import shown

PLUGINS = {"strategies": "strategy", "spaces": "space", "proxies": "proxy"}


def describe(given: DescribeInput, settings: Settings) -> Described:
    """The entries of a kind, with a line about each; without a kind the names of all."""
    if given.kind is None:
        names = {kind: plugins.names(one) for kind, one in PLUGINS.items()}
        names |= {"objectives": list(BUILT_IN), "formats": list(FORMATS), "data": list(NAMES)}
        return {"names": names}
    if given.kind in PLUGINS:
        return {"entries": [_plugin(PLUGINS[given.kind], name) for name in plugins.names(PLUGINS[given.kind])]}
    if given.kind == "objectives":
        return {"entries": [_objective(name) for name in BUILT_IN]}
    if given.kind == "formats":
        return {"entries": [{"name": name, "about": _format(name)} for name in FORMATS]}
    if given.kind == "data":
        return {"entries": [{"name": name, "about": "a data set that searchkit knows by its name"} for name in NAMES]}
    limits = dataclasses.asdict(settings) | {"storage": settings.storage and shown(settings.storage)}  # no password
    return {"entries": [{"name": key, "value": json_value(said)} for key, said in limits.items()]}


def _plugin(kind: str, name: str) -> Row:
    found = plugins.resolve(kind, name)
    entry: Row = {"name": name, "about": _first_line(found)}
    if kind == "space":
        entry["options"] = _options(found)
    return entry


def _first_line(documented: object) -> str:
    """The first paragraph of a docstring, in one line and without markup."""
    first = " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())
    return re.sub(r":\w+:`~?([^`]*)`|``([^`]*)``", lambda found: found[1] or found[2], first)


def _options(factory: object) -> dict[str, JsonValue]:
    """The options of a space with their defaults, but for those that the data decide."""
    assert callable(factory)
    parameters = [one for one in inspect.signature(factory).parameters.values() if one.name not in plugins.OF_THE_DATA]
    return {one.name: json_value(None if one.default is one.empty else one.default) for one in parameters}


def _objective(name: str) -> Row:
    metric = BUILT_IN[name]
    how = {"trained": "of the trained network", "counted": "counted", "measured": "measured"}[str(metric.stage)]
    return {"name": name, "direction": metric.direction, "about": ", ".join(filter(None, [how, metric.unit]))}


def _format(name: str) -> str:
    kind = FORMATS[name]
    files = "a folder" if kind.folder else f"files {', '.join(kind.endings)}"
    return f"{kind.title}: {files}" + (f"; needs searchkit-nas[{kind.extra}]" if kind.extra else "")
