"""The section on the origin of the numbers: space, data, seed, settings, versions and machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from searchkit.errors import plural
from searchkit.results.report.facts import Facts
from searchkit.results.report.markup import number, pairs
from searchkit.results.safe_html import Html, fill

_PACKAGES = ("torch", "numpy", "scipy", "optuna", "botorch", "pymoo", "scikit-learn", "onnxruntime")


def provenance(facts: Facts) -> Html:
    """Two lists: the search, and the versions and machine."""
    return fill(
        '<div class="columns"><div><h3>The search</h3>{}</div><div><h3>Versions and machine</h3>{}</div></div>',
        pairs(_search(facts)),
        pairs(_made_with(facts)),
    )


def _search(facts: Facts) -> list[tuple[str, object]]:
    result, context = facts.result, facts.context
    space, data, given = result.space, context.get("data") or {}, context.get("call") or {}
    options = ", ".join(f"{key}={value}" for key, value in getattr(space, "options", {}).items() if value is not None)
    named = f"{space.name} ({options})" if options else space.name
    rows: list[tuple[str, object]] = [
        ("study", result.name),
        ("strategy", result.strategy),
        (
            "space",
            f"{named}: {plural(space.n_choices, 'choice')}, {_size(space.size)} combination{'s' * (space.size != 1)}",
        ),
        ("objectives", ", ".join(f"{o.name} ({o.direction})" for o in result.goals.objectives)),
    ]
    if result.goals.bounds:
        rows.append(("bounds", facts.bounds))
    if data:
        rows.append(("data", f"{data.get('name', '')}{_details(facts, data)}"))
    elif context.get("kind") == "function":
        said = fill("the user's own function, fingerprint <code>{}</code>", context["function"])
        rows.append(("evaluated by", said))
    seed = context.get("seed")
    rows.append(("seed", str(seed) if seed is not None else "only in the record, not in this result"))
    budget = [f"{number(v)} {k}" for k, v in (context.get("budget") or {}).items() if v is not None]
    rows.append(("budget", " or ".join(budget) or "none"))
    rows += [(key.replace("_", " "), _as_text(value)) for key, value in given.items() if value is not None]
    if context.get("device"):
        rows.append(("trained on", context["device"]))
    return [(name, value) for name, value in rows if name != "device"]


def _details(facts: Facts, data: dict[str, Any]) -> str:
    """Details of the data: shape, classes, source, fingerprint."""
    shape = getattr(facts.result.space, "input_shape", None)
    parts = [" × ".join(str(n) for n in shape)] if shape else []
    parts += [f"{len(data['classes'])} classes"] if data.get("classes") else []
    parts += [f"from {data['source']}"] if data.get("source") else []
    parts += [f"fingerprint {facts.context['fingerprint']}"] if facts.context.get("fingerprint") else []
    return f" ({', '.join(parts)})" if parts else ""


def _made_with(facts: Facts) -> list[tuple[str, object]]:
    """Versions of the search, as far as they are recorded, and of the process that writes the page."""
    from searchkit.version import __version__

    recorded = facts.context.get("version")
    rows: list[tuple[str, object]] = [("searched with", f"searchkit {recorded}")] if recorded else []
    rows.append(("page written with", f"searchkit {__version__}, Python {platform.python_version()}"))
    found = [f"{name} {_version(name)}" for name in _PACKAGES if _version(name)]
    rows.append(("libraries", ", ".join(found)))
    rows.append(("written on", f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"))
    measured = sorted({method for methods in facts.result.methods.values() for method in methods})
    rows += [("measured on", method) for method in measured]
    for conditions, mhz in facts.result.clock.items():
        ends = [f"{n:,}" for n in dict.fromkeys(mhz)]
        said = ", ".join(filter(None, [f"{' to '.join(ends)} MHz" if ends else "", conditions]))
        rows.append(("clock at the latencies", said))
    return rows


def _processor() -> str:
    from searchkit.runtime.processor import cpu_name

    return cpu_name()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _size(size: int) -> str:
    return f"{size:,}" if size < 10**9 else f"{size:.1e}" if size < 10**300 else f"10^{len(str(size)) - 1}"


def _as_text(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "; ".join(", ".join(f"{key}={entry}" for key, entry in rung.items()) for rung in value)
    return ", ".join(str(entry) for entry in value) if isinstance(value, list) else str(value)
