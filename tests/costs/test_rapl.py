"""Energy on a CPU: the counters of its packages, as Linux shows them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

import searchkit
from searchkit.costs import rapl
from searchkit.costs.latency import latency
from searchkit.costs.rapl import PackageCounter, cpu_energy
from searchkit.errors import DeviceError

RANGE = 262_143_328_850


def package(folder: Path, number: int, name: str, value: int) -> Path:
    place = folder / f"intel-rapl:{number}"
    place.mkdir()
    (place / "name").write_text(f"{name}\n")
    (place / "max_energy_range_uj").write_text(f"{RANGE}\n")
    (place / "energy_uj").write_text(f"{value}\n")
    return place / "energy_uj"


def test_packages_are_summed_and_a_counter_may_begin_anew(tmp_path: Path) -> None:
    first, second = package(tmp_path, 0, "package-0", 100), package(tmp_path, 1, "package-1", RANGE - 500)
    package(tmp_path, 2, "psys", 7)  # the whole board has the packages in it
    core = tmp_path / "intel-rapl:0:0"
    core.mkdir()
    (core / "energy_uj").write_text("1")
    counter = PackageCounter(tmp_path)
    assert counter() == 0
    first.write_text("3100")
    second.write_text("1500")
    assert counter() == pytest.approx(3.0 + 2.0)
    first.write_text("4100")
    assert counter() == pytest.approx(6.0)


@pytest.fixture
def watts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    """A machine that draws 40 W, whatever it does."""
    file, over, began = package(tmp_path, 0, "package-0", 0), threading.Event(), time.perf_counter()

    def draw() -> None:
        while not over.wait(0.001):
            written = file.with_suffix(".new")
            written.write_text(f"{round(40e6 * (time.perf_counter() - began))}")
            os.replace(written, file)

    monkeypatch.setattr(rapl, "POWERCAP", tmp_path)
    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    yield 40.0
    over.set()
    thread.join()


@pytest.mark.slow
def test_energy_is_power_times_the_time_of_a_run(watts: float) -> None:
    network = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3)).eval()
    found = cpu_energy(network, (3, 32, 32), seconds=0.3)
    ms = latency(network, (3, 32, 32)).median_ms
    assert 0.5 * watts * ms < found.median_mj < 20 * watts * ms  # W x ms = mJ; a busy machine takes some runs longer
    assert "RAPL" in found.label
    assert found.n >= 3


@pytest.mark.thorough
def test_a_search_measures_it(watts: float) -> None:
    result = searchkit.run(
        "random", data=searchkit.load_data("digits", limit=200), objectives=("accuracy", "energy_mj"), budget=2,
        epochs=1, storage="memory",
    )  # fmt: skip
    assert (result.history.energy_mj > 0).all()
    assert all("RAPL" in method for method in result.methods["energy_mj"])


def test_a_machine_without_counters_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path / "none")
    with pytest.raises(DeviceError, match="this machine shows none"):
        searchkit.run(objectives=("accuracy", "energy_mj"), storage="memory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_counters_that_only_root_can_read_are_told(tmp_path: Path) -> None:
    package(tmp_path, 0, "package-0", 1).chmod(0)
    with pytest.raises(DeviceError, match=r"cannot be read \(PermissionError\).*sudo chmod a\+r"):
        PackageCounter(tmp_path)
