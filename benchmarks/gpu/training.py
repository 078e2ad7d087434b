"""The training part of ``python -m benchmarks.gpu``: networks an hour, of a search and of a plain training loop.

The plain loop is fp32 with torch's defaults (TF32 convolutions, foreach SGD); its loaders stay for all epochs and pin
what they bring. Some of the networks are trained in bfloat16, channels last, with kernels chosen by timing, too: what a
careful script does for large networks, so that the plain loop can be seen to be no straw man.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

import searchkit
from benchmarks.gpu.setting import Setting, ms_of, wait
from searchkit.costs.counts import space_counts
from searchkit.data.data import Data
from searchkit.data.splits import Split
from searchkit.training.recipe import Recipe, recipe_for
from searchkit.training.train import build_seeded, one_cycle
from searchkit.types import Codes, Floats


def training_part(setting: Setting) -> None:
    """Print networks an hour, accuracies, and shares of the ceiling; each row when it is there, the longest last."""
    device, data, codes = setting.device, setting.data, setting.codes(setting.networks)
    recipe = recipe_for("images", len(data.train), setting.epochs)
    peak = ceiling(device, setting.matrix)
    few = codes[: max(1, min(setting.timed or len(codes), len(codes) // 5))]
    print(
        f"N = {len(codes)} networks of width {setting.width} and {setting.cells} cells a stage, {recipe.epochs} epochs "
        f"of {len(data.train):,} images ({data.name}), batches of {recipe.batch_size}; accuracy on {len(data.val):,}. "
        f"Plain: {setting.loaders} loaders, fp32 eager with torch's defaults; tuned: bf16, channels last, kernels "
        f"chosen by timing. searchkit: executor={setting.executor}, {setting.at_once} at once if interleaved. "
        f"Ceiling: {peak / 1e12:.3g} TFLOP/s, the better of a bf16 matrix product and a 3x3 convolution.\n"
    )
    print(
        "| | networks | seconds | networks an hour | share of the ceiling | mean accuracy |\n|---|---|---|---|---|---|"
    )

    def row(name: str, some: Codes, found: Floats, taken: float) -> None:
        share = _flop(setting, some, recipe) / taken / peak
        failed = f", {np.isnan(found).sum()} failed" * bool(np.isnan(found).any())
        print(
            f"| {name} | {len(some)} | {taken:.1f} | {3600 * len(some) / taken:.1f} | {share:.2%} "
            f"| {100 * np.nanmean(found):.2f} %{failed} |",
            flush=True,
        )

    _searched(setting, codes[:1], 1)  # all begin warm
    searched, seconds = _searched(setting, codes, recipe.epochs)
    row("searchkit", codes, searched, seconds)
    _plain(setting, codes[:1], Recipe(epochs=1), tuned=True)
    tuned, tuned_times = _plain(setting, few, recipe, tuned=True)
    row("plain, tuned", few, tuned, tuned_times.sum())
    _plain(setting, codes[:1], Recipe(epochs=1))
    n_timed = min(setting.timed or len(codes), len(codes))
    plain, times = _plain(setting, codes[:n_timed], recipe)
    row("plain", codes[:n_timed], plain, times.sum())
    if n_timed < len(codes):
        plain = np.concatenate([plain, _plain_side_by_side(setting, codes, n_timed, recipe)])
        print(f"\nThe other {len(codes) - n_timed} networks of the plain loop: side by side, for accuracy.")
    apart = 100 * (searched - plain)[np.isfinite(searched)]
    error = f"{apart.std(ddof=1) / np.sqrt(len(apart)):.2f}" if len(apart) > 1 else "unknown"
    print(
        f"\n{len(codes) * times.mean() / seconds:.2f} times the plain loop's networks an hour; accuracies apart by "
        f"{apart.mean():+.2f} points (standard error {error}). Tuned, the plain loop took "
        f"{tuned_times.mean() / times.mean():.2f} times as long a network.",
        flush=True,
    )


def _flop(setting: Setting, codes: Codes, recipe: Recipe) -> float:
    """Of training: two a MAC, and backward costs two forwards; an incomplete last batch is left out by all."""
    n = len(setting.data.train)
    size = min(recipe.batch_size, n)
    return float(6.0 * space_counts(setting.space, codes)["macs"].sum() * (n // size * size) * recipe.epochs)


def ceiling(device: torch.device, side: int) -> float:
    """The most FLOP a second that the device was seen to do in bfloat16: a square product, or a 3x3 convolution."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    product = 2 * side**3 / (ms_of(lambda: a @ b, device) * 1e-3)
    x = torch.randn(side // 32, 128, 32, 32, device=device, dtype=torch.bfloat16)
    convolution = nn.Conv2d(128, 128, 3, padding=1, bias=False).to(device, torch.bfloat16)
    x = x.contiguous(memory_format=torch.channels_last)
    convolution = convolution.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.inference_mode():
        ms = ms_of(lambda: convolution(x), device)
    return max(product, 2 * 9 * 128 * 128 * 32 * 32 * len(x) / (ms * 1e-3))


def _searched(setting: Setting, codes: Codes, epochs: int) -> tuple[Floats, float]:
    """Accuracies ``(n,)`` in the order of the codes, NaN of a failure, and seconds of the whole call."""
    wait(setting.device)
    start = time.perf_counter()
    result = searchkit.run(
        "random", space=setting.space, data=setting.data, objectives=("accuracy",), budget=len(codes), start=codes,
        batch=len(codes), epochs=epochs, device=str(setting.device), executor=setting.executor,
        workers=setting.at_once if setting.executor == "interleaved" else None, storage="memory", progress=False,
    )  # fmt: skip
    taken = time.perf_counter() - start
    names = [choice.name for choice in setting.space.choices]
    choices = [{str(name): option for name, option in row.items()} for row in result.history[names].to_dict("records")]
    rows = [tuple(row) for row in setting.space.encode(choices).tolist()]
    accuracy = dict(zip(rows, result.history["accuracy"].to_numpy(np.float64), strict=True))
    return np.array([accuracy[tuple(code)] for code in codes.tolist()]), taken


def _plain(setting: Setting, codes: Codes, recipe: Recipe, tuned: bool = False) -> tuple[Floats, Floats]:
    """The same of the plain loop; seconds ``(n,)`` of each network, from a device at rest to one at rest."""
    accuracies, times = np.empty((2, len(codes)))
    for i, code in enumerate(codes):
        wait(setting.device)
        start = time.perf_counter()
        network = build_seeded(setting.space, code, i).to(setting.device)
        accuracies[i] = plain_training(network, setting.data, recipe, setting.device, setting.loaders, i, tuned)
        wait(setting.device)
        times[i] = time.perf_counter() - start
        print(f"plain: {i + 1} of {len(codes)}, {times[: i + 1].sum():.0f} s", file=sys.stderr, flush=True)
    return accuracies, times


def _plain_side_by_side(setting: Setting, codes: Codes, first: int, recipe: Recipe) -> Floats:
    """Accuracies of the networks from number ``first`` on, as many processes at once as there are workers."""
    alone = replace(setting, loaders=1)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(setting.workers, context, initializer=_take, initargs=(alone, recipe)) as pool:
        jobs = [pool.submit(_plain_one, code, i) for i, code in enumerate(codes) if i >= first]
        return np.array([job.result() for job in jobs])


_taken: list[tuple[Setting, Recipe]] = []  # of a process


def _take(setting: Setting, recipe: Recipe) -> None:
    _taken[:] = [(setting, recipe)]


def _plain_one(code: Codes, i: int) -> float:
    ((setting, recipe),) = _taken
    network = build_seeded(setting.space, code, i).to(setting.device)
    return plain_training(network, setting.data, recipe, setting.device, setting.loaders, i)


def plain_training(
    network: nn.Module, data: Data, recipe: Recipe, device: torch.device, loaders: int, seed: int, tuned: bool = False
) -> float:
    """Train as most training scripts do, by the recipe; accuracy on the validation part.

    Args:
        network: on the device.
        tuned: bfloat16 autocast, channels last, and cuDNN's kernels chosen by timing.
    """
    torch.manual_seed(seed)
    shown = _Augmented(data)
    batches: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        shown, min(recipe.batch_size, len(shown)), shuffle=True, drop_last=True, num_workers=loaders,
        persistent_workers=loaders > 0, pin_memory=device.type == "cuda",
    )  # fmt: skip
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others}]
    optimiser = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    n_steps = recipe.epochs * len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: one_cycle(step / n_steps, recipe.warm_up))
    network.train()
    with _tuned(network, device) if tuned else nullcontext():
        for _ in range(recipe.epochs):
            for images, labels in batches:
                x, y = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
                if tuned:
                    x = x.contiguous(memory_format=torch.channels_last)
                with torch.autocast(device.type, torch.bfloat16, enabled=tuned):
                    loss = functional.cross_entropy(network(x), y, label_smoothing=recipe.label_smoothing)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
        return _accuracy(network.eval(), data.val, shown, device, tuned)


