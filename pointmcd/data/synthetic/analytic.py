"""Which bodies have a formula, so that visibility and sampling can be checked against it?"""

from __future__ import annotations

import numpy as np

from pointmcd.data.synthetic.record import Dials, Parts, Recipe
from pointmcd.data.synthetic.solids import Solid, arc, box, ellipsoid, lathe


def sphere(dials: Dials) -> Parts:
    """Build a ball."""
    radius = dials.number("radius", 0.5, 0.3, 0.7)
    yield "surface", ellipsoid((0, 0, 0), (radius, radius, radius), sides=48, rings=24)


def torus(dials: Dials) -> Parts:
    """Build a ring lying flat: from above all of its inner wall is seen, from the side half of it is hidden."""
    ring, tube_radius = dials.number("ring radius", 0.4, 0.35, 0.45), dials.number("tube radius", 0.15, 0.1, 0.2)
    yield "surface", lathe(arc((ring, 0), tube_radius, 0, 345, 24), sides=48)


def cuboid(dials: Dials) -> Parts:
    """Build a box; a camera sees at most three of its faces."""
    width, depth = dials.number("width", 0.8, 0.6, 1.0), dials.number("depth", 0.6, 0.4, 0.8)
    yield "surface", box((-width / 2, -depth / 2, 0), (width / 2, depth / 2, dials.number("height", 0.5, 0.3, 0.7)))


def cylinder(dials: Dials) -> Parts:
    """Build a solid cylinder, its caps included."""
    radius, height = dials.number("radius", 0.3, 0.2, 0.4), dials.number("height", 0.9, 0.6, 1.2)
    yield "surface", lathe([(0, 0), (radius, 0), (radius, height), (0, height)], sides=48)


def plane(dials: Dials) -> Parts:
    """Build a square without thickness: the only open shape. Every point is seen from every camera above it."""
    half, cells = dials.number("width", 1.0, 0.8, 1.2) / 2, 8
    steps = np.linspace(-half, half, cells + 1)
    x, y = np.meshgrid(steps, steps)
    grid = np.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    a, b, c, d = (part.ravel() for part in (grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]))
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    yield "surface", Solid(np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1), faces)


RECIPES = {
    "sphere": Recipe(sphere, None),
    "torus": Recipe(torus, None),
    "box": Recipe(cuboid, None),
    "cylinder": Recipe(cylinder, None),
    "plane": Recipe(plane, None),
}
