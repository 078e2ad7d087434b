"""Settings of shared weights on the command line, ``--shared policy=fair``: of an evaluation, or of a proxy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from searchkit.cli.values import listed, read_proxies, value_of
from searchkit.errors import SearchkitError

if TYPE_CHECKING:
    from searchkit.scoring.registry import Configured

ONE_SHOT = "one-shot"


def read_shared(
    how: str | None, names: str | None, texts: Sequence[str]
) -> tuple[str | dict[str, object] | None, str | list[str | Configured]]:
    """What --evaluation and --proxies of a search say, with the settings of --shared.

    Where both are "one-shot", the settings are of the evaluation.

    Raises:
        SearchkitError: a setting is not of its form, is given twice, or is for weights that nobody asked for.
    """
    found, proxies = _shared_settings(texts), listed(names) or []
    if found and how == ONE_SHOT:
        return found, read_proxies(names)
    if found and ONE_SHOT in proxies:
        return how, _configured(proxies, found)
    if found:
        raise SearchkitError(
            "--shared says how the weights of --evaluation one-shot, or of --proxies one-shot, are trained: give both"
        )
    return how, read_proxies(names)


def read_scored(names: str | None, texts: Sequence[str]) -> list[str | Configured] | None:
    """The proxies of a command that scores, with the settings of --shared.

    Raises:
        SearchkitError: as of :func:`read_shared`.
    """
    found, proxies = _shared_settings(texts), listed(names)
    if not found:
        return None if proxies is None else list(proxies)
    if ONE_SHOT not in (proxies or ()):
        raise SearchkitError("--shared says how the weights of --proxies one-shot are trained: give both")
    return _configured(proxies or [], found)


def _configured(proxies: Sequence[str], settings: Mapping[str, object]) -> list[str | Configured]:
    from searchkit.scoring.registry import Configured
    from searchkit.sharing.settings import read_settings

    made = Configured(ONE_SHOT, read_settings(settings))
    return [made if name == ONE_SHOT else name for name in proxies]


def _shared_settings(texts: Sequence[str]) -> dict[str, object]:
    """Settings of shared weights; a name with a dot is a setting within one."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        whole, dot, inner = name.partition(".")
        if not equals or not value or not all(name.split(".")):
            raise SearchkitError(f"--shared is NAME=VALUE, such as policy=fair or bounds.params=30000, not {text!r}")
        holder = found.setdefault(whole, {}) if dot else found
        key = inner if dot else whole
        if not isinstance(holder, dict) or key in holder:
            raise SearchkitError(f"--shared sets {name} twice")
        holder[key] = value_of(value)
    return found
