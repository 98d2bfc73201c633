"""What can a visitor choose for an analysis, between which limits, and what is chosen at first?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pointmcd import choices
from pointmcd.records import Shape
from viz.bundle import MOST_POINTS_SHOWN

# What the page calls them; a student without a title goes by its name.
STUDENT_TITLES = {"pointnet": "PointNet", "dgcnn": "DGCNN"}
VISIBILITY_TITLES = {
    choices.AUTO: "Automatic",
    "raycast": "Ray casting",
    "hpr": "Hidden point removal",
    "zbuffer": "Z-buffer",
}
UP_TITLES = {choices.AUTO: "Automatic", "z": "Z up", "y": "Y up", "x": "X up"}

VIEWS = (1, 24)  # more fill no screen; an analysis takes up to `choices.MOST_VIEWS`
POINTS = (256, MOST_POINTS_SHOWN)
ELEVATIONS_DEG = (-90, 90)
SEEDS = (0, choices.LARGEST_SEED)

Choices = list[tuple[str, str]]  # what a box shows, and what it stands for


@dataclass(frozen=True)
class Options:
    """What a visitor chose for the analysis; the defaults are the paper's.

    Attributes:
        student: Name of the point network.
        visibility: "auto", "raycast", "hpr" or "zbuffer".
        views: Number of cameras on the ring.
        points: Number of points to sample.
        seed: Seed of the sampling.
        elevation_deg: Elevation of the ring, in degrees.
    """

    student: str = choices.STUDENT
    visibility: str = choices.AUTO
    views: int = choices.VIEWS
    points: int = choices.POINTS
    seed: int = 0
    elevation_deg: float = choices.ELEVATION_DEG


def options_of(*chosen: Any) -> Options:
    """Collect the values of the option inputs, in the order of the fields; an emptied seed counts as 0."""
    student, visibility, views, points, seed, elevation_deg = chosen
    return Options(student, visibility, int(views), int(points), int(seed or 0), float(elevation_deg))


def usable_options(options: Options, shape: Shape) -> tuple[Options, tuple[str, ...]]:
    """Replace a visibility test that cannot judge this shape, and say so.

    The visitor's choice itself stays, for the next mesh.
    """
    if options.visibility == "raycast" and not shape.is_mesh:
        remark = "Ray casting needs a mesh, and this file has only points: hidden point removal is used."
        return replace(options, visibility=choices.AUTO), (remark,)

    return options, ()


def known_students() -> tuple[str, ...]:
    """Name the students that the page can offer before it knows which of them have weights."""
    return choices.STUDENTS


def student_choices(names: tuple[str, ...]) -> Choices:
    """List the students of a box: those with a title in the titles' order, then the others."""
    titled = [(title, name) for name, title in STUDENT_TITLES.items() if name in names]
    return titled + [(name, name) for name in names if name not in STUDENT_TITLES]


def visibility_choices() -> Choices:
    return [(title, name) for name, title in VISIBILITY_TITLES.items()]


def up_choices() -> Choices:
    return [(title, axis) for axis, title in UP_TITLES.items()]
