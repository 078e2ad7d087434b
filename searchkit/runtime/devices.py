"""Names of devices -> available devices; errors that mean a device is lost; memory formats."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from searchkit.errors import DeviceError, DeviceGoneError, first_line_said, message_of, nearest
from searchkit.runtime.torch_compat import has_amx

# Phrases in CUDA and ROCm errors after which a process can no longer use the device; running out of memory is not one.
_LOST = (
    "device-side assert",
    "unspecified launch failure",
    "illegal memory access",
    "illegal instruction",
    "misaligned address",
    "invalid program counter",
    "hardware stack error",
    "address space",
    "launch timed out",
    "context is destroyed",
    "uncorrectable",
    "no cuda-capable device",
    "no rocm-capable device",
    "device is lost",
    "gpu is lost",
    "fallen off the bus",
    "driver shutting down",
    "unknown error",
)
_TAKEN = ("busy or unavailable", "already in use by a different")


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """ "auto" (the first GPU, else the CPU), "cpu", "cuda" or "cuda:1" -> an available device, or DeviceError."""
    given = str(name).strip().lower()
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if given == "auto":
        return torch.device("cuda", 0) if n_gpus else torch.device("cpu")
    if given == "cpu":
        return torch.device("cpu")
    allowed = ["auto", "cpu", *(["cuda"] if n_gpus else []), *(f"cuda:{i}" for i in range(n_gpus))]
    cuda = re.fullmatch(r"cuda(?::(\d+))?", given)
    if cuda is None:
        near = nearest(given, ["auto", "cpu", "cuda"])
        hint = f" Did you mean '{near}'?" if near else ""
        raise DeviceError(f"unknown device {name!r}: choose from {', '.join(allowed)}.{hint}")
    index = int(cuda[1] or 0)
    if index >= n_gpus:
        raise DeviceError(
            f"device {str(name)!r} is not there: this machine shows {n_gpus} GPU{'s' * (n_gpus != 1)}"
            f"{_why_so_few(n_gpus)}; choose from {', '.join(allowed)}, where 'auto' takes a GPU if there is one"
        )
    return torch.device("cuda", index)


def devices_of(name: str, external: bool) -> tuple[str, str]:
    """The device of this process and that of the trainings, which differ where other machines train on their cards.

    Args:
        name: as in :func:`resolve_device`.
        external: whether an executor trains on other machines, which may have cards even if this one has none.

    Raises:
        DeviceError: as in :func:`resolve_device`.
    """
    if external and str(name).strip().lower() == "cuda" and not torch.cuda.is_available():
        return "cpu", "cuda"
    here = str(resolve_device(name))
    return here, here


def _why_so_few(n_gpus: int) -> str:
    """Why no more cards are visible, as far as torch and the environment tell; for an error message."""
    if not (torch.version.cuda or torch.version.hip):
        return ", and this torch is built for CPUs only (pytorch.org has builds for GPUs)"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return f" with CUDA_VISIBLE_DEVICES={visible!r}"
    return "" if n_gpus else ", though this torch is built for them: does nvidia-smi find the card and its driver"


def is_device_lost(error: BaseException) -> bool:
    """Whether an error, or one that led to it, means that this process can no longer use the device.

    This is so after a card broke down or was removed, and also after a kernel failed (a label out of range is enough):
    CUDA then refuses all further work in the process, for any candidate.
    """
    return _says(error, _LOST)


def is_device_taken(error: BaseException) -> bool:
    """Whether an error, or one that led to it, means that another process has exclusive use of the device."""
    return _says(error, _TAKEN)


def memory_format(device: torch.device) -> torch.memory_format:
    """Memory format of networks, images and feature maps of rank 4 on a device: channels last where that is safe.

    Channels last is faster on a card; on a CPU with AVX-512, trainings are 10 to 20 % faster and proxies a third.
    """
    safe = device.type == "cuda" or channels_last_is_safe()  # the meta device is treated like the CPU
    return torch.channels_last if safe else torch.contiguous_format


def format_of(network: nn.Module, device: torch.device) -> torch.memory_format:
    """The :func:`memory_format` of a network on a device; contiguous where it has 3-D convolutions.

    Torch refuses to put their weights, of rank 5, in channels last of rank 4, and with them all others.
    """
    tensors = itertools.chain(network.parameters(), network.buffers())
    return torch.contiguous_format if any(tensor.ndim == 5 for tensor in tensors) else memory_format(device)


def channels_last_is_safe() -> bool:
    """Whether this process may convolve tensors in channels-last format on the CPU: only where torch uses AVX-512.

    Without AVX-512, torch 2.13 and 2.14 write beyond their buffers in the backward pass of a 1x1 convolution of stride
    2 with 2 to 7 input channels, and the process crashes; ``ONEDNN_MAX_CPU_ISA=AVX2`` reproduces it on any x86 CPU.
    With AVX-512, that case and 9,300 convolutions of other kernels, strides and sizes passed glibc's malloc checks.
    """
    return "AVX512" in torch.backends.cpu.get_cpu_capability() and _onednn_may_use("AVX512|AVX10")


def bfloat16_is_quicker(device: torch.device) -> bool:
    """Whether networks of images are trained quicker in bfloat16 on a device: on a card, and on a CPU with AMX.

    Measured for residual networks of widths 8 to 32 in channels last on one core, against float32: 1.04 to 2.6 times as
    quick with AMX, 0.75 to 0.95 with bfloat16 instructions alone, 0.3 to 0.7 with AVX-512 without these.
    """
    return device.type == "cuda" or (device.type == "cpu" and has_amx() and _onednn_may_use("AMX"))


def _onednn_may_use(instructions: str) -> bool:
    """Whether the environment lets oneDNN, which convolves on CPUs, use instruction sets, given as a pattern."""
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "ALL"
    return re.search(f"{instructions}|ALL|DEFAULT", allowed.upper()) is not None


def placed(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on a device; a tensor of rank 4 is also put in the device's memory format."""
    x = x.to(device)
    if x.ndim != 4:
        return x
    if memory_format(device) is torch.channels_last:
        return x.contiguous(memory_format=torch.channels_last)
    _, c, h, w = x.shape
    if x.stride() == (c * h * w, h * w, w, 1):
        return x
    return x.clone(memory_format=torch.contiguous_format)  # contiguous() keeps strides that fit both formats


