"""The costs of a network that are measured on the search's device, by name: latency, energy, memory on a card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from searchkit.costs.targets.target import Target, asked_of
from searchkit.errors import DeviceError, ObjectiveError, UnknownNameError
from searchkit.random_state import untouched
from searchkit.runtime.devices import resolve_device
from searchkit.runtime.gpu_lock import card_of

ON_CARDS = ("card_memory",)  # cannot be measured on a CPU
IN_INT8 = {"ram_int8": "ram", "flash_int8": "flash"}  # metric -> attribute of Int8Memory
MEASURED = ("latency_ms", "energy_mj", *ON_CARDS)


def measured(name: str, network: nn.Module, input_shape: Sequence[int], device: str) -> tuple[dict[str, float], str]:
    """``{metric: value}``, with ``"<metric>_spread"`` (relative) where it is known, and how it was measured.

    Args:
        name: "energy_mj", or one of :data:`ON_CARDS` or :data:`IN_INT8`; latency is measured by
            :class:`~searchkit.costs.one_method.OneMethod`.
        network: untrained, in evaluation mode; not changed.
        input_shape: of one image, without the batch.
        device: the device of the search.

    Raises:
        UnknownNameError: no such cost is measured here.
        DeviceError: this metric cannot be measured on the device.
    """
    known = ("energy_mj", *ON_CARDS, *IN_INT8)
    if name not in known:
        raise UnknownNameError.of("measured cost", name, known)
    with untouched():
        return _measured(name, network, input_shape, device)


def _measured(name: str, network: nn.Module, input_shape: Sequence[int], device: str) -> tuple[dict[str, float], str]:
    if name in IN_INT8:
        from searchkit.costs.microcontroller import LABEL, int8_memory

        return {name: float(getattr(int8_memory(network, input_shape), IN_INT8[name]))}, LABEL
    if name == "energy_mj":
        from searchkit.costs.energy import energy
        from searchkit.costs.rapl import cpu_energy

        on_card = device.startswith("cuda")
        used = energy(network, input_shape, resolve_device(device)) if on_card else cpu_energy(network, input_shape)
        return {name: used.median_mj, f"{name}_spread": used.spread}, used.label
    from searchkit.costs.gpu_memory import card_memory

    held = card_memory(network, input_shape, resolve_device(device))
    return {name: float(held.peak)}, held.label


def measured_on(device: str) -> str:
    """The device to which a search's measurements apply: "cpu", or the model of the card whatever its index."""
    return card_of(resolve_device(device)).name if device.startswith("cuda") else device


def check_measurable(metrics: Iterable[str], device: str, there: str) -> None:
    """Refuse metrics that cannot be measured on the search's device, before any work.

    Args:
        device: the device of this process, which measures.
        there: the device of the trainings.

    Raises:
        DeviceError: the message names the metric and gives the reason.
    """
    metrics = list(metrics)
    measured = [name for name in metrics if name in MEASURED]
    if measured and device != there:
        raise DeviceError(
            f"{measured[0]} is measured by the process that searches, and this machine has no {there!r}: start the "
            "search on a machine with a card, or leave it out; params, macs and peak_memory are counted anywhere"
        )
    wanted = [name for name in metrics if name in ON_CARDS]
    if wanted and not device.startswith("cuda"):
        raise DeviceError(
            f"{wanted[0]} is measured on a GPU, and this search runs on {device!r}: choose device='cuda' on a machine "
            "with one, or peak_memory, which every device has"
        )
    if "energy_mj" in measured and device.startswith("cuda"):
        from searchkit.costs.energy import check_readable

        check_readable(resolve_device(device))
    elif "energy_mj" in measured:
        from searchkit.costs.rapl import PackageCounter

        PackageCounter()


def check_here(targets: Mapping[str, Target], metrics: Iterable[str], device: str, there: str) -> None:
    """Refuse another metric than latency of a target that is this machine.

    Args:
        metrics: names of the metrics of the search.
        device, there: see :func:`check_measurable`.

    Raises:
        ObjectiveError: such a metric is asked for.
        DeviceError: latency cannot be measured there.
    """
    for name, target in targets.items():
        if target.kind == "here":
            check_measurable(["latency_ms"], device, there)
            other = [metric for metric in asked_of(metrics, name) if metric != "latency_ms"]
            if other:
                raise ObjectiveError(
                    f"target '{name}' is this machine, of which a target has latency_ms only: write '{other[0]}' in "
                    f"place of '{other[0]}@{name}'"
                )
