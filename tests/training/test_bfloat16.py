"""Trainings in bfloat16: where they are made, that they learn, and what happens to networks that cannot."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from searchkit.data.loading import load_data
from searchkit.runtime import devices
from searchkit.space import Choice, NetworkSpace
from searchkit.training.optimisation import half_precision
from searchkit.training.recipe import Recipe
from searchkit.training.train import build_seeded, train

CPU = torch.device("cpu")


def network_of(layers: Any) -> nn.Module:
    """A network of one convolution, and what ``layers`` makes of its outputs."""

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(1, 8, 3)
            self.classifier = nn.Linear(8, 10)
            self.seen: list[torch.dtype] = []

        def forward(self, x: Tensor) -> Tensor:
            x = self.convolution(x)
            self.seen.append(x.dtype)
            logits: Tensor = self.classifier(layers(x).mean(dim=(2, 3)))
            return logits

    return Network()


def space_of(layers: Any) -> NetworkSpace:
    return NetworkSpace([Choice("one", (0, 1))], lambda *_: network_of(layers), input_shape=(1, 8, 8), n_classes=10)


@pytest.mark.parametrize(
    ("amx", "isa", "quicker"),
    [
        (True, None, True),
        (True, "ALL", True),
        (True, "AVX512_CORE_AMX", True),
        (True, "AVX512_CORE", False),
        (True, "AVX2", False),
        (False, None, False),
        (False, "ALL", False),
    ],
)
def test_a_cpu_trains_images_in_bfloat16_where_it_has_amx(
    amx: bool, isa: str | None, quicker: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "has_amx", lambda: amx)
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if isa is not None:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
    images, table = load_data("digits"), load_data("digits", kind="table")
    assert half_precision(Recipe(), images, CPU) is quicker
    assert not half_precision(Recipe(), table, CPU)
    assert half_precision(Recipe(precision="bfloat16"), table, CPU)
    assert not half_precision(Recipe(precision="float32"), images, CPU)
    assert half_precision(Recipe(), table, torch.device("cuda"))


@pytest.mark.slow
def test_both_precisions_learn_about_the_same() -> None:
    data = load_data("digits")
    space = space_of(torch.relu)
    found = {}
    for precision in ("float32", "bfloat16"):
        network = build_seeded(space, [0], 0)
        recipe = Recipe(epochs=10, batch_size=32, augment="none", precision=precision)  # type: ignore[arg-type]
        found[precision] = train(network, data, recipe=recipe, seed=0, device="cpu").accuracy
        types = set(network.seen[: 10 * (len(data.train) // 32)])  # type: ignore[index, union-attr]
        assert types == {getattr(torch, precision)}
        assert network.seen[-1] is torch.float32  # type: ignore[index, union-attr]  # what is scored
        assert all(parameter.dtype is torch.float32 for parameter in network.parameters())
    assert found["float32"] > 0.5
    assert found["bfloat16"] == pytest.approx(found["float32"], abs=0.06)


@pytest.mark.parametrize(
    "layers",
    [
        lambda x: torch.special.erfcx(x.relu()),
        lambda x: x * torch.from_numpy(x.detach().numpy()).mean(),
    ],
    ids=["erfcx", "numpy"],
)
def test_a_network_that_cannot_be_trained_in_bfloat16_is_trained_in_float32(layers: Any) -> None:
    data = load_data("digits")
    states = []
    for precision in ("float32", "bfloat16"):
        network = build_seeded(space_of(layers), [0], 0)
        train(network, data, recipe=Recipe(steps=5, precision=precision), seed=0, device="cpu")  # type: ignore[arg-type]
        states.append(network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_an_error_that_has_nothing_to_do_with_it_is_the_candidates() -> None:
    def fails(x: Tensor) -> Tensor:
        raise ValueError("this layer is not for images")

    with pytest.raises(ValueError, match="this layer is not for images"):
        train(
            build_seeded(space_of(fails), [0], 0), load_data("digits"), recipe=Recipe(steps=5, precision="bfloat16"),
            seed=0, device="cpu",
        )  # fmt: skip