@contextmanager
def device_errors(device: torch.device) -> Iterator[None]:
    """Turn an error raised inside because the device is gone into a DeviceGoneError; other errors pass unchanged.

    Raises:
        DeviceGoneError: the device is lost, or another process has exclusive use of it.
    """
    try:
        yield
    except DeviceGoneError:
        raise
    except Exception as error:
        if device.type == "cpu":
            raise
        if is_device_taken(error):
            raise DeviceGoneError(
                f"device '{device}' is in exclusive compute mode and another process has it ({_said(error)}): "
                "share it ('nvidia-smi -c DEFAULT'), or use one process (executor=None or 'interleaved'); the record "
                "is intact"
            ) from error
        if is_device_lost(error):
            raise DeviceGoneError(
                f"device '{device}' is lost to this process ({_said(error)}); the record is intact, and the same "
                "call continues in a new process or on another device"
            ) from error
        raise


def _says(error: BaseException, phrases: tuple[str, ...]) -> bool:
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        text = _without_advice(message_of(link).lower())
        from_device = "cuda error" in text or "hip error" in text or isinstance(link, _accelerator_error())
        if from_device and any(phrase in text for phrase in phrases):
            return True
        link = link.__cause__ or link.__context__
    return False


def _without_advice(text: str) -> str:
    """What an error says, without the lines that torch adds to every CUDA error: they speak of device-side asserts."""
    return "\n".join(line for line in text.splitlines() if "torch_use_cuda_dsa" not in line)


def _accelerator_error() -> tuple[type[BaseException], ...]:
    """torch's exception class for device errors, from torch 2.8 on; older versions raise RuntimeError."""
    kind = getattr(torch, "AcceleratorError", None)
    return () if kind is None else (kind,)


def _said(error: BaseException) -> str:
    return first_line_said(error) or type(error).__name__
