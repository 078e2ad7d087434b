"""Sequences: searches for networks of 1-D signals and of sentences, and the settings that their trainings take.

    python -m benchmarks.data.sequences [search recipe augment] [--seconds 180] [--seeds 0 1 2]

The data are made here. **Keywords**: 2,000 signals of 1,000 values in 10 classes. A class is an order of three vowels;
each is two tones whose pitches glide to those of the next. The order says the class: most classes have the same vowels.
Speaker (pitch, speed), loudness, phases, the time at which the word begins and the noise differ from signal to signal.
**Sentences**: 3,000 in 6 classes, by which kind of being does something to which other kind. A sentence and its reverse
have the same words, and half of all sentences are passive, so that the words alone say the pair but not the direction.

``search``: accuracy on the test part of the network that a search of some seconds delivers, beside simple models.
``recipe``: validation accuracy of designs of the space, trained by several settings, on four data sets; and
which settings the other three data sets would have chosen for each. ``augment``: the same of signals, shifted in time
or not.
"""

from __future__ import annotations

import argparse
import itertools
import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

import searchkit
from benchmarks.common.machine import describe
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.random_state import seeded
from searchkit.spaces.sequence import sequence
from searchkit.training.recipe import recipe_for
from searchkit.training.train import train

LENGTH, RATE = 1000, 4000.0  # values of a signal, and values a second
VOWELS = {"a": (730.0, 1090.0), "e": (530.0, 1840.0), "i": (270.0, 1700.0), "o": (570.0, 840.0)}  # pitches in Hz
WORDS = ("aei", "aie", "eai", "eia", "iae", "iea", "aoe", "oea", "ioa", "oai")
KINDS = {
    "animal": ("dog", "cat", "horse", "bird", "fox", "wolf", "bear", "mouse"),
    "person": ("teacher", "farmer", "child", "doctor", "baker", "girl", "sailor", "judge"),
    "machine": ("robot", "tractor", "drone", "engine", "crane", "truck", "train", "printer"),
}
VERBS = (("sees", "seen"), ("follows", "followed"), ("helps", "helped"), ("moves", "moved"), ("hears", "heard"))
ADJECTIVES = ("old", "young", "big", "small", "red", "quiet", "loud", "slow")
ENDS = ("", "today", "in the garden", "near the old house", "again", "after a long day", "with care")
PAIRS = tuple(itertools.permutations(KINDS, 2))

WINDOW = 128  # values of a short-time spectrum
LRS, SIZES, DECAYS = (0.001, 0.003, 0.006, 0.01), (32, 64), (0.05,)


