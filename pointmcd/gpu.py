"""What is different on a GPU? Whether our Triton kernels run, and how small tensors get there without a wait."""

from __future__ import annotations

import functools
import importlib.util

import torch
from torch import Tensor


def runs_kernels(tensor: Tensor) -> bool:
    """Tell whether a tensor lies on a GPU whose kernels can be compiled now.

    `torch.compile` traces the plain form: it makes kernels of its own.
    """
    return tensor.is_cuda and _has_triton() and not torch.compiler.is_compiling()


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Bring what the CPU drew at random to the device; a GPU goes on with its work meanwhile.

    torch waits for all of a GPU's work before it reads memory that the system may move: so it is pinned first.
    """
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None
