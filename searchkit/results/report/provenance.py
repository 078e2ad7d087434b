"""The section on where the numbers come from: space, data, seed, settings, versions and machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from searchkit.results.report.facts import Facts
from searchkit.results.report.markup import number, pairs, text

_PACKAGES = ("torch", "numpy", "scipy", "optuna", "botorch", "pymoo", "scikit-learn", "onnxruntime")


def provenance(facts: Facts) -> str:
    """Two lists: what was searched, and on what."""
    return (
        f'<div class="columns"><div><h3>The search</h3>{pairs(_search(facts))}</div>'
        f"<div><h3>Versions and machine</h3>{pairs(_made_with(facts))}</div></div>"
    )


def _search(facts: Facts) -> list[tuple[str, str]]:
    result, context = facts.result, facts.context
    space, data, given = result.space, context.get("data") or {}, context.get("call") or {}
    options = ", ".join(f"{key}={value}" for key, value in getattr(space, "options", {}).items() if value is not None)
    rows = [
        ("study", text(result.name)),
        ("strategy", text(result.strategy)),
        ("space", text(f"{space.name}{f' ({options})' if options else ''}: {space.n_choices} choices, ")
         + f"{_size(space.size)} combinations"),
        ("objectives", text(", ".join(f"{o.name} ({o.direction})" for o in result.goals.objectives))),
    ]  # fmt: skip
    if result.goals.bounds:
        rows.append(("bounds", text(facts.bounds)))
    if data:
        rows.append(("data", text(data.get("name", "")) + _details(facts, data)))
    elif context.get("kind") == "function":
        rows.append(("evaluated by", f"a function of the user's, fingerprint <code>{text(context['function'])}</code>"))
    seed = context.get("seed")
    rows.append(("seed", str(seed) if seed is not None else "in the record, and not in this result"))
    budget = [f"{number(v)} {k}" for k, v in (context.get("budget") or {}).items() if v is not None]
    rows.append(("budget", text(" or ".join(budget)) or "none"))
    rows += [(key.replace("_", " "), text(_as_text(value))) for key, value in given.items() if value is not None]
    if context.get("device"):
        rows.append(("trained on", text(context["device"])))
    return [(name, value) for name, value in rows if name != "device"]


def _details(facts: Facts, data: dict[str, Any]) -> str:
    """What is known of the data: shape, classes, fingerprint."""
    shape = getattr(facts.result.space, "input_shape", None)
    parts = [" × ".join(str(n) for n in shape)] if shape else []
    parts += [f"{len(data['classes'])} classes"] if data.get("classes") else []
    parts += [f"from {data['source']}"] if data.get("source") else []
    parts += [f"fingerprint {facts.context['fingerprint']}"] if facts.context.get("fingerprint") else []
    return text(f" ({', '.join(parts)})") if parts else ""


def _made_with(facts: Facts) -> list[tuple[str, str]]:
    """Of the search where its record says so, and of the process that writes the page."""
    from searchkit.version import __version__

    recorded = facts.context.get("version")
    rows = [("searched with", text(f"searchkit {recorded}"))] if recorded else []
    rows.append(("page written with", text(f"searchkit {__version__}, Python {platform.python_version()}")))
    found = [f"{name} {_version(name)}" for name in _PACKAGES if _version(name)]
    rows.append(("libraries", text(", ".join(found))))
    rows.append(
        ("written on", text(f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"))
    )
    measured = sorted({method for methods in facts.result.methods.values() for method in methods})
    rows += [("measured on", text(method)) for method in measured]
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
