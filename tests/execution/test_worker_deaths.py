"""What is said of a worker process that died: only a killed one may have lacked memory."""

from __future__ import annotations

import os
import signal
import time

import pytest

import searchkit
from searchkit import Choice, SearchkitError, Space

SPACE = Space([Choice("x", tuple(range(8)))], name="deaths")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("death", "said"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "its worker process was killed (out of memory?)"),
        (lambda: os.kill(os.getpid(), signal.SIGABRT), "its worker process crashed in native code (SIGABRT)"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "its worker process crashed in native code (SIGSEGV)"),
        (lambda: os._exit(3), "its worker process died"),
    ],
    ids=["killed", "aborted", "segmentation fault", "exit"],
)
def test_the_reason_tells_how_it_ended(death: object, said: str) -> None:
    def evaluate(choices: dict[str, int]) -> dict[str, float]:
        if choices["x"] == 0:
            death()  # type: ignore[operator]
        return {"loss": choices["x"]}

    result = searchkit.run(
        "random", space=SPACE, evaluate=evaluate, objectives={"loss": "min"}, executor=1, budget=8, storage="memory"
    )
    assert [reason for reason in result.history.reason if isinstance(reason, str)] == [said]


@pytest.mark.slow
def test_crashes_are_not_said_to_lack_memory() -> None:
    def evaluate(choices: dict[str, int]) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGABRT)
        return {}

    with pytest.raises(SearchkitError) as raised:
        searchkit.run(
            "random", space=SPACE, evaluate=evaluate, objectives={"loss": "min"}, executor=1, budget=8, storage="memory"
        )
    assert "memory" not in str(raised.value)


@pytest.mark.slow
def test_a_worker_that_needs_more_memory_is_kept() -> None:
    def evaluate(choices: dict[str, int]) -> dict[str, float]:
        held = vars(searchkit).setdefault("held", [])
        held.append(b"\1" * 200_000_000)
        time.sleep(1.1)  # loky looks at the memory once a second
        return {"loss": choices["x"], "process": os.getpid()}

    result = searchkit.run(
        "random", space=SPACE, evaluate=evaluate, objectives={"loss": "min"}, executor=1, budget=4, storage="memory"
    )
    assert len(set(result.history.process)) == 1
