"""Inner channels: which belong together, which are kept, and that what is left is the original without the others."""

from __future__ import annotations

import itertools

import pytest
import torch
from helpers.marks import slow_if
from helpers.networks import FAMILIES, Bottleneck, ConvNeXtBlock, Encoder, Gate, Inverted, conv, network, pictures
from torch import Tensor, nn
from torch.nn import functional

from searchkit.compression import cut
from searchkit.compression.attention import fewer_heads
from searchkit.compression.channels import Group, groups_of
from searchkit.compression.cheaper_layers import grouped, low_rank, separable, smaller_kernel
from searchkit.compression.cutting import recorded
from searchkit.compression.layers import Projection, SelfAttention
from searchkit.compression.linear_maps import linear_map
from searchkit.compression.narrowing import narrowed, sound, width_of

LARGE = ("vit", "mobilenet", "efficientnet", "densenet")


def nodes_of(family: str) -> list[tuple[str, nn.Module, Tensor]]:
    model = network(family).eval()
    names = [node.name for node in cut(model, pictures()).nodes]
    seen = recorded(model, names, pictures())
    return [(name, model.get_submodule(name), seen[name][0]) for name in names]


def run(module: nn.Module, fed: Tensor) -> Tensor:
    with torch.no_grad():
        return module.eval()(fed.clone())


@pytest.mark.parametrize("family", slow_if(lambda family: family in LARGE, FAMILIES))
def test_with_all_channels_a_narrowed_block_is_the_original(family: str) -> None:
    n_groups = 0
    for name, module, fed in nodes_of(family):
        groups = groups_of(module, fed)
        n_groups += len(groups)
        assert sound(module, groups, fed) == groups, name
        whole = narrowed(module, [(group, torch.arange(group.size)) for group in groups])
        assert torch.equal(run(whole, fed), run(module, fed))
        assert all(
            torch.equal(a, b) for a, b in zip(whole.state_dict().values(), module.state_dict().values(), strict=True)
        )
    assert n_groups


@pytest.mark.parametrize(
    ("share", "family"),
    slow_if(
        lambda share, family: share == 1 / 4 or family in LARGE,
        itertools.product((1 / 2, 1 / 4), FAMILIES),
    ),
)
def test_a_narrowed_block_is_the_original_without_the_other_channels(family: str, share: float) -> None:
    """The oracle zeroes the weights that read the channels, and cuts nothing."""
    for _, module, fed in nodes_of(family):
        groups = groups_of(module, fed)
        kept = [(group, group.most_important(width_of(group, share))) for group in groups]
        masked = narrowed(module, [])
        for group, channels in kept:
            assert not group.inexact
            others = sorted({*range(group.size)} - {*channels.tolist()})
            for reader in group.readers:
                weight = getattr(masked.get_submodule(reader.weight.owner), reader.weight.attribute)
                weight.data.movedim(reader.in_axis, 0)[others] = 0.0
        torch.testing.assert_close(run(narrowed(module, kept), fed), run(masked, fed), rtol=1e-4, atol=1e-5)


def test_the_most_important_channels_are_those_whose_loss_is_felt_most() -> None:
    """By brute force: each channel's reader is zeroed, and the change of the output is measured."""
    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv2d(4, 24, 3, 1, 1), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 6, 1)).eval()
    block[0].weight.data *= torch.rand(24, 1, 1, 1) * 3
    fed = torch.randn(8, 4, 6, 6)
    (group,) = groups_of(block, fed)
    felt = torch.zeros(24)
    wanted = run(block, fed)
    for i in range(24):
        without = narrowed(block, [])
        without[3].weight.data[:, i] = 0.0
        felt[i] = (run(without, fed) - wanted).square().sum((1,)).mean()
    torch.testing.assert_close(group.importance, felt, rtol=1e-3, atol=1e-6)
    for n in (1, 8, 13):
        assert group.most_important(n).tolist() == sorted(felt.argsort(descending=True)[:n].tolist())


