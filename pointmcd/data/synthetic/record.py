"""What is a synthetic shape, and how is one variant drawn from its dials?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from jaxtyping import Int

from pointmcd.data.synthetic.solids import Number, Solid
from pointmcd.records import Shape

Parameter = float | int | str
Parts = Iterable[tuple[str, Solid]]


@dataclass(frozen=True, eq=False)
class SyntheticShape:
    """A parametric shape with everything known about it.

    Attributes:
        shape: The mesh: closed parts, wound outwards, Z up, in metres, standing on z = 0 (the analytic plane is open).
        part_of_face: Index into `part_names` for every face.
        part_names: "seat", "leg", ...; in the order in which they are built.
        label: Its ModelNet40 class; None for a body without a class.
        parameters: Every dial and its value, to be shown or passed back to `make_shape`.
    """

    shape: Shape
    part_of_face: Int[np.ndarray, " F"]
    part_names: tuple[str, ...]
    label: str | None
    parameters: Mapping[str, Parameter]


class Dials:
    """The named parameters of one variant.

    Variant 0 has the usual value of each; any other variant draws each on its own from (shape, variant, dial), so
    that setting one dial by hand leaves the others where they are.
    """

    def __init__(self, shape: str, variant: int, chosen: Mapping[str, Parameter]) -> None:
        self._shape, self._variant, self._chosen = shape, variant, chosen
        self.values: dict[str, Parameter] = {}

    def number(self, name: str, usual: Number, low: Number, high: Number) -> float:
        """Draw a length in metres, an angle in degrees or a ratio."""
        value = float(self._chosen.get(name, usual if self._variant == 0 else low + (high - low) * self._draw(name)))
        self.values[name] = value
        return value

    def count(self, name: str, usual: int, low: int, high: int) -> int:
        """Draw a whole number from `low` to `high`, both included."""
        drawn = usual if self._variant == 0 else low + int((high - low + 1) * self._draw(name))
        value = int(self._chosen.get(name, drawn))
        self.values[name] = value
        return value

    def choice(self, name: str, usual: str, *others: str) -> str:
        """Draw one of several kinds."""
        options = (usual, *others)
        drawn = usual if self._variant == 0 else options[int(len(options) * self._draw(name))]
        value = str(self._chosen.get(name, drawn))
        if value not in options:
            raise ValueError(f"{self._shape}: {name} is one of {', '.join(options)}, not {value!r}.")
        self.values[name] = value
        return value

    def _draw(self, name: str) -> float:
        """Draw uniformly from [0, 1), the same on every machine."""
        return float(np.random.default_rng([crc32(self._shape.encode()), self._variant, crc32(name.encode())]).random())


@dataclass(frozen=True)
class Recipe:
    """How to build one kind of shape.

    Attributes:
        build: Reads its dials, yields named closed parts.
        label: ModelNet40 class, or None.
    """

    build: Callable[[Dials], Parts]
    label: str | None


def assemble(name: str, recipe: Recipe, *, variant: int, parameters: Mapping[str, Parameter]) -> SyntheticShape:
    """Build one variant and stand it on z = 0.

    Raises:
        ValueError: A parameter that this shape does not have, or a kind it does not know.
    """
    dials = Dials(name, variant, parameters)
    parts = list(recipe.build(dials))
    if unknown := sorted(set(parameters) - set(dials.values)):
        raise ValueError(f"{name} has no parameter {unknown[0]!r}; it has {', '.join(dials.values) or 'none'}.")
    part_names = tuple(dict.fromkeys(part for part, _ in parts))
    starts = np.cumsum([0] + [len(solid.vertices) for _, solid in parts])
    vertices = np.concatenate([solid.vertices for _, solid in parts])
    vertices[:, 2] -= vertices[:, 2].min()
    faces = np.concatenate([solid.faces + start for (_, solid), start in zip(parts, starts, strict=False)])
    part_of_face = np.concatenate([np.full(len(solid.faces), part_names.index(part)) for part, solid in parts])
    # Micrometres: the last bits of sine and cosine differ between processors, the files made from these must not.
    return SyntheticShape(
        Shape(name=name, vertices=np.round(vertices, 6) + 0.0, faces=faces),
        part_of_face,
        part_names,
        recipe.label,
        dict(dials.values),
    )