@contextmanager
def _tuned(network: nn.Module, device: torch.device) -> Iterator[None]:
    """A network that lies channels last, and kernels chosen by timing; as they are chosen elsewhere after."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@torch.no_grad()
def _accuracy(network: nn.Module, split: Split, shown: _Augmented, device: torch.device, tuned: bool) -> float:
    right = 0
    for x, y in zip(torch.split(split.x, 512), torch.split(split.y, 512), strict=True):
        images = shown.normalised(x).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=tuned):
            right += int((network(images).argmax(1).cpu() == y).sum())
    return right / len(split)


class _Augmented(Dataset[tuple[Tensor, Tensor]]):
    """One image at a time, normalised, padded by an eighth, cut and mirrored at random, on the CPU, as searchkit does.

    What is not done to the images of a data set is not done here.
    """

    def __init__(self, data: Data) -> None:
        self.x, self.y = data.train.x, data.train.y
        self.pad = 0 if data.augment == "none" else min(data.input_shape[1:]) // 8
        self.flip = data.augment == "crop-flip"
        self.mean, self.std = (self._per_channel(values) for values in (data.mean, data.std))

    @staticmethod
    def _per_channel(values: Sequence[float]) -> Tensor:
        return torch.tensor(values).view(-1, 1, 1)

    def normalised(self, x: Tensor) -> Tensor:
        return (x.float() - self.mean) / self.std

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        height, width = self.x.shape[2:]
        image = functional.pad(self.x[i], (self.pad,) * 4)  # black, as searchkit pads
        top, left = torch.randint(0, 2 * self.pad + 1, (2,)).tolist()
        cut = self.normalised(image[:, top : top + height, left : left + width])
        return (cut.flip(2) if self.flip and torch.rand(()) < 0.5 else cut), self.y[i]