def test_which_layers_share_channels() -> None:
    (hidden, squeeze) = sorted(groups_of(Inverted(8, 8).eval(), torch.randn(2, 8, 6, 6)), key=lambda g: -g.size)
    assert [w.weight.owner for w in hidden.writers] == ["layers.0", "layers.6.fc2"]
    assert [r.weight.owner for r in hidden.readers] == ["layers.6.fc1", "layers.7"]
    assert (hidden.size, squeeze.size, len(hidden.between)) == (32, 8, 3)
    (group,) = groups_of(ConvNeXtBlock(8).eval(), torch.randn(2, 8, 6, 6))
    assert (group.size, group.writers[0].weight.owner, group.readers[0].weight.owner) == (32, "wide", "narrow")


def test_channels_of_grouped_layers_and_group_norms_are_cut_by_whole_groups() -> None:
    groups = groups_of(Bottleneck(32, 32, 32, groups=4).eval(), torch.randn(2, 32, 8, 8))
    first = next(group for group in groups if group.granule > 1)
    assert first.granule == 8  # four channels of the norm's groups, eight of the convolution's
    kept = first.most_important(16)
    assert kept.reshape(2, 8).diff(dim=1).unique().tolist() == [1]
    smaller = narrowed(Bottleneck(32, 32, 32, groups=4).eval(), [(first, kept)])
    assert (smaller.conv2.groups, smaller.norm1.num_groups, smaller.conv1.out_channels) == (2, 4, 16)


class Shuffled(nn.Module):
    """Channels change places between writer and reader."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 16, 1), nn.Conv2d(16, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(functional.channel_shuffle(self.a(x), 4))


class Mixed(nn.Module):
    """A softmax over channels between writer and reader."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 16, 1), nn.Conv2d(16, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x).softmax(1))


