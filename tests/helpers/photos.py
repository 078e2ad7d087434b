"""Folders of pictures, as users have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(path: Path, size: tuple[int, int] = (40, 30), colour: Any = (200, 10, 10), mode: str = "RGB") -> Path:
    """A picture of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


def folder(at: Path, n: int = 10, classes: tuple[str, ...] = ("cat", "dog", "sea")) -> Path:
    """Pictures of different sizes and formats; each has its own colour, and its class another one."""
    rng = np.random.default_rng(0)
    for k, name in enumerate(classes):
        for i in range(n):
            colour = [0, 0, 20 * (i % 12)]
            colour[k % 3] = 120 + i
            width, height = rng.integers(20, 60, 2).tolist()
            picture(at / name / f"{i}.{('jpg', 'png', 'webp')[i % 3]}", (width, height), tuple(colour))
    return at


def scenes(at: Path, n: int = 30) -> Path:
    """Pictures of one bright rectangle each, and masks of it."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (at / name).mkdir(parents=True)
    for i in range(n):
        mask = np.zeros((24, 24), np.uint8)
        top, left = rng.integers(0, 12, 2)
        mask[top : top + 9, left : left + 9] = 1 + i % 2
        Image.fromarray((80 * mask + rng.integers(0, 30, mask.shape)).astype(np.uint8)).save(at / "images" / f"{i}.jpg")
        Image.fromarray(mask).save(at / "masks" / f"{i}.png")
    return at
