"""Which columns are coordinates, colours or neither?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from pointmcd.records import Shape, ShapeError
from pointmcd.shapes.reading.wording import counted, quoted

_COLOR_NAMES = (
    ("red", "green", "blue"),
    ("r", "g", "b"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
)
# Share of rows that must have length 1 for three columns to be normals: a few may be (0, 0, 0).
_UNIT_ROWS = 0.95
_CLEAR_DIFFERENCE = 0.3  # of mean correlations: chance gives 0.15 in 50 rows, less in more
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
    (integers) or within 0..1 are colours, one alone is intensity or a label, anything else is not used. Where two
    readings are possible, a note says so.

    Args:
        rows: At least three columns.
        intensity_first: Of four last columns that could be intensity and colours in either order, the first is
            intensity (.pts: x y z intensity r g b).
    """
    colors = None
    notes = []
    column, columns = 3, rows.shape[1]
    unused = []
    while column < columns:
        three = rows[:, column : column + 3]
        place = f"Columns {column + 1} to {column + 3}"
        doubt = ""
        if columns - column == 4 and colors is None:
            is_first, is_sure = _single_comes_first(rows[:, column:], if_unsure=intensity_first)
            if is_first:
                unused.append(column)
                column += 1
                continue
            doubt = "" if is_sure else f"; columns {column + 2} to {column + 4} could be them too"
        is_unit = three.shape[1] == 3 and _are_unit_rows(three)
        is_saturated = is_unit and bool(((three == 0) | (three == 1)).all())
        if is_unit and not (is_saturated and colors is None and (three != three[0]).any()):
            also = "; being all the same, they could be one colour" if is_saturated and colors is None else ""
            notes.append(f"{place} read as normals (not used){also}.")
            column += 3
        elif three.shape[1] == 3 and colors is None and (found := colors_from_values(three)) is not None:
            colors = found
            doubt = "; being only 0 and 1, they could be normals" if is_saturated else doubt
            notes.append(f"{place} read as colours{doubt}.")
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


def shape_with_colors(rows: Float[np.ndarray, "N C"]) -> Shape:
    """Make a point set of x, y, z and, by the rule of the format, r g b or r g b a: never normals (.obj, COFF)."""
    extra = rows[:, 3:]
    colors = None
    notes: tuple[str, ...] = ()
    if extra.shape[1] in (3, 4) and (found := colors_from_values(extra)) is not None:
        colors = np.ascontiguousarray(found[:, :3])
        notes = ("Columns 4 to 6 read as colours.",)
    elif extra.shape[1]:
        listed = ", ".join(str(index) for index in range(4, min(rows.shape[1], 11) + 1))
        notes = (f"Columns {listed} not used." if extra.shape[1] > 1 else "Column 4 not used.",)
    return Shape("", np.ascontiguousarray(rows[:, :3], dtype=np.float64), colors=colors, notes=notes)


def colors_from_values(values: Shaped[np.ndarray, "N C"]) -> UInt8[np.ndarray, "N C"] | None:
    """Read numbers as RGB(A): 0..255 integers, 0..65535 for 16-bit integers, or 0..1; None if they are no colours."""
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


def _single_comes_first(four: Float[np.ndarray, "N 4"], *, if_unsure: bool) -> tuple[bool, bool]:
    """Tell whether four columns are one number and three that go together, or three and one.

    Both orders are written: "x y z intensity r g b" (.pts, Semantic3D) and "x y z r g b label" (S3DIS, CloudCompare).
    Where both threes could be colours, the two middle columns are colours in either case; the outer column that is
    less correlated with them is the single one.

    Args:
        four: The columns.
        if_unsure: The answer if nothing speaks for either.

    Returns:
        The answer, and whether anything speaks for it.
    """
    kinds = [_are_unit_rows(three) or colors_from_values(three) is not None for three in (four[:, :3], four[:, 1:])]
    if kinds != [True, True]:
        return kinds[1], True
    if _are_unit_rows(four[:, :3]) or _are_unit_rows(four[:, 1:]):
        return not _are_unit_rows(four[:, :3]), True
    varies = (four != four[0]).any(axis=0)
    likeness = np.zeros(2)
    for i, outer in enumerate((0, 3)):
        for middle in (1, 2):
            if varies[outer] and varies[middle]:
                likeness[i] += np.corrcoef(four[:, outer], four[:, middle])[0, 1] / 2
            else:  # a constant goes with a constant
                likeness[i] += 0.5 if varies[outer] == varies[middle] else -0.5
    difference = float(likeness[1] - likeness[0])
    if not abs(difference) >= _CLEAR_DIFFERENCE:
        return if_unsure, False
    return difference > 0, True


def _are_unit_rows(values: Float[np.ndarray, "N 3"]) -> bool:
    if not len(values):
        return False
    lengths = np.sqrt(np.einsum("nc,nc->n", values, values))
    return bool((np.abs(lengths - 1) < _ROUNDING).mean() >= _UNIT_ROWS)
