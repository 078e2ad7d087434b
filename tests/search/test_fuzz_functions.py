"""Whatever a user's function returns, raises and does, the search ends with every candidate accounted for."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import decimal
import fractions
import gc
import locale
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import searchkit
from searchkit import Choice, Space
from searchkit.errors import DeviceGoneError, SearchFailedError, StopSearch, WritingError
from searchkit.problem.trial import State

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file

N = 8  # candidates of a search; some do well, so that it does not stop for want of any success


class _NoFloatError:
    def __float__(self) -> float:
        raise OSError("no float")


class _ExitsAsFloat:
    def __float__(self) -> float:
        raise SystemExit(3)


class _OddMapping(Mapping[str, float]):
    def __getitem__(self, key: str) -> float:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no names")

    def __len__(self) -> int:
        return 1


class _Unprintable:
    def __repr__(self) -> str:
        raise ValueError("no repr")

    __str__ = __repr__
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        raise TypeError("cannot be compared")


class _UnsaidError(Exception):
    def __str__(self) -> str:
        raise SystemExit("no message")

    __repr__ = __str__


class _LockedError(Exception):
    """Cannot be pickled."""

    def __init__(self) -> None:
        super().__init__(threading.Lock())


class _NeedsTwoError(Exception):
    """Can be pickled, and not unpickled."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} {second}")


def _circular() -> BaseException:
    error, other = ValueError("one"), ValueError("two")
    error.__cause__, other.__cause__ = other, error
    return error


def _deep(n: int = 0) -> int:
    return _deep(n + 1) + 1


NUMBERS: dict[str, Callable[[], Any]] = {
    "bool": lambda: True,
    "whole": lambda: 3,
    "decimal": lambda: decimal.Decimal("1.5"),
    "fraction": lambda: fractions.Fraction(1, 3),
    "float32": lambda: np.float32(1.5),
    "longdouble": lambda: np.longdouble(1.5),
    "array of one": lambda: np.array([[1.5]]),
    # on the CPU also where an earlier candidate of the same process has set another default device
    "tensor": lambda: torch.tensor(1.5, requires_grad=True, device="cpu"),
    "bfloat16": lambda: torch.tensor([1.5], dtype=torch.bfloat16, device="cpu"),
    "pandas": lambda: pd.Series([1.5]).max(),
}

NO_NUMBERS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "nan": lambda: float("nan"),
    "infinite": lambda: -np.inf,
    "huge": lambda: 10**400,
    "text": lambda: "0.5",
    "bytes": lambda: b"0.5",
    "complex": lambda: 1 + 2j,
    "masked": lambda: np.ma.masked,
    "missing": lambda: pd.NA,
    "date": lambda: datetime.date(2000, 1, 1),
    "duration": lambda: np.timedelta64(1, "s"),
    "list": lambda: [0.5],
    "two": lambda: np.zeros(2),
    "empty": lambda: torch.zeros(0),
    "on no device": lambda: torch.zeros(1, device="meta"),
    "no float": _NoFloatError,
    "exits": _ExitsAsFloat,
    "type": lambda: float,
    "function": lambda: len,
    "unprintable": _Unprintable,
}

NO_MAPPINGS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "number": lambda: 1.5,
    "tuple": lambda: (1.5,),
    "generator": lambda: (i for i in range(3)),
    "coroutine": lambda: _coroutine(),
    "names": lambda: {"loss"},
    "empty mapping": dict,
    "other names": lambda: {"losses": 1.0},
    "odd mapping": _OddMapping,
    "unprintable key": lambda: {_Unprintable(): 1.0},
    "number keys": lambda: {0: 1.0, None: 2.0},
    "proxy": lambda: types.MappingProxyType({"loss": "1"}),
    "frame": lambda: pd.DataFrame({"loss": [1.0]}),
    "itself": lambda: NO_MAPPINGS,
}

RAISED: dict[str, Callable[[], BaseException]] = {
    "value": lambda: ValueError("no"),
    "nothing said": lambda: ValueError(),
    "surrogate": lambda: OSError(2, "no file", "caf\udce9\0"),
    "long": lambda: RuntimeError("x" * 300_000),
    "memory": MemoryError,
    "memory of a card": lambda: torch.OutOfMemoryError("CUDA out of memory."),
    "lines": lambda: RuntimeError("</script>\r\n\x1b[31m\u202e"),
    "exit": lambda: SystemExit(0),
    "generator exit": GeneratorExit,
    "stop iteration": StopIteration,
    "stop async iteration": StopAsyncIteration,
    "stop search": lambda: StopSearch("not from a callback"),
    "cancelled": asyncio.CancelledError,
    "unsaid": _UnsaidError,
    "locked": _LockedError,
    "needs two": lambda: _NeedsTwoError(1, 2),
    "circular": _circular,
    "group": lambda: BaseExceptionGroup("several", [KeyError("a"), SystemExit(1)]),
    "own": lambda: searchkit.errors.SpaceError("of a search within"),
    "all failed": lambda: SearchFailedError("of a search within"),
    "unprintable inside": lambda: ValueError(_Unprintable()),
    "warning": lambda: UserWarning("raised"),
}


