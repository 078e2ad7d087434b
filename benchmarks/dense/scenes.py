"""Data with a target for each pixel: scenes composed of pictures that are there, and pictures without their noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from searchkit.data.bundled import named

SIDE, ITEMS = 48, 4  # pixels of a scene, and items in it
BRIGHT = 40  # of an item's pixels that are its own, from 0 to 255
NOISE = 40.0  # deviation of the noise that is to be taken away

Pictures = npt.NDArray[np.uint8]


def composed(n: int, seed: int = 0) -> tuple[Pictures, npt.NDArray[np.int64]]:
    """n scenes ``(n, 48, 48)`` of four Fashion-MNIST items over a noisy ground, and their masks: 0, or 1 + the class.

    Items that come later hide earlier ones.
    """
    items, classes = named("fashion-mnist").train
    items, rng = np.asarray(items).reshape(-1, 28, 28), np.random.default_rng(seed)
    scenes = rng.integers(0, BRIGHT, (n, SIDE, SIDE)).astype(np.uint8)
    masks = np.zeros((n, SIDE, SIDE), dtype=np.int64)
    for scene, mask in zip(scenes, masks, strict=True):
        for i in rng.integers(0, len(items), ITEMS):
            top, left = rng.integers(0, SIDE - 28 + 1, 2)
            there = items[i] > BRIGHT
            scene[top : top + 28, left : left + 28][there] = items[i][there]
            mask[top : top + 28, left : left + 28][there] = 1 + classes[i]
    return scenes, masks


def noisy(n: int, seed: int = 0) -> tuple[Pictures, Pictures]:
    """n CIFAR-10 pictures ``(n, 3, 32, 32)`` with noise, and without."""
    pictures = np.asarray(named("cifar-10").train[0])
    rng = np.random.default_rng(seed)
    clean = pictures[rng.permutation(len(pictures))[:n]]
    return (clean + rng.normal(0, NOISE, clean.shape)).clip(0, 255).astype(np.uint8), clean
