"""What stands in a room and holds things? Fronts toward -X or -Y, as in ModelNet40."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pointmcd.data.synthetic.record import Dials, Parts, Recipe
from pointmcd.data.synthetic.solids import Number, box, cylinder, ellipse, frustum, lathe, loft, tube


def table(dials: Dials) -> Parts:
    """Build a dining table, long along Y."""
    length, width = dials.number("length", 1.6, 1.3, 2.0), dials.number("width", 0.85, 0.75, 0.95)
    height, leg = dials.number("height", 0.74, 0.66, 0.78), dials.number("leg width", 0.06, 0.045, 0.08)
    thick, apron = dials.number("top thickness", 0.035, 0.025, 0.05), dials.number("apron", 0.07, 0.05, 0.1)
    half_x, half_y, under, inset = width / 2, length / 2, height - thick, 0.05
    yield "top", box((-half_x, -half_y, under), (half_x, half_y, height))
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * (half_x - inset - leg / 2), sy * (half_y - inset - leg / 2)
            foot = leg * 0.7 / 2
            yield (
                "leg",
                frustum(
                    (x - foot, y - foot, x + foot, y + foot),
                    (x - leg / 2, y - leg / 2, x + leg / 2, y + leg / 2),
                    0,
                    under,
                ),
            )
    long_y, long_x = half_y - inset - leg, half_x - inset - leg
    for sign in (-1, 1):
        x, y = sign * (half_x - inset - leg / 2), sign * (half_y - inset - leg / 2)
        yield "apron", box((x - 0.01, -long_y, under - apron), (x + 0.01, long_y, under))
        yield "apron", box((-long_x, y - 0.01, under - apron), (long_x, y + 0.01, under))


def round_table(dials: Dials) -> Parts:
    """Build a round or oval table on one turned column with four feet."""
    length, width = dials.number("length", 1.2, 1.1, 1.7), dials.number("width", 1.2, 1.0, 1.25)
    height, column = dials.number("height", 0.74, 0.68, 0.78), dials.number("column radius", 0.06, 0.045, 0.08)
    yield "top", loft([ellipse(width, length, z=z, count=40) for z in (height - 0.035, height)])
    profile = [(0, 0.09), (column * 1.6, 0.1), (column, 0.2), (column * 0.8, 0.4), (column * 1.1, 0.6)]
    yield "column", lathe([*profile, (column * 2, height - 0.04), (0, height - 0.035)], sides=24)
    for k in range(4):
        foot = tube([(column, 0, 0.15), (width * 0.2, 0, 0.09), (width * 0.32, 0, 0.025)], [0.03, 0.028, 0.025])
        yield "foot", foot.turned(45 + 90 * k)


def desk(dials: Dials) -> Parts:
    """Build a writing desk with drawers left and right of the knees, its front toward -X."""
    length, depth = dials.number("length", 1.5, 1.35, 1.75), dials.number("depth", 0.72, 0.62, 0.8)
    height, pedestal = dials.number("height", 0.75, 0.72, 0.79), dials.number("pedestal width", 0.4, 0.34, 0.46)
    half_x, half_y, under = depth / 2, length / 2, height - 0.04
    yield "top", box((-half_x, -half_y, under), (half_x, half_y, height))
    for sign in (-1, 1):
        y0, y1 = sorted((sign * (half_y - 0.03), sign * (half_y - 0.03 - pedestal)))
        yield "pedestal", box((-half_x + 0.05, y0, 0.05), (half_x - 0.04, y1, under))
        for x in (-half_x + 0.08, half_x - 0.1):
            for y in (y0 + 0.03, y1 - 0.06):
                yield "foot", box((x, y, 0), (x + 0.03, y + 0.03, 0.05))
        for k in range(3):
            z0, z1 = 0.08 + k * (under - 0.1) / 3, 0.06 + (k + 1) * (under - 0.1) / 3
            yield "drawer", box((-half_x + 0.03, y0 + 0.02, z0), (-half_x + 0.05, y1 - 0.02, z1))
            yield (
                "handle",
                box(
                    (-half_x + 0.01, (y0 + y1) / 2 - 0.05, (z0 + z1) / 2),
                    (-half_x + 0.03, (y0 + y1) / 2 + 0.05, (z0 + z1) / 2 + 0.015),
                ),
            )
    inner = half_y - 0.03 - pedestal
    yield "panel", box((half_x - 0.08, -inner, 0.25), (half_x - 0.06, inner, under))
    yield "drawer", box((-half_x + 0.05, -inner, under - 0.1), (half_x - 0.08, inner, under))
    if dials.choice("hutch", "shelf", "none") == "shelf":
        top = height + dials.number("hutch height", 0.42, 0.32, 0.5)
        for y in (-half_y, half_y - 0.025):
            yield "hutch", box((half_x - 0.24, y, height), (half_x, y + 0.025, top))
        yield "hutch", box((half_x - 0.02, -half_y + 0.025, height), (half_x, half_y - 0.025, top))
        for z in (height + (top - height) * 0.5, top - 0.025):
            yield "hutch", box((half_x - 0.24, -half_y + 0.025, z), (half_x - 0.02, half_y - 0.025, z + 0.025))


def _drawer_fronts(x: Number, half_y: Number, z0: Number, z1: Number, rows: int, columns: int) -> Parts:
    """Build drawer fronts with knobs on a wall at `x`, looking toward -X."""
    for row in range(rows):
        for column in range(columns):
            low, high = z0 + (z1 - z0) * row / rows + 0.012, z0 + (z1 - z0) * (row + 1) / rows - 0.012
            left = -half_y + 2 * half_y * column / columns + 0.012
            right = -half_y + 2 * half_y * (column + 1) / columns - 0.012
            yield "drawer", box((x - 0.018, left, low), (x, right, high))
            middle = (low + high) / 2
            for y in (left + (right - left) * 0.3, left + (right - left) * 0.7):
                yield "knob", cylinder(0.016, 0, 0.03, sides=10).turned(-90, about="y").moved(x - 0.018, y, middle)


def dresser(dials: Dials) -> Parts:
    """Build a chest of drawers on short feet, its front toward -X."""
    length, depth = dials.number("length", 1.3, 1.05, 1.5), dials.number("depth", 0.5, 0.45, 0.55)
    height, feet = dials.number("height", 0.88, 0.78, 0.98), dials.number("feet", 0.08, 0.05, 0.12)
    half_x, half_y = depth / 2, length / 2
    yield "body", box((-half_x, -half_y, feet), (half_x, half_y, height - 0.03))
    yield "top", box((-half_x - 0.02, -half_y - 0.02, height - 0.03), (half_x + 0.01, half_y + 0.02, height))
    for x in (-half_x + 0.01, half_x - 0.07):
        for y in (-half_y + 0.01, half_y - 0.07):
            yield "foot", frustum((x + 0.01, y + 0.01, x + 0.05, y + 0.05), (x, y, x + 0.06, y + 0.06), 0, feet)
    yield from _drawer_fronts(
        -half_x,
        half_y - 0.02,
        feet + 0.02,
        height - 0.05,
        dials.count("rows", 3, 3, 4),
        dials.count("columns", 2, 1, 3),
    )


def night_stand(dials: Dials) -> Parts:
    """Build a small cabinet: one drawer over an open compartment on four legs."""
    length, depth = dials.number("length", 0.5, 0.44, 0.58), dials.number("depth", 0.42, 0.38, 0.46)
    height, leg = dials.number("height", 0.6, 0.54, 0.68), dials.number("leg height", 0.14, 0.1, 0.2)
    half_x, half_y, wall = depth / 2, length / 2, 0.022
    yield "top", box((-half_x - 0.02, -half_y - 0.02, height - 0.03), (half_x + 0.02, half_y + 0.02, height))
    for y in (-half_y, half_y - wall):
        yield "body", box((-half_x, y, leg), (half_x, y + wall, height - 0.03))
    yield "body", box((half_x - wall, -half_y + wall, leg), (half_x, half_y - wall, height - 0.03))
    yield "shelf", box((-half_x, -half_y + wall, leg), (half_x - wall, half_y - wall, leg + 0.025))
    split = height - 0.03 - dials.number("drawer height", 0.17, 0.14, 0.22)
    yield "shelf", box((-half_x, -half_y + wall, split), (half_x - wall, half_y - wall, split + 0.02))
    yield "drawer", box((-half_x - 0.015, -half_y + 0.01, split + 0.02), (-half_x, half_y - 0.01, height - 0.04))
    knob = cylinder(0.018, 0, 0.03, sides=12).turned(-90, about="y")
    yield "knob", knob.moved(-half_x - 0.015, 0, (split + height) / 2 - 0.01)
    for x in (-half_x, half_x - 0.045):
        for y in (-half_y, half_y - 0.045):
            yield "leg", frustum((x + 0.01, y + 0.01, x + 0.035, y + 0.035), (x, y, x + 0.045, y + 0.045), 0, leg)


def wardrobe(dials: Dials) -> Parts:
    """Build a tall cupboard with doors, its front toward -Y."""
    width, depth = dials.number("width", 1.7, 1.45, 2.0), dials.number("depth", 0.58, 0.5, 0.64)
    height, doors = dials.number("height", 2.05, 1.95, 2.25), dials.count("doors", 4, 3, 4)
    half_x, half_y = width / 2, depth / 2
    yield "body", box((-half_x, -half_y, 0.08), (half_x, half_y, height - 0.06))
    yield "base", box((-half_x + 0.02, -half_y + 0.03, 0), (half_x - 0.02, half_y, 0.08))
    yield (
        "cornice",
        frustum(
            (-half_x - 0.01, -half_y - 0.01, half_x + 0.01, half_y),
            (-half_x - 0.04, -half_y - 0.04, half_x + 0.04, half_y),
            height - 0.06,
            height,
        ),
    )
    room = width / doors
    for k in range(doors):
        x0, x1 = -half_x + k * room + 0.008, -half_x + (k + 1) * room - 0.008
        yield "door", box((x0, -half_y - 0.02, 0.1), (x1, -half_y, height - 0.08))
        x = x1 - 0.05 if k % 2 == 0 else x0 + 0.05
        yield "handle", box((x - 0.01, -half_y - 0.05, height * 0.45), (x + 0.01, -half_y - 0.02, height * 0.55))


def bookshelf(dials: Dials) -> Parts:
    """Build an open shelf, its front toward -Y."""
    width, height = dials.number("width", 1.0, 0.8, 1.5), dials.number("height", 1.9, 1.6, 2.1)
    depth, shelves = dials.number("depth", 0.3, 0.25, 0.36), dials.count("shelves", 5, 4, 6)
    half, wall = width / 2, 0.025
    for x in (-half, half - wall):
        yield "side", box((x, -depth / 2, 0), (x + wall, depth / 2, height))
    yield "back", box((-half + wall, depth / 2 - 0.012, 0), (half - wall, depth / 2, height))
    levels = np.linspace(0.06, height - wall, shelves + 1)
    for z in levels:
        yield "shelf", box((-half + wall, -depth / 2, float(z)), (half - wall, depth / 2 - 0.012, float(z) + wall))
    columns = dials.count("columns", 1, 1, 3)
    for k in range(1, columns):
        x = -half + k * width / columns
        for low, high in pairwise(levels):
            yield "divider", box((x - 0.01, -depth / 2, float(low) + wall), (x + 0.01, depth / 2 - 0.012, float(high)))
    if dials.choice("books", "none", "rows") == "rows":
        for row, low in enumerate(levels[:-1]):
            room = float(levels[1] - levels[0]) - wall
            for k in range(6):
                x = -half + wall + 0.01 + k * 0.045
                tall = room * (0.7 + 0.04 * ((k * 3 + row) % 5))
                yield (
                    "book",
                    box(
                        (x, -depth / 2 + 0.06, float(low) + wall),
                        (x + 0.04, depth / 2 - 0.03, float(low) + wall + tall),
                    ),
                )


def tv_stand(dials: Dials) -> Parts:
    """Build a long low stand with open compartments, its front toward -X."""
    length, depth = dials.number("length", 1.5, 1.25, 1.8), dials.number("depth", 0.46, 0.4, 0.52)
    height, bays = dials.number("height", 0.5, 0.44, 0.58), dials.count("bays", 3, 2, 3)
    half_x, half_y, wall, foot = depth / 2, length / 2, 0.025, 0.06
    yield "top", box((-half_x - 0.01, -half_y - 0.01, height - 0.03), (half_x, half_y + 0.01, height))
    yield "shelf", box((-half_x, -half_y, foot), (half_x, half_y, foot + wall))
    yield "back", box((half_x - 0.012, -half_y + wall, foot + wall), (half_x, half_y - wall, height - 0.03))
    for k in range(bays + 1):
        y = -half_y + k * (length - wall) / bays
        yield "side", box((-half_x, y, foot + wall), (half_x - 0.012, y + wall, height - 0.03))
    middle = foot + wall + (height - foot) * 0.45
    for k in range(bays):
        y0, y1 = -half_y + wall + k * (length - wall) / bays, -half_y + (k + 1) * (length - wall) / bays
        yield "shelf", box((-half_x + 0.02, y0, middle), (half_x - 0.012, y1, middle + 0.02))
    for x in (-half_x + 0.02, half_x - 0.07):
        for y in (-half_y + 0.03, half_y - 0.08):
            yield "foot", box((x, y, 0), (x + 0.05, y + 0.05, foot))


def glass_box(dials: Dials) -> Parts:
    """Build a show case: twelve bars and thin panes."""
    width, depth = dials.number("width", 1.0, 0.8, 1.2), dials.number("depth", 0.6, 0.5, 0.8)
    height, bar = dials.number("height", 0.6, 0.4, 0.75), dials.number("bar", 0.03, 0.02, 0.04)
    x, y, pane = width / 2, depth / 2, 0.004
    for sx in (-1, 1):
        for sy in (-1, 1):
            x0, x1 = sorted((sx * x, sx * (x - bar)))
            y0, y1 = sorted((sy * y, sy * (y - bar)))
            yield "frame", box((x0, y0, 0), (x1, y1, height))
    for z in (0.0, height - bar):
        for sign in (-1, 1):
            x0, x1 = sorted((sign * x, sign * (x - bar)))
            y0, y1 = sorted((sign * y, sign * (y - bar)))
            yield "frame", box((-x + bar, y0, z), (x - bar, y1, z + bar))
            yield "frame", box((x0, -y + bar, z), (x1, y - bar, z + bar))
    for sign in (-1, 1):
        px, py = sign * (x - bar / 2), sign * (y - bar / 2)
        yield "pane", box((px - pane / 2, -y + bar, bar), (px + pane / 2, y - bar, height - bar))
        yield "pane", box((-x + bar, py - pane / 2, bar), (x - bar, py + pane / 2, height - bar))
    for z in (bar / 2, height - bar / 2):
        yield "pane", box((-x + bar, -y + bar, z - pane / 2), (x - bar, y - bar, z + pane / 2))


RECIPES = {
    "table": Recipe(table, "table"),
    "round_table": Recipe(round_table, "table"),
    "desk": Recipe(desk, "desk"),
    "dresser": Recipe(dresser, "dresser"),
    "night_stand": Recipe(night_stand, "night_stand"),
    "wardrobe": Recipe(wardrobe, "wardrobe"),
    "bookshelf": Recipe(bookshelf, "bookshelf"),
    "tv_stand": Recipe(tv_stand, "tv_stand"),
    "glass_box": Recipe(glass_box, "glass_box"),
}
