"""Whether mirrored images are still of their class, told by the images themselves."""

from __future__ import annotations

import torch
from torch.nn import functional

from searchkit.data.data import Augment
from searchkit.data.splits import Split

SEEN = 3_000  # images at most, of which one half is compared with the other
FEWEST = 50  # images from which this can be told
AT_ONCE = 100  # images that are reduced at a time: many large ones may not fit into memory
SIDE = 16  # pixels to which images are reduced
NEIGHBOURS = 5
ALIKE = 0.6  # share of a classifier's advantage over chance that is left on mirrored images


def usual_augment(train: Split, n_classes: int) -> Augment:
    """How the images of a train part are augmented where nobody says it: "crop-flip", or "shift" if mirrors matter.

    Images of one half are classified by their nearest neighbours in the other half, as they are and mirrored. Where
    mirroring leaves most of the accuracy, mirrored images teach the right thing. Of their advantage over chance,
    0.23 is left for digits, 0.78 to 0.83 for Fashion-MNIST and 0.92 to 0.96 for the CIFAR-10 subset.

    Args:
        train: images ``(n, c, h, w)``, in any order.
        n_classes: 1 in regression, where nothing can be told.
    """
    if n_classes < 2 or len(train) < FEWEST:
        return "shift"
    return "crop-flip" if mirrored_share(train, n_classes) >= ALIKE else "shift"


def mirrored_share(train: Split, n_classes: int) -> float:
    """The advantage over chance that a classifier by nearest neighbours has on mirrored images, as a share of its
    advantage on images as they are; 0 if it has none there.
    """
    rows = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:SEEN]
    x, y = torch.cat([_small(train.x[some].float()) for some in torch.split(rows, AT_ONCE)]), train.y[rows]
    x = (x - x.mean(0)) / x.std(0).clamp_min(x.std() * 1e-3).clamp_min(1e-12)
    half = len(x) // 2
    known, of_known, asked, of_asked = x[:half].flatten(1), y[:half], x[half:], y[half:]
    chance = float(torch.bincount(of_asked, minlength=n_classes).max()) / len(of_asked)
    plain, mirrored = (
        float((_guessed(images.flatten(1), known, of_known) == of_asked).float().mean()) - chance
        for images in (asked, asked.flip(-1))
    )
    return mirrored / plain if plain > 0 else 0.0


def _small(x: torch.Tensor) -> torch.Tensor:
    return functional.adaptive_avg_pool2d(x, (min(SIDE, x.shape[2]), min(SIDE, x.shape[3])))


def _guessed(asked: torch.Tensor, known: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """``(n,)`` the class that most of the nearest known images have."""
    nearest = torch.cdist(asked, known).topk(min(NEIGHBOURS, len(known)), largest=False).indices
    return y[nearest].mode(1).values