def _coroutine() -> Any:
    found = asyncio.sleep(0)
    found.close()
    return found


def _chdir_to_nowhere() -> None:
    gone = tempfile.mkdtemp()
    os.chdir(gone)
    os.rmdir(gone)


def _close_files() -> None:
    sys.stdout = sys.stderr = None  # as under pythonw


def _closed_files() -> None:
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    sys.stdout.close()


def _a_thread_that_goes_on() -> None:
    threading.Thread(target=threading.Event().wait, args=(3.0,), daemon=True).start()


def _a_thread_that_fails() -> None:
    threading.excepthook = lambda args: None
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()


def _search_within() -> None:
    searchkit.run("random", space=Space([Choice("a", range(3))]), evaluate=lambda choices: {"loss": choices["a"]},
                  objectives={"loss": "min"}, budget=2, storage="memory", seed=1)  # fmt: skip


def _loop() -> None:
    asyncio.run(asyncio.sleep(0))


DONE: dict[str, Callable[[], Any]] = {
    "another folder": lambda: os.chdir(tempfile.gettempdir()),
    "a folder that is gone": _chdir_to_nowhere,
    "umask": lambda: os.umask(0o777),
    "environment": os.environ.clear,
    "alarm": lambda: signal.signal(signal.SIGALRM, signal.SIG_IGN),
    "interrupt": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    "no output": _close_files,
    "closed output": _closed_files,
    "warnings": lambda: warnings.simplefilter("error"),
    "logging": lambda: logging.disable(logging.CRITICAL),
    "logger": lambda: logging.getLogger().addHandler(logging.NullHandler()),
    "random state": lambda: (random.seed(0), np.random.seed(0), torch.manual_seed(0)),  # noqa: NPY002
    "garbage": gc.disable,
    "recursion": _deep,
    "low recursion": lambda: sys.setrecursionlimit(150 + len(list(_frames()))),
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "no gradients": lambda: torch.set_grad_enabled(False),
    "device": lambda: torch.set_default_device("meta"),
    "numpy": lambda: np.seterr(all="raise"),
    "printing": lambda: np.set_printoptions(threshold=1, legacy="1.13"),
    "pandas": lambda: pd.set_option("display.max_rows", 0),
    "precision": lambda: decimal.getcontext().__setattr__("prec", 1),
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C"),
    "thread": _a_thread_that_goes_on,
    "failing thread": _a_thread_that_fails,
    "search within": _search_within,
    "event loop": _loop,
    "trace": lambda: sys.setprofile(None),
    "modules": lambda: sys.path.clear(),
}

ENDS: dict[str, Callable[[], Any]] = {  # of a worker process
    "exit": lambda: os._exit(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "terminate": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "abort": os.abort,
}


def _frames() -> Iterator[Any]:
    frame = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


Behaviour = tuple[str, Any]

_named = st.one_of(
    st.tuples(st.just("number"), st.sampled_from(sorted(NUMBERS))),
    st.tuples(st.just("no number"), st.sampled_from(sorted(NO_NUMBERS))),
    st.tuples(st.just("no mapping"), st.sampled_from(sorted(NO_MAPPINGS))),
    st.tuples(st.just("raised"), st.sampled_from(sorted(RAISED))),
    st.tuples(st.just("done"), st.sampled_from(sorted(DONE))),
)
_scalar = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(st.characters(), max_size=5),
    st.binary(max_size=5), st.decimals(), st.fractions(), st.datetimes(), st.timedeltas(),
)  # fmt: skip
_key = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=4), st.binary(max_size=4))
_value = st.recursive(
    st.one_of(_scalar, arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_dims=2, max_side=2))),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=4,
)
_returned = st.one_of(
    st.tuples(st.just("values"), st.dictionaries(st.one_of(st.just("loss"), _key), _value, max_size=4)),
    st.tuples(st.just("returned"), _value),
)


def behave(behaviour: Behaviour) -> Any:
    """Do as a behaviour says, and return what ``evaluate`` returns."""
    kind, what = behaviour
    if kind == "number":
        return {"loss": NUMBERS[what]()}
    if kind == "no number":
        return {"loss": NO_NUMBERS[what]()}
    if kind == "no mapping":
        return NO_MAPPINGS[what]()
    if kind == "raised":
        raise RAISED[what]()
    if kind == "done":
        DONE[what]()
    return what if kind in ("values", "returned") else {"loss": 0.5}


def end(behaviour: Behaviour) -> Any:
    """End the process as a behaviour says; by itself, so that workers, which start often here, need no torch."""
    return ENDS[behaviour[1]]()


MAY_FAIL = ("recursion", "search within")  # within, in a process whose recursion is limited or whose folder is gone


def expected(behaviour: Behaviour) -> set[State]:
    """The states that a candidate of this behaviour may have."""
    kind, what = behaviour
    if kind == "number" or (kind == "done" and what not in MAY_FAIL):
        return {State.SCORED}
    if kind in ("no number", "no mapping", "raised"):
        return {State.FAILED}
    return {State.SCORED, State.FAILED}


