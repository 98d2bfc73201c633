"""What is different on a GPU? Whether our Triton kernels run, how do small tensors get there, and when is it done."""

from __future__ import annotations

import functools
import importlib.util
import warnings

import torch
from torch import Tensor

# The oldest generation that the kernels are compiled for in the tests.
OLDEST = (8, 0)


def runs_kernels(tensor: Tensor) -> bool:
    """Tell whether our kernels run where this tensor lies; elsewhere plain torch does the same work."""
    return tensor.is_cuda and _kernels_compile()


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # torch leaves it untyped
def _kernels_compile() -> bool:
    """Ask once; a compiled graph takes the answer without looking into the trial."""
    return _try_triton()


@functools.cache
def _try_triton() -> bool:
    """Try Triton once: it needs its package, GPUs that are new enough, and a C compiler with Python's headers."""
    if importlib.util.find_spec("triton") is None or torch.version.cuda is None:
        return False
    if any(torch.cuda.get_device_capability(device) < OLDEST for device in range(torch.cuda.device_count())):
        return False
    try:
        from triton.runtime import driver

        driver.active.get_current_target()  # compiles the launcher that every kernel needs
    except Exception as error:  # noqa: BLE001  # compilers and drivers raise anything; plain torch works without Triton
        reason = str(error).strip().partition("\n")[0]
        warnings.warn(f"Triton cannot compile here, so plain torch is used on the GPU, slower: {reason}", stacklevel=2)
        return False
    return True


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done all that it was given: a clock that is read earlier shows how fast it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Bring what the CPU drew at random to the device; a GPU keeps working meanwhile.

    Pinned first: from pageable memory torch would wait for all of the GPU's work. (A view
    whose elements share memory cannot be.)
    """
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.contiguous().pin_memory().to(device, non_blocking=True)
