"""Names and texts shortened and escaped to what MLflow accepts."""

from __future__ import annotations

import posixpath
import re

LONGEST_KEY, LONGEST_PARAM, LONGEST_TAG = 250, 6000, 5000  # characters
PER_BATCH = 100  # parameters that one call takes


class Keys:
    """Names of metrics and parameters as MLflow accepts them; different names stay different."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """The key of a name: itself, where it can be one."""
        if name not in self._keys:
            key = re.sub(r"[^\w\-. /]", "_", name)[: LONGEST_KEY - 4].strip() or "_"
            if posixpath.normpath(key) != key or key.startswith((".", "/")):  # a path that leads elsewhere
                key = re.sub(r"[./]", "_", key)
            taken, n, wanted = set(self._keys.values()), 2, key
            while key in taken:
                key, n = f"{wanted}_{n}", n + 1
            self._keys[name] = key
        return self._keys[name]


def cut(value: object, longest: int) -> str:
    """A value as text, cut to the given length."""
    said = str(value).encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
    return said if len(said) <= longest else f"{said[: longest - 3]}..."
