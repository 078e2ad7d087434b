"""Timing on a CPU by a made clock: the warm-up, the tail, a busy core, and runs that differ too much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace
from searchkit.costs import cpu_timing
from searchkit.costs.cpu_timing import CORRECTED, CpuTimes, timed_on_cpu, warm_up
from searchkit.costs.gpu_timing import Runs, Timed
from searchkit.costs.latency import Latency, _on_cuda, latency
from searchkit.costs.one_method import OneMethod
from searchkit.errors import CandidateError, DeviceError, SearchFailedError, UnsteadyError
from searchkit.runtime.gpu_lock import Card
from searchkit.runtime.processor import Speed
from searchkit.types import Floats


class Clock:
    """In the place of the module ``time``: it goes on only while a run sleeps on it."""

    def __init__(self) -> None:
        self.ns = 0

    def perf_counter(self) -> float:
        return self.ns * 1e-9

    def perf_counter_ns(self) -> int:
        return self.ns

    def run(self, milliseconds: Iterator[float]) -> Callable[[], None]:
        """A run that takes as long as the next of these says."""

        def sleeps() -> None:
            self.ns += round(next(milliseconds) * 1e6)

        return sleeps


class Core:
    """References that take as many times their best as is said, one pair after another, then as the last."""

    best = np.array([0.02, 0.1])

    def __init__(self, slowdowns: Sequence[tuple[float, float]]) -> None:
        self._next = chain(slowdowns, repeat(slowdowns[-1]))

    def look(self) -> Floats:
        return self.best * np.array(next(self._next))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(cpu_timing, "time", made)
    core(monkeypatch, [(1.0, 1.0)])
    return made


def core(monkeypatch: pytest.MonkeyPatch, slowdowns: Sequence[tuple[float, float]]) -> None:
    made = Core(slowdowns)
    monkeypatch.setattr(cpu_timing, "_references", lambda: made)


def test_the_warm_up_goes_on_while_runs_get_faster(clock: Clock) -> None:
    taken: list[float] = []

    def ms() -> Iterator[float]:
        for i in range(10_000):
            taken.append(max(1.0, 8.0 * 0.95**i))
            yield taken[-1]

    warm_up(clock.run(ms()))
    assert taken[-1] == 1.0
    assert len(taken) < 70


def test_the_warm_up_ends_at_once_where_runs_take_equal_time(clock: Clock) -> None:
    warm_up(clock.run(repeat(2.0)))
    assert clock.ns == 2 * 3 * 2.0e6  # two blocks of three runs


def test_the_warm_up_ends_after_a_third_of_a_second_and_three_runs_in_any_case(clock: Clock) -> None:
    warm_up(clock.run(1000 * 0.9**i for i in range(10_000)))
    assert clock.ns == pytest.approx(1e6 * (1000 + 900 + 810))
    clock.ns = 0
    warm_up(clock.run(10 * 0.98**i for i in range(10_000)))
    assert 0.3e9 <= clock.ns < 0.35e9


def test_the_tail_is_that_of_single_runs_and_the_median_that_of_the_fastest(clock: Clock) -> None:
    """One run in ten takes five times as long: 95 of 100 are within that, and each block has fast ones."""
    times = timed_on_cpu(clock.run(chain(repeat(1.0, 10), (5.0 if i % 10 == 9 else 1.0 for i in range(10**6)))), 0.2)
    assert set(times.blocks) == {1.0}
    assert sorted(set(times.runs)) == [1.0, 5.0]
    assert np.mean(times.runs == 5.0) == pytest.approx(0.1, abs=0.02)
    assert np.quantile(times.runs, 0.95) == 5.0


def test_blocks_beside_a_busy_moment_of_the_core_do_not_count(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    core(monkeypatch, [(1.0, 1.0)] * 9 + [(1.4, 1.2)] * 5 + [(1.0, 1.0)])
    # ten runs of warm-up, eight blocks of eight, six beside the busy moment, then quiet ones
    times = timed_on_cpu(clock.run(chain(repeat(1.0, 10 + 64), repeat(1.4, 48), repeat(1.0))), 0.2)
    assert set(times.runs) == {1.0}


def test_a_slow_network_is_timed_in_several_blocks_too_so_that_its_spread_says_something(clock: Clock) -> None:
    times = timed_on_cpu(clock.run(repeat(60.0)), 0.15)
    assert len(times.blocks) == 5
    assert len(times.runs) == 10
    times = timed_on_cpu(clock.run(chain(repeat(60.0, 6 + 4), repeat(120.0))), 0.15)
    assert sorted(times.blocks) == [60, 60, 120, 120, 120]


def test_on_a_core_that_is_always_busy_runs_are_divided_by_the_slowdown(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    core(monkeypatch, [(1.4, 1.2)])
    dispatch = 0.06 / 2.4  # of runs that take 2.4 ms
    slowdown = 1.4 * dispatch + 1.2 * (1 - dispatch)
    times = timed_on_cpu(clock.run(chain(repeat(2.4, 6), (7.2 if i % 8 == 7 else 2.4 for i in range(10**6)))), 0.1)
    assert times.how == CORRECTED
    assert times.blocks == pytest.approx(2.4 / slowdown)
    assert times.runs.max() == pytest.approx(7.2 / slowdown)
    assert clock.ns >= 0.3e9  # it waited for the core


SPACE = NetworkSpace(
    [Choice("width", (2, 3, 4, 5, 6, 7))],
    lambda choices, shape, n: nn.Sequential(
        nn.Flatten(), nn.Linear(64, choices["width"]), nn.Linear(choices["width"], n)
    ),
    input_shape=(1, 8, 8),
)
STEADY, UNSTEADY = (1.0, 1.0, 1.1, 1.1), (1.0, 1.0, 4.0, 4.0)


@pytest.fixture
def timings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float]]:
    """A function that says the blocks of the measurements to come, the last for all others; it gives their seconds."""

    def say(*blocks: Sequence[float]) -> list[float]:
        told, asked = chain(blocks, repeat(blocks[-1])), list[float]()

        def made(run: object, seconds: float) -> CpuTimes:
            asked.append(seconds)
            ms = np.array(next(told))
            return CpuTimes(ms, np.repeat(ms, 10), "at full speed")

        monkeypatch.setattr("searchkit.costs.latency.timed_on_cpu", made)
        return asked

    return say


def measured(**given: Any) -> Latency:
    return latency(SPACE.build([0]), SPACE.input_shape, **given)


def test_a_measurement_says_its_spread_and_its_tail_in_one_line(timings: Callable[..., list[float]]) -> None:
    timings((1.0, 1.0, 1.2, 1.2, 2.0))
    found = measured()
    assert (found.median_ms, found.spread, found.p95_ms, found.n) == (1.2, pytest.approx(0.2 / 1.2), 2.0, 50)
    assert str(found).startswith("1.2 ms, 95 % within 2 ms, spread 16.7 % (onnxruntime ")


def test_unsteady_runs_are_measured_again_for_longer_and_the_first_steady_ones_count(
    timings: Callable[..., list[float]],
) -> None:
    asked = timings(UNSTEADY, UNSTEADY, STEADY)
    assert measured(seconds=0.1, most_spread=0.5).median_ms == pytest.approx(1.05)
    assert asked == pytest.approx([0.1, 0.2, 0.4])
    asked = timings(STEADY, UNSTEADY)
    assert measured(seconds=0.1, most_spread=0.5).median_ms == pytest.approx(1.05)
    assert asked == [0.1]


def test_runs_that_stay_unsteady_are_refused_with_the_reason_where_that_was_asked_for(
    timings: Callable[..., list[float]],
) -> None:
    asked = timings((1.0, 1.0, 5.0, 5.0), UNSTEADY, (1.0, 1.0, 6.0, 6.0))
    told = r"its runs differ by 120 % in the steadiest of 3 measurements .* at most 50 % is taken.*busy"
    with pytest.raises(UnsteadyError, match=told) as raised:
        measured(most_spread=0.5)
    assert isinstance(raised.value, DeviceError)
    assert len(asked) == 3
    assert measured().spread > 1  # where nothing was asked for, any is taken
    with pytest.raises(DeviceError, match="most_spread is a number above 0, such as 0.3, or None; got -1"):
        measured(most_spread=-1)


def test_on_a_card_the_tail_is_of_blocks_and_unsteady_ones_are_timed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Runs(lambda: None, "torch 0 CUDA graph", Card("made", "1.2", ""))
    blocks, asked = iter([UNSTEADY, (2.0,) * 19 + (4.0,)]), list[float]()

    def made(block: object, seconds: float) -> Timed:
        asked.append(seconds)
        return Timed(np.array(next(blocks)), 1000)

    monkeypatch.setattr("searchkit.costs.latency.measured_on_card", lambda *given, **_: given[3](card))
    monkeypatch.setattr("searchkit.costs.latency.timed", made)
    found = _on_cuda(nn.Identity(), (1,), torch.device("cuda"), 2, None, "bfloat16", 0.1, 0.5)
    assert asked == pytest.approx([0.1, 0.2])
    assert (found.median_ms, found.p95_ms, found.n) == (2.0, pytest.approx(np.quantile([2.0] * 19 + [4.0], 0.95)), 1000)
    assert found.label == "torch 0 CUDA graph, CUDA events; batch 2, bfloat16, made, driver 1.2"


def test_a_candidate_without_a_steady_latency_has_failed_before_its_training(
    timings: Callable[..., list[float]],
) -> None:
    timings(UNSTEADY, UNSTEADY, UNSTEADY, STEADY)
    result = search(4)
    assert [str(trial.state) for trial in result.trials] == ["failed", "scored", "scored", "scored"]
    told = "its latency_ms cannot be measured: its runs differ by 120 % in the steadiest of 3 measurements"
    assert told in str(result.trials[0].reason)
    assert "latency_ms" not in result.trials[0].values
    assert (result.front.latency_ms == 1.05).all()


def test_a_machine_on_which_nothing_is_steady_ends_the_search_with_the_reason(
    timings: Callable[..., list[float]],
) -> None:
    timings(UNSTEADY)
    with pytest.raises(SearchFailedError, match="its latency_ms cannot be measured: its runs differ by 120 %"):
        search(6)


def test_a_longer_second_measurement_is_taken_as_it_is(timings: Callable[..., list[float]]) -> None:
    """Near a bound, at the end of a search, which is no time to lose candidates."""
    timing = OneMethod(SPACE, "cpu")
    timings(UNSTEADY)
    with pytest.raises(CandidateError, match="its latency_ms cannot be measured"):
        timing(SPACE.build([0]))
    assert timing(SPACE.build([0]), 1.0)[0]["latency_ms"] == 2.5


def search(budget: int, storage: Any = "memory", **given: Any) -> searchkit.Result:
    return searchkit.run(
        "random", space=SPACE, objectives=("params", "latency_ms"), budget=budget, batch=1, storage=storage, name="s",
        **given,
    )  # fmt: skip


def powersave(*mhz: float, governor: str = "powersave") -> Callable[[], Speed]:
    clocks = chain(mhz, repeat(mhz[-1]))
    return lambda: Speed(governor, ("performance", "powersave"), next(clocks), "mains")


@pytest.mark.slow
def test_the_record_says_under_which_clock_and_governor_latencies_were_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timings: Callable[..., list[float]]
) -> None:
    timings(STEADY)
    monkeypatch.setattr("searchkit.costs.latency.speed", powersave(2000, 800, 2010))
    result = search(3, tmp_path)
    told = "governor powersave, on mains"
    assert result.clock == {told: [800, 2000]}
    assert len(result.methods["latency_ms"]) == 1  # a clock that changes makes no other method
    assert result.methods["latency_ms"][0].endswith(f", {told}")
    assert searchkit.load("s", tmp_path).clock == result.clock
    monkeypatch.setattr("searchkit.costs.latency.speed", powersave(3000, governor="performance"))
    more = search(5, tmp_path)
    assert more.clock == {told: [800, 2000], "governor performance, on mains": [3000, 3000]}
    assert [method.rpartition("governor ")[2] for method in more.methods["latency_ms"]] == [
        "powersave, on mains", "performance, on mains",
    ]  # fmt: skip
    page = more.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "800 to 2,000 MHz, governor powersave, on mains" in page


def test_where_the_system_tells_nothing_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, timings: Callable[..., list[float]], caplog: pytest.LogCaptureFixture
) -> None:
    timings(STEADY)
    monkeypatch.setattr("searchkit.costs.latency.speed", Speed)
    monkeypatch.setattr("searchkit.costs.one_method.speed", Speed)
    result = search(2)
    assert result.clock == {}
    assert "governor" not in result.methods["latency_ms"][0]
    assert [record for record in caplog.records if record.name == "searchkit.clock"] == []


def test_a_clock_that_may_vary_is_told_once_before_a_search_for_latencies(
    monkeypatch: pytest.MonkeyPatch, timings: Callable[..., list[float]], caplog: pytest.LogCaptureFixture
) -> None:
    timings(STEADY)
    monkeypatch.setattr("searchkit.costs.one_method.speed", powersave(2000))
    search(2)
    told = [record.getMessage() for record in caplog.records if record.name == "searchkit.clock"]
    assert len(told) == 1
    assert told[0].startswith("latencies may vary, since the clock has the governor 'powersave' ('performance' is")
    caplog.clear()
    searchkit.run("random", space=SPACE, objectives=("params", "macs"), budget=2, storage="memory")
    assert [record for record in caplog.records if record.name == "searchkit.clock"] == []


def test_timing_of_the_real_clock_leaves_no_random_state_changed() -> None:
    state = torch.get_rng_state()
    found = latency(SPACE.build([0]), SPACE.input_shape, seconds=0.02)
    assert found.median_ms <= found.p95_ms
    assert torch.equal(state, torch.get_rng_state())
