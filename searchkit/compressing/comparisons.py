"""What else could have been made of the network within the same bounds, and how well sums of qualities tell it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from searchkit.blocks.additive import Additive, blocks_of
from searchkit.compression.assembled import ModelSpace
from searchkit.compression.assembly import Cost, choose
from searchkit.compression.measured import Measured
from searchkit.data.data import Data
from searchkit.random_state import seeded
from searchkit.runtime.copies import copied
from searchkit.training.recalibration import as_it_is, best_of
from searchkit.training.recipe import Recipe, recipe_of_length
from searchkit.training.train import course, score
from searchkit.training.turns import finish
from searchkit.types import Codes

DRAWS = 3
ASSEMBLIES = 20
SCRATCH_EPOCHS = 30
WIDTHS = ("width 1/2", "width 1/4", "width 1/8")

log = logging.getLogger("searchkit")


@dataclass(frozen=True)
class Comparisons:
    """Makes other networks under the bounds that the chosen one has.

    Attributes:
        space: with the alternatives that have learned.
        quality: what counted for the choice.
        recipe: of the fine-tuning; settings that are choices of the search are left out.
        measured: where the scores are kept, so that the same call again has them.
    """

    space: ModelSpace
    quality: Additive
    costs: Sequence[Cost]
    data: Data
    recipe: Recipe
    seed: int
    measured: Measured

    def rows(self, chosen: Codes | None) -> list[dict[str, object]]:
        """One for each network: how it was made, its costs, and its scores.

        Args:
            chosen: the code of the network that was chosen; its design is trained from scratch.
        """
        found = [self._row("random blocks", code, f"random blocks, {i} of {DRAWS}") for i, code in self._random()]
        uniform = self._uniform()
        if uniform is not None:
            found.append(self._row("blocks narrowed alike", uniform, "blocks narrowed alike"))
        if chosen is not None:
            found += self._from_scratch(chosen)
        return found

    def correlation(self) -> float:
        """Spearman's rank correlation of the sums of qualities and the accuracies of random assemblies, as they are."""
        rng = np.random.default_rng(self.seed)
        codes = self.space.sample(ASSEMBLIES, rng)
        codes = np.where(rng.random(codes.shape) < np.linspace(0.1, 1.0, ASSEMBLIES)[:, None], codes, 0)

        def scores() -> list[float]:
            return [as_it_is(self.space.build(code), self.data, "accuracy")[1]["accuracy"] for code in codes]

        accuracies = self.measured.once(scores, self._identity, codes.tolist(), "assemblies")
        return float(spearmanr(-self.quality(blocks_of(self.space).choose(codes)), accuracies)[0])

    def _random(self) -> list[tuple[int, Codes]]:
        """Numbers and codes under the bounds, of random qualities."""
        blocks, found = blocks_of(self.space), []
        for draw in range(DRAWS):
            rng = np.random.default_rng([self.seed, draw])
            quality = Additive(0.0, tuple(rng.random(size) for size in blocks.sizes))
            picked = choose(self.space, quality, self.costs).picked
            if picked is not None:
                found.append((draw + 1, blocks.codes(picked[None])[0]))
        return found

    def _uniform(self) -> Codes | None:
        """All blocks that can be with one share of their inner channels: the largest within the bounds."""
        blocks = blocks_of(self.space)
        for label in WIDTHS:
            code = np.array([_place(choice.labels, label) for choice in self.space.choices], dtype=np.int64)
            picked = blocks.choose(code[None])
            if code.any() and all(cost.total(self.space)(picked)[0] <= cost.bound for cost in self.costs):
                return code
        return None

    def _row(self, method: str, code: Codes, told: str) -> dict[str, object]:
        def scores() -> list[float]:
            network, before = as_it_is(self.space.build(code), self.data, "accuracy")
            after = before
            if self.space.fine_tuned(code):
                start = copied(network)
                found = {"accuracy": self._trained(network, self.recipe)}
                network, after = best_of(network, found, start, before, self.data, "accuracy")
            return [before["accuracy"], after["accuracy"], self._tested(network)]

        of = ("fine-tuned", asdict(self.recipe), self.space.fine_tuned(code))
        before, after, tested = self.measured.once(scores, self._identity, code.tolist(), of)
        log.info("for comparison: %s have accuracy %.4g", told, after)
        return self._described(method, code, before, after, tested)

    def _from_scratch(self, code: Codes) -> list[dict[str, object]]:
        """The chosen design with weights drawn anew; nothing where some of its weights cannot be drawn."""
        network = drawn_anew(self.space.build(code), self.seed)
        if network is None:
            log.warning("its design is not trained from scratch: a module of it cannot draw its weights anew")
            return []
        recipe = recipe_of_length("images", len(self.data.train), SCRATCH_EPOCHS, self.data.augment)
        recipe = replace(recipe, epochs=SCRATCH_EPOCHS)

        def scores() -> list[float]:
            return [self._trained(network, recipe), self._tested(network)]

        log.info("for comparison: the chosen design is trained from scratch for %d epochs", SCRATCH_EPOCHS)
        after, tested = self.measured.once(scores, self._identity, code.tolist(), "from scratch", asdict(recipe))
        return [self._described(f"from scratch, {SCRATCH_EPOCHS} epochs", code, np.nan, after, tested)]

    def _trained(self, network: nn.Module, recipe: Recipe) -> float:
        """The accuracy on the validation part after a training."""
        network.requires_grad_(True)
        teacher = copied(self.space.teacher) if recipe.distillation else None
        found = finish(course(network, self.data, recipe=recipe, seed=self.seed, device="cpu", teacher=teacher))
        return found.accuracy

    def _tested(self, network: nn.Module) -> float:
        return score(network, self.data.test, self.data, "cpu") if len(self.data.test) else np.nan

    def _described(self, method: str, code: Codes, before: float, after: float, tested: float) -> dict[str, object]:
        picked = blocks_of(self.space).choose(code[None])
        costs = {cost.name: float(cost.total(self.space)(picked)[0]) for cost in self.costs}
        scores = {"accuracy_before": before, "accuracy": after, "test_accuracy": tested}
        return {"network": method, **costs, **scores}

    @property
    def _identity(self) -> tuple[object, ...]:
        return self.space.describe(), self.data.fingerprint, self.seed


def recipe_of(settings: Mapping[str, object]) -> Recipe:
    """The recipe of those settings that are values, and no choices of the search."""
    known = {field.name for field in fields(Recipe)}
    plain = {
        name: value
        for name, value in settings.items()
        if name in known and (value is None or isinstance(value, str | int | float))
    }
    return Recipe(**plain)  # type: ignore[arg-type]


def drawn_anew(network: nn.Module, seed: int) -> nn.Module | None:
    """The network itself with weights drawn anew; None where a module has weights and no way to draw them."""
    for module in network.modules():
        if not hasattr(module, "reset_parameters") and any(True for _ in module.parameters(recurse=False)):
            return None
    with seeded(seed), torch.no_grad():
        for module in network.modules():
            reset: Callable[[], None] | None = getattr(module, "reset_parameters", None)
            if reset is not None:
                reset()
    return network


def _place(labels: Sequence[object], label: str) -> int:
    return list(labels).index(label) if label in labels else 0