def search(behaviours: list[Behaviour], folder: Path, executor: Any, act: Callable[..., Any] = behave) -> None:
    """Search a space in which every second candidate behaves so, and check that every one is accounted for."""

    def evaluate(choices: dict[str, Any]) -> Any:
        i = choices["i"]
        return act(behaviours[i // 2]) if i % 2 else {"loss": float(i)}

    space = Space([Choice("i", range(2 * len(behaviours)))])
    with undone():
        result = searchkit.run(
            "random", space=space, evaluate=evaluate, objectives={"loss": "min"}, budget=2 * len(behaviours),
            storage=folder, name="s", executor=executor, batch=4, start=[{"i": 0}],
        )  # fmt: skip
        result.report(folder / "report.html")
    again = searchkit.load("s", storage=folder, space=space)
    for found in (result, again):
        assert sorted(int(trial.code[0]) for trial in found.trials) == list(range(2 * len(behaviours)))
        for trial in found.trials:
            i = int(trial.code[0])
            states = expected(behaviours[i // 2]) if i % 2 else {State.SCORED}
            assert trial.state in states, f"{behaviours[i // 2]}: {trial.state}, {trial.reason}, {trial.traceback}"
        assert all(bool(trial.reason) == (trial.state is State.FAILED) for trial in found.trials)
        found.history.to_string().encode()
    assert again.history.equals(result.history)


@contextlib.contextmanager
def undone() -> Iterator[None]:
    """Puts back what the behaviours change in a process."""
    home, umask, environment, path = Path.cwd(), os.umask(0), dict(os.environ), list(sys.path)
    os.umask(umask)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGINT)}
    streams, level, limit, errors = (
        (sys.stdout, sys.stderr),
        logging.root.manager.disable,
        sys.getrecursionlimit(),
        np.geterr(),
    )
    spoken = locale.setlocale(locale.LC_ALL)
    hook, printing, profile = threading.excepthook, np.get_printoptions(), sys.getprofile()
    with warnings.catch_warnings(), decimal.localcontext(), pd.option_context("display.max_rows", 60):
        try:
            yield
        finally:
            os.chdir(home)
            os.umask(umask)
            os.environ.clear()
            os.environ.update(environment)
            sys.path[:] = path
            for number, handler in handlers.items():
                signal.signal(number, handler)
            (sys.stdout, sys.stderr), threading.excepthook = streams, hook
            logging.disable(level)
            locale.setlocale(locale.LC_ALL, spoken)
            sys.setrecursionlimit(limit)
            sys.setprofile(profile)
            np.seterr(**errors)
            np.set_printoptions(**printing)
            gc.enable()
            torch.set_default_dtype(torch.float32)
            torch.set_default_device(None)
            torch.set_grad_enabled(True)


NAMES = {"number": NUMBERS, "no number": NO_NUMBERS, "no mapping": NO_MAPPINGS, "raised": RAISED, "done": DONE}


@pytest.mark.parametrize("kind", NAMES)
def test_each_behaviour_in_this_process(kind: str, tmp_path: Path) -> None:
    search([(kind, name) for name in NAMES[kind]], tmp_path, None)


@pytest.mark.thorough
def test_each_behaviour_in_worker_processes(tmp_path: Path) -> None:
    """In one search, since starting workers takes longer than all that they do."""
    search([(kind, name) for kind, names in NAMES.items() for name in names], tmp_path, 2)


@pytest.mark.slow
def test_each_end_of_a_worker_process(tmp_path: Path) -> None:
    search([("ends", name) for name in ENDS], tmp_path, 2, end)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(behaviours=st.lists(st.one_of(_named, _returned), min_size=2, max_size=N // 2))
def test_behaviours_one_after_the_other_in_this_process(behaviours: list[Behaviour]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        search(behaviours, Path(folder), None)


@pytest.mark.slow
@pytest.mark.thorough
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(behaviours=st.lists(st.one_of(_named, _returned), min_size=4 * N, max_size=5 * N))  # long: workers start slowly
def test_behaviours_in_worker_processes(behaviours: list[Behaviour]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        search(behaviours, Path(folder), 2)


@pytest.mark.parametrize("error", [DeviceGoneError, WritingError, KeyboardInterrupt])
def test_what_stops_a_search_leaves_the_candidate_to_the_next(error: type[BaseException], tmp_path: Path) -> None:
    def evaluate(choices: dict[str, Any], raising: bool = True) -> dict[str, float]:
        if raising and choices["i"] == 2:
            raise error("no device")
        return {"loss": choices["i"]}

    def run(raising: bool) -> searchkit.Result:
        return searchkit.run(
            "random", space=Space([Choice("i", range(4))]), objectives={"loss": "min"}, budget=4, storage=tmp_path,
            evaluate=lambda choices: evaluate(choices, raising), name="s",
        )  # fmt: skip

    with contextlib.suppress(DeviceGoneError, WritingError):
        assert run(True).stopped == "interrupted"
    assert {trial.state for trial in run(False).trials} == {State.SCORED}
