"""Options in a file: ``--config study.toml`` reads them, ``--save-config study.toml`` writes those of a call.

The keys are the names of the options, ``split-seed = 1``. An option that may be repeated takes a list, and one of
NAME=VALUE a table, ``[recipe]``. What is given on the command line stands in place of what the file says.
"""

from __future__ import annotations

import argparse
import datetime
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from searchkit.cli.argparse_compat import actions_of, is_repeated, is_switch, without_defaults
from searchkit.errors import SearchkitError, UnknownNameError, printable
from searchkit.surroundings import settled

READING = ("run", "compress", "score")  # commands with --config
OF_SEVERAL = ("recipe",)  # options of NAME=VALUE in which a list is several options, and no value
KINDS: dict[object, str] = {int: "a whole number", float: "a number"}
OF_ONE_CALL = ("help", "config", "save_config", "dry_run", "json")  # which are in no file


def with_config(arguments: Sequence[str], commands: Mapping[str, argparse.ArgumentParser]) -> list[str]:
    """The arguments with those of a configuration file behind the command, so that the user's own come later.

    Args:
        commands: the parsers of the commands, by name; they are used up where there is a file, and have to be made anew
            to parse what is returned.

    Raises:
        SearchkitError: the file cannot be read, is no TOML, or has a key or a value that is no option's.
    """
    arguments = list(arguments)
    if not arguments or arguments[0] not in READING:
        return arguments
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config", "--confi", "--conf", action="append", nargs="?")
    files = finder.parse_known_args(arguments[1:])[0].config or []
    if not files or None in files:  # what lacks its value is said by the command's own parser
        return arguments
    if len(files) > 1:
        raise SearchkitError(f"--config is given twice: {' and '.join(files)}")
    command, rest = arguments[0], arguments[1:]
    parser = commands[command]
    options = {action.dest: action for action in actions_of(parser) if action.dest not in OF_ONE_CALL}
    said = _said(parser, rest)
    before: list[str] = []
    behind: list[str] = []
    for name, value in _read(files[0], options).items():
        action = options[name]
        if not action.option_strings and name not in said:
            behind += ["--", _text(value, name)]
        elif action.option_strings and not (is_repeated(action) and name in said):
            before += _tokens(action, name, value)
    return [command, *before, *rest, *behind]


