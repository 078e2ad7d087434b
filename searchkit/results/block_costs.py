"""What the blocks of a study's networks cost: measured when it is asked for, and kept with the study."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from searchkit.blocks.block_costs import BlockCosts, block_costs, has_modules
from searchkit.costs.metrics import Metric
from searchkit.errors import message_of
from searchkit.problem.trial import Trial
from searchkit.results.notes import BLOCKS
from searchkit.storage.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from searchkit.results.result import Result

log = logging.getLogger("searchkit")

SHORT = 2.0  # seconds that a search may take for it at its end
SHARE = 0.01  # of a budget in seconds, that it may take
BRIEF = 0.02  # seconds of timing for each module there
# Measured: an export of 0.03 to 0.05 s for each module, and ten rounds in which each is timed for 2 ms or eight runs.
_EACH, _RUNS = 0.07, 0.16  # seconds for each module, and for each millisecond of the network


def costs_of(result: Result, trial: Trial, device: str, seconds: float, again: bool) -> BlockCosts:
    """See :meth:`searchkit.Result.blocks`."""
    if again or trial.number not in result.timed_blocks:
        found = block_costs(result.network_space, trial.code, device=device, seconds=seconds)
        if result.open_record is not None:
            record = result.open_record()
            try:
                _note(record, trial, found)
            finally:
                record.close()
        result.timed_blocks[trial.number] = found
    return result.timed_blocks[trial.number]


def table(found: BlockCosts) -> pd.DataFrame:
    """The frame of :meth:`searchkit.Result.blocks`."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for one in [*found.sorted, found.outside]:
        of_macs, of_ms = found.shares(one)
        ratio = of_ms / of_macs if of_macs else float("nan")
        rows.append(
            {
                "block": one.block, "choice": one.choice, "macs": one.macs, "macs_share": of_macs, "ms": one.ms,
                "ms_share": of_ms, "ratio": ratio,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def finish_timings(result: Result, record: Record, metrics: Mapping[str, Metric], device: str) -> None:
    """Give the result of a search what is on record of clocks and blocks, after timing the blocks where that is quick.

    Those of the first network of the front, in a search for its own ``latency_ms`` on a CPU.

    Args:
        metrics, device: of the search.
    """
    if device == "cpu" and "latency_ms" in metrics and metrics["latency_ms"].function is None:
        _time_first(result, record)
    result.read_timings(record.notes)


def _time_first(result: Result, record: Record) -> None:
    """Quick is two seconds, and a hundredth of a budget in seconds. What cannot be timed block by block is left out."""
    known = record.notes(BLOCKS) or {}
    first = next(iter(result._winners), None)
    if first is None or str(first.number) in known or not has_modules(result.space):
        return
    ms, budget = first.values.get("latency_ms"), (result.context.get("budget") or {}).get("seconds")
    expected = _EACH * (2 + len(result.network_space.nodes)) + _RUNS * (ms or float("inf"))
    if expected > (SHORT if budget is None else min(SHORT, SHARE * budget)):
        return
    try:
        _note(record, first, block_costs(result.network_space, first.code, seconds=BRIEF))
    except KeyboardInterrupt:
        result.stopped = "interrupted"
    except Exception as error:  # of the user's network, which need not run in parts
        log.info("the blocks of candidate %s were not timed: %s", first.number, message_of(error))


def _note(record: Record, trial: Trial, found: BlockCosts) -> None:
    record.note(BLOCKS, dict(record.notes(BLOCKS) or {}) | {str(trial.number): found.plain()})
