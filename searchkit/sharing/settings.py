"""Settings of shared weights by name, as ``evaluation={"policy": "fair", "epochs": 50}`` gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from searchkit.errors import SearchkitError, UnknownNameError

SETTINGS = ("policy", "epochs", "seconds", "share", "batch", "lr", "recipe", "judge", "bounds")
OF_NAMES = ("recipe", "bounds")  # which are mappings themselves


def read_settings(given: Mapping[str, object]) -> dict[str, object]:
    """The settings as JSON values, for a record; what they are worth is said where the weights are made.

    Raises:
        UnknownNameError: there is no such setting.
        SearchkitError: a value is no plain one, such as a function, or no mapping where that is needed.
    """
    for name, value in given.items():
        if name not in SETTINGS:
            raise UnknownNameError.of("setting of shared weights", name, SETTINGS)
        if callable(value):
            raise SearchkitError(
                f"the settings of shared weights are plain values, and {name} is a function: give "
                f"searchkit.SharedWeights(space, data, {name}=...) as evaluation="
            )
        if name in OF_NAMES and not isinstance(value, Mapping):
            raise SearchkitError(f"{name} of shared weights is a mapping from names to values, not {value!r:.80}")
    try:
        plain: dict[str, object] = json.loads(json.dumps(dict(given)))
    except (TypeError, ValueError):
        raise SearchkitError(f"the settings of shared weights are plain values, not {dict(given)!r:.200}") from None
    return plain
