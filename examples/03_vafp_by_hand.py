"""What is visibility-aware feature projection, written out? `python examples/03_vafp_by_hand.py [FILE]`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import pointmcd
from pointmcd.projection import view_pool


def pool_by_hand(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """For each view, the largest value of each channel among the points that it sees; Eq. 5 in four lines."""
    pooled = np.zeros((len(mask), features.shape[1]), dtype=features.dtype)
    for view, seen in enumerate(mask):
        if seen.any():  # a view that sees nothing keeps its zeros
            pooled[view] = features[seen].max(axis=0)
    return pooled


def pool_by_multiplying(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The released code's way: hidden points become 0 and take part in the maximum."""
    return np.stack([(features * seen[:, None]).max(axis=0) for seen in mask])


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else HERE / "shapes" / "chair.off"
    models = pointmcd.load_models(device="cpu")
    name = models.student_names[0]
    student = models.students[name]
    analysis = pointmcd.analyze(pointmcd.load_shape(path), models, student=name)
    mask = analysis.visibility.mask
    with torch.inference_mode():
        features = student.encoder(torch.from_numpy(analysis.cloud.points)[None]).values[0].numpy()
    print(f"{name} gives {features.shape[0]:,} points {features.shape[1]:,} channels each; {len(mask)} views look on.")

    pooled = pool_by_hand(features, mask)
    library = view_pool(torch.from_numpy(features)[None], torch.from_numpy(mask)[None])[0].numpy()
    print(f"By hand and by the library: largest difference {np.abs(pooled - library).max():.1e}.")

    with torch.inference_mode():
        descriptors = student.alignment(torch.from_numpy(pooled)).numpy()
    given = analysis.student.prediction.view_features
    print(f"g_k = h_align(pooled): largest difference to the analysis {np.abs(descriptors - given).max():.1e}.")
    taught = analysis.teacher.view_features
    lengths = np.linalg.norm(descriptors, axis=1) * np.linalg.norm(taught, axis=1)
    cosine = (descriptors * taught).sum(axis=1) / np.maximum(lengths, 1e-12)
    print(f"Cosine of each g_k with the teacher's v_k: {', '.join(f'{value:.2f}' for value in cosine)}.")

    print("\nWhy not multiply by the mask?")
    for title, values in (
        ("as they are, after a ReLU", features),
        ("minus their mean, so signed", features - features.mean()),
    ):
        wrong = (pool_by_multiplying(values, mask) != pool_by_hand(values, mask)).mean()
        print(f"  features {title:27}: {wrong:6.1%} of the pooled values are wrong")

    winners = analysis.student.winners
    count = len(np.unique(winners[winners >= 0]))
    print(f"\n{count} of {len(features):,} points win a channel in some view: the descriptors are made of these alone.")


if __name__ == "__main__":
    main()
