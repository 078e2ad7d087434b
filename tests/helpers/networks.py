"""Small networks of the usual families, with weights and statistics as if they had been trained."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

SHAPE = (3, 16, 16)
CLASSES = 5


def conv(n_in: int, n_out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()
    )


class Basic(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.down: nn.Module | None = None
        if stride > 1 or n_in != n_out:
            self.down = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.down is None else self.down(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    def __init__(self, n_in: int, inner: int, n_out: int, groups: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, inner, 1)
        self.norm1 = nn.GroupNorm(8, inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=groups)
        self.norm2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, n_out, 1)
        self.short = nn.Conv2d(n_in, n_out, 1, stride) if n_in != n_out or stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = functional.relu(self.norm1(self.conv1(x)))
        out = functional.relu(self.norm2(self.conv2(out)))
        return torch.relu(torch.add(self.conv3(out), self.short(x)))


class Gate(nn.Module):
    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc2(functional.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class Swish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class Inverted(nn.Module):
    def __init__(
        self, n_in: int, n_out: int, stride: int = 1, kernel: int = 3, act: type[nn.Module] = nn.ReLU6
    ) -> None:
        super().__init__()
        inner = 4 * n_in
        self.layers = nn.Sequential(
            nn.Conv2d(n_in, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            act(),
            nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            act(),
            Gate(inner, inner // 4),
            nn.Conv2d(inner, n_out, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.residual = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.num_heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.num_heads, width // self.num_heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (width // self.num_heads) ** -0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(n, tokens, width))


class Encoder(nn.Module):
    def __init__(self, width: int, heads: int, torchs: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.torchs = torchs
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True) if torchs else Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + (self.attention(y, y, y, need_weights=False)[0] if self.torchs else self.attention(y))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 17, width))
        self.layers = nn.Sequential(*(Encoder(width, heads, torchs=i % 2 == 0) for i in range(6)))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1) + self.places
        return self.head(self.layers(tokens)[:, 0])


class ConvNeXtBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, 1, 3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        out = self.gamma * self.narrow(functional.gelu(self.wide(out)))
        return x + out.permute(0, 3, 1, 2)


class UNet(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.enter = nn.Sequential(conv(3, width), conv(width, width))
        self.down1 = nn.Sequential(conv(width, 2 * width), conv(2 * width, 2 * width))
        self.down2 = nn.Sequential(conv(2 * width, 4 * width), conv(4 * width, 4 * width))
        self.up1 = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2)
        self.join1 = nn.Sequential(conv(4 * width, 2 * width), conv(2 * width, 2 * width))
        self.up2 = nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.join2 = nn.Sequential(conv(2 * width, width), conv(width, width))
        self.leave = nn.Conv2d(width, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.enter(x)
        b = self.down1(functional.max_pool2d(a, 2))
        c = self.down2(functional.max_pool2d(b, 2))
        d = self.join1(torch.cat([b, self.up1(c)], 1))
        return self.leave(self.join2(torch.cat((a, self.up2(d)), 1)))


class DenseLayer(nn.Module):
    def __init__(self, n_in: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(n_in), nn.Conv2d(n_in, 2 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * growth)
        self.conv2 = nn.Conv2d(2 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(functional.relu(self.norm2(self.conv1(functional.relu(self.norm1(x))))))


class DenseBlock(nn.Module):
    def __init__(self, n_in: int, growth: int, n: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DenseLayer(n_in + i * growth, growth) for i in range(n))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class Twice(nn.Module):
    """One block is called twice; two others share their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 16)
        self.block = Basic(16, 16)
        self.first, self.second = Basic(16, 32, 2), Basic(32, 32)
        self.tied = nn.Conv2d(32, 32, 3, 1, 1), nn.Conv2d(32, 32, 3, 1, 1)
        self.one, self.other = self.tied
        self.other.weight = self.one.weight
        self.last = Basic(32, 32)
        self.head = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(self.block(self.stem(x)))
        x = self.last(self.other(self.one(self.second(self.first(x)))))
        return self.head(x.mean((2, 3)))


class Untraceable(nn.Module):
    """Its forward reads values, loops over what it reads, and takes a list."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 16)
        self.blocks = nn.ModuleDict({f"b{i}": Basic(16, 16) for i in range(4)})
        self.widen = conv(16, 32, 3, 2)
        self.join = Merge(32)
        self.head = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        times = 4 if float(x.abs().sum()) >= 0 else 0
        for i in range(times):
            x = self.blocks[f"b{i}"](x)
        x = self.widen(x)
        x = self.join([x, x * 2])
        return self.head(x.mean((2, 3)))


class Merge(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = conv(2 * width, width, 1)

    def forward(self, xs: list[Tensor]) -> Tensor:
        return self.mix(torch.cat(xs, 1))


def pooled(width: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES)]


def _vgg() -> nn.Module:
    plan = [conv(3, 16), conv(16, 16), nn.MaxPool2d(2), conv(16, 32), conv(32, 32), nn.MaxPool2d(2), conv(32, 64)]
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(64 * 16, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, CLASSES))
    return nn.Sequential(nn.Sequential(*plan), classifier)


FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "resnet": lambda: nn.Sequential(
        conv(3, 16),
        nn.Sequential(Basic(16, 16), Basic(16, 16)),
        nn.Sequential(Basic(16, 32, 2), Basic(32, 32)),
        *pooled(32),
    ),
    "bottleneck": lambda: nn.Sequential(
        conv(3, 32), Bottleneck(32, 16, 32), Bottleneck(32, 32, 64, 4, 2), Bottleneck(64, 32, 64, 4), *pooled(64)
    ),
    "mobilenet": lambda: nn.Sequential(
        conv(3, 8), Inverted(8, 16), Inverted(16, 16), Inverted(16, 24, 2), Inverted(24, 24), *pooled(24)
    ),
    "efficientnet": lambda: nn.Sequential(
        conv(3, 8),
        nn.Sequential(Inverted(8, 16, 1, 3, Swish)),
        nn.Sequential(Inverted(16, 24, 2, 5, Swish), Inverted(24, 24, 1, 5, Swish)),
        nn.Sequential(Inverted(24, 32, 2, 3, Swish)),
        *pooled(32),
    ),
    "vgg": _vgg,
    "vit": ViT,
    "convnext": lambda: nn.Sequential(
        nn.Conv2d(3, 16, 2, 2),
        ConvNeXtBlock(16),
        ConvNeXtBlock(16),
        nn.Conv2d(16, 32, 2, 2),
        ConvNeXtBlock(32),
        ConvNeXtBlock(32),
        *pooled(32),
    ),
    "unet": UNet,
    "densenet": lambda: nn.Sequential(
        conv(3, 16),
        DenseBlock(16, 8, 4),
        nn.Sequential(conv(48, 24, 1), nn.AvgPool2d(2)),
        DenseBlock(24, 8, 4),
        *pooled(56),
    ),
    "twice": Twice,
    "untraceable": Untraceable,
}


def network(family: str, seed: int = 0) -> nn.Module:
    """A network of a family, in training mode as a new module is; norms have statistics and weights of their own."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = FAMILIES[family]()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm):
            module.weight.data = 0.5 + torch.rand(module.weight.shape, generator=generator)
            module.bias.data = 0.3 * torch.randn(module.bias.shape, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = 0.2 * torch.randn(module.weight.shape, generator=generator)
            module.running_var = 0.5 + torch.rand(module.weight.shape, generator=generator)
    return made


def pictures(n: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed))
