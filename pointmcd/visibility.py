"""Which points does each camera see? Ray casting, hidden point removal and a z-buffer behind one function."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import ConvexHull, QhullError

# R = largest distance to the camera x 10^1.5: best IoU against ray casting at 1,024 points (docs/method.md).
HPR_RADIUS_FACTOR = 10**1.5


def hidden_point_removal(
    points: Float[np.ndarray, "N 3"],
    centers: Float[np.ndarray, "V 3"],
    *,
    radius_factor: float = HPR_RADIUS_FACTOR,
) -> Bool[np.ndarray, "V N"]:
    """Find the points seen from each centre by spherical flipping and a convex hull (Katz, Tal, Basri 2007).

    Args:
        points: Finite points; the centres lie outside their hull.
        centers: Camera positions.
        radius_factor: R as a multiple of the largest distance from the camera to a point; at least 1.

    Raises:
        ValueError: A point or centre is not finite, or R would be too small.
    """
    if not (np.isfinite(points).all() and np.isfinite(centers).all()):
        raise ValueError("Hidden point removal needs finite points and cameras.")
    if not radius_factor >= 1:
        raise ValueError(f"The flipping radius must reach every point: a factor of at least 1, not {radius_factor:g}.")
    return np.stack([_seen_from(points - center, radius_factor) for center in centers.astype(np.float64)])


def _seen_from(offsets: Float[np.ndarray, "N 3"], radius_factor: float) -> Bool[np.ndarray, " N"]:
    distance = np.maximum(np.linalg.norm(offsets, axis=1, keepdims=True), 1e-12)
    flipped = offsets + 2 * (radius_factor * distance.max() - distance) * offsets / distance
    hull_input = np.concatenate([flipped, np.zeros((1, 3))])
    try:
        corners = ConvexHull(hull_input).vertices
    except QhullError:
        # Fewer than three directions span no volume: joggling lets every direction be a corner.
        corners = ConvexHull(hull_input, qhull_options="QJ").vertices
    seen = np.zeros(len(offsets) + 1, dtype=bool)
    seen[corners] = True
    return seen[:-1]
