"""What does a teacher say of every shape of a set? Its view descriptors, or the class that it names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from tqdm import tqdm

from pointmcd.evaluation.accuracy import BATCH
from pointmcd.networks.teachers.classification import ClassificationTeacher


@torch.inference_mode()
def teacher_features(
    teacher: ClassificationTeacher, images: UInt8[np.ndarray, "S V H W"]
) -> Float[np.ndarray, "S V T"]:
    """Compute every view descriptor `v_k` once, as float16, with a progress bar."""
    return _read_all(teacher, images, lambda output: output.view_features.half())


def teacher_predict(teacher: ClassificationTeacher, images: UInt8[np.ndarray, "S V H W"]) -> Int[np.ndarray, " S"]:
    """Name every shape from all its views."""
    return _read_all(teacher, images, lambda output: output.logits.argmax(dim=1))


@torch.inference_mode()
def _read_all(
    teacher: ClassificationTeacher, images: UInt8[np.ndarray, "S V H W"], pick: Callable[..., Tensor]
) -> np.ndarray:
    device = next(teacher.parameters()).device
    teacher.eval()
    parts = []
    for start in tqdm(range(0, len(images), BATCH), desc="teacher", leave=False, disable=None):
        batch = torch.from_numpy(np.array(images[start : start + BATCH])).to(device).float() / 255
        parts.append(pick(teacher(batch[:, :, None].expand(-1, -1, 3, -1, -1))).cpu().numpy())
    return np.concatenate(parts)
