"""Can our Triton kernels run on this tensor? Without a GPU or without triton, plain torch does the same work."""

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


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None
