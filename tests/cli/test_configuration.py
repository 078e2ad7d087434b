"""Options in a file: read by --config, written by --save-config."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from searchkit.cli.argparse_compat import commands_of
from searchkit.cli.arguments import parser
from searchkit.cli.config import with_config, written
from searchkit.errors import SearchkitError


def parsed(*arguments: str):
    return parser().parse_args(with_config(arguments, commands_of(parser())))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> str:
        Path("study.toml").write_text(text)
        return "study.toml"

    return write


WHOLE = """
space = "macro"
space-option = {width = 16}
objectives = ["accuracy", "macs"]
constraint = ["params<=1e6", "macs<=2e7"]
budget = 60
time_limit = 2.5
baselines = false
[recipe]
lr = 0.05
optimiser = ["sgd", "adamw"]
[target]
phone = "bench.sh {file}"
[target-option.phone]
timeout = 600
known.pi = "camera:latency_ms@pi"
"""


def test_a_file_says_what_options_say(file) -> None:
    given = parsed("run", "--config", file(WHOLE), "--seed", "3")
    by_hand = parser().parse_args(
        ["run", "--space", "macro", "--space-option", "width=16", "--objectives", "accuracy,macs", "--constraint",
         "params<=1e6", "--constraint", "macs<=2e7", "--budget", "60", "--time-limit", "2.5", "--no-baselines",
         "--recipe", "lr=0.05", "--recipe", "optimiser=sgd,adamw", "--target", "phone=bench.sh {file}",
         "--target-option", "phone.timeout=600", "--target-option", "phone.known.pi=camera:latency_ms@pi",
         "--seed", "3"]
    )  # fmt: skip
    assert vars(given) | {"config": None} == vars(by_hand)


def test_what_is_given_stands_in_place_of_what_the_file_says(file) -> None:
    text = 'space = "macro"\nconstraint = ["params<=5"]\nbaselines = true\nbudget = 3'
    given = parsed("run", "--budget", "9", "--config", file(text), "--constraint", "macs<=7", "--no-baselines")
    assert (given.budget, given.constraint, given.baselines, given.space) == ("9", ["macs<=7"], False, "macro")


def test_required_and_positional_arguments_may_stand_in_the_file(file) -> None:
    name = file('model = "code:net"\ndata = "d.npz"\nconstraint = "params<=50%"')
    assert parsed("compress", "--config", name).model == "code:net"
    given = parsed("compress", "other:net", "--config", name)
    assert (given.model, given.data, given.constraint) == ("other:net", "d.npz", ["params<=50%"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bugdet = 3", "unknown option in 'study.toml' 'bugdet': choose from .*Did you mean 'budget'"),
        ("budget = 3\nbudget = 4", "is no TOML: Cannot overwrite .*a key stands in it twice: give a list"),
        ("split-seed = 3\nsplit_seed = 4", "has 'split-seed' twice, with '-' and with '_'"),
        ("dry-run = true", "unknown option in 'study.toml' 'dry-run'"),
        ("seed = 1.0", "'seed' in a configuration is a whole number, not 1.0"),
        ("seed = true", "'seed' in a configuration is a whole number, not True"),
        ("epochs = []", r"'epochs' in a configuration is a whole number, not \[\]"),
        ('recipe = {"a=b" = 1}', "'recipe' in a configuration has names without '=', not 'a=b'"),
        ("budget = ", "is no TOML: Invalid value"),
        ("baselines = 3", "'baselines' in a configuration is true or false, not 3"),
        ("budget = 2024-01-01", "'budget' in a configuration is a text, a number or a list of them, not a date"),
        ("constraint = [[1]]", r"'constraint' in a configuration is a text, a number or a list of them, not \[1\]"),
        ("space = {a = 1}", "'space' in a configuration is a text, a number or a list"),
    ],
)
def test_a_bad_file_is_one_sentence(file, text: str, words: str) -> None:
    with pytest.raises(SearchkitError, match=words):
        parsed("run", "--config", file(text))


def test_a_file_that_is_not_there_or_two_are_one_sentence(file) -> None:
    with pytest.raises(SearchkitError, match="the configuration 'none.toml' cannot be read: No such file"):
        parsed("run", "--config", "none.toml")
    for nothing in ("", "a\0b"):
        with pytest.raises(SearchkitError, match="--config is the path of a .toml file, not "):
            parsed("run", f"--config={nothing}")
    with pytest.raises(SearchkitError, match="--config is given twice: none.toml and study.toml"):
        parsed("run", "--config", "none.toml", f"--config={file('')}")


def test_a_written_file_says_the_same_again(file) -> None:
    arguments = [
        "run", "--space", "macro", "--constraint", "params<=1e6", "--name", 'a "quoted" \\ näme \x7f', "--no-baselines",
        "--recipe", "lr=0.05", "--recipe", "optimiser=sgd,adamw", "--budget", "+7", "--seconds", "007", "--seed", "4",
        "--time-limit", "inf",
    ]  # fmt: skip
    given = parser().parse_args(arguments)
    text = written(given, commands_of(parser())["run"])
    assert set(tomllib.loads(text)) == {
        "space", "constraint", "name", "baselines", "recipe", "budget", "seconds", "seed", "time-limit"
    }  # fmt: skip
    assert vars(parsed("run", "--config", file(text))) | {"config": None} == vars(given)
