"""Are our kernels used only where they can be compiled, and does everything go on where they cannot?"""

from __future__ import annotations

import sys
import types
import warnings

import pytest
import torch

from pointmcd.kernels import device as gpu


def pretend(monkeypatch: pytest.MonkeyPatch, *, triton: bool, capability: tuple[int, int], error: str = "") -> None:
    """Stand a GPU, and Triton's driver for it, in the place of those that are not there."""

    def current_target() -> None:
        if error:
            raise RuntimeError(error)

    driver = types.SimpleNamespace(active=types.SimpleNamespace(get_current_target=current_target))
    monkeypatch.setitem(sys.modules, "triton.runtime", types.SimpleNamespace(driver=driver))
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: object() if triton else None)
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0) if device == 0 else capability)


def kernels_compile() -> bool:
    return gpu._try_triton.__wrapped__()


def test_kernels_run_where_triton_a_compiler_and_new_gpus_are(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, triton=True, capability=(8, 0))
    assert kernels_compile()


def test_without_triton_no_kernel_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, triton=False, capability=(9, 0))
    assert not kernels_compile()


def test_one_gpu_older_than_the_kernels_is_enough_to_leave_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, triton=True, capability=(7, 5))
    assert not kernels_compile()


def test_a_missing_compiler_is_named_and_plain_torch_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, triton=True, capability=(9, 0), error="Failed to find C compiler.\nmore")
    with pytest.warns(UserWarning, match=r"plain torch is used on the GPU, slower: Failed to find C compiler\.$"):
        assert not kernels_compile()


def test_a_tensor_on_the_cpu_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_kernels_compile", lambda: pytest.fail("asked"))
    assert not gpu.runs_kernels(torch.zeros(1))


def test_a_compiled_graph_does_not_look_into_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, triton=True, capability=(9, 0), error="no compiler")
    gpu._try_triton.cache_clear()
    compiled = torch.compile(lambda x: x + 1 if gpu._kernels_compile() else x - 1, backend="eager", fullgraph=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert compiled(torch.zeros(1)).item() == -1
    gpu._try_triton.cache_clear()


def test_an_upload_pins_a_tensor_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch refuses to pin a view whose elements share memory, such as one list of views for all shapes."""
    pinned: list[torch.Tensor] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        assert tensor.is_contiguous()
        pinned.append(tensor)
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device, *, non_blocking: tensor if non_blocking else None)
    assert gpu.upload(torch.arange(12).expand(3, -1), torch.device("cuda")) is pinned[0]
    assert pinned[0].tolist() == [list(range(12))] * 3


def test_on_a_cpu_there_is_nothing_to_upload() -> None:
    drawn = torch.rand(3)
    assert gpu.upload(drawn, torch.device("cpu")) is drawn