class Fixed(nn.Module):
    """The number of channels stands in the code."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x).reshape(-1, 16).relu())


def test_blocks_whose_channels_cannot_be_told_are_not_narrowed() -> None:
    normed = torch.nn.utils.parametrizations.weight_norm
    hidden = nn.Sequential(normed(nn.Conv2d(4, 16, 3)), nn.ReLU(), normed(nn.Conv2d(16, 4, 3)))
    for module in (Shuffled(), Mixed(), Gate(8, 1), hidden, nn.Conv2d(4, 8, 3), nn.MaxPool2d(2)):
        fed = torch.randn(2, 8 if isinstance(module, Gate) else 4, 8, 8)
        assert sound(module.eval(), groups_of(module, fed), fed) == []
    fed = torch.randn(5, 4)
    assert sound(Fixed(), groups_of(Fixed(), fed), fed) == []


@pytest.mark.parametrize(
    ("size", "granule", "share", "width"),
    [
        (64, 1, 1 / 2, 32),
        (24, 1, 1 / 2, 16),
        (16, 1, 1 / 4, 4),
        (6, 1, 1 / 8, 1),
        (48, 6, 1 / 2, 24),
        (40, 8, 1 / 8, 8),
        (9, 9, 1 / 2, 9),
    ],
)
def test_widths_are_multiples_of_eight_where_that_is_possible(
    size: int, granule: int, share: float, width: int
) -> None:
    assert width_of(Group(size, granule, (), (), (), torch.ones(size), False), share) == width


@pytest.mark.parametrize("torchs", [True, False])
def test_fewer_heads_are_the_original_without_the_others(torchs: bool) -> None:
    torch.manual_seed(1)
    block = Encoder(32, 4, torchs).eval()
    fed = torch.randn(3, 9, 32)
    whole = fewer_heads(block, fed, {"all": 1.0, "half": 0.5, "one": 0.25, "also one": 0.1})
    assert list(whole) == ["half", "one"]
    smaller = whole["half"].attention
    assert isinstance(smaller, SelfAttention)
    assert smaller.num_heads == 2
    out = block.attention.out_proj if torchs else block.attention.proj
    felt = []
    for head in range(4):
        other = narrowed(block, [])
        target = other.attention.out_proj if torchs else other.attention.proj
        target.weight.data.reshape(32, 4, 8)[:, head] = 0.0
        felt.append(run(other, fed))
    rows = [i for i in range(4) if torch.equal(smaller.proj.weight[:, :8], out.weight[:, 8 * i : 8 * i + 8])]
    rows += [i for i in range(4) if torch.equal(smaller.proj.weight[:, 8:], out.weight[:, 8 * i : 8 * i + 8])]
    assert len(rows) == 2
    masked = narrowed(block, [])
    target = masked.attention.out_proj if torchs else masked.attention.proj
    for head in {0, 1, 2, 3} - {*rows}:
        target.weight.data.reshape(32, 4, 8)[:, head] = 0.0
    torch.testing.assert_close(run(whole["half"], fed), run(masked, fed), rtol=1e-4, atol=1e-5)


def test_attention_that_is_not_plain_is_left() -> None:
    class Biased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.num_heads, self.qkv, self.proj = 2, nn.Linear(8, 24), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            q, k, v = self.qkv(x).chunk(3, -1)
            return self.proj((q @ k.transpose(1, 2) + torch.eye(x.shape[1])).softmax(-1) @ v)

    assert fewer_heads(nn.Sequential(Biased()), torch.randn(2, 5, 8), {"1/2": 0.5}) == {}


def test_separable_layers_of_separable_weights_are_equal() -> None:
    layer = nn.Conv2d(4, 6, 3, 2, 1)
    layer.weight.data = torch.einsum("oi,ikl->oikl", torch.randn(6, 4), torch.randn(4, 3, 3))
    fed = torch.randn(2, 4, 9, 9)
    other = separable(layer)
    assert other is not None
    torch.testing.assert_close(run(other, fed), run(layer, fed), rtol=1e-4, atol=1e-5)
    assert separable(nn.Conv2d(4, 4, 3, groups=4)) is None
    assert separable(nn.Conv2d(4, 4, 1)) is None


def test_grouped_layers_of_block_diagonal_weights_are_equal() -> None:
    layer = nn.Conv2d(8, 12, 3, padding=1)
    mask = torch.block_diag(*[torch.ones(3, 2)] * 4)
    layer.weight.data *= mask[:, :, None, None]
    fed, other = torch.randn(2, 8, 5, 5), grouped(4)(layer)
    assert other is not None
    torch.testing.assert_close(run(other, fed), run(layer, fed), rtol=1e-4, atol=1e-5)
    assert grouped(4)(nn.Conv2d(6, 8, 3)) is None


@pytest.mark.parametrize(("kernel", "size"), [(5, 3), (7, 3), (3, 1), (5, 1)])
def test_a_smaller_kernel_is_equal_where_the_picture_is_constant_or_the_edge_is_zero(kernel: int, size: int) -> None:
    layer = nn.Conv2d(3, 4, kernel, 2, kernel // 2)
    other = smaller_kernel(size)(layer)
    assert other is not None
    constant = torch.ones(1, 3, 31, 31) * torch.randn(1, 3, 1, 1)
    inside = run(layer, constant)[:, :, 4:-4, 4:-4], run(other, constant)[:, :, 4:-4, 4:-4]
    torch.testing.assert_close(*inside, rtol=1e-4, atol=1e-5)
    edge = (kernel - size) // 2
    middle = torch.zeros_like(layer.weight)
    middle[:, :, edge:-edge, edge:-edge] = layer.weight[:, :, edge:-edge, edge:-edge].detach()
    layer.weight.data = middle
    other = smaller_kernel(size)(layer)
    assert other is not None
    fed = torch.randn(2, 3, 9, 12)
    torch.testing.assert_close(run(other, fed), run(layer, fed), rtol=1e-4, atol=1e-5)
    assert smaller_kernel(size)(nn.Conv2d(3, 4, kernel)) is None  # without padding the output would be larger
    assert smaller_kernel(size)(nn.Conv2d(3, 4, size)) is None


@pytest.mark.parametrize("by_outputs", [True, False])
@pytest.mark.parametrize("kind", ["conv", "linear"])
def test_two_thin_layers_of_weights_of_low_rank_are_equal(kind: str, by_outputs: bool) -> None:
    layer = nn.Conv2d(16, 32, 3, padding=1) if kind == "conv" else nn.Linear(64, 32)
    flat = layer.weight.data.flatten(1)
    layer.weight.data = (torch.randn(32, 4) @ torch.randn(4, flat.shape[1])).reshape(layer.weight.shape)
    fed = torch.randn(2, 16, 8, 8) if kind == "conv" else torch.randn(100, 64)
    other = low_rank(0.5, run(layer, fed) if by_outputs else None)(layer)
    assert other is not None
    torch.testing.assert_close(run(other, fed), run(layer, fed), rtol=1e-3, atol=1e-3)
    assert sum(p.numel() for p in other.parameters()) <= 0.5 * flat.numel() + 32


def test_rank_from_outputs_is_nearer_than_rank_from_weights() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(32, 32)
    fed = torch.randn(500, 32) * torch.linspace(0.01, 3, 32)
    errors = []
    for output in (run(layer, fed), None):
        other = low_rank(0.25, output)(layer)
        assert other is not None
        errors.append(float((run(other, fed) - run(layer, fed)).square().mean()))
    assert errors[0] < 0.9 * errors[1]


@pytest.mark.parametrize("case", ["same", "strided", "odd", "larger", "tokens", "last"])
def test_a_linear_map_of_a_linear_block_is_equal(case: str) -> None:
    torch.manual_seed(0)
    blocks = {
        "same": (nn.Conv2d(4, 6, 1), (9, 4, 8, 8)),
        "strided": (nn.Conv2d(4, 6, 1, 2), (9, 4, 8, 6)),
        "odd": (nn.Conv2d(4, 6, 1, 2), (9, 4, 9, 7)),
        "larger": (nn.Sequential(nn.Conv2d(4, 6, 1), nn.Upsample(scale_factor=2)), (9, 4, 8, 6)),
        "tokens": (nn.Linear(4, 6), (9, 5, 4)),
        "last": (nn.Linear(4, 6), (9, 7, 7, 4)),
    }
    block, shape = blocks[case]
    fed = torch.randn(shape)
    other = linear_map(fed, run(block, fed))
    assert other is not None
    assert isinstance(other, nn.Linear if case in ("tokens", "last") else Projection)
    torch.testing.assert_close(run(other, fed), run(block, fed), rtol=1e-2, atol=1e-2)
    more = torch.randn(shape)
    torch.testing.assert_close(run(other, more), run(block, more), rtol=1e-2, atol=1e-2)


def test_there_is_no_linear_map_between_shapes_without_common_positions() -> None:
    assert linear_map(torch.randn(4, 3, 8, 8), torch.randn(4, 5, 5, 5)) is None
    assert linear_map(torch.randn(4, 3, 8, 8), torch.randn(4, 5)) is None
    assert linear_map(torch.randn(4, 5000), torch.randn(4, 3)) is None


def test_a_residual_stage_narrows_in_a_sequence_of_convolutions() -> None:
    block = nn.Sequential(conv(8, 16), conv(16, 16), nn.Conv2d(16, 4, 1)).eval()
    groups = groups_of(block, torch.randn(2, 8, 6, 6))
    assert [(g.writers[0].weight.owner, g.readers[0].weight.owner) for g in groups] == [("0.0", "1.0"), ("1.0", "2")]
