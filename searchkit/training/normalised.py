"""The form in which users get a network: it takes raw inputs, and in regression returns the target's own unit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from searchkit.data.data import Data


class Normalised(nn.Module):
    """A network that takes raw inputs: it subtracts the mean and divides by the deviation of the train part.

    Args:
        network: trained on standardised inputs and, in regression, towards standardised targets.
        mean, std: per channel or feature; empty for tokens, which the network takes as they are.
        target: of quantities and maps, mean and deviation: two numbers, or ``(2, k)``.
        n_axes: axes of a batch of inputs: 4 for images, 3 for signals, 2 for a table.
    """

    mean: torch.Tensor
    std: torch.Tensor
    target: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        target: Sequence[float] | Sequence[Sequence[float]] | None = None,
        n_axes: int = 4,
    ) -> None:
        super().__init__()
        self.network = network
        shape = (1, -1, *[1] * (n_axes - 2))
        self.register_buffer("mean", torch.tensor(mean).reshape(shape))
        self.register_buffer("std", torch.tensor(std).reshape(shape))
        self.tokens = not len(mean)
        self.regression = target is not None
        if target is not None:
            self.register_buffer("target", torch.tensor(target))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``(n, classes)`` of raw images ``(n, c, h, w)``, uint8 or float, of rows, of signals, or of tokens.

        In regression, values ``(n,)`` or ``(n, k)`` in the targets' unit; of each pixel, logits or values
        ``(n, k, h, w)``.
        """
        given = x.long() if self.tokens else (x.to(self.mean.dtype) - self.mean) / self.std
        outputs: torch.Tensor = self.network(given)
        if not self.regression:
            return outputs
        if self.target.ndim == 1 and outputs.ndim == 2:
            return outputs.squeeze(1) * self.target[1] + self.target[0]
        shape = (1, -1, *[1] * (outputs.ndim - 2))
        return outputs * self.target[1].view(shape) + self.target[0].view(shape)


def normalised(network: nn.Module, data: Data) -> Normalised:
    """The network with the normalisation of these data, on which it is trained; in eval mode, on its device."""
    target: Sequence[float] | Sequence[Sequence[float]] | None = None
    if data.target is not None:
        mean, std = data.target.mean, data.target.std
        target = (mean[0], std[0]) if len(mean) == 1 else (mean, std)
    made = Normalised(network, data.mean, data.std, target, data.train.x.ndim).eval()
    parameter = next(network.parameters(), None)
    return made if parameter is None else made.to(parameter.device)
