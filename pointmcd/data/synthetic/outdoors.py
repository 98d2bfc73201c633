"""What is met outside? Noses toward -Y, people looking toward -Y, as in ModelNet40."""

from __future__ import annotations

import numpy as np

from pointmcd.data.synthetic.record import Dials, Parts, Recipe
from pointmcd.data.synthetic.solids import Number, Point, Solid, box, cylinder, ellipsoid, extrude, lathe, loft, tube


def _wing(root: Point, tip: Point, chords: Point, thick: Number) -> Solid:
    """Build a swept, tapered wing between the leading edges at its root and its tip.

    Args:
        root: Leading edge at the body, in metres.
        tip: Leading edge at the end.
        chords: Length along Y at root and tip.
        thick: Thickness as a share of the chord.
    """
    foil = np.array(
        [(0.0, 0.0), (0.1, 0.5), (0.35, 0.6), (0.7, 0.3), (1.0, 0.02), (0.7, -0.2), (0.35, -0.4), (0.1, -0.4)]
    )
    across = np.abs(np.subtract(tip, root))
    rings = []
    for (x, y, z), chord in zip((root, tip), chords, strict=True):
        along, high = y + foil[:, 0] * chord, foil[:, 1] * chord * thick
        if across[0] > across[2]:
            rings.append(np.stack([np.full(len(foil), x), along, z + high], axis=1))
        else:
            rings.append(np.stack([x + high, along, np.full(len(foil), z)], axis=1))
    return loft(rings)


def airplane(dials: Dials) -> Parts:
    """Build a jet airliner, its nose toward -Y."""
    length, span = dials.number("length", 36.0, 32.0, 42.0), dials.number("span", 34.0, 30.0, 38.0)
    radius, sweep = dials.number("fuselage radius", 1.9, 1.7, 2.2), dials.number("sweep", 7.0, 5.0, 8.5)
    stations = [
        (0.0, 0.05, -0.3), (0.015, 0.35, -0.25), (0.05, 0.7, -0.12), (0.11, 1.0, 0.0), (0.65, 1.0, 0.0),
        (0.8, 0.75, 0.2), (0.92, 0.4, 0.45), (1.0, 0.1, 0.65),
    ]  # fmt: skip
    angles = np.arange(24) * (2 * np.pi / 24)
    rings = []
    for along, size, lift in stations:
        y = np.full(24, (along - 0.45) * length)
        rings.append(np.stack([radius * size * np.cos(angles), y, radius * (size * np.sin(angles) + lift)], axis=1))
    yield "fuselage", loft(rings)
    chord = length * 0.19
    for sign in (-1, 1):
        tip = (sign * span / 2, -0.12 * length + sweep, 0.9)
        yield "wing", _wing((sign * radius * 0.85, -0.12 * length, -radius * 0.5), tip, (chord, chord * 0.3), 0.1)
        yield (
            "tail",
            _wing(
                (sign * radius * 0.4, 0.43 * length, radius * 0.45),
                (sign * span * 0.18, 0.51 * length, radius * 0.7),
                (chord * 0.5, chord * 0.22),
                0.1,
            ),
        )
        if dials.choice("engines", "under the wings", "at the tail") == "under the wings":
            place = (sign * span * 0.17, -0.1 * length, -radius * 0.95)
        else:
            place = (sign * radius * 1.45, 0.28 * length, radius * 0.35)
        shell = lathe([(0.0, -2.0), (1.0, -2.2), (1.05, 0.0), (0.6, 2.2), (0.0, 2.2)], sides=16)
        yield "engine", shell.turned(-90, about="x").moved(*place)
    yield (
        "tail",
        _wing((0, 0.38 * length, radius * 0.8), (0, 0.52 * length, radius * 3.8), (chord * 0.75, chord * 0.32), 0.08),
    )


def car(dials: Dials) -> Parts:
    """Build a saloon car, its nose toward -Y."""
    length, width = dials.number("length", 4.5, 4.1, 4.8), dials.number("width", 1.75, 1.65, 1.85)
    roof, belt = dials.number("height", 1.42, 1.34, 1.5), dials.number("belt height", 0.92, 0.86, 0.96)
    wheel, ground = dials.number("wheel radius", 0.32, 0.29, 0.35), 0.22
    stations = [
        (0.0, 0.86, 0.45, 0.0), (0.02, 0.93, 0.66, 0.0), (0.22, 1.0, 0.86, 0.0), (0.27, 1.0, 0.92, 0.0),
        (0.42, 1.0, 1.0, 0.94), (0.52, 1.0, 1.0, 1.0), (0.68, 1.0, 1.0, 0.96), (0.86, 1.0, 0.99, 0.0),
        (0.97, 0.95, 0.93, 0.0), (1.0, 0.88, 0.6, 0.0),
    ]  # fmt: skip
    rings = []
    for along, broad, high, cabin in stations:
        half, shoulder = width / 2 * broad, belt * high
        top, inset = shoulder + (roof - belt) * cabin, 0.06 + 0.14 * cabin
        bottom = ground + (0.1 if along in (0.0, 1.0) else 0.0)
        y = (along - 0.5) * length
        section = [
            (-half + 0.08, bottom),
            (half - 0.08, bottom),
            (half, (bottom + shoulder) / 2),
            (half - 0.02, shoulder),
        ]
        section += [
            (half - inset, top),
            (0.0, top + 0.02),
            (-half + inset, top),
            (-half + 0.02, shoulder),
            (-half, (bottom + shoulder) / 2),
        ]
        rings.append(np.array([(x, y, z) for x, z in section]))
    yield "body", loft(rings)
    for y in (-0.31 * length, 0.3 * length):
        for sign in (-1, 1):
            tire = lathe(
                [
                    (0, -0.1),
                    (wheel * 0.9, -0.1),
                    (wheel, -0.06),
                    (wheel, 0.06),
                    (wheel * 0.9, 0.1),
                    (wheel * 0.6, 0.1),
                    (wheel * 0.55, 0.07),
                    (0, 0.07),
                ]
            )
            yield "wheel", tire.turned(90 * sign, about="y").moved(sign * (width / 2 - 0.07), y, wheel)
    for sign in (-1, 1):
        x0, x1 = sorted((sign * (width / 2 - 0.03), sign * (width / 2 + 0.14)))
        yield "mirror", box((x0, -0.17 * length, belt), (x1, -0.14 * length, belt + 0.12))


