"""Which points and triangles of a file can be used?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from pointmcd.records import Shape, ShapeError
from pointmcd.shapes.reading.wording import counted

MAX_POINTS = 5_000_000
MAX_FACES = 3_000_000
# Larger is no coordinate but a mark for "no data" (3.4e38), and its square would overflow in float32.
_LARGEST_COORDINATE = 1e18
_THINNEST = 1e-6  # second extent of a shape over its first, below which it is a line


def clean(shape: Shape) -> Shape:
    """Drop what is not finite, merge duplicate points, drop triangles without area, refuse what is no shape.

    Returns:
        Finite, distinct points; or a mesh whose every vertex is used and whose every triangle has an area.

    Raises:
        ShapeError: Too large, indices out of range, fewer than three distinct points, or all on one line.
    """
    shape = _clean_points(shape) if shape.faces is None else _clean_mesh(shape, shape.faces)
    spread = shape.vertices - shape.vertices.mean(axis=0)
    spread /= np.abs(spread).max()
    variances = np.linalg.eigvalsh(spread.T @ spread)
    if variances[1] < _THINNEST**2 * variances[2]:
        raise ShapeError("all points lie on one line: a shape needs extent in at least two directions.")
    return shape


def _clean_points(shape: Shape) -> Shape:
    points, colors, notes = shape.vertices, shape.colors, list(shape.notes)
    if len(points) > MAX_POINTS:
        raise ShapeError(f"the file has {len(points):,} points, the limit is {MAX_POINTS:,}: thin it out first.")
    usable = _usable(points)
    if not usable.all():
        notes.append(f"Dropped {counted(int((~usable).sum()), 'non-finite point')}.")
        points, colors = points[usable], None if colors is None else colors[usable]
    first, _ = distinct_rows(points)
    if len(first) < len(points):
        notes.append(f"Merged {counted(len(points) - len(first), 'duplicate point')}.")
        points, colors = points[first], None if colors is None else colors[first]
    if len(points) < 3:
        raise ShapeError(f"a shape needs at least 3 distinct points, this file has {len(points)}: choose another.")
    return Shape(shape.name, points, None, colors, tuple(notes))


def _clean_mesh(shape: Shape, faces: Int[np.ndarray, "F 3"]) -> Shape:
    vertices, colors, notes = shape.vertices, shape.colors, list(shape.notes)
    if len(faces) > MAX_FACES:
        raise ShapeError(f"the mesh has {len(faces):,} triangles, the limit is {MAX_FACES:,}: simplify it first.")
    outside = (faces < 0) | (faces >= len(vertices))
    if outside.any():
        row = int(outside.any(axis=1).argmax())
        wrong = int(faces[row][outside[row]][0])
        raise ShapeError(
            f"triangle {row + 1:,} uses vertex {wrong:,} (counted from 0), "
            f"the file has {counted(len(vertices), 'vertex', 'vertices')}: it is damaged, export it again."
        )
    usable = _usable(vertices)
    if not usable.all():
        kept = usable[faces].all(axis=1)
        notes.append(
            f"Dropped {counted(int((~usable).sum()), 'non-finite vertex', 'non-finite vertices')} "
            f"and {counted(int((~kept).sum()), 'triangle')} that used them."
        )
        faces = faces[kept]
    if _is_soup(faces, len(vertices)):
        first, which = distinct_rows(vertices)
        vertices, colors, faces = vertices[first], None if colors is None else colors[first], which[faces]
    corners = vertices[faces]
    with np.errstate(invalid="ignore"):
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat = ~(np.einsum("fc,fc->f", normals, normals) > 0)
    if flat.any():
        notes.append(f"Dropped {counted(int(flat.sum()), 'triangle')} without area.")
        faces = faces[~flat]
    if not len(faces):
        raise ShapeError("no triangle of this mesh has an area: export it again.")
    used = np.zeros(len(vertices), dtype=bool)
    used[faces] = True
    if not used.all():
        if (unused := int((~used & _usable(vertices)).sum())) and not flat.any():
            notes.append(f"Removed {counted(unused, 'vertex', 'vertices')} that no triangle uses.")
        faces = (np.cumsum(used) - 1)[faces]
        vertices, colors = vertices[used], None if colors is None else colors[used]
    return Shape(shape.name, vertices, faces.astype(np.int32), colors, tuple(notes))


def _is_soup(faces: Int[np.ndarray, "F 3"], vertices: int) -> bool:
    """Tell a bag of triangles that share no corner (.stl): their equal corners are one vertex."""
    return len(faces) > 1 and vertices == 3 * len(faces)


def _usable(points: Float[np.ndarray, "S 3"]) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray((np.abs(points) < _LARGEST_COORDINATE).all(axis=1))  # False for NaN as well


def distinct_rows(points: Float[np.ndarray, "S 3"]) -> tuple[Int[np.ndarray, " D"], Int[np.ndarray, " S"]]:
    """Find the distinct rows: the first occurrence of each, in file order, and which of them each row is.

    Rows are compared by a 64-bit hash first: sorting 5 million numbers takes a tenth of sorting 5 million rows, and
    where all hashes differ, as in most files, the numbers alone are sorted, without their places.
    """
    bits = np.ascontiguousarray(points + 0.0).view(np.uint64)  # + 0.0 makes -0.0 equal 0.0
    hashes = np.zeros(len(points), dtype=np.uint64)
    for axis in range(3):
        hashes ^= bits[:, axis]
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
        hashes *= np.uint64(0xBF58476D1CE4E5B9)
        hashes ^= hashes >> np.uint64(32)
    ordered = np.sort(hashes)
    if (ordered[1:] != ordered[:-1]).all():
        every = np.arange(len(points))
        return every, every
    _, first, which = np.unique(hashes, return_index=True, return_inverse=True)
    if not np.array_equal(points[first][which], points):  # a collision of hashes
        _, first, which = np.unique(points + 0.0, axis=0, return_index=True, return_inverse=True)
        which = which.reshape(-1)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[which]