def keywords(n: int = 2000, seed: int = 0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Signals ``(n, 1, 1000)`` and their classes ``(n,)`` from 0 to 9."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, len(WORDS), n)
    return np.stack([_keyword(WORDS[word], rng) for word in y])[:, None].astype(np.float32), y


def _keyword(word: str, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    lasts = int(rng.uniform(0.45, 0.75) * LENGTH)
    speaker, strength = rng.uniform(0.85, 1.15), rng.uniform(0.5, 1.5)
    knots = np.array([VOWELS[vowel] for vowel in word]) * speaker * rng.uniform(0.95, 1.05, (len(word), 2))
    middles = np.linspace(0.15, 0.85, len(word)) * lasts
    times = np.arange(lasts)
    sound = np.zeros(lasts)
    for tone in range(2):
        pitch = np.interp(times, middles, knots[:, tone])
        phase = 2 * np.pi * np.cumsum(pitch) / RATE + rng.uniform(0, 2 * np.pi)
        sound += (1.0, 0.7)[tone] * np.sin(phase)
    sound *= strength * np.sin(np.pi * (times + 0.5) / lasts) ** 0.5
    signal = rng.normal(0, rng.uniform(0.3, 0.9), LENGTH)
    begins = rng.integers(0, LENGTH - lasts + 1)
    signal[begins : begins + lasts] += sound
    return signal


def sentences(n: int = 3000, seed: int = 0) -> tuple[list[str], list[str]]:
    """Sentences, and the class of each, such as "animal to person"."""
    rng = np.random.default_rng(seed)
    x, y = [], []
    for _ in range(n):
        does, suffers = PAIRS[rng.integers(len(PAIRS))]
        first, second = _noun(does, rng), _noun(suffers, rng)
        active, passive = VERBS[rng.integers(len(VERBS))]
        said = f"{first} {active} {second}" if rng.random() < 0.5 else f"{second} is {passive} by {first}"
        x.append(f"{said} {ENDS[rng.integers(len(ENDS))]}".strip())
        y.append(f"{does} to {suffers}")
    return x, y


def _noun(kind: str, rng: np.random.Generator) -> str:
    words = [ADJECTIVES[i] for i in rng.permutation(len(ADJECTIVES))[: rng.integers(0, 3)]]
    return " ".join(["the", *words, KINDS[kind][rng.integers(len(KINDS[kind]))]])


def data_sets(part: float = 1.0) -> dict[str, Data]:
    """The two made here, and the digits as rows of 64 tokens and as signals of 8 channels; ``part`` of the examples."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = digits.images.astype(np.int64)
    return {
        "keywords": load_data(keywords(int(2000 * part)), kind="signals", name="keywords"),
        "sentences": load_data(sentences(int(3000 * part)), kind="tokens", name="sentences"),
        "digits, tokens": load_data((grey.reshape(-1, 64) + 1, digits.target), kind="tokens", name="digits-tokens"),
        "digits, signals": load_data((grey.astype(float), digits.target), kind="signals", name="digits-signals"),
    }


def search(seconds: float, seeds: Sequence[int]) -> None:
    """The networks that searches deliver, beside simple models."""
    print("| data | simple models, test accuracy | delivered, test accuracy | parameters | candidates |")
    print("|---|---|---|---|---|")
    for name, made in (("keywords", keywords()), ("sentences", sentences())):
        for seed in seeds:
            found = searchkit.run(
                data=made, space="sequence", budget={"seconds": seconds}, seed=seed, split_seed=seed, baselines=True,
                device="cpu", name=f"{name}-{seed}",
            )  # fmt: skip
            simple = found.baselines
            beside = ", ".join(f"{row.model} {row.test_accuracy:.3f}" for row in simple.itertuples())
            if name == "keywords":
                beside += f", forest on spectra {_on_spectra(load_data(made, kind='signals', seed=seed)):.3f}"
            best = found.front.iloc[0]
            print(
                f"| {name}, seed {seed} | {beside} | **{best.test_accuracy:.3f}** | {best.params:,.0f} | "
                f"{len(found.trials)} |",
                flush=True,
            )


def _on_spectra(data: Data) -> float:
    """Test accuracy of a random forest on the logarithms of short-time spectra, what is known to suit sound."""
    from sklearn.ensemble import RandomForestClassifier

    def spectra(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        windows = np.lib.stride_tricks.sliding_window_view(x[:, 0], WINDOW, axis=1)[:, :: WINDOW // 2]
        found: npt.NDArray[np.float64] = np.log(np.abs(np.fft.rfft(windows * np.hanning(WINDOW))) + 1e-3)
        return found.reshape(len(x), -1)

    forest = RandomForestClassifier(300, random_state=0).fit(spectra(data.train.x.numpy()), data.train.y.numpy())
    return float(forest.score(spectra(data.test.x.numpy()), data.test.y.numpy()))


def recipe(seeds: Sequence[int], epochs: int) -> None:
    """Validation accuracy of designs by settings, and what the choice by other data sets costs on each."""
    grid = list(itertools.product(LRS, SIZES, DECAYS))
    sets, rows = data_sets(0.5), dict[str, list[float]]()
    print("| data | " + " | ".join(f"{lr}, {size}" for lr, size, _ in grid) + " |\n|---|" + "---|" * len(grid))
    for name, data in sets.items():
        rows[name] = [
            _accuracy(data, seeds, epochs, lr=lr, batch_size=size, weight_decay=decay) for lr, size, decay in grid
        ]
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in rows[name]) + " |", flush=True)
    print("\n| left out | chosen by the others | accuracy with it | best of the grid |\n|---|---|---|---|")
    for name in sets:
        others = np.mean([values for other, values in rows.items() if other != name], axis=0)
        at = int(np.argmax(others))
        print(f"| {name} | lr {grid[at][0]}, batches of {grid[at][1]} | {rows[name][at]:.3f} | {max(rows[name]):.3f} |")
    at = int(np.argmax(np.mean(list(rows.values()), axis=0)))
    print(f"\nBy all: lr {grid[at][0]}, batches of {grid[at][1]}")


def augment(seeds: Sequence[int]) -> None:
    """Validation accuracy of designs on signals as they are and shifted in time."""
    print("| data | passes | as they are | shifted |\n|---|---|---|---|")
    for (name, data), epochs in itertools.product(data_sets(0.5).items(), (10, 30)):
        if data.kind == "signals":
            plain, shifted = (_accuracy(data, seeds, epochs, augment=how) for how in ("none", "shift"))
            print(f"| {name} | {epochs} | {plain:.3f} | {shifted:.3f} |", flush=True)


def _accuracy(data: Data, seeds: Sequence[int], epochs: int, **settings: object) -> float:
    """Mean validation accuracy of the first three designs of the space."""
    space = sequence().for_data(data.input_shape, data.n_classes)
    own = {"optimiser": "adamw", "lr": 0.006, "weight_decay": 0.05, "batch_size": 32} | settings
    used = replace(recipe_for(data.kind, len(data.train), epochs), **own)  # type: ignore[arg-type]
    found = []
    for code, seed in itertools.product(space.reference[:3], seeds):
        with seeded(seed):
            network = space.build(code)
        found.append(train(network, data, recipe=used, seed=seed, device="cpu").scores["accuracy"])
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["search", "recipe", "augment"], help="search, recipe, augment")
    parser.add_argument("--seconds", type=float, default=180, help="of a search")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of searches and trainings")
    parser.add_argument("--epochs", type=int, default=10, help="of the trainings by which settings are compared")
    given = parser.parse_args()
    logging.getLogger("searchkit").setLevel(logging.WARNING)
    print(describe(), "\n")
    for part in given.parts:
        if part == "search":
            search(given.seconds, given.seeds)
        elif part == "recipe":
            recipe(given.seeds, given.epochs)
        else:
            augment(given.seeds)
        print()


if __name__ == "__main__":
    main()
