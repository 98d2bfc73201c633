"""Which columns are coordinates, colours or neither?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from pointmcd.reading.wording import counted, quoted
from pointmcd.types import Shape, ShapeError

_COLOR_NAMES = (
    ("red", "green", "blue"),
    ("r", "g", "b"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
)
# Share of rows that must have length 1 for three columns to be normals: a few may be (0, 0, 0).
_UNIT_ROWS = 0.95
_ROUNDING = 0.02  # normals written with two decimals
_MOST_COLUMNS = 16  # more columns than any point format has: such an array holds features, not points


def shape_from_named_columns(columns: Mapping[str, Shaped[np.ndarray, " N"]]) -> Shape:
    """Make a point set of columns that say what they are.

    Args:
        columns: One array per name; names in any case.

    Raises:
        ShapeError: There is no x, y or z.
    """
    named = {name.lower(): values for name, values in columns.items()}
    if not {"x", "y", "z"} <= named.keys():
        found = ", ".join(quoted(name) for name in list(named)[:8]) or "none"
        raise ShapeError(f"there are no columns x, y and z (found: {found}): name them so, or save as plain .xyz text.")
    points = np.stack([np.asarray(named.pop(axis), dtype=np.float64) for axis in "xyz"], axis=1)
    colors = None
    notes = []
    for names in _COLOR_NAMES:
        if set(names) <= named.keys():
            colors = colors_from_values(np.stack([named.pop(name) for name in names], axis=1))
            break
    if named:
        notes.append(f"Not used: {', '.join(quoted(name)[1:-1] for name in list(named)[:8] if name) or 'one column'}.")
    return Shape("", points, colors=colors, notes=tuple(notes))


def shape_from_unnamed_columns(rows: Float[np.ndarray, "N C"], *, intensity_first: bool = False) -> Shape:
    """Make a point set of numbers whose meaning must be guessed from their range.

    Columns 1 to 3 are x, y, z. Of the others, three columns of unit rows are normals, three columns within 0..255
    (integers) or within 0..1 are colours, one alone is intensity or a label, anything else is not used.

    Args:
        rows: At least three columns.
        intensity_first: Of four extra columns, the first is intensity (.pts: x y z intensity r g b).
    """
    colors = None
    notes = []
    column, columns = 3, rows.shape[1]
    unused = []
    if intensity_first and columns == 7 and colors_from_values(rows[:, 4:7]) is not None:
        unused.append(column)
        column += 1
    while column < columns:
        three = rows[:, column : column + 3]
        place = f"Columns {column + 1} to {column + 3}"
        if three.shape[1] == 3 and _are_unit_rows(three):
            notes.append(f"{place} read as normals (not used).")
            column += 3
        elif three.shape[1] == 3 and colors is None and (found := colors_from_values(three)) is not None:
            colors = found
            notes.append(f"{place} read as colours.")
            column += 3
        else:
            unused.append(column)
            column += 1
    if len(unused) == 1:
        notes.append(f"Column {unused[0] + 1} read as intensity or label (not used).")
    elif unused:
        listed = ", ".join(str(index + 1) for index in unused[:8])
        notes.append(f"Columns {listed} not used.")
    return Shape("", np.ascontiguousarray(rows[:, :3], dtype=np.float64), colors=colors, notes=tuple(notes))


def colors_from_values(values: Shaped[np.ndarray, "N 3"]) -> UInt8[np.ndarray, "N 3"] | None:
    """Read numbers as RGB: 0..255 integers, 0..65535 for 16-bit integers, or 0..1; None if they are no colours."""
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype == np.uint16:
        return np.asarray(np.round(values / 257.0), dtype=np.uint8)
    numbers = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=-1.0, neginf=-1.0)
    low, high = (numbers.min(), numbers.max()) if numbers.size else (0.0, 0.0)
    if low < 0 or high > 255:
        return None
    if high > 1:
        return np.asarray(numbers, dtype=np.uint8) if np.array_equal(numbers, np.round(numbers)) else None
    return np.asarray(np.round(numbers * 255), dtype=np.uint8) if high > 0 else None


def columns_of_array(array: np.ndarray) -> Shape:
    """Make a point set of a numeric array of shape (N, 3 or more) or (3 or more, N).

    Raises:
        ShapeError: The array is something else.
    """
    if array.dtype.names:
        flat = array.reshape(-1)
        return shape_from_named_columns({name: flat[name] for name in array.dtype.names if flat[name].ndim == 1})
    if array.dtype.kind not in "fiu":
        raise ShapeError(f"the array holds {array.dtype} values, not numbers: save the points as float32.")
    size = " x ".join(f"{length:,}" for length in array.shape)
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 3 and 3 <= min(array.shape[1:]) <= _MOST_COLUMNS:
        raise ShapeError(f"the array ({size}) holds {counted(len(array), 'shape')}: save one of them as (N, 3).")
    if array.ndim != 2 or min(array.shape) < 3 or min(array.shape) > _MOST_COLUMNS:
        raise ShapeError(f"the array is {size or 'a single number'}: expected (N, 3) or (3, N), one row per point.")
    notes: tuple[str, ...] = ()
    if array.shape[0] < array.shape[1]:
        array = array.T
        notes = (f"Read the {size} array as {counted(len(array), 'point')}.",)
    shape = shape_from_unnamed_columns(np.asarray(array, dtype=np.float64))
    return Shape("", shape.vertices, colors=shape.colors, notes=notes + shape.notes)


def _are_unit_rows(values: Float[np.ndarray, "N 3"]) -> bool:
    if not len(values):
        return False
    lengths = np.sqrt(np.einsum("nc,nc->n", values, values))
    return bool((np.abs(lengths - 1) < _ROUNDING).mean() >= _UNIT_ROWS)
