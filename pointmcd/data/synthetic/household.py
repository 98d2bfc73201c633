"""Which small things stand on a table or a shelf? Bodies of revolution about Z, lamps, and plants."""

from __future__ import annotations

import numpy as np

from pointmcd.data.synthetic.record import Dials, Parts, Recipe
from pointmcd.data.synthetic.solids import Number, Solid, arc, box, cylinder, ellipsoid, lathe, sheet, tube


def bottle(dials: Dials) -> Parts:
    """Build a wine bottle with its cork."""
    radius, height = dials.number("radius", 0.037, 0.034, 0.042), dials.number("height", 0.3, 0.27, 0.33)
    neck, shoulder = dials.number("neck radius", 0.014, 0.012, 0.016), dials.number("shoulder", 0.62, 0.52, 0.66)
    slope = dials.number("slope", 0.16, 0.08, 0.22)
    z0, z1 = height * shoulder, height * (shoulder + slope)
    curve = [(neck + (radius - neck) * (1 + np.cos(np.pi * t)) / 2, z0 + (z1 - z0) * t) for t in np.linspace(0, 1, 8)]
    yield "body", lathe([(0, 0), (radius * 0.94, 0), (radius, 0.005), *curve, (neck, height), (0, height)])
    yield (
        "cork",
        lathe(
            [
                (neck, height - 0.025),
                (neck * 1.18, height - 0.025),
                (neck * 1.18, height - 0.004),
                (neck, height - 0.004),
            ]
        ),
    )


def bowl(dials: Dials) -> Parts:
    """Build an open bowl on a foot ring."""
    radius, height = dials.number("radius", 0.14, 0.12, 0.16), dials.number("height", 0.07, 0.055, 0.09)
    wall, foot = dials.number("wall", 0.006, 0.004, 0.008), dials.number("foot radius", 0.05, 0.04, 0.06)
    rise = dials.number("roundness", 2.0, 1.6, 2.6)
    radii = np.linspace(foot, radius, 9)
    outer = [(float(r), 0.012 + (height - 0.012) * float(((r - foot) / (radius - foot)) ** rise)) for r in radii]
    inner = [(max(r - wall * 0.7, 0.0), z + wall * 0.7) for r, z in outer[-2::-1]]
    yield "body", lathe([(0, 0.012), *outer, (radius - wall, height), *inner[:-1], (0, 0.012 + wall)])
    yield "foot", lathe([(foot, 0), (foot, 0.012), (foot - 0.008, 0.012), (foot - 0.008, 0)])


def _tumbler(low: Number, high: Number, height: Number, wall: Number) -> Solid:
    """Build an open tapered cup with a floor."""
    return lathe([(0, 0), (low, 0), (high, height), (high - wall, height), (low - wall, wall), (0, wall)], sides=40)


def cup(dials: Dials) -> Parts:
    """Build a paper cup, wider at its rim."""
    low, high = dials.number("base radius", 0.033, 0.03, 0.036), dials.number("rim radius", 0.042, 0.039, 0.045)
    height = dials.number("height", 0.105, 0.09, 0.115)
    yield "body", _tumbler(low, high, height, dials.number("wall", 0.002, 0.0015, 0.003))
    yield "rim", lathe(arc((high, height), 0.0025, 0, 315, 8), sides=40)


def mug(dials: Dials) -> Parts:
    """Build an open mug with a handle: its inside is seen only from above."""
    radius, height = dials.number("radius", 0.042, 0.038, 0.046), dials.number("height", 0.095, 0.085, 0.105)
    handle, wall = dials.number("handle", 0.03, 0.025, 0.034), dials.number("wall", 0.004, 0.003, 0.005)
    yield "body", _tumbler(radius * 0.97, radius, height, wall)
    bend = arc((radius - 0.003, height / 2), handle, -75, 75, 13)
    yield "handle", tube([(x, 0.0, z) for x, z in bend], 0.006)


def wine_glass(dials: Dials) -> Parts:
    """Build a goblet on a stem."""
    radius, height = dials.number("radius", 0.046, 0.042, 0.05), dials.number("height", 0.125, 0.115, 0.135)
    stem, foot = dials.number("stem height", 0.045, 0.038, 0.052), dials.number("foot radius", 0.036, 0.032, 0.04)
    fullness = (0.12, 0.55, 0.78, 0.9, 0.97, 1.0, 1.0)
    levels = np.linspace(stem, height, len(fullness))
    outer = [(radius * f, float(z)) for f, z in zip(fullness, levels, strict=True)]
    inner = [(r - 0.0015, z) for r, z in outer[:0:-1]]
    yield "bowl", lathe([(0, stem - 0.001), *outer, *inner, (0, stem + 0.006)])
    yield "stem", cylinder(0.0035, 0.004, stem - 0.001, sides=12)
    yield "foot", lathe([(0, 0), (foot, 0), (foot, 0.001), (0.004, 0.004), (0, 0.004)])


