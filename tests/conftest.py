"""What do several test files share? Small networks with random weights, and tiny data sets in ModelNet40's layout."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

# Without a GPU, our kernels are tested in Triton's interpreter, which must be chosen before triton is imported.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

if TYPE_CHECKING:
    from pointmcd.weights.models import Models


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder as training leaves it: teacher, PointNet distilled and plain, all with random weights."""
    from pointmcd.weights.manifest import build_network, save_weights

    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for role, network, settings in (
            ("teacher", "slim_resnet18", {"kind": "teacher", "backbone": "slim_resnet18", "input_size": 96}),
            ("distilled", "pointnet", {"kind": "student", "encoder": "pointnet", "isolate_views": False}),
            ("plain", "pointnet", {"kind": "student", "encoder": "pointnet", "isolate_views": True}),
        ):
            save_weights(
                build_network(settings), folder, network=network, role=role, settings=settings, training={}, metrics={},
                licence="none",
            )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def random_models(random_weights: Path) -> Models:
    from pointmcd.weights.models import load_models

    return load_models(folder=random_weights, device="cpu")


def write_point_set(path: Path, *, per_class: int, points: int = 96, seed: int = 0, classes: int = 2) -> Path:
    """Write boxes, rods and plates as a labelled .npz; as easy to tell apart as three shapes can be."""
    rng = np.random.default_rng(seed)
    extents = np.array([[1, 1, 1], [0.1, 0.1, 1], [1, 1, 0.05]])[:classes]
    clouds, labels = [], []
    for label, extent in enumerate(extents):
        for _ in range(per_class):
            cloud = rng.uniform(-1, 1, (points, 3)) * extent * rng.uniform(0.8, 1.2, 3)
            cloud -= cloud.mean(axis=0)
            clouds.append(cloud / np.linalg.norm(cloud, axis=1).max())
            labels.append(label)
    names = np.array(["box", "rod", "plate"][:classes])
    np.savez(path, points=np.array(clouds, dtype=np.float32), labels=np.array(labels), class_names=names)
    return path
