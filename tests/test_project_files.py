"""The files around the package are there, are valid, say the same thing in each place, and lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import trove_classifiers
import yaml
from helpers.repository import ROOT, checkout, tool
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import searchkit

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY = "https://github.com/searchkit/searchkit"
SITE = "https://searchkit.github.io/searchkit/"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")

VALID = {  # file: the schema that it has to fit
    ".github/ISSUE_TEMPLATE/bug.yml": "vendor.github-issue-forms",
    ".github/ISSUE_TEMPLATE/config.yml": "vendor.github-issue-config",
    ".github/ISSUE_TEMPLATE/feature.yml": "vendor.github-issue-forms",
    ".github/workflows/ci.yml": "vendor.github-workflows",
    ".github/workflows/release.yml": "vendor.github-workflows",
    "CITATION.cff": "vendor.citation-file-format",
}
WRITTEN = (
    ".github/pull_request_template.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "README.md",
    "SECURITY.md", "docs/compatibility.md", "docs/releasing.md", "paper/paper.md",
)  # fmt: skip
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}  # what conda-forge calls differently


def read_yaml(path: str) -> Any:
    return yaml.load((ROOT / path).read_text(), yaml.BaseLoader)  # texts as they are written: "on", 3.10


def problem_of(path: Path, schema: str) -> str:
    """What a schema says against a file; empty where it fits."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    return ended.stdout + ended.stderr if ended.returncode else ""


@pytest.mark.parametrize("schema", sorted(set(VALID.values())))
def test_a_file_that_other_programs_read_fits_its_schema(schema: str) -> None:
    from check_jsonschema import main

    files = [str(ROOT / path) for path, wanted in VALID.items() if wanted == schema]
    with pytest.raises(SystemExit) as ended:
        main(["--builtin-schema", schema, *files])
    assert ended.value.code == 0


@pytest.mark.slow
def test_a_file_with_a_mistake_does_not_fit(tmp_path: Path) -> None:
    wrong = tmp_path / "CITATION.cff"
    wrong.write_text((ROOT / "CITATION.cff").read_text().replace("authors:", "writers:"))
    assert "writers" in problem_of(wrong, VALID["CITATION.cff"])


@pytest.mark.parametrize("path", WRITTEN)
def test_every_link_to_a_file_leads_to_one(path: str) -> None:
    text = (ROOT / path).read_text()
    assert len(text) > 300
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        where, _, heading = link.partition("#")
        if not re.match(r"[a-z]+:", where):
            found = (ROOT / path).parent / where if where else ROOT / path
            assert found.exists(), f"{path} links {link}"
            if heading:
                headings = map(slug, re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE))
                assert heading in headings, f"{path} links {link}, and there is no such heading"


def slug(heading: str) -> str:
    return re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-"))


def test_pyproject_is_valid_and_its_classifiers_exist() -> None:
    ended = subprocess.run([sys.executable, "-m", "validate_pyproject", str(ROOT / "pyproject.toml")], text=True)
    assert ended.returncode == 0
    assert set(PROJECT["classifiers"]) <= trove_classifiers.classifiers
    assert len(PROJECT["classifiers"]) == len(set(PROJECT["classifiers"]))


def test_every_place_names_the_pythons_that_are_supported() -> None:
    named = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert tuple(named) == PYTHONS
    assert [version for version in PYTHONS if version in SpecifierSet(PROJECT["requires-python"])] == list(PYTHONS)
    jobs = read_yaml(".github/workflows/ci.yml")["jobs"]
    for job in ("test", "install"):
        assert tuple(jobs[job]["strategy"]["matrix"]["python"]) == PYTHONS
    assert f"{PYTHONS[0]} to {PYTHONS[-1]}" in (ROOT / "docs" / "compatibility.md").read_text()


def test_the_version_stands_in_one_place_and_what_repeats_it_agrees() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert tool("release").version_of(ROOT) == searchkit.__version__
    assert read_yaml("CITATION.cff")["version"] == searchkit.__version__
    assert read_yaml("packaging/conda/recipe.yaml")["context"]["version"] == searchkit.__version__


def test_every_place_has_the_same_addresses() -> None:
    urls, citation = PROJECT["urls"], read_yaml("CITATION.cff")
    about = read_yaml("packaging/conda/recipe.yaml")["about"]
    assert {urls["Source"], citation["repository-code"], about["repository"]} == {REPOSITORY}
    assert {urls["Documentation"], citation["url"], about["documentation"]} == {SITE}
    assert read_yaml("mkdocs-versions.yml")["site_url"] == SITE
    for path in [*WRITTEN, *VALID]:
        for address in re.findall(r"https://(?:github\.com/searchkit|searchkit)[^\s)>\"']*", (ROOT / path).read_text()):
            assert address.startswith((REPOSITORY, SITE)), f"{path} has {address}"


