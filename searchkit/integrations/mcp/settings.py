"""What a server may do: where studies and exports are, how long a call takes, and whether the user's code is run."""

from __future__ import annotations

import argparse
import glob
import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from searchkit.errors import SearchkitError, printable
from searchkit.runtime.cores import n_cores
from searchkit.surroundings import settled

EXPORTS = "searchkit-exports"
LONGEST = 600.0  # seconds of a call, where the server is not told otherwise
USUAL = 120.0  # seconds of a search that is given neither a budget nor a time


@dataclass(frozen=True)
class Settings:
    """Bounds of a server, which no call can change.

    Args:
        storage: of all studies, as for :func:`searchkit.run`.
        exports: the folder that files are written to.
        max_seconds: that a call may take; what runs longer is interrupted, and its record kept.
        max_workers: processes that a call may use.
        allow_code: whether ``compress`` imports a function of the user's.
    """

    storage: str | None = None
    exports: str = EXPORTS
    max_seconds: float = LONGEST
    max_workers: int = 1
    allow_code: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.max_seconds) and self.max_seconds > 0):
            raise SearchkitError(f"--max-seconds is a number above 0, not {self.max_seconds:g}")
        if self.max_workers < 1:
            raise SearchkitError(f"--max-workers must be at least 1, not {self.max_workers}")
        if self.storage == "memory":
            raise SearchkitError(
                "a study in memory ends with the call that made it: give a folder, a .journal file or a database URL"
            )

    @property
    def usual_seconds(self) -> float:
        """Of a search that is given neither a budget nor a time."""
        return min(USUAL, self.max_seconds)

    def check_seconds(self, seconds: float | None) -> None:
        """Refuse a longer time than a call may take.

        Raises:
            SearchkitError: the message has the limit.
        """
        if seconds is not None and seconds > self.max_seconds:
            raise SearchkitError(
                f"seconds is at most {self.max_seconds:g} on this server, not {seconds:g}: call again to go on, or "
                "start the server with a higher --max-seconds"
            )

    def workers(self, asked: int | None) -> int:
        """The number of processes of a call.

        Raises:
            SearchkitError: more are asked for than a call may use, or none.
        """
        if asked is None:
            return self.max_workers
        if not 1 <= asked <= self.max_workers:
            raise SearchkitError(f"workers is from 1 to {self.max_workers} on this server, not {asked}")
        return asked

    def target(self, asked: str) -> Path:
        """The path that is exported to, inside the folder of exports.

        Raises:
            SearchkitError: it is outside, or leads there.
        """
        folder = settled(self.exports)
        if printable(asked) != asked:
            raise SearchkitError(f"no file can be named {asked!r}")
        path = folder / asked
        real, inside = path.resolve(), folder.resolve()
        if not asked.strip() or Path(asked).is_absolute() or real == inside or not real.is_relative_to(inside):
            raise SearchkitError(
                f"this server writes into '{folder}' only: give a name such as 'best', or 'best/small', not {asked!r}"
            )
        if any(other.is_symlink() for other in real.parent.glob(f"{glob.escape(real.name)}*")):
            raise SearchkitError(f"'{path}' is a link, which this server does not follow: give another name")
        return real


def check_installed() -> None:
    """Raise a SearchkitError where the package mcp is missing, with the line that installs it."""
    if find_spec("mcp") is None:
        raise SearchkitError(
            'the server needs the package mcp, which is not installed: pip install "searchkit-nas[mcp]"'
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a server, but for --storage."""
    parser.add_argument(
        "--exports", default=EXPORTS, metavar="FOLDER", help=f"where exports are written ({EXPORTS}/); nothing outside"
    )
    parser.add_argument(
        "--max-seconds", type=float, default=LONGEST, metavar="S", help=f"that a call may take ({LONGEST:g})"
    )
    parser.add_argument(
        "--max-workers", type=int, metavar="N", help="processes that a call may use (one per core, at most 4)"
    )
    parser.add_argument(
        "--allow-code", action="store_true", help="let compress import a function, MODULE:FUNCTION, and call it"
    )


def settings_of(given: argparse.Namespace) -> Settings:
    """The settings of parsed arguments.

    Raises:
        SearchkitError: one is out of its range.
    """
    workers = min(4, n_cores()) if given.max_workers is None else given.max_workers
    exports = str(settled(given.exports))
    return Settings(given.storage, exports, given.max_seconds, workers, given.allow_code)