def _said(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> set[str]:
    """Names of the options and arguments that are among the user's own."""
    without_defaults(parser)
    return set(vars(parser.parse_known_args(arguments)[0]))


def _read(file: str, options: Mapping[str, argparse.Action]) -> dict[str, Any]:
    """The values of a file by the option's name, of which each is an option's."""
    if not file.strip() or "\0" in file:
        raise SearchkitError(f"--config is the path of a .toml file, not {file!r}")
    try:
        found = tomllib.loads(settled(file).read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise SearchkitError(f"the configuration '{file}' cannot be read: {why}") from error
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        twice = "overwrite" in said or "twice" in said
        hint = "; a key stands in it twice: give a list where an option may be repeated" if twice else ""
        raise SearchkitError(f"the configuration '{file}' is no TOML: {said}{hint}") from error
    values: dict[str, Any] = {}
    for key, value in found.items():
        name = key.replace("-", "_")
        if name not in options:
            raise UnknownNameError.of(f"option in '{file}'", key, [one.replace("_", "-") for one in options])
        if name in values:
            raise SearchkitError(
                f"the configuration '{file}' has '{name.replace('_', '-')}' twice, with '-' and with '_'"
            )
        values[name] = value
    return values


def _tokens(action: argparse.Action, name: str, value: object) -> list[str]:
    """A value as it would be given on the command line."""
    option = f"--{_key(name)}"
    if is_switch(action):
        if not isinstance(value, bool):
            raise SearchkitError(f"'{_key(name)}' in a configuration is true or false, not {value!r}")
        return [option] if value else [one for one in action.option_strings if one == f"--no-{_key(name)}"]
    if is_repeated(action):
        given = _pairs(name, value) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        return [f"{option}={_text(one, name)}" for one in given]
    return [f"{option}={_checked_text(action, name, value)}"]


def _checked_text(action: argparse.Action, name: str, value: object) -> str:
    """The text of an option's value, which is of the option's type and one of its choices."""
    text = ",".join(_text(one, name) for one in value) if isinstance(value, list) else _text(value, name)
    wrong = value == [] or (action.type in KINDS and isinstance(value, bool | list))
    if not wrong and callable(action.type):
        try:
            action.type(text)
        except (ValueError, SearchkitError):
            wrong = True
    if wrong or (action.choices is not None and text not in action.choices):
        kind = KINDS.get(action.type, action.help)
        raise SearchkitError(f"'{_key(name)}' in a configuration is {kind}, not {value!r}")
    return text


def _pairs(name: str, table: Mapping[str, object], before: str = "") -> list[str]:
    """NAME=VALUE for the entries of a table; those of a table inside have names with a dot."""
    pairs: list[str] = []
    for key, value in table.items():
        if "=" in key:
            raise SearchkitError(f"'{_key(name)}' in a configuration has names without '=', not {key!r}")
        if isinstance(value, dict):
            pairs += _pairs(name, value, f"{before}{key}.")
        elif isinstance(value, list) and name not in OF_SEVERAL:
            pairs.append(f"{before}{key}={json.dumps(value)}")
        else:
            several = value if isinstance(value, list) else [value]
            pairs.append(f"{before}{key}={','.join(_text(one, name) for one in several)}")
    return pairs


def _text(value: object, name: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    kind = "a date" if isinstance(value, datetime.date | datetime.time) else repr(value)
    raise SearchkitError(f"'{_key(name)}' in a configuration is a text, a number or a list of them, not {kind}")


def _key(name: str) -> str:
    return name.replace("_", "-")


def written(given: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """What was given, as the text of a configuration file; options with their default values are left out."""
    lines = []
    for action in actions_of(parser):
        value = getattr(given, action.dest, None)
        if action.dest in OF_ONE_CALL or value is None or value == action.default:
            continue
        lines.append(f"{_key(action.dest)} = {_toml(value)}")
    return "".join(f"{line}\n" for line in lines)


def _toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return repr(value)
    text = json.dumps(str(value), ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")


class Saved:
    """A callback that writes a configuration when the search begins, after its arguments were checked.

    Args:
        file: as given; a file with something else in it is not written over.
    """

    def __init__(self, file: str, text: str) -> None:
        self._path, self._text = settled(file), text
        if printable(text) != text or printable(file) != file:
            raise SearchkitError("options that are no text in UTF-8 cannot be written to a configuration")
        if self._path.suffix != ".toml":
            raise SearchkitError(f"a configuration is written as .toml, not '{file}'")
        if not self._path.parent.is_dir():
            raise SearchkitError(
                f"the configuration '{file}' cannot be written: there is no folder {self._path.parent}"
            )
        if self._path.exists() and self._same() is False:
            raise SearchkitError(f"'{file}' exists and has other options: remove it, or give another name")

    def _same(self) -> bool:
        try:
            return tomllib.loads(self._path.read_text("utf-8")) == tomllib.loads(self._text)
        except (OSError, ValueError):
            return False

    def write(self) -> Path:
        """Write the file, unless one with the same options is there."""
        if not self._path.exists():
            try:
                self._path.write_text(self._text, "utf-8")
            except OSError as error:
                raise SearchkitError(f"the configuration '{self._path}' cannot be written: {error.strerror}") from error
        return self._path

    def on_start(self, result: object) -> None:
        """Write it before the first candidate."""
        self.write()

    def __call__(self, trial: object, trials: Sequence[object]) -> None:
        """Nothing to do with a candidate."""
