"""Which closed triangle meshes are the synthetic shapes built from?

Every function returns one `Solid`: closed, wound outwards (the sign of its volume decides), in metres, Z up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

# `int | float`: the test run checks annotations literally, and does not accept an int as a float.
Number = int | float
Point = Sequence[Number] | np.ndarray
Axis = Literal["x", "y", "z"]
_AXES: dict[Axis, int] = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True, eq=False)
class Solid:
    """A closed mesh; one part of a shape is one solid or several.

    Attributes:
        vertices: Corners, in metres.
        faces: Triangles, counter-clockwise seen from outside.
    """

    vertices: Float[np.ndarray, "S 3"]
    faces: Int[np.ndarray, "F 3"]

    def moved(self, x: Number = 0.0, y: Number = 0.0, z: Number = 0.0) -> Solid:
        """Shift by metres."""
        return Solid(self.vertices + np.array([x, y, z]), self.faces)

    def scaled(self, x: Number, y: Number, z: Number) -> Solid:
        """Stretch each axis about the origin; negative factors mirror and keep the winding outward."""
        return _outward(self.vertices * np.array([x, y, z]), self.faces)

    def turned(self, degrees: Number, *, about: Axis = "z", center: Point = (0.0, 0.0, 0.0)) -> Solid:
        """Rotate right-handed about an axis through `center`."""
        i = _AXES[about]
        j, k = (i + 1) % 3, (i + 2) % 3
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        rotation = np.eye(3)
        rotation[j, j], rotation[j, k], rotation[k, j], rotation[k, k] = cosine, -sine, sine, cosine
        pivot = np.asarray(center, dtype=float)
        return Solid((self.vertices - pivot) @ rotation.T + pivot, self.faces)


def signed_volume(vertices: Float[np.ndarray, "S 3"], faces: Int[np.ndarray, "F 3"]) -> float:
    """Compute the volume in cubic metres; negative when the triangles are wound inwards."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6.0)


def _outward(vertices: Float[np.ndarray, "S 3"], faces: Int[np.ndarray, "F 3"]) -> Solid:
    """Flip all triangles of a consistently wound mesh if its volume comes out negative."""
    centered = vertices - vertices.mean(axis=0)
    return Solid(vertices, faces[:, ::-1].copy() if signed_volume(centered, faces) < 0 else faces)