def tent(dials: Dials) -> Parts:
    """Build a ridge tent with closed cloth walls and an open front."""
    width, length = dials.number("width", 1.8, 1.5, 2.2), dials.number("length", 2.2, 1.9, 2.6)
    height, cloth = dials.number("height", 1.25, 1.05, 1.5), 0.02
    half = width / 2
    walls = [
        (-half, 0),
        (-half + cloth * 1.6, 0),
        (0, height - cloth * 2),
        (half - cloth * 1.6, 0),
        (half, 0),
        (0, height),
    ]
    yield "cloth", extrude(walls, -length / 2, length / 2, along="y")
    yield (
        "back wall",
        extrude(
            [(-half + 0.05, 0), (half - 0.05, 0), (0, height - 0.08)], length / 2 - 0.03, length / 2 - 0.01, along="y"
        ),
    )
    yield "floor", box((-half + 0.05, -length / 2, -0.02), (half - 0.05, length / 2, 0))
    if dials.choice("flaps", "open", "closed") == "open":
        for sign in (-1, 1):
            yield (
                "flap",
                extrude(
                    [(sign * half * 0.94, 0), (sign * half * 0.35, 0), (0, height - 0.08)],
                    -length / 2 + 0.01,
                    -length / 2 + 0.03,
                    along="y",
                ),
            )
    else:
        yield (
            "flap",
            extrude(
                [(-half + 0.05, 0), (half - 0.05, 0), (0, height - 0.08)],
                -length / 2 + 0.01,
                -length / 2 + 0.03,
                along="y",
            ),
        )


def person(dials: Dials) -> Parts:
    """Build a standing person looking toward -Y."""
    height, spread = dials.number("height", 1.75, 1.6, 1.9), dials.number("arm angle", 18, 8, 40)
    stance, girth = dials.number("stance", 0.1, 0.08, 0.14), dials.number("girth", 1.0, 0.9, 1.2)
    hip, shoulder = height * 0.5, height * 0.82
    torso = [
        np.stack([girth * w * np.cos(a), girth * d * np.sin(a), np.full(16, z)], axis=1)
        for a in [np.arange(16) * (2 * np.pi / 16)]
        for w, d, z in (
            (0.14, 0.1, hip - 0.06), (0.17, 0.12, hip), (0.14, 0.1, hip + 0.18), (0.18, 0.12, shoulder - 0.12),
            (0.19, 0.1, shoulder - 0.03), (0.08, 0.07, shoulder + 0.02),
        )
    ]  # fmt: skip
    yield "torso", loft(torso)
    yield "head", ellipsoid((0, -0.01, height - 0.12), (0.08, 0.1, 0.12), sides=16)
    yield "head", cylinder(0.05, shoulder, height - 0.2, sides=12)
    for sign in (-1, 1):
        yield (
            "leg",
            tube(
                [(sign * 0.09, 0, hip), (sign * (0.09 + stance) / 1.4, -0.01, height * 0.27), (sign * stance, 0, 0.06)],
                [0.085 * girth, 0.06, 0.045],
            ),
        )
        yield "foot", ellipsoid((sign * stance, -0.06, 0.04), (0.045, 0.13, 0.04), sides=12, rings=6)
        out, down = np.sin(np.radians(spread)), np.cos(np.radians(spread))
        x, z = sign * 0.17 * girth, shoulder - 0.05
        elbow = (x + sign * 0.3 * out, 0.02, z - 0.3 * down)
        hand = (elbow[0] + sign * 0.28 * out * 0.8, -0.04, elbow[2] - 0.28 * down)
        yield "arm", tube([(x, 0, z), elbow, hand], [0.055, 0.042, 0.03])
        yield "hand", ellipsoid((hand[0], hand[1], hand[2] - 0.06), (0.03, 0.045, 0.08), sides=10, rings=6)


RECIPES = {
    "airplane": Recipe(airplane, "airplane"),
    "car": Recipe(car, "car"),
    "tent": Recipe(tent, "tent"),
    "person": Recipe(person, "person"),
}
