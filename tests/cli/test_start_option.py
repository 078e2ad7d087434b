"""What a search of the command line begins with: choices, the file of an export, the front of a study."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import searchkit
from searchkit.cli import main

COUNTED = [
    "run", "--space", "macro", "--space-option", "width=4", "--objectives", "params,macs", "--strategy", "random",
]  # fmt: skip


def test_a_search_begins_with_what_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*COUNTED, "--budget", "5", "--name", "first"]) == 0
    first = searchkit.load("first")
    names = [*first.space.names]
    own = first.space.decode(first.space.sample(1, np.random.default_rng(7)))[0]
    exported = first.space.decode(first.space.sample(1, np.random.default_rng(8)))[0]
    Path("best.json").write_text(json.dumps({"choices": exported, "params": 1}))
    start = ["--start", json.dumps(own), "--start", "best.json", "--start", "first"]
    assert main([*COUNTED, "--budget", "12", "--name", "later", "--seed", "1", *start]) == 0
    history = searchkit.load("later").history[names].to_dict("records")
    front = first.front[names].to_dict("records")
    assert [first.space.encode([row]).tolist() for row in history[: 2 + len(front)]] == [
        first.space.encode([row]).tolist() for row in (own, exported, *front)
    ]
    assert main(["resume", "later", "--budget", "13"]) == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("frist", "Did you mean 'first'"),
        ("{width: 8}", '--start is an object such as {"width": 8} or a file of it'),
        ("[1, 2]", '--start is an object such as {"width": 8}, not'),
        ("none.json", "--start is an object"),
        ("binary.json", "or a file of it, not 'binary.json': 'utf-8' codec"),
        ("number.json", "no choice 'choices'"),
        ('{"width": 1, "width": 2}', "'width' stands in it twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"no choice": 8}', "no choice"),
    ],
)
def test_what_is_no_candidate_is_refused_before_the_search(
    given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("binary.json").write_bytes(b"\xff\xfe\0")
    Path("number.json").write_text('{"choices": 5}')
    assert main([*COUNTED, "--budget", "2", "--name", "first"]) == 0
    capsys.readouterr()
    assert main([*COUNTED, "--budget", "2", "--name", "later", "--start", given]) == 2
    assert said in capsys.readouterr().err
    assert not list(Path("searchkit-runs").glob("later*"))