def box(low: Point, high: Point) -> Solid:
    """Fill the axis-aligned box between two opposite corners."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    return frustum((x0, y0, x1, y1), (x0, y0, x1, y1), z0, z1)


def frustum(bottom: Point, top: Point, z0: Number, z1: Number) -> Solid:
    """Join two horizontal rectangles `(x0, y0, x1, y1)` at heights `z0` and `z1`: a tapered or leaning box."""
    rings = [[(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)] for (x0, y0, x1, y1), z in ((bottom, z0), (top, z1))]
    lower, upper = 0, 4
    faces = [(lower, lower + 2, lower + 1), (lower, lower + 3, lower + 2)]
    faces += [(upper, upper + 1, upper + 2), (upper, upper + 2, upper + 3)]
    return _outward(np.array(rings, dtype=float).reshape(-1, 3), np.array(faces + _strip(4, [lower, upper])))


def _strip(count: int, starts: Sequence[int]) -> list[tuple[int, int, int]]:
    """Join consecutive rings of `count` vertices, whose first indices are `starts`, by two triangles per quad."""
    faces = []
    for lower, upper in pairwise(starts):
        for i in range(count):
            j = (i + 1) % count
            faces += [(lower + i, lower + j, upper + j), (lower + i, upper + j, upper + i)]
    return faces


def loft(rings: Sequence[np.ndarray]) -> Solid:
    """Join rings `(K, 3)` of equal length one after another and close both ends.

    Args:
        rings: At least two; the first and the last must be star-shaped about their mean, where the caps meet.
    """
    count = len(rings[0])
    vertices = np.concatenate([*rings, rings[0].mean(axis=0, keepdims=True), rings[-1].mean(axis=0, keepdims=True)])
    faces = _strip(count, [count * r for r in range(len(rings))])
    last, first_center = count * (len(rings) - 1), count * len(rings)
    for i in range(count):
        j = (i + 1) % count
        faces += [(first_center, j, i), (first_center + 1, last + i, last + j)]
    return _outward(vertices, np.array(faces))


def ring_loft(rings: Sequence[np.ndarray]) -> Solid:
    """Join rings `(K, 3)` one after another and the last to the first: a body with a hole, such as a torus."""
    count = len(rings[0])
    starts = [count * r for r in range(len(rings))]
    return _outward(np.concatenate(rings), np.array(_strip(count, [*starts, 0])))


def lathe(profile: Sequence[Point], *, sides: int = 32) -> Solid:
    """Turn a profile of `(radius, height)` points about the Z axis.

    Args:
        profile: Starts and ends on the axis (radius 0); otherwise its last point is joined to its first
            and the body has a hole along the axis.
        sides: Corners of each circle.
    """
    angles = np.arange(sides) * (2 * np.pi / sides)
    circle = np.stack([np.cos(angles), np.sin(angles), np.zeros(sides)], axis=1)
    if profile[0][0] > 0 or profile[-1][0] > 0:
        return ring_loft([circle * radius + np.array([0.0, 0.0, z]) for radius, z in profile])
    inner = profile[1:-1]
    vertices = np.concatenate(
        [circle * radius + np.array([0.0, 0.0, z]) for radius, z in inner]
        + [np.array([[0.0, 0.0, profile[0][1]], [0.0, 0.0, profile[-1][1]]])]
    )
    faces = _strip(sides, [sides * r for r in range(len(inner))])
    last, apex = sides * (len(inner) - 1), sides * len(inner)
    for i in range(sides):
        j = (i + 1) % sides
        faces += [(apex, j, i), (apex + 1, last + i, last + j)]
    return _outward(vertices, np.array(faces))


def cylinder(radius: Number, z0: Number, z1: Number, *, top_radius: Number | None = None, sides: int = 24) -> Solid:
    """Stand a cylinder (or, with `top_radius`, a cut cone) on the Z axis; a top radius of 0 makes a cone."""
    top = radius if top_radius is None else top_radius
    rim = [] if top == 0 else [(top, z1)]
    return lathe([(0.0, z0), (radius, z0), *rim, (0.0, z1)], sides=sides)


def ellipsoid(center: Point, radii: Point, *, sides: int = 20, rings: int = 10) -> Solid:
    """Fill the ellipsoid with these half axes."""
    angles = np.linspace(0.0, np.pi, rings + 1)
    profile = [(float(np.sin(a)) if 0 < i < rings else 0.0, -float(np.cos(a))) for i, a in enumerate(angles)]
    return lathe(profile, sides=sides).scaled(*radii).moved(*center)


def tube(path: Sequence[Point], radius: Number | Sequence[Number], *, sides: int = 10) -> Solid:
    """Sweep a circle along a polyline without twist: bars, legs, handles.

    Args:
        path: At least two different points.
        radius: One for the whole path, or one per point.
    """
    points = np.asarray(path, dtype=float)
    radii = np.broadcast_to(np.asarray(radius, dtype=float), (len(points),))
    steps = np.diff(points, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    tangents = np.concatenate([steps[:1], steps[:-1] + steps[1:], steps[-1:]])
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    side = np.cross(tangents[0], np.eye(3)[np.argmin(np.abs(tangents[0]))])
    angles = np.arange(sides) * (2 * np.pi / sides)
    rings = []
    for point, tangent, size in zip(points, tangents, radii, strict=True):
        side = side - tangent * (side @ tangent)
        side /= np.linalg.norm(side)
        rings.append(
            point + size * (np.outer(np.cos(angles), side) + np.outer(np.sin(angles), np.cross(tangent, side)))
        )
    return loft(rings)


def extrude(outline: Sequence[Point] | np.ndarray, start: Number, stop: Number, *, along: Axis = "z") -> Solid:
    """Push a simple polygon along an axis.

    Args:
        outline: Corners in the other two axes: `(x, y)` along z, `(y, z)` along x, `(x, z)` along y. May be concave.
        start: Where along the axis the body begins.
        stop: Where it ends.
        along: The axis.
    """
    flat = np.asarray(outline, dtype=float)
    count, axis = len(flat), _AXES[along]
    others = [i for i in range(3) if i != axis]
    vertices = np.empty((2 * count, 3))
    vertices[:count, others], vertices[count:, others] = flat, flat
    vertices[:count, axis], vertices[count:, axis] = start, stop
    cap = _ears(flat)
    faces = [(a, c, b) for a, b, c in cap] + [(a + count, b + count, c + count) for a, b, c in cap]
    order = list(range(count)) if _area(flat) > 0 else list(range(count))[::-1]
    for i, j in zip(order, order[1:] + order[:1], strict=True):
        faces += [(i, j, j + count), (i, j + count, i + count)]
    return _outward(vertices, np.array(faces))


def _area(flat: Float[np.ndarray, "K 2"]) -> float:
    """Compute the signed area of a polygon, positive if counter-clockwise."""
    x, y = flat.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def _ears(flat: Float[np.ndarray, "K 2"]) -> list[tuple[int, int, int]]:
    """Cut a simple polygon into counter-clockwise triangles, one ear after another."""
    left = list(range(len(flat))) if _area(flat) > 0 else list(range(len(flat)))[::-1]
    triangles = []
    while len(left) > 3:
        for position in range(len(left)):
            a, b, c = left[position - 1], left[position], left[(position + 1) % len(left)]
            others = flat[[i for i in left if i not in (a, b, c)]]
            if _turn(flat[a], flat[b], flat[c]) > 1e-12 and not _any_inside(flat[a], flat[b], flat[c], others):
                triangles.append((a, b, c))
                del left[position]
                break
        else:
            raise ValueError("extrude: the outline crosses itself or has corners in one line.")
    triangles.append((left[0], left[1], left[2]))
    if _turn(*flat[left]) <= 0:
        raise ValueError("extrude: the outline crosses itself.")
    return triangles


def _turn(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    """Compute twice the signed area of a triangle."""
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def _any_inside(a: np.ndarray, b: np.ndarray, c: np.ndarray, points: Float[np.ndarray, "K 2"]) -> bool:
    """Say whether a point lies in or on a counter-clockwise triangle."""
    inside = np.ones(len(points), dtype=bool)
    for start, end in ((a, b), (b, c), (c, a)):
        inside &= (end[0] - start[0]) * (points[:, 1] - start[1]) - (end[1] - start[1]) * (
            points[:, 0] - start[0]
        ) >= -1e-12
    return bool(inside.any())


def sheet(front: Float[np.ndarray, "R C 3"], offset: Point) -> Solid:
    """Thicken a grid of points into a closed shell: cloth, leaves, panels.

    Args:
        front: One side of the shell.
        offset: From the front to the back, in metres.
    """
    rows, columns, _ = front.shape
    grid = np.arange(rows * columns).reshape(rows, columns)
    back = grid + rows * columns
    faces: list[tuple[int, int, int]] = []
    for r in range(rows - 1):
        for c in range(columns - 1):
            a, b, d, e = int(grid[r, c]), int(grid[r, c + 1]), int(grid[r + 1, c]), int(grid[r + 1, c + 1])
            shift = rows * columns
            faces += [(a, b, e), (a, e, d), (a + shift, e + shift, b + shift), (a + shift, d + shift, e + shift)]
    border = [*grid[0], *grid[1:, -1], *grid[-1, -2::-1], *grid[-2:0:-1, 0]]
    for i, j in zip(border, border[1:] + border[:1], strict=True):
        faces += [(int(j), int(i), int(back.flat[i])), (int(j), int(back.flat[i]), int(back.flat[j]))]
    vertices = np.concatenate([front.reshape(-1, 3), (front + np.asarray(offset, dtype=float)).reshape(-1, 3)])
    return _outward(vertices, np.array(faces))


def ellipse(
    width: Number, depth: Number, *, count: int = 32, z: Number = 0.0, center: Point = (0.0, 0.0)
) -> np.ndarray:
    """Compute the corners `(count, 3)` of a horizontal ellipse with these full widths along x and y."""
    angles = np.arange(count) * (2 * np.pi / count)
    return np.stack(
        [center[0] + width / 2 * np.cos(angles), center[1] + depth / 2 * np.sin(angles), np.full(count, z)], axis=1
    )


def rounded_rectangle(
    width: Number, depth: Number, radius: Number, *, z: Number = 0.0, center: Point = (0.0, 0.0), steps: int = 5
) -> np.ndarray:
    """Compute the corners `(4 * steps, 3)` of a horizontal rectangle with round corners."""
    corners = []
    for quarter, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        angles = np.radians(90 * quarter + np.linspace(0.0, 90.0, steps))
        x = center[0] + sx * (width / 2 - radius) + radius * np.cos(angles)
        y = center[1] + sy * (depth / 2 - radius) + radius * np.sin(angles)
        corners.append(np.stack([x, y, np.full(steps, z)], axis=1))
    return np.concatenate(corners)


def arc(center: Point, radius: Number, start_deg: Number, stop_deg: Number, count: int) -> list[tuple[float, float]]:
    """Compute the points of a circular arc in a plane, both ends included."""
    angles = np.radians(np.linspace(start_deg, stop_deg, count))
    return [(center[0] + radius * float(np.cos(a)), center[1] + radius * float(np.sin(a))) for a in angles]
