"""Measurements that are made once, so that the same call again has the same numbers, and goes on with its study."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from searchkit.runtime.fingerprint import fingerprint
from searchkit.runtime.processor import cpu_name
from searchkit.runtime.whole_files import whole_file


@dataclass(frozen=True)
class Measured:
    """Numbers that were measured on this processor, in a file.

    Attributes:
        path: of the file; None: they are not kept.
    """

    path: Path | None = None

    def once(self, make: Callable[[], list[float]], *of: object) -> list[float]:
        """What was measured of something, or what is measured now.

        Args:
            make: measures it.
            of: what it depends on.
        """
        key = fingerprint(cpu_name(), *of)
        held = json.loads(self.path.read_text()) if self.path is not None and self.path.exists() else {}
        if key not in held:
            held[key] = make()
            if self.path is not None:
                with whole_file(self.path) as partial:
                    partial.write_text(json.dumps(held))
        return [float(value) for value in held[key]]
