"""Whether what is tagged may be released: ``python packaging/release.py`` says what is wrong, and then ends with 1.

A tag ``vX.Y.Z`` on the commit has to be the version of the package, and CHANGELOG.md has to have a section of it.
Where the commit has no such tag there is nothing that could be wrong.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def version_of(root: Path) -> str:
    """The version of the package, read and not imported."""
    found = re.search(r'^__version__ = "(.+)"$', (root / "searchkit" / "version.py").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("searchkit/version.py has no line __version__ = ...")
    return found[1]


def tags_of(root: Path) -> list[str]:
    """The version tags of the commit that is checked out."""
    said = subprocess.run(["git", "-C", root, "tag", "--points-at", "HEAD"], capture_output=True, text=True, check=True)
    return [tag for tag in said.stdout.split() if re.match(r"v\d", tag)]


def problems(tags: Sequence[str], version: str, changelog: str) -> list[str]:
    """A sentence for everything that keeps a tagged commit from being released."""
    found = [f"the tag {tag} is not v{version}, the version of the package" for tag in tags if tag != f"v{version}"]
    if tags and not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md has no section '## {version} (year-month-day)'")
    return found


if __name__ == "__main__":
    found = tags_of(ROOT)
    wrong = problems(found, version_of(ROOT), (ROOT / "CHANGELOG.md").read_text())
    for line in wrong if found else ["no version tag on this commit"]:
        print(line)
    sys.exit(bool(wrong))
