"""What a path comes to: its loss on the validation part, with statistics of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from searchkit.data.data import Data
from searchkit.data.loader import in_order
from searchkit.data.masks import IGNORED
from searchkit.data.normalising import Normaliser, targets
from searchkit.data.splits import Split
from searchkit.errors import PASSED_ON, message_of
from searchkit.runtime.devices import placed
from searchkit.sharing.bank import Bank, Path
from searchkit.training.recalibration import fresh_statistics, inputs_of, spaced
from searchkit.training.scores import Tally, score_batch
from searchkit.training.tasks.losses import task_loss
from searchkit.training.tasks.outputs import check_outputs
from searchkit.types import Codes

Judge = Literal["loss", "score"]
STATISTICS = 256  # training examples of which the statistics of a path are taken
EXAMPLES = 1024  # validation examples on which it is judged, at most
IN_NO_STEP = "in no step of the training of the shared weights"
LEAST = 1e-6  # share of a class that is in no training example
BATCH = 128  # examples of which statistics are taken at a time


@dataclass(frozen=True)
class Judged:
    """What paths are judged by: the examples, on the device.

    Attributes:
        statistics: batches of normalised training examples, without augmentation.
        examples: batches ``(x, y)`` of the validation part, evenly spaced.
        split: these examples.
    """

    data: Data
    device: torch.device
    statistics: list[Tensor]
    examples: list[tuple[Tensor, Tensor]]
    split: Split

    @classmethod
    def of(cls, data: Data, device: torch.device, n: int = EXAMPLES, n_statistics: int = STATISTICS) -> Judged:
        """The batches of a data set: of n examples of the validation part, and of the train part."""
        normalise = Normaliser(data, device)
        statistics = [placed(x, device) for x in inputs_of(data, device, n_statistics, BATCH)]
        split = data.val.rows(spaced(len(data.val), n))
        examples = [(placed(x, device), y) for x, y in in_order(split, score_batch(data), normalise, device)]
        return cls(data, device, statistics, examples, split)

    @property
    def n_examples(self) -> int:
        """Examples that run through a network to judge it."""
        return len(self.split) + sum(len(x) for x in self.statistics)

    def loss_if_trained(self, bank: Bank, code: Codes, judge: Judge = "loss") -> tuple[float, str]:
        """The loss of a candidate ``(d,)``, and why there is none; then it is NaN, else the reason is empty.

        There is none where it cannot be built or run, or has a parameter that was never trained.

        Args:
            judge: "score": minus the reward in place of the loss.
        """
        try:
            path = bank.path(code)
            lacking = bank.untrained(path)
            if lacking:
                n = f"{len(lacking)} of its {len(path.slots)} parameters"
                return math.nan, f"{n}, such as '{lacking[0]}', were {IN_NO_STEP}"
            found = self.loss(bank, path) if judge == "loss" else -self.reward(bank, path)
        except PASSED_ON:
            raise
        except Exception as error:
            return math.nan, f"{type(error).__name__}: {message_of(error)}".removeprefix("CandidateError: ")
        return found, "" if math.isfinite(found) else f"its {judge} with the shared weights is {found}"

    def loss(self, bank: Bank, path: Path) -> float:
        """The mean loss of a path; infinite or NaN where its outputs are."""
        of_task, total, n = task_loss(self.data, "usual", 0.0, self.device), 0.0, 0
        for outputs, y in self._answers(bank, path):
            check_outputs(outputs, len(y), self.data.output_shape)
            total += float(of_task(outputs.float(), targets(self.data, y), None)) * len(y)
            n += len(y)
        return total / n

    @property
    def guessing(self) -> float:
        """The loss of the best answer that is the same for all examples: of balanced classes the log of their number.

        That is the share of each class in the train part, or no preference where classes have weights, and the mean of
        quantities.
        """
        of_task, shares = task_loss(self.data, "usual", 0.0, self.device), _shares(self.data)
        told = [torch.zeros(self.data.output_shape), *([] if shares is None else [shares])]
        totals = [0.0] * len(told)
        for _, y in self.examples:
            for i, outputs in enumerate(told):
                same = outputs.to(self.device).expand(len(y), *outputs.shape)
                totals[i] += float(of_task(same, targets(self.data, y), None)) * len(y)
        return min(totals) / len(self.split)

    def scores(self, bank: Bank, path: Path) -> dict[str, float]:
        """The scores of a path, as of a trained network."""
        tally = Tally(self.data)
        for outputs, y in self._answers(bank, path):
            tally.add(outputs, y)
        return tally.scores(self.split.weight)

    def reward(self, bank: Bank, path: Path) -> float:
        """Higher is better: the accuracy of classes, and minus the loss in other tasks."""
        return self.scores(bank, path)["accuracy"] if self.data.task == "classification" else -self.loss(bank, path)

    def _answers(self, bank: Bank, path: Path) -> Iterator[tuple[Tensor, Tensor]]:
        with torch.no_grad():
            with fresh_statistics(path.network):
                for x in self.statistics:
                    bank.run(path, x)
            for x, y in self.examples:
                yield bank.run(path, x), y


def _shares(data: Data) -> Tensor | None:
    """Outputs of the task's shape that say how often each class is there in the train part; None of quantities."""
    if data.task in ("regression", "maps"):
        return None
    y, shape = data.train.y, data.output_shape
    if data.task == "multilabel":
        return torch.logit(y.double().mean(dim=0).clamp(LEAST, 1 - LEAST)).float()
    counts = torch.bincount(y[y != IGNORED].long().flatten(), minlength=shape[0]).double()
    logs = (counts / counts.sum()).clamp(min=LEAST).log().float()
    return logs.view(-1, *[1] * (len(shape) - 1)).expand(shape)
