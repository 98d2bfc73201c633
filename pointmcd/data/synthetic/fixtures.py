"""What is built into a house? Fronts toward -Y, walls toward +Y, stairs climb toward +Y, as in ModelNet40."""

from __future__ import annotations

import numpy as np

from pointmcd.data.synthetic.record import Dials, Parts, Recipe
from pointmcd.data.synthetic.solids import (
    Number,
    Solid,
    box,
    cylinder,
    ellipse,
    extrude,
    frustum,
    lathe,
    loft,
    ring_loft,
    rounded_rectangle,
    sheet,
    tube,
)


def bathtub(dials: Dials) -> Parts:
    """Build an oval tub with a rim, long along Y."""
    length, width = dials.number("length", 1.7, 1.55, 1.85), dials.number("width", 0.8, 0.72, 0.9)
    height, taper = dials.number("height", 0.55, 0.48, 0.62), dials.number("taper", 0.78, 0.68, 0.88)
    yield (
        "tub",
        loft(
            [
                rounded_rectangle(width * f, length * g, width * f * 0.45, z=z, steps=9)
                for f, g, z in (
                    (taper * 0.9, taper, 0.04),
                    (0.88, 0.93, height - 0.04),
                    (1.0, 1.0, height - 0.03),
                    (1.0, 1.0, height),
                    (0.86, 0.92, height),
                    (0.33 * taper + 0.48, 0.4 * taper + 0.51, height * 0.6),
                    (taper * 0.8, taper * 0.92, 0.13),
                    (taper * 0.5, taper * 0.7, 0.09),
                )
            ]
        ),
    )
    for x in (-0.3, 0.3):
        for y in (-0.34, 0.34):
            yield "foot", cylinder(0.03, 0, 0.08, top_radius=0.05, sides=12).moved(x * width * 0.8, y * length * 0.85)
    yield (
        "tap",
        tube(
            [
                (0, length / 2 - 0.05, height),
                (0, length / 2 - 0.05, height + 0.12),
                (0, length / 2 - 0.2, height + 0.12),
            ],
            0.018,
        ),
    )


def toilet(dials: Dials) -> Parts:
    """Build a toilet, its tank toward +Y."""
    seat, tank = dials.number("seat height", 0.42, 0.39, 0.45), dials.number("tank top", 0.8, 0.74, 0.88)
    width, length = dials.number("bowl width", 0.37, 0.35, 0.41), dials.number("bowl length", 0.48, 0.44, 0.52)
    tank_width = dials.number("tank width", 0.46, 0.42, 0.5)

    def oval(width_share: Number, length_share: Number, z: Number, y: Number = 0.0) -> np.ndarray:
        return ellipse(width * width_share, length * length_share, z=z, center=(0, y))

    yield (
        "bowl",
        loft(
            [
                oval(0.62, 0.75, 0.0, 0.06),
                oval(0.55, 0.66, 0.1, 0.06),
                oval(0.62, 0.72, 0.2, 0.04),
                oval(0.92, 0.95, seat - 0.07),
                oval(1.0, 1.0, seat - 0.02),
                oval(0.74, 0.76, seat - 0.02),
                oval(0.6, 0.62, seat - 0.12),
                oval(0.3, 0.3, seat - 0.2),
            ]
        ),
    )
    outer, inner = (ellipse(width * f, length * f, z=0.0) for f in (1.04, 0.72))
    lift = np.array([0, 0, 1.0])
    yield "seat", _ring(outer + lift * (seat - 0.02), inner + lift * (seat - 0.02), 0.025)
    yield "base", box((-width * 0.3, length * 0.3, 0), (width * 0.3, length * 0.62, seat - 0.02))
    y = length * 0.46
    yield (
        "tank",
        frustum(
            (-tank_width * 0.46, y, tank_width * 0.46, y + 0.19),
            (-tank_width / 2, y, tank_width / 2, y + 0.2),
            seat - 0.02,
            tank - 0.035,
        ),
    )
    yield "tank lid", box((-tank_width / 2 - 0.012, y - 0.012, tank - 0.035), (tank_width / 2 + 0.012, y + 0.21, tank))
    if dials.choice("lid", "up", "none") == "up":
        lid = loft([ellipse(width, length, z=z) for z in (0.0, 0.02)]).moved(0, length / 2)
        yield "lid", lid.turned(86, about="x").moved(0, y - 0.05, seat + 0.02)


