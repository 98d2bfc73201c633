"""Which shapes can be made without any download? Parametric bodies with exact part labels.

`make_shape("chair")` is the usual chair, `make_shape("chair", variant=3)` another one, the same each time.
"""

from __future__ import annotations

from collections.abc import Mapping

from pointmcd.data.synthetic import analytic, devices, fixtures, furniture, household, outdoors, seating
from pointmcd.data.synthetic.record import Parameter, Recipe, SyntheticShape, assemble

__all__ = ["ANALYTIC", "SHAPES", "Recipe", "SyntheticShape", "make_shape"]

SHAPES: dict[str, Recipe] = {
    **analytic.RECIPES,
    **seating.RECIPES,
    **furniture.RECIPES,
    **household.RECIPES,
    **devices.RECIPES,
    **fixtures.RECIPES,
    **outdoors.RECIPES,
}

# The shapes on which visibility tests are measured against ray casting (docs/method.md).
ANALYTIC: tuple[str, ...] = ("sphere", "torus", "box", "cylinder", "mug", "chair", "table", "plane")


def make_shape(name: str, *, variant: int = 0, parameters: Mapping[str, Parameter] | None = None) -> SyntheticShape:
    """Build one shape.

    Args:
        name: A key of `SHAPES`.
        variant: 0 is the usual shape; any other number draws every parameter at random, the same way each time.
        parameters: Values that replace those of the variant, by name; see `SyntheticShape.parameters`.

    Raises:
        ValueError: An unknown name or parameter.
    """
    if name not in SHAPES:
        raise ValueError(f"There is no shape {name!r}; there are {', '.join(SHAPES)}.")
    return assemble(name, SHAPES[name], variant=variant, parameters=parameters or {})