def vase(dials: Dials) -> Parts:
    """Build a bellied vase with a narrow neck and a flaring lip."""
    height, belly = dials.number("height", 0.34, 0.28, 0.4), dials.number("belly radius", 0.085, 0.075, 0.1)
    neck, lip = dials.number("neck radius", 0.032, 0.026, 0.042), dials.number("lip radius", 0.052, 0.045, 0.06)
    foot, low = dials.number("foot radius", 0.05, 0.042, 0.058), dials.number("belly height", 0.48, 0.4, 0.6)
    knots_z = np.array([0.0, low * 0.5, low, (low + 0.8) / 2, 0.8, 0.9, 1.0]) * height
    knots_r = np.array([foot, (foot + belly) / 1.9, belly, (belly + neck) / 2.1, neck, neck * 1.1, lip])
    outer = list(zip(*_smooth(knots_r, knots_z, 28), strict=True))
    inner = [(max(r - 0.005, 0.004), max(z, 0.006)) for r, z in outer[::-1]]
    yield "body", lathe([(0, 0), *outer, *inner[:-1], (0, 0.006)], sides=40)


def _smooth(radius: np.ndarray, height: np.ndarray, count: int) -> tuple[list[float], list[float]]:
    """Draw a Catmull-Rom curve through the knots of a profile."""
    points = np.stack([radius, height], axis=1)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    curve = []
    for t in np.linspace(0, len(points) - 1, count):
        k = min(int(t), len(points) - 2)
        p, u = padded[k : k + 4], t - k
        curve.append(
            0.5
            * (
                2 * p[1]
                + (p[2] - p[0]) * u
                + (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3]) * u**2
                + (3 * p[1] - p[0] - 3 * p[2] + p[3]) * u**3
            )
        )
    return [float(r) for r, _ in curve], [float(z) for _, z in curve]


def cone(dials: Dials) -> Parts:
    """Build a plain cone."""
    yield (
        "body",
        cylinder(
            dials.number("radius", 0.3, 0.2, 0.34), 0, dials.number("height", 0.6, 0.5, 0.8), top_radius=0, sides=48
        ),
    )


def traffic_cone(dials: Dials) -> Parts:
    """Build a road cone on its square plate."""
    radius, height = dials.number("radius", 0.13, 0.11, 0.15), dials.number("height", 0.5, 0.45, 0.6)
    plate = dials.number("plate", 0.2, 0.18, 0.23)
    yield "plate", box((-plate, -plate, 0), (plate, plate, 0.03))
    yield "body", cylinder(radius, 0.03, height, top_radius=0.025, sides=40)


def table_lamp(dials: Dials) -> Parts:
    """Build a lamp with a conical shade on a turned stem."""
    height, shade = dials.number("height", 0.55, 0.48, 0.62), dials.number("shade radius", 0.17, 0.15, 0.2)
    top, base = dials.number("shade top radius", 0.1, 0.07, 0.14), dials.number("base radius", 0.09, 0.07, 0.11)
    rim = height - dials.number("shade height", 0.2, 0.16, 0.24)
    yield "base", lathe([(0, 0), (base, 0), (base, 0.02), (0.03, 0.04), (0, 0.04)])
    body = dials.number("body radius", 0.035, 0.02, 0.06)
    profile = [(0.012, 0.04), (body, 0.11), (body * 0.9, 0.18), (0.012, 0.26), (0.01, height - 0.05)]
    yield "stem", lathe([(0, 0.04), *profile, (0, height - 0.05)], sides=20)
    yield "shade", lathe([(shade, rim), (top, height), (top - 0.004, height), (shade - 0.004, rim)], sides=40)


