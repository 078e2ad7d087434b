"""Into which nodes public architectures are cut, with random weights: how many, and what share of the MACs they cover.

python -m benchmarks.compression.nodes [--only resnet] [--spaces]

torchvision and timm are looked for and not required: without one its architectures are skipped. "Difference" is the
largest of an output when every node is replaced by a copy of its module. With ``--spaces`` the library of alternatives
is made too, candidate 0 is compared with the network, and one random candidate is run.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common.machine import describe
from searchkit.compression import Cut, cut, model_space
from searchkit.compression.cheaper_layers import put
from searchkit.errors import SearchkitError

# name -> height and width of the pictures
TORCHVISION = {
    "resnet18": 128, "resnet50": 128, "wide_resnet50_2": 96, "resnext50_32x4d": 128, "mobilenet_v2": 128,
    "mobilenet_v3_small": 128, "mobilenet_v3_large": 128, "efficientnet_b0": 128, "efficientnet_v2_s": 128,
    "mnasnet1_0": 128, "vgg11_bn": 64, "vgg16": 64, "alexnet": 128, "squeezenet1_1": 128, "shufflenet_v2_x1_0": 128,
    "googlenet": 128, "inception_v3": 128, "densenet121": 128, "regnet_y_400mf": 128, "regnet_x_800mf": 128,
    "convnext_tiny": 128, "vit_b_32": 224, "swin_t": 224, "maxvit_t": 224, "segmentation.fcn_resnet50": 96,
    "segmentation.deeplabv3_mobilenet_v3_large": 128, "segmentation.lraspp_mobilenet_v3_large": 128,
}  # fmt: skip
TIMM = {
    "resnet26d": 128, "seresnet50": 128, "res2net50_26w_4s": 128, "resnest14d": 128, "hrnet_w18_small": 128,
    "dla34": 128, "darknet53": 128, "repvgg_a2": 128, "nfnet_f0": 96, "ghostnet_100": 128, "mobilenetv1_100": 128,
    "mobilenetv4_conv_small": 128, "tf_efficientnetv2_b0": 128, "mobilevit_s": 128, "edgenext_small": 128,
    "fastvit_t8": 128, "poolformer_s12": 128, "efficientformer_l1": 224, "levit_128s": 224,
    "deit_tiny_patch16_224": 224, "mixer_s32_224": 224, "resmlp_12_224": 224, "gmlp_ti16_224": 224,
    "xcit_nano_12_p16_224": 224, "pvt_v2_b0": 128, "coat_lite_tiny": 224, "swin_tiny_patch4_window7_224": 224,
    "swinv2_tiny_window8_256": 256, "convmixer_768_32": 64,
}  # fmt: skip
COVERED, FEWEST, MOST = 0.95, 8, 41


class Only(nn.Module):
    """A network that returns a dictionary, of which one entry counts."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.network(x)["out"]
        return out


def of_torchvision(name: str, models: Any) -> nn.Module:
    if name.startswith("segmentation."):
        return Only(getattr(models.segmentation, name.partition(".")[2])(weights=None, weights_backbone=None))
    if name in ("googlenet", "inception_v3"):
        network: nn.Module = getattr(models, name)(weights=None, init_weights=False, aux_logits=False)
        return network
    made: nn.Module = getattr(models, name)(weights=None)
    return made


def architectures() -> dict[str, tuple[Callable[[], nn.Module], int]]:
    """Of the libraries that are there: name -> how the network is made, and the size of its pictures."""
    found: dict[str, tuple[Callable[[], nn.Module], int]] = {}
    for library, sizes in (("torchvision", TORCHVISION), ("timm", TIMM)):
        try:
            package = importlib.import_module(library)
        except Exception as error:
            print(f"{library} is skipped: {type(error).__name__}: {error}\n")
            continue
        for name, size in sizes.items():
            made = partial(of_torchvision, name, package.models) if library == "torchvision" else None
            found[f"{library} {name}"] = made or partial(package.create_model, name), size
    return found


def difference(model: nn.Module, found: Cut, example: Tensor) -> float:
    """Between the outputs of a network and of one whose nodes are replaced by copies."""
    other = copy.deepcopy(model)
    for node in found.nodes:
        put(other, node.name, copy.deepcopy(other.get_submodule(node.name)))
    with torch.no_grad():
        return float((other(example) - model(example)).abs().max())


def row(name: str, make: Callable[[], nn.Module], size: int, spaces: bool) -> tuple[str, bool]:
    """A line of the table, and whether the architecture is cut as it should be."""
    torch.manual_seed(0)
    model = make().eval()
    example = torch.randn(2, 3, size, size)
    start = time.perf_counter()
    found = cut(model, example)
    seconds = time.perf_counter() - start
    off = difference(model, found, example)
    good = found.covered >= COVERED and FEWEST <= len(found.nodes) <= MOST and off <= 1e-5
    largest = max(node.share for node in found.nodes)
    cells = [
        name,
        str(len(found.nodes)),
        f"{found.covered:.1%}",
        f"{largest:.0%}",
        str(len(found.kept)),
        f"{off:.0e}",
        f"{seconds:.1f}",
    ]
    if spaces:
        start = time.perf_counter()
        space = model_space(model, example)
        seconds = time.perf_counter() - start
        with torch.no_grad():
            wanted = model(example)
            first = space.build(np.zeros(space.n_choices, dtype=np.int64))(example)
            other = space.build(space.sample(1, np.random.default_rng(0))[0])(example)
        off = float((first - wanted).abs().max())
        good = good and off <= 1e-5 and other.shape == wanted.shape
        each = statistics.mean(len(choice.options) for choice in space.choices)
        cells += [f"{off:.0e}", f"{each:.1f}", f"{seconds:.0f}"]
    return f"| {' | '.join(cells)} |", good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="architectures whose names contain this")
    parser.add_argument("--spaces", action="store_true", help="make the alternatives too, and compare candidate 0")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{describe()}\n")
    chosen = {name: made for name, made in architectures().items() if given.only in name}
    if not chosen:
        print("no architecture: torchvision or timm has to be installed, and --only to be a part of a name")
        return
    more = " difference of candidate 0 | options a node | seconds |" if given.spaces else ""
    print(f"| architecture | nodes | MACs covered | largest node | kept | difference | seconds of the cut |{more}")
    print("|---|---|---|---|---|---|---|" + ("---|---|---|" if given.spaces else ""))
    n_good = n_done = 0
    for name, (make, size) in chosen.items():
        try:
            line, good = row(name, make, size, given.spaces)
        except SearchkitError as error:
            line, good = f"| {name} | refused: {error} |", False
        except Exception as error:
            line, good = f"| {name} | {type(error).__name__}: {str(error)[:100]} |", False
        print(line, flush=True)
        n_good, n_done = n_good + good, n_done + 1
    print(f"\n{n_good} of {n_done} architectures with {COVERED:.0%} of the MACs in {FEWEST} to {MOST} nodes.")


if __name__ == "__main__":
    main()