def test_the_recipe_of_conda_needs_what_pyproject_needs() -> None:
    recipe = read_yaml("packaging/conda/recipe.yaml")
    needed = [Requirement(text) for text in PROJECT["dependencies"]]
    wanted = {CONDA.get(one.name, one.name.lower()): one.specifier for one in needed}
    found = {}
    for line in recipe["requirements"]["run"]:
        name, _, bounds = line.partition(" ")
        found[name] = SpecifierSet(bounds) if name != "python" else bounds
    assert found.pop("python") == ">=${{ python_min }}"
    assert f">={recipe['context']['python_min']}" == PROJECT["requires-python"]
    assert found == wanted
    assert recipe["about"]["license"] == PROJECT["license"] == read_yaml("CITATION.cff")["license"]
    assert recipe["about"]["summary"] == PROJECT["description"]
    assert recipe["build"]["python"]["entry_points"] == [f"{name} = {at}" for name, at in PROJECT["scripts"].items()]


def test_what_is_tagged_is_what_the_package_says_and_what_the_changelog_has() -> None:
    release, root = tool("release"), checkout()
    assert release.problems(release.tags_of(root), searchkit.__version__, (root / "CHANGELOG.md").read_text()) == []


@pytest.mark.parametrize(
    ("tags", "changelog", "said"),
    [
        ([], "## Unreleased\n", []),
        (["v1.2.0"], "## Unreleased\n\n## 1.2.0 (2027-01-31)\n", []),
        (["v1.3.0"], "## 1.2.0 (2027-01-31)\n", ["the tag v1.3.0 is not v1.2.0, the version of the package"]),
        (["v1.2.0"], "## Unreleased\n", ["CHANGELOG.md has no section '## 1.2.0 (year-month-day)'"]),
        (["v1.2.0"], "## 1.2.0rc1 (2027-01-31)\n", ["CHANGELOG.md has no section '## 1.2.0 (year-month-day)'"]),
    ],
)
def test_a_tag_that_does_not_fit_is_refused(tags: list[str], changelog: str, said: list[str]) -> None:
    assert tool("release").problems(tags, "1.2.0", changelog) == said


def test_the_tags_of_a_commit_are_read_from_git(tmp_path: Path) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), (*who, "commit", "-q", "--allow-empty", "-m", "a"), ("tag", "v0.1.0"),
                    ("tag", "nightly"), (*who, "commit", "-q", "--allow-empty", "-m", "b")):  # fmt: skip
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    assert tool("release").tags_of(tmp_path) == []
    subprocess.run(["git", "-C", tmp_path, "tag", "v0.2.0"], check=True)
    assert tool("release").tags_of(tmp_path) == ["v0.2.0"]


def test_the_workflows_run_what_is_there() -> None:
    ci, release = read_yaml(".github/workflows/ci.yml"), read_yaml(".github/workflows/release.yml")
    assert any(step.get("run") == ".ci/run" for step in ci["jobs"]["test"]["steps"])
    run = "\n".join(
        step.get("run", "") for flow in (ci, release) for job in flow["jobs"].values() for step in job["steps"]
    )
    for path in re.findall(r"(?:python |--config-file )((?:\w+/)*[\w-]+\.(?:py|yml))", run):
        assert (ROOT / path).exists(), path
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    for names in re.findall(r"pip install --constraint constraints.txt (.*)", run):
        assert set(names.split()) <= pinned
    publish = release["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert not any("password" in step.get("with", {}) for step in publish["steps"])
    assert all("timeout-minutes" in job for flow in (ci, release) for job in flow["jobs"].values())


def test_the_paper_cites_what_is_in_its_bibliography_and_nothing_else() -> None:
    text = (ROOT / "paper" / "paper.md").read_text()
    bib = (ROOT / "paper" / "paper.bib").read_text()
    header = yaml.safe_load(text.split("---\n")[1])
    assert header.keys() == {"title", "tags", "authors", "affiliations", "date", "bibliography"}
    assert header["bibliography"] == "paper.bib"
    entries = re.split(r"^@", bib, flags=re.MULTILINE)[1:]
    keys = [entry.partition("{")[2].partition(",")[0] for entry in entries]
    assert keys == sorted(set(keys))
    assert set(re.findall(r"@([a-z]+\d{4}\w+)", text)) == set(keys)
    for entry in entries:
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", entry, re.MULTILINE))
        assert {"title", "author", "year"} <= fields.keys(), entry
        assert re.fullmatch(r"\d{4}", fields["year"])
        assert entry.count("{") == entry.count("}")
        assert entry.partition("{")[2].partition(",")[0].find(fields["year"]) > 0
        assert entry.startswith("misc") or {"booktitle", "journal"} & fields.keys()
    sections = re.findall(r"^# (.*)$", text, re.MULTILINE)
    assert sections == [
        "Summary", "Statement of need", "State of the field", "Software design", "What was measured",
        "Acknowledgements", "References",
    ]  # fmt: skip


def test_every_figure_of_the_paper_is_among_what_was_measured() -> None:
    text = (ROOT / "paper" / "paper.md").read_text().partition("# What was measured")[2].partition("\n# ")[0]
    measured = set(re.findall(r"\d[\d.,]*\d|\d", (ROOT / "docs" / "benchmarks.md").read_text()))
    figures = re.findall(r"(?<![-@\w])\d+[.,]\d+", text)
    assert len(figures) > 8
    assert [figure for figure in figures if figure not in measured] == []