def desk_lamp(dials: Dials) -> Parts:
    """Build a work lamp with a jointed arm."""
    base, lower = dials.number("base radius", 0.1, 0.08, 0.12), dials.number("lower arm", 0.3, 0.25, 0.35)
    upper, shade = dials.number("upper arm", 0.28, 0.22, 0.32), dials.number("shade radius", 0.08, 0.065, 0.095)
    first, second = dials.number("first angle", 75, 65, 85), dials.number("second angle", 150, 140, 165)
    elbow = np.array([0.0, lower * np.cos(np.radians(first)), 0.03 + lower * np.sin(np.radians(first))])
    wrist = elbow + upper * np.array([0.0, np.cos(np.radians(second)), np.sin(np.radians(second))])
    yield "base", lathe([(0, 0), (base, 0), (base, 0.015), (0.03, 0.03), (0, 0.03)])
    yield "arm", tube([(0, 0, 0.03), tuple(elbow)], 0.008)
    yield "arm", tube([tuple(elbow), tuple(wrist)], 0.008)
    yield "joint", ellipsoid(elbow, (0.016, 0.016, 0.016), sides=12, rings=6)
    cap = lathe([(0, 0.004), (0.026, -0.004), (shade - 0.003, -0.11), (shade, -0.11), (0.03, 0), (0, 0.01)])
    yield "shade", cap.turned(-20, about="x").moved(*wrist)


def _leaf(length: Number, width: Number, droop: Number) -> Solid:
    """Build a pointed leaf along +X that bends down."""
    t = np.linspace(0.02, 0.98, 9)
    spread = width / 2 * np.sin(np.pi * t**0.8)
    x, z = length * t, length * (0.45 * t - droop * t**2)
    rows = [np.stack([x, side * spread, z - 0.15 * abs(side) * spread], axis=1) for side in (-1.0, 0.0, 1.0)]
    return sheet(np.stack(rows, axis=1), (0.0, 0.0, 0.003))


def plant(dials: Dials) -> Parts:
    """Build a leafy house plant in a pot."""
    pot, leaves = dials.number("pot height", 0.22, 0.18, 0.26), dials.count("leaves", 26, 20, 34)
    length, droop = dials.number("leaf length", 0.4, 0.33, 0.48), dials.number("droop", 0.55, 0.35, 0.8)
    stem, width = dials.number("stem height", 0.4, 0.3, 0.5), dials.number("leaf width", 0.11, 0.08, 0.14)
    yield "pot", lathe([(0, 0), (0.09, 0), (0.13, pot), (0.115, pot), (0.11, pot - 0.03), (0, pot - 0.03)])
    yield "stem", tube([(0, 0, pot - 0.03), (0.01, 0, pot + stem / 2), (0, 0.01, pot + stem)], [0.014, 0.011, 0.006])
    for k in range(leaves):
        share = k / (leaves - 1)
        leaf = _leaf(length * (1.0 - 0.35 * share), width, droop)
        # The golden angle keeps leaves from hiding each other, as in real plants.
        yield "leaf", leaf.turned(-50 * share, about="y").turned(137.5 * k).moved(z=pot + stem * (0.1 + 0.9 * share))


def flower_pot(dials: Dials) -> Parts:
    """Build a clay pot filled to its rim, with a bush of short leaves."""
    low, high = dials.number("base radius", 0.1, 0.09, 0.115), dials.number("rim radius", 0.15, 0.135, 0.165)
    pot, leaves = dials.number("pot height", 0.27, 0.23, 0.31), dials.count("leaves", 26, 20, 32)
    length, width = dials.number("leaf length", 0.15, 0.12, 0.17), dials.number("leaf width", 0.06, 0.05, 0.07)
    rim = [(high + 0.008, pot - 0.04), (high + 0.008, pot), (high - 0.01, pot), (high - 0.012, pot - 0.015)]
    yield "pot", lathe([(0, 0), (low, 0), (high - 0.006, pot - 0.04), *rim, (0, pot - 0.015)])
    for k in range(leaves):
        # Sunflower pattern: evenly over the soil, the outer leaves leaning out.
        out = float(np.sqrt((k + 0.5) / leaves))
        leaf = _leaf(length, width, 0.35).turned(-85 + 50 * out, about="y").moved(x=high * 0.75 * out)
        yield "leaf", leaf.turned(137.5 * k).moved(z=pot - 0.015)


RECIPES = {
    "bottle": Recipe(bottle, "bottle"),
    "bowl": Recipe(bowl, "bowl"),
    "cup": Recipe(cup, "cup"),
    "mug": Recipe(mug, "cup"),
    "wine_glass": Recipe(wine_glass, "cup"),
    "vase": Recipe(vase, "vase"),
    "cone": Recipe(cone, "cone"),
    "traffic_cone": Recipe(traffic_cone, "cone"),
    "table_lamp": Recipe(table_lamp, "lamp"),
    "desk_lamp": Recipe(desk_lamp, "lamp"),
    "plant": Recipe(plant, "plant"),
    "flower_pot": Recipe(flower_pot, "flower_pot"),
}
