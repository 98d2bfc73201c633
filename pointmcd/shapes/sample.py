"""Which points stand for a shape? A seeded, even sample, centred and scaled."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int, UInt8

from pointmcd.choices import POINTS
from pointmcd.records import PointCloud, Shape, ShapeError
from pointmcd.shapes.load import check_shape, doubts_about
from pointmcd.shapes.reading.wording import counted


def sample_points(shape: Shape, *, count: int = POINTS, seed: int = 0) -> PointCloud:
    """Draw the points that the networks read, and normalise them as ModelNet40's are.

    A mesh is sampled uniformly by area, a point set is thinned at random; then the mean of the points goes to the
    origin and the farthest point to distance 1.

    Args:
        shape: From `load_shape`, or made by hand: finite, at least two distinct points.
        count: Points to draw. A smaller point set gives all it has.
        seed: The same seed draws the same points.

    Returns:
        The cloud; `to_world` leads back to the frame of `shape.vertices`.

    Raises:
        ShapeError: Fewer than three points asked for, a shape without extent, or one that was made by hand and does
            not fit together.
    """
    if count < 3:
        raise ShapeError(f"{shape.name}: {counted(count, 'point')} asked for, a cloud needs at least 3.")
    check_shape(shape)
    generator = np.random.default_rng(seed)
    middle = shape.vertices.mean(axis=0, dtype=np.float64)
    notes = list(shape.notes)
    # Subtract the middle first, so that large coordinates cost no digits.
    if shape.faces is not None:
        vertices = shape.vertices.astype(np.float64) - middle
        points, colors = _sample_surface(vertices, shape.faces, shape.colors, count, generator)
        notes.append(f"Sampled {counted(count, 'point')} on the surface of {counted(len(shape.faces), 'triangle')}.")
    else:
        total = len(shape.vertices)
        chosen = np.arange(total) if total <= count else generator.choice(total, count, replace=False)
        points = shape.vertices[chosen].astype(np.float64) - middle
        colors = None if shape.colors is None else shape.colors[chosen]
        if total > count:
            notes.append(f"Kept {count:,} of {total:,} points.")
        elif total < count:
            notes.append(f"The file has {counted(total, 'point')}, fewer than {count:,}: all are used.")
    center = points.mean(axis=0)
    points = points - center
    radius = math.sqrt(float(np.einsum("nc,nc->n", points, points).max()))
    if not radius > 0 or not math.isfinite(radius):
        raise ShapeError(f"{shape.name}: the points have no extent: a shape needs at least 3 distinct points.")
    notes = [*doubts_about(points / radius), *notes]  # first what matters most
    to_world = np.diag([radius, radius, radius, 1.0])
    to_world[:3, 3] = middle + center
    return PointCloud(
        points=(points / radius).astype(np.float32),
        to_world=to_world,
        colors=colors,
        mesh_vertices=None if shape.faces is None else ((vertices - center) / radius).astype(np.float32),
        mesh_faces=shape.faces,
        notes=tuple(notes),
    )


def _sample_surface(
    vertices: Float[np.ndarray, "S 3"],
    faces: Int[np.ndarray, "F 3"],
    colors: UInt8[np.ndarray, "S 3"] | None,
    count: int,
    generator: np.random.Generator,
) -> tuple[Float[np.ndarray, "N 3"], UInt8[np.ndarray, "N 3"] | None]:
    """Draw points uniformly by area; colours are interpolated between the corners."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.cumsum(np.sqrt(np.einsum("fc,fc->f", normals, normals)))
    if not areas[-1] > 0:
        return vertices[:1], None if colors is None else colors[:1]
    chosen = np.searchsorted(areas, generator.random(count) * areas[-1], side="right")
    root, share = np.sqrt(generator.random(count)), generator.random(count)
    weights = np.stack([1 - root, root * (1 - share), root * share], axis=1)  # uniform in the triangle
    points = np.einsum("nk,nkc->nc", weights, corners[chosen])
    if colors is None:
        return points, None
    mixed = np.einsum("nk,nkc->nc", weights, colors[faces[chosen]].astype(np.float64))
    return points, np.round(mixed).astype(np.uint8)
