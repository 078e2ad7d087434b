"""The processor of this machine: its name, and the clock, governor and power supply that its speed depends on.

Linux tells the latter under ``/sys``; virtual machines mostly have no governor. What the system does not tell is left
out.
"""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

Clocks = dict[str, list[int]]  # conditions of the processor -> lowest and highest MHz, as far as they are known

_ROOT = Path("/")
_STEADY = "performance"  # the governor that keeps the clock high


@dataclass(frozen=True)
class Speed:
    """What the speed of the core that runs this thread depends on now.

    Attributes:
        governor: of its clock; empty where it is not known.
        governors: that the system offers.
        mhz: its clock; None where it is not known.
        power: "battery" or "mains" of a machine with a battery; else empty.
    """

    governor: str = ""
    governors: tuple[str, ...] = ()
    mhz: float | None = None
    power: str = ""

    @property
    def conditions(self) -> str:
        """Governor and power supply in words, without the clock, which changes from moment to moment; may be empty."""
        governor = f"governor {self.governor}" if self.governor else ""
        return ", ".join(filter(None, [governor, f"on {self.power}" if self.power else ""]))

    @property
    def varies(self) -> str:
        """Why equal work may take unequal time, and what to do, in one sentence; empty where nothing is known of it."""
        said = []
        if self.governor and self.governor != _STEADY and _STEADY in self.governors:
            said.append(
                f"the clock has the governor '{self.governor}' ('{_STEADY}' is available: "
                f"sudo cpupower frequency-set -g {_STEADY})"
            )
        if self.power == "battery":
            said.append("the machine runs on its battery")
        return f"latencies may vary, since {' and '.join(said)}" if said else ""


def cpu_name() -> str:
    """Model name of this machine's CPU, as far as the system tells."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def speed(root: Path = _ROOT) -> Speed:
    """Governor, clock and power supply as they are now, of the core that this thread was last run on.

    Args:
        root: the folder that ``proc`` and ``sys`` are in.
    """
    core = _core(root)
    scaling = root / f"sys/devices/system/cpu/cpu{core}/cpufreq"
    khz = _text(scaling / "scaling_cur_freq")
    mhz = float(khz) / 1e3 if khz.isdecimal() else _mhz_told(root, core)
    offered = tuple(_text(scaling / "scaling_available_governors").split())
    return Speed(_text(scaling / "scaling_governor"), offered, mhz, _power(root))


def clocks(known: Clocks, *others: Clocks) -> Clocks:
    """Ranges of a clock by the conditions that it had; ``known`` itself where the others tell nothing new."""
    found = dict(known)
    for other in others:
        for conditions, mhz in other.items():
            both = [*found.get(conditions, ()), *mhz]
            found[conditions] = [min(both), max(both)] if both else []
    return known if found == known else found


def _core(root: Path) -> int:
    """The number of the core that this thread was last run on: field 39 of its line; 0 where it is not told."""
    fields = _text(root / "proc/thread-self/stat").rpartition(")")[2].split()
    return int(fields[36]) if len(fields) > 36 and fields[36].isdecimal() else 0


def _mhz_told(root: Path, core: int) -> float | None:
    """The clock of a core by ``/proc/cpuinfo``."""
    for part in _text(root / "proc/cpuinfo").split("\n\n"):
        if re.search(rf"^processor\s*: {core}$", part, re.MULTILINE):
            found = re.search(r"^cpu MHz\s*: ([0-9.]+)$", part, re.MULTILINE)
            return float(found[1]) if found else None
    return None


def _power(root: Path) -> str:
    """ "battery" while a battery of the machine feeds it, else "mains"; empty where it has none."""
    supplies = sorted((root / "sys/class/power_supply").glob("*"))
    batteries = [
        one for one in supplies if _text(one / "type") == "Battery" and _text(one / "scope") != "Device"
    ]  # scope Device: of a mouse
    if not batteries:
        return ""
    return "battery" if any(_text(one / "status") == "Discharging" for one in batteries) else "mains"


def _text(path: Path) -> str:
    """The text of a file of the system, without the space around it; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
