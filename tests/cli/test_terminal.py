"""On a terminal there are colours and tables that live; elsewhere plain text."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from helpers.terminals import Terminal, plain

import searchkit
from searchkit.cli import main
from searchkit.cli.argparse_compat import actions_of, commands_of
from searchkit.cli.arguments import parser
from searchkit.cli.completion import values_of

pty = pytest.importorskip("pty")

SPACE = searchkit.Space([searchkit.Choice("a", tuple(range(8)))], name="numbers")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    monkeypatch.chdir(tmp_path)
    return Terminal(monkeypatch)


def search(evaluate: Callable = lambda c: {"loss": c["a"]}, **given: object) -> searchkit.Result:
    given = {"budget": 8, "name": "numbers", "objectives": {"loss": "min"}, "seed": 1} | given
    return searchkit.run("random", space=SPACE, evaluate=evaluate, **given)


def test_a_table_of_the_front_lives_while_a_search_runs(terminal: Terminal) -> None:
    with terminal:

        def slow(choices: dict) -> dict:
            time.sleep(0.03)
            if choices["a"] == 3:
                raise ValueError("three")
            return {"loss": choices["a"], "size": -choices["a"]}

        search(slow, objectives={"loss": "min", "size": "min"}, progress="table")
    said = terminal.so_far()
    assert "\x1b[1;32m" in said  # the best row
    lines = plain(said).splitlines()
    assert any(re.search(r"candidate +loss +size", line) for line in lines)
    assert lines[-1].startswith("8 of 8 evaluated in ")
    assert "front 7, best loss 0, 1 failed" in lines[-1]


def test_without_a_terminal_there_is_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    search(progress="table", storage="memory")
    assert capsys.readouterr().err == ""


def test_colours_are_left_out_where_the_user_wants_none(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal:
        search(progress=False)
        monkeypatch.setenv("NO_COLOR", "1")
        assert main(["list"]) == 0
        assert main(["show", "number"]) == 2
        search(progress="table", name="other")
    said = terminal.so_far()
    assert "numbers" in said
    assert "Did you mean 'numbers'?" in said
    assert "evaluated in" in said
    assert not re.search(r"\x1b\[[0-9;]*m", said)


def test_tables_and_errors_have_colours(terminal: Terminal) -> None:
    with terminal:
        search(progress=False)
        assert main(["show", "numbers"]) == 0
        assert main(["show", "nubers"]) == 2
    said = terminal.so_far()
    assert re.search(r"\x1b\[1;32m.*0", said)
    assert "\x1b[1;31msearchkit: " in said
    assert "Did you mean 'numbers'?" in plain(said)


def test_an_option_does_not_steer_the_terminal(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    odd = searchkit.Space([searchkit.Choice("a", ("\x1b[2Jgone", "\u202eleft"))])
    searchkit.run(
        "random", space=odd, evaluate=lambda c: {"loss": 1.0}, objectives={"loss": "min"}, name="odd", budget=2,
        progress=False,
    )  # fmt: skip
    assert main(["show", "odd"]) == 0
    with terminal:
        assert main(["show", "odd"]) == 0
    for said in (capsys.readouterr().out, terminal.so_far()):
        assert "\\x1b[2Jgone" in said
        assert "\\u202eleft" in said
        assert "\x1b[2J" not in said


@pytest.mark.slow
def test_an_output_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    search(progress=False)
    command = f"{sys.executable} -m searchkit show numbers > /dev/full"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 1
    assert "searchkit: the output cannot be written: No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_options_in_brackets_are_text_and_no_markup(terminal: Terminal) -> None:
    with terminal:
        odd = searchkit.Space([searchkit.Choice("a", ("[red]x[/]", "[link=1]", "b"))])
        searchkit.run(
            "random", space=odd, evaluate=lambda c: {"loss": 1.0}, objectives={"loss": "min"}, name="odd", budget=3,
            progress="table",
        )  # fmt: skip
        assert main(["show", "odd"]) == 0
    assert "[red]x[/]" in plain(terminal.so_far())


@pytest.mark.slow
def test_a_study_is_watched_until_its_search_ends(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal:
        monkeypatch.setattr("searchkit.cli.watching.EVERY", 0.05)
        begun, go_on = threading.Event(), threading.Event()

        def waiting(choices: dict) -> dict:
            begun.set()
            assert go_on.wait(20)
            time.sleep(0.02)
            return {"loss": choices["a"]}

        searching = threading.Thread(target=search, args=(waiting,), kwargs={"progress": False})
        searching.start()
        assert begun.wait(20)
        threading.Timer(0.3, go_on.set).start()
        assert main(["show", "numbers", "--watch"]) == 0
        searching.join()
    said = plain(terminal.so_far())
    assert "numbers: 0 candidates evaluated, 0 on the front; searching" in said
    assert "numbers: 8 candidates evaluated, 1 on the front, best loss 0; no search is running" in said


def test_a_study_that_is_removed_while_it_is_watched_ends_the_watching(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    search(progress=False)
    journal = tmp_path / "searchkit-runs" / "numbers.journal"
    looks = 0

    def claimed(*_: object) -> bool:
        nonlocal looks
        looks += 1
        if looks == 3:  # the front was shown before
            journal.unlink()
        return True

    monkeypatch.setattr("searchkit.storage.writers.Locks.is_written", claimed)
    monkeypatch.setattr("searchkit.cli.watching.EVERY", 0.01)
    assert main(["show", "numbers", "--watch"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "numbers: 8 candidates evaluated, 1 on the front, best loss 0; searching\n"
    assert printed.err.splitlines()[-1] == "study 'numbers' was removed; this was the last of it"


@pytest.mark.slow
def test_a_shell_is_told_commands_options_and_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    search(progress=False)

    def completed(line: str) -> set[str]:
        asked = {
            "_ARGCOMPLETE": "1",
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
            "_ARGCOMPLETE_STDOUT_FILENAME": "t",
        }
        subprocess.run([sys.executable, "-m", "searchkit"], env={**os.environ, **asked}, check=True, cwd=tmp_path)
        return {word.strip() for word in (tmp_path / "t").read_text().split("\x0b")}

    assert completed("searchkit sh") == {"show"}
    assert {"--save-config", "--seconds"} <= completed("searchkit run --s")
    assert completed("searchkit run --strategy ns") == {"nsga2", "nsga3"}
    for name in ("p1", "p2"):
        (tmp_path / "searchkit-runs" / f"{name}.journal").write_text("")
    assert completed("searchkit compare p1 ") == {"numbers", "p2"}
    assert completed("searchkit run --objectives accuracy,mac") == {"accuracy,macs"}


@pytest.mark.parametrize(
    ("command", "option", "prefix", "some"),
    [
        ("export", "--format", "", {"onnx", "hub"}),
        ("run", "--objectives", "acc", {"accuracy", "params", "naswot"}),
        ("run", "--proxies", "", {"auto", "default", "none", "naswot"}),
        ("score", "--proxies", "swap,nas", {"swap,naswot", "swap,zen"}),
    ],
)
def test_names_complete_an_option_and_the_last_of_a_list(
    command: str, option: str, prefix: str, some: set[str]
) -> None:
    actions = actions_of(commands_of(parser())[command])
    (completer,) = [values_of(action) for action in actions if option in action.option_strings]
    assert completer is not None
    found = set(completer(prefix=prefix))
    assert some <= found
    assert "swap,swap" not in found


@pytest.mark.parametrize(
    ("option", "given", "found"),
    [
        ("--start", {"start": [], "earlier": ["first"]}, {"first", "second", "best.json"}),
        ("--start", {"start": ["first"], "earlier": []}, {"second", "best.json"}),
        ("--earlier", {"start": ["first"], "earlier": []}, {"first", "second"}),
    ],
)
def test_a_study_to_start_with_is_one_to_learn_from(
    option: str, given: dict[str, list[str]], found: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "searchkit-runs").mkdir()
    for name in ("searchkit-runs/first.journal", "searchkit-runs/second.journal", "best.json", "best.onnx"):
        Path(name).write_text("")
    actions = actions_of(commands_of(parser())["run"])
    (completer,) = [values_of(action) for action in actions if option in action.option_strings]
    assert completer is not None
    completed = completer(prefix="", parsed_args=argparse.Namespace(storage=None, **given))
    assert set(completed) - {"searchkit-runs/"} == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_a_shell_runs_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "searchkit" in capsys.readouterr().out


def test_an_interrupt_while_modules_are_loaded_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def interrupted(name: str) -> object:
        raise KeyboardInterrupt

    loading = ModuleType("searchkit.cli.commands")
    loading.__getattr__ = interrupted
    monkeypatch.setitem(sys.modules, "searchkit.cli.commands", loading)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "searchkit: interrupted\n"
