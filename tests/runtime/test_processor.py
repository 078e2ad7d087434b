"""What a Linux system tells of the clock, the governor and the power supply, from made files."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchkit.runtime.processor import Speed, clocks, speed

STAT = "123 (odd (name)) S " + " ".join(str(n) for n in range(4, 39)) + " 2 0 0"  # field 39: the third core
CPUINFO = "\n\n".join(f"processor\t: {n}\nmodel name\t: made\ncpu MHz\t\t: {1000 * (n + 1)}.500" for n in range(4))


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def scaling(core: int, governor: str, khz: int) -> dict[str, str]:
    folder = f"sys/devices/system/cpu/cpu{core}/cpufreq"
    return {
        f"{folder}/scaling_governor": governor,
        f"{folder}/scaling_cur_freq": str(khz),
        f"{folder}/scaling_available_governors": "performance powersave ",
    }


def test_it_is_that_of_the_core_that_the_thread_runs_on(tmp_path: Path) -> None:
    files = {"proc/thread-self/stat": STAT} | scaling(0, "performance", 1_000_000) | scaling(2, "powersave", 2_345_000)
    assert speed(system(tmp_path, files)) == Speed("powersave", ("performance", "powersave"), 2345.0, "")


def test_without_a_governor_the_clock_is_that_of_cpuinfo(tmp_path: Path) -> None:
    files = {"proc/thread-self/stat": STAT, "proc/cpuinfo": CPUINFO}
    assert speed(system(tmp_path, files)) == Speed(mhz=3000.5)


def test_where_nothing_can_be_read_nothing_is_known_or_said(tmp_path: Path) -> None:
    assert speed(tmp_path) == Speed()
    assert speed(system(tmp_path, {"proc/cpuinfo": "Processor : made\n", "proc/thread-self/stat": "?"})) == Speed()
    assert (Speed().conditions, Speed().varies) == ("", "")


@pytest.mark.parametrize(
    ("supplies", "told"),
    [
        ([("Mains", "", "")], ""),
        ([("Mains", "", ""), ("Battery", "Charging", "")], "mains"),
        ([("Battery", "Full", ""), ("Battery", "Discharging", "System")], "battery"),
        ([("Battery", "Discharging", "Device")], ""),  # of a mouse
    ],
)
def test_a_machine_with_a_battery_says_what_feeds_it(
    supplies: list[tuple[str, str, str]], told: str, tmp_path: Path
) -> None:
    files = {
        f"sys/class/power_supply/S{i}/{name}": text
        for i, supply in enumerate(supplies)
        for name, text in zip(("type", "status", "scope"), supply, strict=True)
        if text
    }
    assert speed(system(tmp_path, files)).power == told


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Speed("performance", ("performance", "powersave")), ""),
        (Speed("powersave", ("powersave",)), ""),  # there is no other
        (Speed("ondemand", ("performance", "ondemand")), "governor 'ondemand' ('performance' is available"),
        (Speed("performance", ("performance",), None, "battery"), "the machine runs on its battery"),
    ],
)
def test_what_makes_latencies_vary_is_told_where_it_can_be_changed(found: Speed, said: str) -> None:
    assert said in found.varies
    assert bool(found.varies) == bool(said)


def test_ranges_of_clocks_grow_and_stand_by_their_conditions() -> None:
    known = {"governor powersave": [800, 2000]}
    assert clocks(known, {"governor powersave": [900]}) is known
    assert clocks(known, {"governor powersave": [700, 2100], "": [3]}) == {
        "governor powersave": [700, 2100], "": [3, 3],
    }  # fmt: skip
    assert clocks({}, {"on battery": []}) == {"on battery": []}
    assert known == {"governor powersave": [800, 2000]}