def _ring(outer: np.ndarray, inner: np.ndarray, height: Number) -> Solid:
    """Build a flat ring between two outlines of equal length."""
    lift = np.array([0.0, 0.0, height])
    return ring_loft([outer, outer + lift, inner + lift, inner])


def sink(dials: Dials) -> Parts:
    """Build a kitchen sink: a rim, a basin hanging below it, a tap behind."""
    width, depth = dials.number("width", 0.6, 0.52, 0.72), dials.number("depth", 0.5, 0.45, 0.56)
    basin, rim = dials.number("basin depth", 0.19, 0.16, 0.23), dials.number("rim", 0.05, 0.03, 0.07)
    yield (
        "basin",
        loft(
            [
                rounded_rectangle(width - 2 * a, depth - 2 * a, r, z=z)
                for a, r, z in (
                    (rim + 0.03, 0.06, 0.0),
                    (rim + 0.004, 0.06, basin - 0.012),
                    (0.0, 0.02, basin - 0.012),
                    (0.0, 0.02, basin),
                    (rim + 0.006, 0.06, basin),
                    (rim + 0.034, 0.06, 0.006),
                )
            ]
        ),
    )
    yield "drain", cylinder(0.03, -0.05, 0.0, sides=16)
    y = depth / 2 - rim * 0.4
    yield (
        "tap",
        tube(
            [
                (0, y, basin),
                (0, y, basin + 0.2),
                (0, y - 0.05, basin + 0.26),
                (0, y - 0.14, basin + 0.24),
                (0, y - 0.16, basin + 0.18),
            ],
            0.012,
        ),
    )
    for x in (-0.08, 0.08):
        yield "handle", cylinder(0.015, basin, basin + 0.04, sides=12).moved(x, y)


def range_hood(dials: Dials) -> Parts:
    """Build a cooker hood with its chimney at the wall toward +Y."""
    width, depth = dials.number("width", 0.9, 0.75, 1.05), dials.number("depth", 0.5, 0.45, 0.56)
    skirt, slope = dials.number("skirt", 0.05, 0.04, 0.08), dials.number("slope height", 0.22, 0.15, 0.28)
    chimney, height = dials.number("chimney width", 0.3, 0.25, 0.36), dials.number("height", 0.85, 0.7, 1.0)
    half, duct = width / 2, chimney / 2
    yield "canopy", frustum((-half, 0, half, depth), (-duct, depth - 0.28, duct, depth), skirt, skirt + slope)
    for x in (-half, half - 0.015):
        yield "skirt", box((x, 0, 0), (x + 0.015, depth, skirt))
    for y in (0.0, depth - 0.015):
        yield "skirt", box((-half + 0.015, y, 0), (half - 0.015, y + 0.015, skirt))
    yield "chimney", box((-duct, depth - 0.28, skirt + slope), (duct, depth, height))


def mantel(dials: Dials) -> Parts:
    """Build a fireplace: a chimney breast over an arched firebox, and the mantel shelf low before it, toward -Y."""
    width, height = dials.number("width", 1.9, 1.65, 2.2), dials.number("height", 1.5, 1.3, 1.65)
    depth, surround = dials.number("depth", 0.8, 0.65, 0.9), dials.number("surround depth", 0.12, 0.08, 0.18)
    half, wall = width / 2, 0.06
    opening = half - dials.number("jamb", 0.16, 0.12, 0.24)
    shelf, top = dials.number("shelf height", 0.62, 0.52, 0.74), dials.number("opening height", 0.46, 0.36, 0.5)
    bow = 0.2 if dials.choice("arch", "round", "straight") == "round" else 0.0
    crown = [(opening * float(np.cos(a)), top - bow + bow * float(np.sin(a))) for a in np.linspace(0, np.pi, 11)]
    inner = crown if bow else [(opening, top), (-opening, top)]
    outer = [(-half, 0), (-half, shelf), (half, shelf), (half, 0)]
    yield "surround", extrude([*outer, (opening, 0), *inner, (-opening, 0)], -surround, 0, along="y")
    for x in (-half, half - wall):
        yield "firebox", box((x, 0, 0), (x + wall, depth, shelf))
    yield "firebox", box((-half + wall, depth - wall, 0), (half - wall, depth, shelf))
    yield "shelf", box((-half - 0.03, -surround - 0.08, shelf), (half + 0.03, 0, shelf + 0.05))
    yield "breast", box((-half, 0, shelf), (half, depth, height))


