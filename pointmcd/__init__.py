"""PointMCD: multi-view cross-modal distillation for 3D shape recognition (Zhang, Hou, Qian; IEEE TMM 2023).

The public names load on first use, so that `import pointmcd` is instant and the process that parses a user's file
never pays for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointmcd.analysis.analyze import analyze
    from pointmcd.networks.encoders import create_encoder
    from pointmcd.shapes.load import load_shape
    from pointmcd.weights.models import load_models

__version__ = "0.1.0"
__all__ = ["analyze", "create_encoder", "load_models", "load_shape"]

_HOMES = {
    "analyze": "pointmcd.analysis.analyze",
    "load_models": "pointmcd.weights.models",
    "create_encoder": "pointmcd.networks.encoders",
    "load_shape": "pointmcd.shapes.load",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    try:
        return import_module(f"pointmcd.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"pointmcd.{name}":  # the module is there; something that it needs is not
            raise
        raise AttributeError(f"module 'pointmcd' has no attribute {name!r}") from None
