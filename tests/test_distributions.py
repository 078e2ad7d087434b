"""The wheel and the sdist hold what they should and nothing else, and say what is true."""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.repository import checkout, tool
from setuptools.config.pyprojecttoml import read_configuration

pytestmark = pytest.mark.slow

EPOCH = 1_700_000_000  # seconds, in November 2023
ROOT = Path(__file__).parents[1]
INFO = "searchkit_nas-{}.dist-info/"


class Made(NamedTuple):
    sdist: Path
    wheel: Path
    version: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Both distributions of the checkout, built once."""
    root, folder = checkout(), tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", str(EPOCH))
        sdist, wheel = tool("dist").distributions(root, folder)
    return Made(sdist, wheel, tool("release").version_of(root))


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    return list(tool("dist").tracked(checkout()))


def metadata(made: Made) -> Message:
    with zipfile.ZipFile(made.wheel) as wheel:
        return Parser().parsestr(wheel.read(INFO.format(made.version) + "METADATA").decode())


def test_the_wheel_has_the_modules_of_the_package_and_nothing_else(made: Made, tracked: list[str]) -> None:
    code = [path for path in tracked if path.startswith("searchkit/") and path.endswith((".py", ".css", ".js"))]
    code += [f"searchkit/{path}" for path in tracked if path.startswith(("strategies/", "proxies/"))]
    info = INFO.format(made.version)
    about = ("licenses/LICENSE", "METADATA", "WHEEL", "entry_points.txt", "top_level.txt", "RECORD")
    with zipfile.ZipFile(made.wheel) as wheel:
        names = wheel.namelist()
    assert sorted(names) == sorted([*code, "searchkit/py.typed", *(info + name for name in about)])
    assert {"searchkit/strategies/bo.py", "searchkit/proxies/zico.py", "searchkit/results/report/page.css"} <= {*names}


def test_the_sdist_has_everything_that_is_tracked(made: Made, tracked: list[str]) -> None:
    top = f"searchkit_nas-{made.version}/"
    generated = {"PKG-INFO", "setup.cfg"} | {
        f"searchkit_nas.egg-info/{name}.txt"
        for name in ("SOURCES", "dependency_links", "entry_points", "requires", "top_level")
    }
    with tarfile.open(made.sdist) as sdist:
        names = {name.removeprefix(top) for name in sdist.getnames()}
        assert all(name.startswith(top) for name in sdist.getnames())
    assert names == {*tracked, *generated, "searchkit_nas.egg-info/PKG-INFO"}


def test_nothing_in_a_distribution_depends_on_when_where_and_by_whom_it_was_built(made: Made) -> None:
    with tarfile.open(made.sdist) as sdist:
        members = sdist.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(EPOCH, 0, 0, "", "")}
    assert {member.mode for member in members} <= {0o644, 0o755}
    assert int.from_bytes(made.sdist.read_bytes()[4:8], "little") == EPOCH  # the time in the header of gzip
    with zipfile.ZipFile(made.wheel) as wheel:
        entries = wheel.infolist()
    assert {entry.date_time for entry in entries} == {(2023, 11, 14, 22, 13, 20)}
    assert {entry.external_attr >> 16 for entry in entries} <= {0o100644, 0o100664}
    code = [entry.filename for entry in entries if entry.filename.startswith("searchkit/")]
    assert code == sorted(code, key=lambda name: name.rpartition("/"))


def test_an_sdist_written_at_another_time_by_another_user_becomes_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for number, names in enumerate((("p/a", "p/b"), ("p/b", "p/a"))):
        path = tmp_path / f"{number}.tar.gz"
        with tarfile.open(path, "w:gz") as sdist:
            for name in names:
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime, entry.uid, entry.mode = 3, 1_000 * number, number, 0o640 - 0o40 * number
                sdist.addfile(entry, io.BytesIO(name.encode()))
        tool("dist").normalised(path, EPOCH)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_the_record_of_the_wheel_is_right(made: Made) -> None:
    with zipfile.ZipFile(made.wheel) as wheel:
        rows = list(csv.reader(wheel.read(INFO.format(made.version) + "RECORD").decode().splitlines()))
        assert {row[0] for row in rows} == set(wheel.namelist())
        for name, digest, size in rows:
            if not name.endswith("/RECORD"):
                content = wheel.read(name)
                found = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
                assert (digest, int(size)) == (f"sha256={found}", len(content))


def test_the_wheel_says_what_the_package_is(made: Made) -> None:
    said = metadata(made)
    assert (said["Name"], said["Version"]) == ("searchkit-nas", made.version)
    assert (said["License-Expression"], said["Requires-Python"]) == ("Apache-2.0", ">=3.11")
    assert {url.split(", ")[0] for url in said.get_all("Project-URL", [])} >= {"Documentation", "Source", "Changelog"}
    with zipfile.ZipFile(made.wheel) as wheel:
        assert b"Tag: py3-none-any" in wheel.read(INFO.format(made.version) + "WHEEL")
        points = configparser.ConfigParser(delimiters="=")
        points.optionxform = str  # type: ignore[assignment, method-assign]
        points.read_string(wheel.read(INFO.format(made.version) + "entry_points.txt").decode())
    project = read_configuration(ROOT / "pyproject.toml", expand=False)["project"]
    written = project["entry-points"] | {"console_scripts": project["scripts"]}
    assert {group: dict(points[group]) for group in points.sections()} == written


def test_the_page_on_pypi_is_the_readme_with_links_that_lead_somewhere(made: Made) -> None:
    page, written = str(metadata(made).get_payload()), (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)\s]+)\)", page)
    assert len(links) == len(re.findall(r"\]\(([^)\s]+)\)", written)) > 10
    assert all(re.match(r"https://|#", link) for link in links)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    assert f"https://raw.githubusercontent.com/searchkit/searchkit/{commit}/docs/images/front.png" in links
    assert f"https://github.com/searchkit/searchkit/blob/{commit}/docs/how-to/time.md" in links
    back = re.sub(rf"https://(?:raw\.githubusercontent|github)\.com/searchkit/searchkit/(?:blob/)?{commit}/", "", page)
    assert back == written
    assert not any(commit in block for block in re.findall(r"```.*?```", page, re.DOTALL))


def test_twine_takes_both(made: Made) -> None:
    command = [sys.executable, "-m", "twine", "check", "--strict", str(made.sdist), str(made.wheel)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("PASSED") == 2
