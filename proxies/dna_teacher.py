"""The teacher of block-wise distillation: a network cut at the same depths as the space.

Li et al., DNA: Blockwisely Supervised Neural Architecture Search with Knowledge Distillation, CVPR 2020 (arXiv
1911.13053). Any network with one feature map per block may be the teacher; where none is given, one is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from searchkit.data.data import Data
from searchkit.errors import ProxyError
from searchkit.proxies.dna_setting import DNASetting
from searchkit.proxies.supernet import Part, Shape
from searchkit.scoring.passes.feature_maps import stage_maps
from searchkit.spaces.skeleton import outputs
from searchkit.training.recipe import Recipe
from searchkit.training.train import train
from searchkit.training.weights import load_weights, own_state, save_weights


class PlainTeacher(nn.Module):
    """A stem and, for each block, 3x3 convolutions with batch norm and ReLU to the block's size.

    Args:
        input_shape: ``(channels, height, width)`` of the images.
        sizes: ``(height, width)`` of the first block's input and of each block's output.
        channels: of the stem and of each stage.
        layers: convolutions of a stage.
    """

    def __init__(
        self, input_shape: Sequence[int], sizes: Sequence[Shape], channels: Sequence[int], layers: int, n_classes: int
    ) -> None:
        super().__init__()
        before = [int(input_shape[0]), *channels]
        from_size = [tuple(input_shape[1:]), *sizes]
        stages = [
            _stage(n_in, n_out, tuple(a), tuple(b), layers if i else 1)
            for i, (n_in, n_out, a, b) in enumerate(zip(before[:-1], channels, from_size[:-1], sizes, strict=True))
        ]
        self.stem, self.stages = stages[0], nn.ModuleList(stages[1:])
        self.classifier = nn.Linear(channels[-1], n_classes)

    def features(self, x: Tensor) -> list[Tensor]:
        """The outputs of the stages, in depth order."""
        return outputs(self.stages, self.stem(x))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x)[-1].mean(dim=(2, 3)))
        return logits


class _Resized(nn.Module):
    def __init__(self, size: Shape) -> None:
        super().__init__()
        self.size = (int(size[0]), int(size[1]))

    def forward(self, x: Tensor) -> Tensor:
        return x if tuple(x.shape[2:]) == self.size else functional.adaptive_avg_pool2d(x, self.size)


def _stage(n_in: int, n_out: int, before: Shape, after: Shape, layers: int) -> nn.Sequential:
    stride = max(1, round(before[0] / after[0]))
    parts: list[nn.Module] = []
    for i in range(layers):
        conv = nn.Conv2d(n_in if i == 0 else n_out, n_out, 3, stride=stride if i == 0 else 1, padding=1, bias=False)
        parts += [conv, *([_Resized(after)] if i == 0 else []), nn.BatchNorm2d(n_out), nn.ReLU()]
    return nn.Sequential(*parts)


def plain_teacher(parts: Sequence[Part], data: Data, setting: DNASetting) -> PlainTeacher:
    """The untrained teacher of a space: stages as large as its blocks, ``teacher_width`` times as wide."""
    shapes = [parts[0].nodes[0].input_shape, *(part.nodes[-1].output_shape for part in parts)]
    channels = [max(1, round(setting.teacher_width * shape[0])) for shape in shapes]
    return PlainTeacher(
        data.input_shape, [shape[1:] for shape in shapes], channels, setting.teacher_layers, data.n_classes
    )


def trained_teacher(
    network: nn.Module, data: Data, setting: DNASetting, device: str, seed: int, path: Path | None
) -> nn.Module:
    """The network with the weights of the file, or trained now and written to it."""
    if path is not None and path.exists():
        load_weights(network, path)
        return network.eval()
    train(network, data, recipe=Recipe(epochs=setting.teacher_epochs), seed=seed, device=device)
    if path is not None:
        save_weights(own_state(network), path)
    return network.eval()


class TeacherMaps:
    """A teacher's feature maps, one per block, with their shapes checked against the space.

    Args:
        teacher: a network, which is put into eval mode and frozen. Its feature maps
            are those of ``features(x)``, or the last at each resolution.
        parts: the blocks of the space.
        input_shape: of the images.

    Raises:
        ProxyError: its maps differ from the blocks in number or size.
    """

    def __init__(self, teacher: nn.Module, parts: Sequence[Part], input_shape: Sequence[int]) -> None:
        self.teacher = teacher.eval().requires_grad_(False)
        with torch.no_grad():
            device = next((p.device for p in teacher.parameters()), torch.device("cpu"))
            maps = stage_maps(self.teacher, torch.zeros(1, *input_shape, device=device))
        self.shapes = [tuple(m.shape[1:]) for m in maps]
        wanted = [tuple(part.nodes[-1].output_shape) for part in parts]
        if len(self.shapes) != len(wanted):
            raise ProxyError(
                f"the teacher gives {len(self.shapes)} feature maps, of shapes {self.shapes}, but the space has "
                f"{len(wanted)} blocks, which give {wanted}: let its features(x) return one map a block"
            )
        for part, got, want in zip(parts, self.shapes, wanted, strict=True):
            if got[1:] != want[1:]:
                raise ProxyError(
                    f"the teacher's map for block '{part.name}' has shape {got} and the block gives {want}: height and "
                    "width must be equal (channels need not be)"
                )

    def maps(self, x: Tensor) -> list[Tensor]:
        """One map a block, ``(n, c, h, w)``, of images ``(n, c, h, w)``."""
        with torch.no_grad():
            return stage_maps(self.teacher, x)

    def stage(self, block: int, x: Tensor) -> nn.Module | None:
        """The module whose output is the map of a block; None where there is no such module."""
        outputs: list[tuple[nn.Module, Tensor]] = []
        handles = [
            module.register_forward_hook(lambda m, _, y: outputs.append((m, y)))
            for module in self.teacher.modules()
            if module is not self.teacher
        ]
        try:
            wanted = self.maps(x[:2])[block]
        finally:
            for handle in handles:
                handle.remove()
        found = [
            m
            for m, y in outputs
            if isinstance(y, Tensor) and y.data_ptr() == wanted.data_ptr() and y.shape == wanted.shape
        ]
        return found[-1] if found else None

    def answers(self, x: Tensor, stage: nn.Module | None = None, instead: Tensor | None = None) -> Tensor:
        """Log probabilities ``(n, classes)`` of the teacher, with the output of one of its modules replaced."""
        handle = None
        if stage is not None:
            handle = stage.register_forward_hook(lambda *_: instead)
        try:
            with torch.no_grad():
                return functional.log_softmax(self.teacher(x), dim=1)
        finally:
            if handle is not None:
                handle.remove()
