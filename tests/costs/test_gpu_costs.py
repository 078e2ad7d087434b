"""GPUs: what can be known of timing, locks, placement and lost devices without one; the rest needs one and says so."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import searchkit
from searchkit import Choice, Space
from searchkit.costs import counts as costs
from searchkit.costs.energy import energy, energy_counter, repeated
from searchkit.costs.gpu_memory import card_memory, held_at_peak
from searchkit.costs.gpu_timing import ENOUGH, in_turn, timed
from searchkit.costs.latency import latency
from searchkit.costs.measure import measured_on
from searchkit.errors import CandidateError, DeviceError, DeviceGoneError, SearchFailedError, SearchkitError
from searchkit.execution.executors import open_executor
from searchkit.execution.gpu_placement import visible_cards
from searchkit.execution.outcome import Job
from searchkit.execution.processes import Workers
from searchkit.runtime.devices import device_errors, is_device_lost, is_device_taken, resolve_device
from searchkit.runtime.gpu_lock import Card, card_of, give_way, measuring_on, version_in
from searchkit.scoring.scorer import Scorer
from searchkit.spaces.nas_bench_201 import nas_bench_201
from searchkit.training.evaluation import Evaluation

ROOT = Path(__file__).parents[2]
BENCHMARK = [sys.executable, "-m", "benchmarks.gpu"]
LOST = "CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported"
CARD = torch.device("cuda", 0)
CELLS = nas_bench_201(width=4, cells=1, input_shape=(1, 8, 8))
NETWORK = CELLS.build([3, 1, 4, 0, 2, 3])
needs_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")


# Timing


def test_a_card_is_timed_when_it_has_become_steady() -> None:
    slow_start = iter([9.0, 5.0, 3.0, 2.0, 1.5, 1.2, 1.1])
    found = timed(lambda n: next(slow_start, 1.0), seconds=0.2)
    assert set(found.blocks) == {1.0}
    assert found.blocks.sum() * found.n / len(found.blocks) >= 200  # ms of the card's time
    assert found.n == 10 * len(found.blocks)  # blocks of about 10 ms


def test_a_card_that_never_becomes_steady_is_timed_all_the_same() -> None:
    rng = np.random.default_rng(0)
    assert len(timed(lambda n: float(rng.uniform(1, 2)), seconds=0.1).blocks) >= ENOUGH


def test_a_network_slower_than_a_block_is_run_often_enough_for_a_median() -> None:
    found = timed(lambda n: 500.0 * (n == 1), seconds=0.1)
    assert found.blocks.tolist() == [500.0] * ENOUGH


def test_inputs_take_turns() -> None:
    seen: list[str] = []
    run = in_turn([lambda: seen.append("a"), lambda: seen.append("b"), lambda: seen.append("c")])
    for _ in range(7):
        run()
    assert seen == list("abcabca")


def test_what_only_a_card_can_do_is_refused_on_a_cpu() -> None:
    with pytest.raises(DeviceError, match="latency with precision 'bfloat16' is measured on 'cuda'; got device 'cpu'"):
        latency(NETWORK, CELLS.input_shape, precision="bfloat16")
    with pytest.raises(DeviceError, match="latency with method 'torch-graph' is measured on 'cuda'"):
        latency(NETWORK, CELLS.input_shape, method="torch-graph")
    with pytest.raises(SearchkitError, match="unknown precision 'fp16': choose from bfloat16, float32"):
        latency(NETWORK, CELLS.input_shape, precision="fp16")  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="card_memory is measured on a GPU, and this search runs on 'cpu'"):
        searchkit.run(objectives=("accuracy", "card_memory"), device="cpu", storage="memory")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08  Sat Feb 17\nGCC version: gcc 12.2.0",
            "535.161.08",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.90  Release Build", "550.90"),
        ("something else", ""),
    ],
)
def test_the_driver_is_read_from_what_its_module_says(text: str, version: str) -> None:
    assert version_in(text) == version


# One at a time


def test_threads_take_turns_on_a_card_and_not_on_another(in_tmp: Path) -> None:
    inside, most = 0, 0

    def measure(card: str) -> None:
        nonlocal inside, most
        with measuring_on(card):
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(measure, ["a"] * 12))
    assert most == 1
    with measuring_on("a"), ThreadPoolExecutor(1) as pool:
        pool.submit(measure, "b").result()


@pytest.mark.slow
def test_another_process_waits_until_the_measurement_is_done(in_tmp: Path) -> None:
    told = in_tmp / "told"
    told.write_text("early")
    code = (
        "import sys; from pathlib import Path; from searchkit.runtime.gpu_lock import measuring_on\n"
        "print('asks', flush=True)\n"
        f"with measuring_on('GPU/1'): print(Path({str(told)!r}).read_text())"
    )
    with measuring_on("GPU/1"):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "asks\n"
        time.sleep(0.3)  # in which it would print, did it not wait
        told.write_text("after")
    assert child.communicate()[0] == "after\n"


def test_a_training_gives_way_to_a_measurement_and_to_nothing_else(in_tmp: Path) -> None:
    give_way("a")
    said: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        with measuring_on("b"):
            give_way("a")
        with measuring_on("a"):
            step = pool.submit(lambda: (give_way("a"), said.append("step")))
            time.sleep(0.2)  # in which it would take the step, did it not wait
            said.append("measured")
        step.result()
    give_way("a")
    assert said == ["measured", "step"]


def test_a_study_of_latencies_is_of_a_card_model_and_not_of_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("searchkit.costs.measure.resolve_device", torch.device)
    monkeypatch.setattr("searchkit.costs.measure.card_of", lambda device: Card(f"Model {device.index // 2}", "", ""))
    assert [measured_on(name) for name in ("cpu", "cuda:0", "cuda:1", "cuda:2")] == ["cpu", *["Model 0"] * 2, "Model 1"]


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Locks of the test's own, here and in processes that are started here."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


# Memory and energy


class CountingAllocator:
    """Of a made-up device: what tensors take, and the most of it."""

    def __init__(self) -> None:
        self.now = self.most = 10_000  # held by others

    def take(self, n: int) -> None:
        self.now += n
        self.most = max(self.most, self.now)

    def allocated(self) -> int:
        return self.now

    def peak(self) -> int:
        return self.most

    def reset(self) -> None:
        self.most = self.now


def test_memory_is_weights_input_and_the_most_of_a_run_without_what_libraries_keep() -> None:
    device, first = CountingAllocator(), iter([True])

    def place() -> Any:
        device.take(1000)
        return nn.Identity(), torch.zeros(1)

    def run(subject: nn.Module, x: Tensor) -> None:
        device.take(5000 if next(first, False) else 0)  # a library's workspace, kept
        device.take(300)
        device.take(-200)
        device.take(50)
        device.take(-150)

    assert held_at_peak(device, place, run) == 1300


def test_energy_is_the_counters_difference_per_run() -> None:
    used, queued = 1e9, 0

    def run() -> None:
        nonlocal queued
        queued += 1

    def wait() -> None:
        nonlocal used, queued
        used, queued = used + 2.5 * queued, 0

    assert repeated(run, wait, lambda: used, 40).tolist() == [2.5, 2.5, 2.5]


def test_without_the_library_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(DeviceError, match=r'pip install "searchkit-nas\[gpu\]"'), energy_counter("1"):
        pass


def test_a_counter_that_cannot_be_read_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class NVMLError(Exception):
        pass

    asked: list[str] = []
    ended: list[bool] = []

    def refuse(handle: str) -> int:
        raise NVMLError("Not Supported")

    nvml = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: ended.append(True),
        nvmlDeviceGetHandleByUUID=asked.append,
        nvmlDeviceGetTotalEnergyConsumption=refuse,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    sentence = r"energy counter of this card cannot be read \(NVML: Not Supported\)"
    with pytest.raises(DeviceError, match=sentence), energy_counter("123") as read:
        read()
    assert (asked, ended) == (["GPU-123"], [True])


# Devices that are gone

ADVICE = """
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions."""  # torch 2.11 adds it to every CUDA error


@pytest.mark.parametrize(
    "text",
    [
        LOST,
        "CUDA error: device-side assert triggered",
        f"CUDA error: device-side assert triggered{ADVICE}",
        "CUDA error: an illegal memory access was encountered",
        "HIP error: unspecified launch failure",
    ],
)
def test_errors_after_which_a_device_is_lost_are_known(text: str) -> None:
    assert is_device_lost(RuntimeError(text))
    assert not is_device_taken(RuntimeError(text))
    later = ValueError("while cleaning up")
    later.__context__ = RuntimeError(text)
    assert is_device_lost(later)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: operation not permitted when stream is capturing"),
        RuntimeError(f"CUDA error: operation not permitted when stream is capturing{ADVICE}"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x9 and 10x20)"),
        ValueError("unknown error"),
    ],
    ids=str,
)
def test_errors_of_a_candidate_are_not_those_of_a_device(error: Exception) -> None:
    assert not is_device_lost(error)
    assert not is_device_taken(error)
    with pytest.raises(type(error)) as raised, device_errors(CARD):
        raise error
    assert raised.value is error


def test_a_card_that_another_process_has_for_itself_is_said_with_the_fix() -> None:
    sentence = r"'cuda:0' is in exclusive compute mode .*nvidia-smi -c DEFAULT.*executor=None"
    with pytest.raises(DeviceGoneError, match=sentence), device_errors(CARD):
        raise RuntimeError("CUDA error: CUDA-capable device(s) is/are busy or unavailable")


def test_a_cpu_only_torch_says_so_and_where_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    with pytest.raises(DeviceError, match=r"'cuda' is not there: .* built for CPUs only \(pytorch.org"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(DeviceError, match=r"shows 0 GPUs with CUDA_VISIBLE_DEVICES=''"):
        resolve_device("cuda")


def search(evaluate: Callable[[dict[str, Any]], dict[str, float]], folder: Path, **changes: Any) -> searchkit.Result:
    space = Space([Choice("a", range(4), ordered=True), Choice("b", range(4), ordered=True)])
    settings: dict[str, Any] = {"objectives": {"loss": "min"}, "budget": 8, "name": "s", "progress": False}
    return searchkit.run("random", space=space, evaluate=evaluate, storage=folder, **(settings | changes))


def loss(choices: dict[str, Any]) -> dict[str, float]:
    return {"loss": float(choices["a"] + choices["b"])}


@pytest.mark.parametrize("executor", [None, pytest.param(2, marks=pytest.mark.thorough), "threads"])
def test_a_device_lost_in_the_middle_ends_the_search_and_the_same_call_continues(executor: Any, tmp_path: Path) -> None:
    done = tmp_path / "done"

    def on_a_card(choices: dict[str, Any]) -> dict[str, float]:
        with device_errors(CARD):
            if done.exists() and len(done.read_text()) >= 3:
                raise RuntimeError(LOST)
            with done.open("a") as file:
                file.write(".")
            return loss(choices)

    with ThreadPoolExecutor(1) as pool:
        chosen = pool if executor == "threads" else executor
        with pytest.raises(DeviceGoneError, match=r"'cuda:0' is lost to this process \(CUDA error: unspecified launch"):
            search(on_a_card, tmp_path, executor=chosen)
        result = search(loss, tmp_path, executor=chosen)
    assert result.history.state.tolist() == ["scored"] * 8
    assert not result.history.duplicated(["a", "b"]).any()


@pytest.mark.slow
def test_a_device_lost_while_costs_are_measured_ends_the_search_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any, **__: Any) -> Any:
        with device_errors(CARD):
            raise RuntimeError(LOST)

    monkeypatch.setattr("searchkit.costs.one_method.latency", lost)
    with pytest.raises(DeviceGoneError, match="the record is intact, and the same call continues"):
        searchkit.run("random", space=CELLS, objectives=("latency_ms", "params"), storage="memory", device="cpu")


def test_a_device_lost_while_proxies_score_is_no_missing_score() -> None:
    class OnACard:
        names = ("on_a_card",)
        passes = ()

        def values(self, recordings: Any) -> dict[str, float]:
            with device_errors(CARD):
                raise RuntimeError(LOST)

    with pytest.raises(DeviceGoneError, match="is lost to this process"):
        Scorer(CELLS, [OnACard()])(CELLS.sample(1, np.random.default_rng(0)))  # type: ignore[list-item]


def test_a_card_too_small_for_every_candidate_is_said_with_what_to_do(tmp_path: Path) -> None:
    def too_large(choices: dict[str, Any]) -> dict[str, float]:
        raise CandidateError("out of memory on cuda:0 with batches of 128")

    sentence = r"first \d+ candidates all failed.* None fits into the memory of the device: .* out of memory on cuda:0"
    with pytest.raises(SearchFailedError, match=sentence):
        search(too_large, tmp_path)


# Placement


class OnAGPU(Evaluation):
    """What is evaluated on a card."""

    def __init__(self, device: str) -> None:
        self.device = device

    def __call__(self, code: Any, seed: int) -> dict[str, float]:
        raise AssertionError

    @property
    def device_name(self) -> str:
        return self.device


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Two, with two cards, that say which they are shown; slow enough for both to get some of the work."""

    def say(code: Any, seed: int) -> dict[str, float]:
        if seed == -1:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.1)
        return {"card": float(os.environ["CUDA_VISIBLE_DEVICES"]), "process": float(os.getpid())}

    pool = Workers(2, say, ("card", "process"), None, cards=("5", "7"))
    yield pool
    pool.close()


