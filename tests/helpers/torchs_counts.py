"""What torch's own counter says of a network."""

from __future__ import annotations

from torch import Tensor, nn, no_grad
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def flops(network: nn.Module, x: Tensor) -> int:
    """Floating point operations of a forward pass, those of attention included: two for each MAC."""
    with no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(x)
    return int(counter.get_total_flops())
