"""Where a cost is measured, and how it is asked: ``targets=`` of :func:`searchkit.run`, read and checked."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Literal

from searchkit.costs.task_scores import AT, INT8
from searchkit.errors import DeviceError, UnknownNameError, concealed
from searchkit.problem.numbers import is_real, is_whole, shown
from searchkit.runtime.fingerprint import fingerprint

Kind = Literal["here", "ssh", "command", "function"]

FILE = "{file}"  # stands for the path of the ONNX file in a command
HERE = "here"
ENDINGS = ("_spread", "_predicted")  # of columns that stand beside latency_ms@phone; no target has such a name
LONGEST = 10**6  # seconds of a timeout
MOST = 100  # repeats
FEWEST = 3  # networks that predictions need

_ADDRESS = re.compile(r"ssh://(?:([\w.][\w.-]*)@)?([\w.][\w.-]*|\[[0-9a-fA-F:]+\])(?::(\d{1,5}))?/?")
_NAME = re.compile(r"[A-Za-z0-9]\w*(?:-\w+)*", re.ASCII)
_METRIC = re.compile(r"[A-Za-z]\w*", re.ASCII)


@dataclass(frozen=True)
class Target:
    """A device, how it is asked for the cost of a network, and how patiently.

    Args:
        how: a command, as text or as a sequence of arguments, with ``{file}`` where the path of the ONNX file belongs
            (no shell reads it); ``"ssh://user@host"`` or ``"ssh://user@host:port"``; ``"here"`` for this machine; or a
            function ``(path of the ONNX file) -> milliseconds``. In place of a number, a command may print, and a
            function return, an object such as ``{"latency_ms": 4.2, "energy_mj": 1.0}``.
        timeout: seconds after which a measurement is given up. A command is then ended with all that it has started;
            a function goes on in a thread, and nobody waits for it.
        repeats: attempts to measure a candidate before its measurement counts as missing.
        metric: what a single number is.
        python: of an ssh target, its Python, which has numpy and onnxruntime.
        device: a name for the device that is measured. Several devices measure a candidate at the same time, targets
            with the same device one after another. By default an ssh target's is its host; commands and functions
            share one, since they may run on this machine.
        first: of a slow device: so many networks, at least 3, are measured before the search, those that tell most. The
            costs of all others are predicted from them, and only candidates that may be on the front are measured
            before the search ends. None: every candidate is measured.
        known: of a target with ``first``: name -> what is known of another device, from which predictions are better: a
            function of a candidate's choices, which returns its latency or NaN; a DataFrame with a column for each
            choice of the space and one of latencies; a :class:`~searchkit.blocks.latency_tables.LatencyTable`; a
            :class:`~searchkit.Result` with the column ``latency_ms@name``; or a pair of a Result, or the name of a
            recorded study, and a column. In any unit, above 0.
        families: name in ``known``, or of another target -> family, for devices of one kind or one device known twice;
            see :class:`~searchkit.surrogates.new_device.KnownDevices`.

    Raises:
        DeviceError: one of them cannot be.
    """

    how: str | Sequence[str] | Callable[[Path], object]
    timeout: float = 60.0
    repeats: int = 3
    metric: str = "latency_ms"
    python: str = "python3"
    device: str | None = None
    first: int | None = None
    known: Mapping[str, object] = field(default_factory=dict, compare=False)
    families: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        self._check_how()
        if not is_real(self.timeout) or not 0 < self.timeout <= LONGEST:
            raise DeviceError(f"timeout of a target is a number of seconds above 0, not {shown(self.timeout)}")
        if not is_whole(self.repeats) or not 1 <= self.repeats <= MOST:
            raise DeviceError(f"repeats of a target is a whole number from 1 to {MOST}, not {shown(self.repeats)}")
        if not isinstance(self.metric, str) or not _METRIC.fullmatch(self.metric):
            raise DeviceError(f"metric of a target is a name such as latency_ms, not {shown(self.metric)}")
        if not isinstance(self.python, str) or not self.python.strip():
            raise DeviceError(f"python of a target is a program such as python3, not {shown(self.python)}")
        if self.device is not None and (not isinstance(self.device, str) or not self.device.strip()):
            raise DeviceError(f"device of a target is a name such as 'phone', not {shown(self.device)}")
        self._check_first()

    def _check_first(self) -> None:
        for name in ("known", "families"):
            given = getattr(self, name)
            if not isinstance(given, Mapping) or not all(isinstance(one, str) for one in given):
                raise DeviceError(f"{name} of a target is a mapping of names of other devices, not {shown(given)}")
            if given and self.first is None:
                raise DeviceError(f"a target with {name} has first, how many networks are measured before the search")
        if self.first is None:
            return
        if not is_whole(self.first) or self.first < FEWEST:
            raise DeviceError(
                f"first of a target is how many networks are measured before the search, a whole number from {FEWEST} "
                f"on, not {shown(self.first)}"
            )
        if self.how == HERE:
            raise DeviceError("this machine measures every candidate: first is for a device elsewhere, leave it out")

    def _check_how(self) -> None:
        if callable(self.how) or self.how == HERE:
            return
        if isinstance(self.how, str) and self.how.startswith("ssh:"):
            if not _ADDRESS.fullmatch(self.how):
                said = f"an ssh target is ssh://user@host or ssh://user@host:port, not {shown(self.how)}"
                raise DeviceError(concealed(said))
            return
        if not isinstance(self.how, str) and not _is_texts(self.how):
            raise DeviceError(
                "a target is a command with {file} in it, ssh://user@host, 'here', or a function (path) -> "
                f"milliseconds; got {shown(self.how)}"
            )
        try:
            arguments = self.arguments
        except ValueError as error:  # a quotation mark without its second
            raise DeviceError(f"the command {shown(self.how)} of a target cannot be read: {error}") from error
        if not any(FILE in argument for argument in arguments):
            example = self.how if isinstance(self.how, str) else shlex.join(arguments)
            raise DeviceError(
                f"the command of a target has {{file}} where the path of the network belongs, as in "
                f"'{(example + ' {file}').strip()}'; got {shown(self.how)}, which is no ssh://user@host and not 'here'"
            )

    @property
    def kind(self) -> Kind:
        """What is asked: this machine, a host over ssh, a command, or a function."""
        if callable(self.how):
            return "function"
        if self.how == HERE:
            return "here"
        return "ssh" if isinstance(self.how, str) and self.how.startswith("ssh:") else "command"

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """The words of a command; empty for other targets."""
        if self.kind != "command":
            return ()
        return tuple(shlex.split(self.how) if isinstance(self.how, str) else self.how)  # type: ignore[arg-type]

    @property
    def address(self) -> tuple[str, str | None]:
        """Of an ssh target, ``user@host`` as ssh takes it, and the port; None where none is given."""
        found = _ADDRESS.fullmatch(str(self.how))
        assert found is not None
        host = found[2].strip("[]")
        return f"{found[1]}@{host}" if found[1] else host, found[3]

    @property
    def place(self) -> str:
        """What is occupied while it is asked: its device, by default its host or this machine."""
        if self.device is not None:
            return self.device
        return self.address[0].rpartition("@")[2] if self.kind == "ssh" else HERE

    @property
    def described(self) -> dict[str, object]:
        """What the record keeps of it, JSON values: how it is asked, a function by a digest of its code."""
        if callable(self.how):
            return {"function": fingerprint(self.how), "metric": self.metric}
        how = self.how if isinstance(self.how, str) else list(self.how)
        return {"how": how, "metric": self.metric, **({"python": self.python} if self.kind == "ssh" else {})}

    @property
    def given(self) -> object:
        """As it can be given again, JSON values; None of objects, of which the record has only a digest."""
        if callable(self.how):
            return None
        how = self.how if isinstance(self.how, str) else list(self.how)
        settings = {f.name: (getattr(self, f.name), f.default) for f in fields(self)[1:] if f.default is not MISSING}
        other: dict[str, object] = {name: value for name, (value, default) in settings.items() if value != default}
        if not all(map(_is_pair_of_texts, self.known.values())):
            return None
        other |= {"known": {name: list(one) for name, one in self.known.items()}} if self.known else {}  # type: ignore[call-overload]
        other |= {"families": dict(self.families)} if self.families else {}
        return {"how": how} | other if other else how

    def check_there(self, name: str) -> None:
        """Check that the program that is asked exists on this machine.

        Args:
            name: of the target, for the message.

        Raises:
            DeviceError: it does not.
        """
        program = {"command": (*self.arguments, "")[0], "ssh": "ssh"}.get(self.kind)
        if program is not None and shutil.which(program) is None:
            raise DeviceError(f"target '{name}' is asked with {program!r}, a program that this machine does not have")


def read_targets(given: object) -> dict[str, Target]:
    """The targets of ``targets=`` by name, checked as far as that is possible without asking them.

    Args:
        given: a mapping name -> what :class:`Target` takes first, a Target, or a mapping of its arguments; or None.

    Raises:
        DeviceError: it is none of these, or a program is not on this machine.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise DeviceError(f"targets are a mapping such as {{'phone': 'adb-bench.sh {{file}}'}}, not {shown(given)}")
    found = {}
    for name, one in given.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name.endswith(ENDINGS):
            raise DeviceError(f"the name of a target has letters, digits, - and _, such as 'phone'; got {shown(name)}")
        if name == INT8:
            raise DeviceError(f"no target is called '{INT8}', since latency_ms@{INT8} is that of the network in int8")
        try:
            target = _read_target(one)
            target.check_there(name)
        except UnknownNameError as error:
            raise UnknownNameError(f"target '{name}': {error}") from None
        except DeviceError as error:
            raise DeviceError(f"target '{name}': {error}" if f"'{name}'" not in str(error) else str(error)) from None
        found[name] = target
    return found