def cards_of(pool: Workers, n: int) -> set[tuple[float, float]]:
    """Process and card of each worker that took one of n jobs."""
    for i in range(n):
        pool.submit(i, Job(np.zeros(1, dtype=np.int64), i))
    values: list[dict[str, float]] = []
    while len(values) < n:
        values += [outcome.values for _, outcome in pool.wait()]
    return {(one["process"], one["card"]) for one in values}


@pytest.mark.slow
def test_every_worker_has_a_card_of_its_own_also_after_one_died(workers: Workers) -> None:
    found = cards_of(workers, 8)
    assert len({process for process, _ in found}) == len(found), "a worker keeps its card"
    assert {card for _, card in found} == {5.0, 7.0}
    workers.submit(0, Job(np.zeros(1, dtype=np.int64), -1))
    assert "its worker process was killed" in str(workers.wait()[0][1].reason)
    again = cards_of(workers, 8)
    assert {card for _, card in again} == {5.0, 7.0}
    assert not again & found


def test_workers_spread_over_the_cards_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_cards() == ("0", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-1a2b")
    assert visible_cards() == ("3", "GPU-1a2b")
    spread = open_executor(2, OnAGPU("cuda:0"), (), any_card=True)
    assert isinstance(spread, Workers)
    assert spread._cards == ("3", "GPU-1a2b")
    for pool in (open_executor(2, OnAGPU("cuda:0"), ()), open_executor(2, lambda code, seed: {}, (), any_card=True)):
        assert isinstance(pool, Workers)
        assert pool._cards == ()


def test_ray_numbers_the_cards_itself() -> None:
    with pytest.raises(SearchkitError, match=r"its own GPU, .* write device='cuda', not 'cuda:1'"):
        open_executor("ray", OnAGPU("cuda:1"), ())


class WithACard(ThreadPoolExecutor):
    """A machine with a card, for as long as something is evaluated there; its card computes as a CPU does."""

    def submit(self, function: Any, /, *given: Any, **more: Any) -> Any:
        def there() -> Any:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("searchkit.training.train.resolve_device", self.device)
                return function(*given, **more)

        return super().submit(there)

    def device(self, name: str) -> torch.device:
        assert name == "cuda"
        return torch.device("cpu")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:proxy 'synflow' has no score")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
@pytest.mark.parametrize("wanted", [{}, {"proxies": ["synflow"]}, {"objectives": ("naswot", "params"), "verify": 1}])
def test_a_machine_without_a_card_searches_where_candidates_are_trained_on_others(wanted: Any) -> None:
    with WithACard(1) as cluster:
        result = searchkit.run(
            "random", space=CELLS, device="cuda", executor=cluster, budget=2, epochs=1, storage="memory",
            progress=False, **wanted,
        )  # fmt: skip
    assert result.history.state.tolist() == ["scored"] * 2
    scores = [one["test_accuracy"] for one in result.verified.to_dict("records")] if "verify" in wanted else []
    assert all(0 <= score <= 1 for score in [*(result.test_accuracy or {}).values(), *scores])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_what_the_searching_machine_measures_needs_a_card_of_its_own() -> None:
    with WithACard(1) as cluster, pytest.raises(DeviceError, match=r"latency_ms is measured by the process that sea"):
        searchkit.run(
            "random", space=CELLS, device="cuda", executor=cluster, objectives=("accuracy", "latency_ms"),
            storage="memory",
        )  # fmt: skip
    for executor in (None, 2, "interleaved"):
        with pytest.raises(DeviceError, match="'cuda' is not there"):
            searchkit.run("random", space=CELLS, device="cuda", executor=executor, storage="memory")


# The benchmark


EVERY_PART = ("step", "training", "ways", "eproxy", "signals", "latency", "memory")


@pytest.mark.thorough
@pytest.mark.parametrize(
    "parts",
    [
        ("training", "signals", "latency"),
        pytest.param(EVERY_PART, marks=pytest.mark.thorough),
    ],
    ids=len,
)
def test_the_benchmarks_code_runs_on_a_cpu(parts: tuple[str, ...]) -> None:
    ran = subprocess.run(
        [*BENCHMARK, "--device", "cpu", "--tiny", "--part", *parts], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert re.findall(r"^# (\w+)$", ran.stdout, re.MULTILINE) == list(parts)
    assert ran.stdout.count("|---|") >= len(parts)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_the_benchmark_says_so_in_a_sentence() -> None:
    ran = subprocess.run(BENCHMARK, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("no benchmark without a card: device 'cuda' is not there")
    assert ran.stderr.count("\n") == 1


# On a card


class ReadsValues(nn.Module):
    """Waits for its input's values in between, which a graph cannot hold."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum().item() > 0 else -x


@pytest.mark.gpu
@needs_a_gpu
def test_on_a_card_a_graph_is_timed_or_eager_torch_with_a_word_of_it() -> None:
    for precision in ("float32", "bfloat16"):
        found = latency(NETWORK, CELLS.input_shape, device="cuda", batch=2, precision=precision, seconds=0.05)
        assert "CUDA graph" in found.method
        assert "eager" not in found.method
        assert (found.precision, found.batch) == (precision, 2)
        assert 0 <= found.mad_ms < found.median_ms
        assert found.median_ms <= found.p95_ms
        assert card_of(CARD).driver in found.label
    assert "eager (no CUDA graph: " in latency(ReadsValues(), (4,), device="cuda", seconds=0.01).method
    assert torch.rand(3, device="cuda").isfinite().all(), "a capture that failed leaves random numbers as they were"
    assert "eager, " in latency(NETWORK, CELLS.input_shape, device="cuda", method="torch", seconds=0.01).method


@pytest.mark.gpu
@needs_a_gpu
def test_on_a_card_two_measurements_agree_and_leave_nothing_behind() -> None:
    values = np.empty((10, 2))
    latency(NETWORK, CELLS.input_shape, device="cuda", seconds=0.05)
    before = torch.cuda.memory_allocated()
    for pair in values:
        pair[:] = [latency(NETWORK, CELLS.input_shape, device="cuda").median_ms for _ in range(2)]
    assert torch.cuda.memory_allocated() <= before
    assert np.median(np.abs(values[:, 0] - values[:, 1]) / values.min(axis=1)) < 0.02


@pytest.mark.gpu
@needs_a_gpu
def test_on_a_card_memory_is_at_least_what_is_counted() -> None:
    before = torch.cuda.memory_allocated()
    assert card_memory(NETWORK, CELLS.input_shape, CARD).peak >= costs.peak_memory(NETWORK, CELLS.input_shape)
    assert torch.cuda.memory_allocated() <= before + 2**26  # what cuBLAS keeps from its first use


@pytest.mark.gpu
@needs_a_gpu
def test_on_a_card_larger_batches_take_more_energy() -> None:
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    try:
        one = energy(NETWORK, CELLS.input_shape, CARD)
    except DeviceError as error:
        pytest.skip(str(error))
    assert 0 < one.median_mj < energy(NETWORK, CELLS.input_shape, CARD, batch=4096).median_mj


@pytest.mark.gpu
@needs_a_gpu
def test_on_a_card_an_index_out_of_range_is_a_lost_device() -> None:
    code = (
        "import torch\nfrom searchkit.runtime.devices import device_errors\n"
        "with device_errors(torch.device('cuda', 0)):\n"
        "    torch.nn.functional.nll_loss(torch.zeros(2, 3, device='cuda'), torch.tensor([0, 7], device='cuda')).item()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "DeviceGoneError: device 'cuda:0' is lost to this process" in ran.stderr