def door(dials: Dials) -> Parts:
    """Build a panelled door, thin along Y."""
    width, height = dials.number("width", 0.9, 0.75, 1.0), dials.number("height", 2.05, 1.95, 2.15)
    thick, rows = dials.number("thickness", 0.045, 0.035, 0.06), dials.count("panel rows", 3, 2, 4)
    half = width / 2
    yield "leaf", box((-half, -thick / 2, 0), (half, thick / 2, height))
    for row in range(rows):
        z0, z1 = 0.15 + row * (height - 0.25) / rows, 0.05 + (row + 1) * (height - 0.25) / rows
        for x0, x1 in ((-half + 0.1, -0.05), (0.05, half - 0.1)):
            for sign in (-1, 1):
                y0, y1 = sorted((sign * thick / 2, sign * (thick / 2 + 0.01)))
                yield "panel", box((x0, y0, z0), (x1, y1, z1))
    for sign in (-1, 1):
        knob = lathe([(0, 0), (0.012, 0), (0.012, 0.03), (0.028, 0.04), (0.028, 0.055), (0, 0.065)], sides=14)
        yield "knob", knob.turned(-90 * sign, about="x").moved(half - 0.06, sign * thick / 2, height * 0.48)


def curtain(dials: Dials) -> Parts:
    """Build hanging curtains in folds on a rod, thin along Y: drawn, or tied back to both sides."""
    width, height = dials.number("width", 2.0, 1.8, 2.5), dials.number("height", 2.0, 1.8, 2.2)
    folds, swing = dials.count("folds", 8, 6, 9), dials.number("swing", 0.035, 0.025, 0.045)
    tied = dials.choice("style", "drawn", "tied") == "tied"
    half, levels = width / 2, np.linspace(0.0, 1.0, 13)
    for sign in (-1.0, 1.0):
        across = np.linspace(0.0, 1.0, folds * 6 + 1)
        wave = swing * np.sin(2 * np.pi * folds * across)
        rows = []
        for level in levels:
            # Tied a third of the way up, where the cloth keeps 35 % of its width.
            share = 0.35 + 0.62 * min(abs(float(level) - 0.35) / 0.65, 1.0) ** 1.5 if tied else 0.98
            x = sign * (half - across * half * share)
            rows.append(np.stack([x, wave, np.full_like(x, level * height)], axis=1))
        yield "cloth", sheet(np.stack(rows), (0.0, 0.004, 0.0))
    rod = cylinder(0.014, -half - 0.06, half + 0.06, sides=12).turned(90, about="y")
    yield "rod", rod.moved(z=height + 0.014)


def stairs(dials: Dials) -> Parts:
    """Build a straight flight climbing toward +Y, with or without rails."""
    width, steps = dials.number("width", 0.9, 0.75, 1.1), dials.count("steps", 12, 9, 15)
    rise, tread = dials.number("rise", 0.18, 0.16, 0.19), dials.number("tread", 0.25, 0.23, 0.29)
    half = width / 2
    outline = [(0.0, 0.0)]
    for k in range(steps):
        outline += [(k * tread, (k + 1) * rise), ((k + 1) * tread, (k + 1) * rise)]
    outline += [(steps * tread, (steps - 1) * rise - 0.1), (tread * 0.8, 0.0)]
    yield "steps", extrude(outline, -half, half, along="x")
    if dials.choice("rails", "both", "none") == "both":
        for x in (-half + 0.03, half - 0.03):
            yield "rail", tube([(x, tread / 2, rise + 0.9), (x, (steps - 0.5) * tread, steps * rise + 0.9)], 0.025)
            for k in range(0, steps):
                y = (k + 0.5) * tread
                yield "baluster", tube([(x, y, (k + 1) * rise), (x, y, (k + 1) * rise + 0.9)], 0.012, sides=6)


RECIPES = {
    "bathtub": Recipe(bathtub, "bathtub"),
    "toilet": Recipe(toilet, "toilet"),
    "sink": Recipe(sink, "sink"),
    "range_hood": Recipe(range_hood, "range_hood"),
    "mantel": Recipe(mantel, "mantel"),
    "door": Recipe(door, "door"),
    "curtain": Recipe(curtain, "curtain"),
    "stairs": Recipe(stairs, "stairs"),
}
