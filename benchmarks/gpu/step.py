"""The part of ``python -m benchmarks.gpu`` that takes one training step apart, by kinds of kernels."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext

import torch

from benchmarks.gpu.setting import Setting, ms_of
from searchkit.runtime.cuda_graphs import captured
from searchkit.training.optimisation import WARM_UP, Steps
from searchkit.training.recipe import recipe_for
from searchkit.training.train import build_seeded
from searchkit.types import Codes

_STEPS = 20  # that are profiled
_KINDS = {  # of kernels, by what their names hold; the first that fits
    "convolution": "conv|gemm|xmma|cutlass|wgrad|dgrad|fprop|implicit|nchwtonhwc|nhwctonchw",
    "batch norm": "batch_norm|batchnorm|bn_fw|bn_bw|welford",
    "optimiser": "multi_tensor|adam|sgd",
    "pooling": "pool",
    "elementwise and copies": "elementwise|copy|memcpy|memset|cat|index|fill",
    "reductions": "reduce",
}


def step_part(setting: Setting) -> None:
    """Print milliseconds of a step from Python and recorded, and of its kernels by kind."""
    recipe = recipe_for("images", len(setting.data.train), setting.epochs)
    print(
        f"Steps of {recipe.batch_size} images ({setting.data.name}); networks of width {setting.width} and "
        f"{setting.cells} cells a stage. Kernels: the sum of their own times in a recorded step.\n"
    )
    print(
        "| network | kernels | from Python, ms | recorded, ms | kernels, ms | of which, ms |\n|---|---|---|---|---|---|"
    )
    for code in setting.codes(min(3, setting.networks)):
        _row(setting, code)


def _row(setting: Setting, code: Codes) -> None:
    on_card = setting.device.type == "cuda"
    kinds: dict[str, tuple[float, float]] = {}
    with torch.cuda.stream(torch.cuda.Stream(setting.device)) if on_card else nullcontext():
        from_python = ms_of(_under_way(setting, code, recorded=False).take, setting.device)
        repeat = _under_way(setting, code, recorded=on_card).take
        repeated = ms_of(repeat, setting.device)
        if on_card:
            kinds = _kernels(repeat, setting.device)
    said = ", ".join(f"{kind} {ms:.2f} ({n:.0f})" for kind, (ms, n) in sorted(kinds.items(), key=lambda k: -k[1][0]))
    total, count = (sum(column) for column in zip(*kinds.values(), strict=True)) if kinds else (0.0, 0.0)
    print(
        f"| {''.join(map(str, code))} | {count:.0f} | {from_python:.2f} | {repeated:.2f} | {total:.2f} | {said} |",
        flush=True,
    )


def _under_way(setting: Setting, code: Codes, recorded: bool) -> Steps:
    """A training after its first steps, on the current stream, and long enough never to end."""
    recipe = recipe_for("images", len(setting.data.train), 1000)
    network = build_seeded(setting.space, code, 0).to(setting.device)
    network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    steps = Steps(network, setting.data, recipe, setting.device, 0, captured if recorded else None)
    for _ in range(WARM_UP + 2):
        steps.take()
    return steps


def _kernels(repeat: Callable[[], None], device: torch.device) -> dict[str, tuple[float, float]]:
    """Kind -> milliseconds and number of kernels, of one step."""
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize(device)
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(_STEPS):
            repeat()
        torch.cuda.synchronize(device)
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    names: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for event in profiler.events():
        if event.device_type != torch.autograd.DeviceType.CUDA:
            continue
        ms = event.time_range.elapsed_us() / 1e3 / _STEPS
        kind = next((kind for kind, word in _KINDS.items() if re.search(word, event.name.lower())), "others")
        for table, key in ((found, kind), (names, event.name[:110])):
            table[key][0] += ms
            table[key][1] += 1 / _STEPS
    for name, (ms, n) in sorted(names.items(), key=lambda k: -k[1][0])[:16]:
        print(f"<!-- {ms:.3f} ms, {n:.1f} times: {name} -->")
    return {kind: (ms, n) for kind, (ms, n) in found.items()}
