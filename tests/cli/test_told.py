"""suggest and tell: candidates that are evaluated elsewhere, in JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

import searchkit
from searchkit.cli import main

SPACE = '{"lr": {"float": [1e-4, 0.1], "log": true}, "kind": ["a", "b"], "n": {"int": [1, 9], "when": ["kind", "a"]}}'
NEW = ("suggest", "kettle", "--space", SPACE, "--objectives", "loss:min,size:min", "--strategy", "random")


@pytest.fixture
def run(capsys, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, said: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(said))
        code = main(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_candidates_are_suggested_told_and_on_record(run) -> None:
    code, out, err = run(*NEW, "--n", "2")
    assert (code, err) == (0, "")
    asked = json.loads(out)
    assert [one["candidate"] for one in asked] == [0, 1]
    assert all(("n" in one["choices"]) == (one["choices"]["kind"] == "a") for one in asked)
    code, out, _ = run("tell", "kettle", "0", "loss=0.3", "size=2e3", "--seconds", "1.5")
    assert (code, json.loads(out)) == (0, [{"candidate": 0, "state": "scored", "front": True}])
    assert json.loads(run("suggest", "kettle", "--pending")[1]) == asked[1:]
    both = '{"candidate": 1, "values": {"loss": 0.4, "size": 3000}}\n\n{"candidate": 2, "failed": "on fire"}\n'
    assert json.loads(run("suggest", "kettle")[1])[0]["candidate"] == 2
    told = json.loads(run("tell", "kettle", "-", said=both)[1])
    assert [(one["state"], one["front"]) for one in told] == [("scored", False), ("failed", False)]
    result = searchkit.load("kettle")
    assert [trial.state for trial in result.trials] == ["scored", "scored", "failed"]
    assert result.trials[2].reason == "on fire"
    assert result.trials[0].seconds == 1.5
    assert result.front["size"].tolist() == [2000.0]
    assert json.loads(run("list", "--json")[1])[0]["candidates"] == 3


@pytest.mark.slow
def test_what_was_suggested_in_two_processes_is_what_one_would_suggest(run, tmp_path: Path) -> None:
    given = ("--space", SPACE, "--objectives", "loss:min", "--strategy", "tpe", "--seed", "5")
    together = json.loads(run("suggest", "one", *given, "--n", "4")[1])
    apart = [json.loads(run("suggest", "two", *(given if i == 0 else ()))[1])[0] for i in range(4)]
    assert together == apart


def test_a_file_has_the_space_and_bounds_hold(run, tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text('kind = ["a", "b"]\n[lr]\nfloat = [0.1, 1]\nstep = 0.1\nprior = 0.5\n')
    given = ("--space", "space.toml", "--objectives", "loss:min", "--constraint", "loss<=0.5", "--strategy", "random")
    assert 0.1 <= json.loads(run("suggest", "s", *given)[1])[0]["choices"]["lr"] <= 1
    assert json.loads(run("tell", "s", "0", '{"loss": 0.7}')[1])[0]["front"] is False


def test_a_small_space_ends(run) -> None:
    given = ("--space", '{"kind": ["a", "b"]}', "--objectives", "loss:min", "--strategy", "random")
    assert len(json.loads(run("suggest", "s", *given, "--n", "5")[1])) == 2
    code, out, err = run("suggest", "s")
    assert (code, json.loads(out), err) == (1, [], "searchkit: every candidate of the space has been asked for\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("tell", "kettle", "7", "loss=1"),
            "candidate 7 of study 'kettle' was never asked for: it has candidates 0 to 1",
        ),
        (
            ("tell", "kettle", "0", "loss=1", "size=1"),
            "candidate 0 of study 'kettle' was told already: it is scored, loss",
        ),
        (
            ("tell", "kettle", "1", "lss=1", "size=1"),
            "the value of 'loss' is missing; needed: loss, size; 'lss' is none",
        ),
        (("tell", "kettle", "1", "loss=nan", "size=1"), "the value of 'loss' is nan: say that the candidate failed"),
        (("tell", "kettle", "1", '{"loss": "x", "size": 1}'), "the value of 'loss' is 'x', not a number"),
        (("tell", "kettle", "1", "loss"), "a value is NAME=NUMBER, such as loss=0.3, not 'loss'"),
        (("tell", "kettle", "1"), "give values, such as loss=0.3, or --failed with the reason"),
        (("tell", "kettle", "1_0", "loss=1"), "the candidate is its number, or - for standard input, not '1_0'"),
        (
            ("tell", "kettle", "1", "loss=1", "size=1", "--seconds=nan"),
            "the seconds of an evaluation are a number from 0",
        ),
        (("suggest", "new", "--space", '{"a": [1, 2]}', "--objectives", "a:min,a:max"), "an objective is given twice"),
        (("suggest", "new", "--pending", "--space", '{"a": [1, 2]}', "--objectives", "a:min"), "unknown study"),
        (("tell", "kettle", "one", "loss=1"), "the candidate is its number, or - for standard input, not 'one'"),
        (("tell", "ketle", "1", "loss=1"), "Did you mean 'kettle'? A new study needs a space and objectives"),
        (("suggest", "new"), "unknown study in searchkit-runs 'new'"),
        (("suggest", "new", "--space", SPACE), "a new study needs its objectives, and 'new' is not on record"),
        (("suggest", "new", "--objectives", "loss:min"), "a new study needs its space"),
        (("suggest", "new", "--space", SPACE, "--objectives", "loss"), "an objective is NAME:min or NAME:max"),
        (("suggest", "new", "--space", "nope.json", "--objectives", "loss:min"), "'nope.json' cannot be read: No such"),
        (("suggest", "new", "--space", "{3", "--objectives", "loss:min"), "the space '{3' cannot be read: Expecting"),
        (("suggest", "new", "--space", "macr", "--objectives", "loss:min"), "--space is a .json or .toml file"),
        (("resume", "kettle"), "are evaluated elsewhere: searchkit suggest kettle gives more"),
        (("suggest", "kettle", "--n", "0"), "--n is a number of candidates of at least 1, not 0"),
        (("suggest", "kettle", "--space", '{"a": [1, 2]}'), "study 'kettle' holds another search; it differs in"),
        (
            ("suggest", "new", "--space", '{"lr": {"float": [1, 2], "lgo": true}}', "--objectives", "loss:min"),
            "unknown setting of parameter 'lr' 'lgo'",
        ),
        (
            ("suggest", "new", "--space", '{"lr": {"low": 1}}', "--objectives", "loss:min"),
            "parameter 'lr' is a list of options, or an object with one of",
        ),
        (
            ("suggest", "new", "--space", '{"lr": {"options": [1, 2], "ordered": "no"}}', "--objectives", "loss:min"),
            "'ordered' of parameter 'lr' is true or false, not 'no'",
        ),
        (
            ("suggest", "new", "--space", '{"lr": [[1], {}]}', "--objectives", "loss:min"),
            "options of parameter 'lr' are texts, numbers, true, false or null, not [1]",
        ),
        (
            ("suggest", "new", "--space", '{"lr": [1], "lr": [2]}', "--objectives", "loss:min"),
            "cannot be read: 'lr' stands in it twice",
        ),
        (
            ("suggest", "new", "--space", '{"lr": {"int": [1]}}', "--objectives", "loss:min"),
            "'int' of parameter 'lr' is a list of its lowest and its highest value, not [1]",
        ),
    ],
)
def test_bad_input_of_those_who_evaluate_elsewhere_is_one_sentence(run, arguments, words: str) -> None:
    run(*NEW, "--n", "2")
    run("tell", "kettle", "0", "loss=0.3", "size=1")
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert len(searchkit.load("kettle").trials) == 2
    assert not Path("searchkit-runs/new.journal").exists()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ('{"candidate": 1, "values": {"loss": 1}}', "candidate 1: the value of 'size' is missing"),
        ('{"candidate": 0, "values": {"loss": 1, "size": 2}}', "candidate 0 stands twice in what is told"),
        ('{"candidate": 1, "failed": "x", "seconds": NaN}', "candidate 1: the seconds of an evaluation are a number"),
        ('{"candidate": 1, "failed": "x", "seconds": null}', "candidate 1: the seconds of an evaluation are a number"),
        ('{"candidate": 1, "values": {"loss": 1, "size": 2, "\\ud800": 3}}', "characters that UTF-8 cannot write"),
        ('{"candidate": 1, "values": {"loss": 1, "loss": 2}}', "'loss' stands in it twice"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_of_several_that_are_told_none_is_recorded_where_one_is_wrong(run, entry: str, words: str) -> None:
    run(*NEW, "--n", "2")
    said = f'{{"candidate": 0, "values": {{"loss": 1, "size": 1}}}}\n{entry}'
    code, _, err = run("tell", "kettle", "-", said=said)
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert not any(trial.finished for trial in searchkit.load("kettle").trials)


def test_a_study_of_networks_is_continued_by_run(run) -> None:
    searchkit.run("random", space="macro", objectives=("params",), budget=2, name="nets", progress=False)
    code, _, err = run("suggest", "nets")
    assert code == 2
    assert "study 'nets' is continued by searchkit.run: its networks are trained by searchkit" in err
