"""The first networks of targets with ``first``: chosen and measured before a search, each on record at once."""

from __future__ import annotations

import hashlib
import logging
import time

import numpy as np

from searchkit.costs.targets.prediction import Measurement
from searchkit.costs.task_scores import AT
from searchkit.errors import TargetError, duration, plural
from searchkit.search.cost_meter import CostMeter
from searchkit.search.measured_costs import Checked
from searchkit.search.target_costs import LOST
from searchkit.storage.record import Record
from searchkit.types import Codes

log = logging.getLogger("searchkit")

POOR = 0.5  # relative error of predictions, from which it is a warning

DOUBTFUL = "; so poor predictions tell little, and measuring more networks first (first=20) may help"

FIRST = "first network:"  # begins the keys of the notes on networks that were measured before the search
EXPECTED = "expected predictions"  # the note of a record with how good predictions on targets are expected to be


def prepare_first(meter: CostMeter) -> None:
    """Draw the networks among which is chosen for each target with ``first``; nothing is asked or recorded.

    Raises:
        DeviceError: what is known of other devices cannot be used, or too few networks can be built.
    """
    for slow in meter.on_targets.slow.values():
        slow.prepare(meter.counted, meter.vectorised, meter.bounds)


def measure_first(meter: CostMeter, record: Record) -> None:
    """Measure the first networks of each target that are not on record yet, and log how good predictions will be.

    Raises:
        TargetError: a target gives no measurement of several networks; those that it has measured are on record.
    """
    if not meter.on_targets.slow:
        return
    for checked in record.noted(FIRST):
        meter.on_targets.take_check(checked)
    meter.on_targets.measured.go_on(record.trials)
    for name in meter.on_targets.slow:
        _measure(meter, record, name)
    _say_expected(meter, record)


def _measure(meter: CostMeter, record: Record, name: str) -> None:
    first, told = meter.targets[name].first or 0, False
    done, failed = _done(meter, name), list[Codes]()
    if len(done) >= first:
        return
    log.info(
        "target '%s' measures %s before the search, %d of which %s measured; its costs of others are predicted, and "
        "what may be on the front is measured before the search ends",
        name, plural(first, "network"), len(done), "is" if len(done) == 1 else "are",
    )  # fmt: skip
    while len(done) < first:
        without = np.array(failed, dtype=np.int64).reshape(-1, meter.space.n_choices)
        chosen = meter.on_targets.slow[name].choose(first - len(done), done, without)
        if not len(chosen):
            raise TargetError(
                f"target '{name}' has measured {len(done)} of its first {first} networks, and cannot measure the others"
            )
        for code in chosen:
            began = time.monotonic()
            try:
                checked = _checked(meter, name, code)
            except TargetError as error:
                failed.append(code)
                if len(failed) >= LOST:
                    raise TargetError(
                        f"{error}; {len(done)} of its first {first} networks are measured and on record, and the same "
                        "call again goes on"
                    ) from error
                log.warning("%s; another one is measured in its place", error)
                break
            record.note(FIRST + hashlib.blake2b(code.tobytes(), digest_size=8).hexdigest(), checked)
            failed.clear()
            done = _done(meter, name)
            if not told and len(done) < first:
                _say_time(name, time.monotonic() - began, first - len(done))
            told = True


def _say_time(name: str, took: float, left: int) -> None:
    """Log how long the other first networks will take, by the one that was measured."""
    log.info(
        "target '%s' took %s for a network, so that the other %d take about %s",
        name, duration(took), left, duration(took * left),
    )  # fmt: skip


def _checked(meter: CostMeter, name: str, code: Codes) -> Checked:
    """Measure a network on a target, and on those that measure every candidate, for comparison."""
    counts = {column: float(values[0]) for column, values in meter.counted(code[None]).items()}
    with meter.exported(code) as path:
        checked = meter.on_targets.check(path, code, counts, [name])
    checked["values"] |= meter.on_this_machine(code)
    meter.on_targets.take_check(checked)
    return checked


def _done(meter: CostMeter, name: str) -> list[Measurement]:
    metric = meter.on_targets.asked(name)[0]
    return meter.on_targets.measured.points(f"{metric}{AT}{name}")


def _say_expected(meter: CostMeter, record: Record) -> None:
    """Log and note what leaving each measurement out says of predictions, once in a study."""
    noted = record.notes(EXPECTED) or {}
    expected = meter.on_targets.predicted.expected()
    for column, found in expected.items():
        if column not in noted:
            poor = found["error"] > POOR
            log.log(
                logging.WARNING if poor else logging.INFO,
                "%s is predicted from %s%s: leaving each out in turn, rank correlation %.2f and median error %.1f %%%s",
                column, plural(found["n"], "network"), f" and {', '.join(found['known'])}" if found["known"] else "",
                found["rank_correlation"], 100 * found["error"], DOUBTFUL if poor else "",
            )  # fmt: skip
    if expected.keys() - noted.keys():
        record.note(EXPECTED, expected | noted)