def _read_target(given: object) -> Target:
    if isinstance(given, Target):
        return given
    if isinstance(given, Mapping):
        allowed = [field.name for field in fields(Target)]
        for name in given:
            if name not in allowed:
                raise UnknownNameError.of("setting of a target", name, allowed)
        if "how" not in given:
            raise DeviceError("its settings lack how, such as how='adb-bench.sh {file}'")
        return Target(**given)
    return Target(given)  # type: ignore[arg-type]


def split_name(name: str) -> tuple[str, str] | None:
    """``("latency_ms", "phone")`` of ``"latency_ms@phone"``; None for a name without a target."""
    metric, at, target = name.rpartition(AT)
    return (metric, target) if at else None


def asked_of(names: Iterable[str], target: str) -> list[str]:
    """The metrics that are asked of one target, among names such as ``"latency_ms@phone"``."""
    pairs = [split_name(name) for name in names]
    return [pair[0] for pair in pairs if pair is not None and pair[1] == target]


def described(targets: Mapping[str, Target]) -> dict[str, dict[str, object]]:
    """What the record of a study says of its targets, by name."""
    return {name: target.described for name, target in targets.items()}


def _is_pair_of_texts(given: object) -> bool:
    return isinstance(given, tuple | list) and len(given) == 2 and all(isinstance(one, str) for one in given)


def _is_texts(given: object) -> bool:
    return isinstance(given, Sequence) and bool(given) and all(isinstance(one, str) for one in given)
