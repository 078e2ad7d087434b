"""A folder of photographs: how long until the first candidate trains, what memory it takes, and an epoch's reading.

    python -m benchmarks.data.folders [--pictures 10000] [--side 224] [--sizes 64 224]

Pictures are made of the CIFAR-10 subset, enlarged and with noise, as JPEGs of 224 pixels in class folders. For each
size: seconds of the first call of load_data, which decodes, and of the second; of the batches of an epoch, from what
was decoded and by decoding every picture again in one process, as a plain data set does; and whether a network trained
from the folder has the same score as one trained from arrays of the same pictures. The peak of memory is that of a
process that loads the folder and trains for one step.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import searchkit
from benchmarks.common.machine import describe
from searchkit.data.class_folders import list_folder
from searchkit.data.pictures import Shape, decoded

EPOCH = """
import resource, sys, time
import torch
import searchkit
from searchkit.data.loader import train_batches
torch.set_num_threads(1)
import searchkit.training.train, searchkit.spaces.residual
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
data = searchkit.load_data(sys.argv[1], size=int(sys.argv[2]), augment="crop-flip")
loaded = time.perf_counter() - began
batches = train_batches(data, 64, torch.device("cpu"), torch.Generator().manual_seed(0))
times = []
for _ in range(2):
    batches.shuffle()
    began = time.perf_counter()
    for i in range(batches.n_batches):
        batches.batch(slice(64 * i, 64 * i + 64))
    times.append(time.perf_counter() - began)
held = [line for line in open("/proc/self/status") if line.startswith(("VmHWM", "RssAnon"))]
print(loaded, min(times), *(int(line.split()[1]) / 2**20 for line in held), before / 2**20)
"""
HEAD = (
    "| size | first call, s | second call, s | an epoch's batches, s | decoding each time, s | times | memory before, "
    "GiB | its own, GiB | peak with mapped pages, GiB | accuracy from disk, from arrays |"
)


def make(folder: Path, n: int, side: int) -> None:
    """Write n JPEGs into ten class folders."""
    known = searchkit.load_data("cifar-10")
    x, y = known.train.x.numpy(), known.train.y.numpy()
    rng = np.random.default_rng(0)
    for i in range(n):
        path = folder / str(known.classes[y[i % len(y)]]) / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        large = Image.fromarray(x[i % len(x)].transpose(1, 2, 0)).resize((side, side), Image.Resampling.BICUBIC)
        noisy = np.asarray(large, np.int16) + rng.integers(-12, 13, (side, side, 3), dtype=np.int16)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def loaded_by_a_process(folder: Path, size: int) -> list[float]:
    """Seconds to load and of an epoch, GiB at the peak and of its own, GiB before loading."""
    made = subprocess.run(
        [sys.executable, "-c", EPOCH, str(folder), str(size)], check=True, capture_output=True, text=True
    )
    return [float(value) for value in made.stdout.split()]


def decoding_each_time(folder: Path, size: int, n: int = 1_000) -> float:
    """Seconds of an epoch of the train part where every picture is decoded for its batch, and made floats around 0."""
    files = [path for path, _ in list_folder(folder).parts["train"]]
    began = time.perf_counter()
    for i in range(0, n, 64):
        batch = np.stack([decoded(path, Shape(3, size, size)) for path in files[i : i + 64]])
        torch.from_numpy(batch).float().sub_(120.0).mul_(1 / 60)
    return (time.perf_counter() - began) / n * 0.6 * len(files)


def scores(folder: Path, size: int) -> list[float]:
    """The validation accuracy of one network, trained on 600 pictures from the disk and from arrays."""
    mapped = searchkit.load_data(folder, size=size, limit=1_000, memory=0, augment="crop-flip")
    parts = [(part.x.numpy().copy(), part.y.numpy().copy()) for part in (mapped.train, mapped.val, mapped.test)]
    held = searchkit.load_data(folder, size=size, limit=1_000, memory=1e12, augment="crop-flip")
    assert all(np.array_equal(x, part.x) for (x, _), part in zip(parts, (held.train, held.val, held.test), strict=True))
    call: dict[str, Any] = {
        "space": "residual",
        "epochs": 2,
        "budget": 1,
        "storage": "memory",
        "proxies": (),
        "progress": False,
    }
    return [float(searchkit.run("random", data=data, **call).history.accuracy[0]) for data in (mapped, held)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 224])
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        os.environ["SEARCHKIT_CACHE"] = f"{place}/cache"
        photos = Path(place) / "photos"
        make(photos, given.pictures, given.side)
        print(f"{describe()}. {given.pictures:,} JPEGs of {given.side} pixels.\n")
        print(HEAD)
        print("|---|---|---|---|---|---|---|---|---|---|")
        for size in given.sizes:
            first = loaded_by_a_process(photos, size)
            again = loaded_by_a_process(photos, size)
            plain = decoding_each_time(photos, size)
            same = scores(photos, size)
            print(
                f"| {size} | {first[0]:.1f} | {again[0]:.1f} | {again[1]:.2f} | {plain:.1f} | {plain / again[1]:.1f} | "
                f"{again[4]:.2f} | {first[3]:.2f} | {first[2]:.2f} | {same[0]:.4f}, {same[1]:.4f} |",
                flush=True,
            )
