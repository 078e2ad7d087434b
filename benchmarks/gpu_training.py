"""The training part of benchmarks/gpu.py: the networks an hour of a search, and of the loop that one writes first."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import numpy as np
import torch
from gpu_setting import Setting, ms_of, wait
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

import searchkit
from searchkit.costs import space_counts
from searchkit.data import Data, Split
from searchkit.recipe import Recipe, recipe_for
from searchkit.space import Codes, Floats
from searchkit.training import build_seeded, one_cycle


def training_part(setting: Setting) -> None:
    """Print networks an hour, accuracies, and shares of the ceiling."""
    device, data, codes = setting.device, setting.data, setting.codes(setting.networks)
    recipe = recipe_for("images", len(data.train), setting.epochs)
    peak = ceiling(device, setting.matrix)
    macs = space_counts(setting.space, codes)["macs"].sum()
    n_flop = 6.0 * macs * len(data.train) * recipe.epochs  # two a MAC; backward costs two forwards
    _plain(setting, codes[:1], Recipe(epochs=1))  # both begin warm
    _searched(setting, codes[:1], 1)
    plain, plain_seconds = _plain(setting, codes, recipe)
    searched, seconds = _searched(setting, codes, recipe.epochs)
    print(
        f"N = {len(codes)} networks of width {setting.width} and {setting.cells} cells a stage, {recipe.epochs} epochs "
        f"of {len(data.train):,} images ({data.name}), batches of {recipe.batch_size}; accuracy on {len(data.val):,}. "
        f"Plain: {setting.loaders} loaders, fp32 eager with torch's defaults. searchkit: executor={setting.executor}. "
        f"Ceiling: {peak / 1e12:.3g} TFLOP/s, the better of a bf16 matrix product and a 3x3 convolution.\n"
    )
    print("| | seconds | networks an hour | share of the ceiling | mean accuracy |\n|---|---|---|---|---|")
    for name, found, taken in (("plain", plain, plain_seconds), ("searchkit", searched, seconds)):
        print(
            f"| {name} | {taken:.1f} | {3600 * len(codes) / taken:.1f} | {n_flop / taken / peak:.2%} "
            f"| {100 * found.mean():.2f} % |"
        )
    apart = 100 * (searched - plain)
    error = apart.std(ddof=1) / np.sqrt(len(apart))
    print(
        f"\n{plain_seconds / seconds:.2f} times the networks an hour; accuracies apart by {apart.mean():+.2f} points "
        f"(standard error {error:.2f})."
    )


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
    """Accuracies ``(n,)`` in the order of the codes, and seconds of the whole call."""
    wait(setting.device)
    start = time.perf_counter()
    result = searchkit.run(
        "random", space=setting.space, data=setting.data, objectives=("accuracy",), budget=len(codes), start=codes,
        batch=len(codes), epochs=epochs, device=str(setting.device), executor=setting.executor, storage="memory",
        progress=False,
    )  # fmt: skip
    taken = time.perf_counter() - start
    return result.history["accuracy"].to_numpy(np.float64), taken


def _plain(setting: Setting, codes: Codes, recipe: Recipe) -> tuple[Floats, float]:
    """The same of the plain loop."""
    accuracies = []
    wait(setting.device)
    start = time.perf_counter()
    for i, code in enumerate(codes):
        network = build_seeded(setting.space, code, i).to(setting.device)
        accuracies.append(plain_training(network, setting.data, recipe, setting.device, setting.loaders, seed=i))
        print(f"plain: {i + 1} of {len(codes)}, {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return np.array(accuracies), time.perf_counter() - start


def plain_training(
    network: nn.Module, data: Data, recipe: Recipe, device: torch.device, loaders: int, seed: int
) -> float:
    """Train as most training scripts do, by the recipe; accuracy on the validation part."""
    torch.manual_seed(seed)
    shown = _Augmented(data)
    batches: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        shown, recipe.batch_size, shuffle=True, drop_last=True, num_workers=loaders, persistent_workers=loaders > 0,
        pin_memory=device.type == "cuda",
    )  # fmt: skip
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others}]
    optimiser = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=True)
    n_steps = recipe.epochs * len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: one_cycle(step / n_steps, recipe.warm_up))
    network.train()
    for _ in range(recipe.epochs):
        for images, labels in batches:
            x, y = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            loss = functional.cross_entropy(network(x), y, label_smoothing=recipe.label_smoothing)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return _accuracy(network.eval(), data.val, shown, device)


@torch.no_grad()
def _accuracy(network: nn.Module, split: Split, shown: _Augmented, device: torch.device) -> float:
    right = 0
    for x, y in zip(split.x.split(512), split.y.split(512), strict=True):
        right += int((network(shown.normalised(x).to(device)).argmax(1).cpu() == y).sum())
    return right / len(split)


class _Augmented(Dataset[tuple[Tensor, Tensor]]):
    """One image at a time, normalised, padded by an eighth, cut and mirrored at random, on the CPU."""

    def __init__(self, data: Data) -> None:
        self.x, self.y = data.train.x, data.train.y
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
        pad = min(height, width) // 8
        image = functional.pad(self.x[i], (pad, pad, pad, pad))  # black, as searchkit pads
        top, left = torch.randint(0, 2 * pad + 1, (2,)).tolist()
        cut = self.normalised(image[:, top : top + height, left : left + width])
        return (cut.flip(2) if torch.rand(()) < 0.5 else cut), self.y[i]
