"""Which machines and instruments are there? Keys toward -Y, the monitor's screen toward -X, as in ModelNet40."""

from __future__ import annotations

import numpy as np

from pointmcd.data.synthetic.record import Dials, Parts, Recipe
from pointmcd.data.synthetic.solids import (
    Number,
    box,
    cylinder,
    ellipse,
    extrude,
    frustum,
    lathe,
    loft,
    rounded_rectangle,
    tube,
)


def laptop(dials: Dials) -> Parts:
    """Build an open laptop, its hinge toward +Y."""
    width, depth = dials.number("width", 0.36, 0.32, 0.4), dials.number("depth", 0.26, 0.23, 0.29)
    opening, thick = dials.number("opening", 105, 95, 120), dials.number("thickness", 0.016, 0.012, 0.022)
    half = width / 2
    yield "base", box((-half, -depth, 0), (half, 0, thick))
    lid = box((-half, -depth, thick), (half, 0, thick + thick * 0.6))
    yield "screen", lid.turned(-opening, about="x", center=(0, 0, thick))
    rows, columns, pitch = 5, 13, width * 0.88 / 13
    for row in range(rows):
        for column in range(columns):
            x, y = -half * 0.88 + column * pitch, -depth * 0.52 + row * pitch * 0.9
            yield "key", box((x, y, thick), (x + pitch * 0.85, y + pitch * 0.76, thick + 0.003))


def keyboard(dials: Dials) -> Parts:
    """Build a computer keyboard, flat and long along X."""
    width, depth = dials.number("width", 0.45, 0.4, 0.48), dials.number("depth", 0.16, 0.14, 0.19)
    front, back = dials.number("front height", 0.014, 0.01, 0.018), dials.number("back height", 0.024, 0.02, 0.032)
    half = width / 2
    outline = [(-depth / 2, 0), (depth / 2, 0), (depth / 2, back), (-depth / 2, front)]
    yield "body", extrude(outline, -half, half, along="x")
    rows, columns = 5, 18
    pitch_x, pitch_y = width * 0.94 / columns, depth * 0.86 / rows
    for row in range(rows):
        y = -depth * 0.43 + row * pitch_y
        z = front + (back - front) * (y + depth / 2) / depth
        for column in range(columns):
            if column in (13,):
                continue
            x = -half * 0.94 + column * pitch_x
            low, high = (
                (x, y, x + pitch_x * 0.9, y + pitch_y * 0.9),
                (x + 0.002, y + 0.002, x + pitch_x * 0.9 - 0.002, y + pitch_y * 0.9 - 0.002),
            )
            yield "key", frustum(low, high, z, z + 0.008)


def monitor(dials: Dials) -> Parts:
    """Build a flat screen on a foot, looking toward -X."""
    width, height = dials.number("width", 0.52, 0.44, 0.58), dials.number("screen height", 0.34, 0.3, 0.38)
    thick, lift = dials.number("thickness", 0.05, 0.035, 0.07), dials.number("lift", 0.1, 0.06, 0.14)
    half, top = width / 2, lift + height
    yield "screen", box((-thick / 2, -half, lift), (0, half, top))
    shell = [rounded_rectangle(height * f, width * f, 0.02) for f in (1.0, 0.75)]
    rings = [
        np.stack([np.full(len(ring), x), ring[:, 1], (lift + top) / 2 + ring[:, 0]], axis=1)
        for ring, x in zip(shell, (0.0, thick / 2), strict=True)
    ]
    yield "screen", loft(rings)
    yield "neck", box((thick / 2, -0.04, 0.01), (thick / 2 + 0.03, 0.04, lift + height * 0.45))
    foot = dials.number("foot width", 0.26, 0.2, 0.3)
    yield "foot", loft([ellipse(foot * 0.75, foot, z=z, center=(0.02, 0)) for z in (0.0, 0.014)])


def radio(dials: Dials) -> Parts:
    """Build a table radio with a handle and an aerial, its front toward -Y."""
    width, height = dials.number("width", 0.32, 0.27, 0.38), dials.number("height", 0.19, 0.16, 0.22)
    depth, aerial = dials.number("depth", 0.1, 0.08, 0.13), dials.number("aerial", 0.2, 0.12, 0.26)
    half, front = width / 2, -depth / 2
    yield "body", box((-half, front, 0), (half, depth / 2, height))
    for sign in (-1, 1):
        speaker = cylinder(height * 0.32, 0, 0.01, sides=24).turned(90, about="x")
        yield "speaker", speaker.moved(sign * half * 0.58, front, height * 0.45)
        yield (
            "handle",
            box((sign * half * 0.8 - 0.008, -0.012, height), (sign * half * 0.8 + 0.008, 0.012, height + 0.03)),
        )
    yield "handle", box((-half * 0.8 - 0.008, -0.012, height + 0.03), (half * 0.8 + 0.008, 0.012, height + 0.045))
    for k in range(3):
        knob = cylinder(0.012, 0, 0.015, sides=12).turned(90, about="x")
        yield "knob", knob.moved((k - 1) * 0.035, front, height * 0.22)
    yield "dial", box((-half * 0.24, front - 0.004, height * 0.5), (half * 0.24, front, height * 0.8))
    yield "aerial", tube([(half * 0.9, depth * 0.3, height), (half * 1.1, depth * 0.3, height + aerial)], 0.004)


def xbox(dials: Dials) -> Parts:
    """Build a game console standing upright, thin along X."""
    thick, depth = dials.number("thickness", 0.08, 0.065, 0.09), dials.number("depth", 0.26, 0.24, 0.28)
    height, waist = dials.number("height", 0.3, 0.28, 0.32), dials.number("waist", 0.012, 0.0, 0.016)
    levels = np.linspace(0, height, 9)
    rings = []
    for z in levels:
        inset = waist * (1 - (2 * float(z) / height - 1) ** 2)
        rings.append(rounded_rectangle(thick - inset, depth, 0.012, z=float(z)))
    yield "body", loft(rings)
    yield "drive", box((-0.006, -depth / 2 - 0.004, height * 0.35), (0.006, -depth / 2, height * 0.85))
    yield "button", cylinder(0.01, 0, 0.005, sides=16).turned(90, about="x").moved(0, -depth / 2, height * 0.2)


def guitar(dials: Dials) -> Parts:
    """Build an acoustic guitar on its back, the neck toward +Y."""
    lower, upper = dials.number("lower bout", 0.19, 0.17, 0.21), dials.number("upper bout", 0.145, 0.13, 0.16)
    waist, body = dials.number("waist", 0.115, 0.1, 0.13), dials.number("body length", 0.48, 0.44, 0.52)
    depth, neck = dials.number("depth", 0.1, 0.06, 0.12), dials.number("neck length", 0.36, 0.33, 0.42)
    turn = np.linspace(0, 1, 13)
    knots = np.array([0.0, 0.75, 1.0, 0.93, 0.72, 0.62, 0.66, 0.75, 0.78, 0.7, 0.45, 0.2, 0.15])
    half = np.where(turn < 0.42, knots * lower, np.where(turn < 0.48, waist, knots / 0.78 * upper))
    half[0] = lower * 0.35
    half[-2:] = upper * 0.45, 0.05
    y = body * turn
    right = [(float(h), float(v)) for h, v in zip(half, y, strict=True)]
    yield "body", extrude(right + [(-h, v) for h, v in right[::-1]], 0, depth)
    yield (
        "neck",
        frustum((-0.028, body, 0.028, body + neck), (-0.028, body, 0.028, body + neck), depth - 0.02, depth + 0.006),
    )
    head = body + neck
    outline = [
        (-0.028, head),
        (0.028, head),
        (0.042, head + 0.03),
        (0.036, head + 0.17),
        (-0.036, head + 0.17),
        (-0.042, head + 0.03),
    ]
    yield "head", extrude(outline, depth - 0.022, depth - 0.002)
    for sign in (-1, 1):
        for k in range(3):
            peg = cylinder(0.007, 0, 0.022, sides=8).turned(90 * sign, about="y")
            yield "peg", peg.moved(sign * 0.038, head + 0.05 + 0.045 * k, depth - 0.012)
    yield "bridge", box((-0.08, body * 0.26, depth), (0.08, body * 0.3, depth + 0.01))
    yield "sound hole", lathe([(0.05, 0), (0.056, 0), (0.056, 0.003), (0.05, 0.003)]).moved(0, body * 0.66, depth)


def electric_guitar(dials: Dials) -> Parts:
    """Build an electric guitar on its back with two horns, the neck toward +Y."""
    width, body = dials.number("body width", 0.33, 0.3, 0.36), dials.number("body length", 0.4, 0.37, 0.43)
    neck, depth = dials.number("neck length", 0.47, 0.42, 0.5), dials.number("depth", 0.045, 0.035, 0.05)
    w = width / 2
    right = [
        (0.45, 0.0),
        (0.85, 0.06),
        (1.0, 0.2),
        (0.95, 0.36),
        (0.74, 0.52),
        (0.68, 0.62),
        (0.78, 0.74),
        (0.85, 0.86),
        (0.72, 0.9),
        (0.4, 0.78),
        (0.17, 0.76),
    ]
    left = [
        (0.17, 0.76),
        (0.4, 0.8),
        (0.68, 0.94),
        (0.84, 1.0),
        (0.9, 0.92),
        (0.78, 0.76),
        (0.7, 0.62),
        (0.78, 0.48),
        (0.97, 0.3),
        (0.98, 0.16),
        (0.8, 0.05),
        (0.42, 0.0),
    ]
    yield "body", extrude([(x * w, y * body) for x, y in right] + [(-x * w, y * body) for x, y in left], 0, depth)
    start, end = body * 0.76, body * 0.76 + neck
    yield "neck", box((-0.026, start, depth - 0.022), (0.026, end, depth + 0.004))
    head = [
        (-0.026, end),
        (0.026, end),
        (0.034, end + 0.03),
        (0.02, end + 0.17),
        (-0.05, end + 0.16),
        (-0.042, end + 0.03),
    ]
    yield "head", extrude(head, depth - 0.018, depth - 0.004)
    for k in range(6):
        peg = cylinder(0.005, 0, 0.02, sides=8).turned(-90, about="y")
        yield "peg", peg.moved(-0.045, end + 0.04 + 0.02 * k, depth - 0.011)
    for y in (0.28, 0.45, 0.6):
        yield "pickup", box((-0.042, body * y, depth), (0.042, body * y + 0.018, depth + 0.008))


def _keys(x0: Number, x1: Number, y0: Number, y1: Number, z: Number) -> Parts:
    """Build a piano's white keys side by side with black ones on their far half."""
    count = 21
    pitch = (x1 - x0) / count
    for k in range(count):
        x = x0 + k * pitch
        yield "white key", box((x, y0, z), (x + pitch * 0.94, y1, z + 0.02))
        if k % 7 not in (2, 6) and k < count - 1:
            yield "black key", box((x + pitch * 0.7, (y0 + y1) / 2, z + 0.02), (x + pitch * 1.25, y1, z + 0.035))


def piano(dials: Dials) -> Parts:
    """Build an upright piano, its keys toward -Y."""
    width, height = dials.number("width", 1.5, 1.42, 1.56), dials.number("height", 1.2, 1.1, 1.3)
    depth, shelf = dials.number("case depth", 0.36, 0.3, 0.4), dials.number("key shelf", 0.28, 0.24, 0.32)
    half, key = width / 2, dials.number("key height", 0.66, 0.62, 0.7)
    yield "case", box((-half, 0, 0.03), (half, depth, height - 0.03))
    yield "lid", box((-half - 0.02, -0.02, height - 0.03), (half + 0.02, depth, height))
    yield "shelf", box((-half, -shelf, key), (half, 0, key + 0.06))
    yield from _keys(-half + 0.09, half - 0.09, -shelf + 0.03, -shelf + 0.19, key + 0.06)
    yield "cover", box((-half + 0.09, -shelf + 0.19, key + 0.06), (half - 0.09, 0, key + 0.14))
    for x in (-half, half - 0.09):
        yield "shelf", box((x, -shelf, key + 0.06), (x + 0.09, 0, key + 0.14))
        yield (
            "leg",
            frustum(
                (x + 0.015, -shelf + 0.03, x + 0.075, -shelf + 0.09),
                (x + 0.005, -shelf + 0.01, x + 0.085, -shelf + 0.1),
                0,
                key,
            ),
        )
        yield "foot", box((x, -shelf + 0.1, 0), (x + 0.09, 0, 0.06))
    yield "foot", box((-half, 0, 0), (half, depth, 0.03))
    yield "music stand", box((-0.35, -0.03, key + 0.2), (0.35, 0, key + 0.42))
    for x in (-0.06, 0.0, 0.06):
        yield "pedal", box((x - 0.015, -0.12, 0.04), (x + 0.015, 0, 0.06))


def grand_piano(dials: Dials) -> Parts:
    """Build a grand piano with its lid up, its keys toward -Y."""
    width, length = dials.number("width", 1.45, 1.4, 1.52), dials.number("length", 1.7, 1.55, 1.9)
    height, opening = dials.number("height", 0.98, 0.94, 1.02), dials.number("lid angle", 32, 26, 38)
    half, under = width / 2, height - 0.32
    bend = [(half, 0.0), (half, 0.35), (half * 0.9, 0.5), (half * 0.55, 0.62), (half * 0.3, 0.78), (half * 0.12, 0.94)]
    tail = [(-half * 0.2, 1.0), (-half * 0.7, 1.0), (-half * 0.95, 0.95), (-half, 0.85), (-half, 0.0)]
    outline = [(x, y * length) for x, y in bend + tail]
    yield "case", extrude(outline, under, height)
    lid = extrude(outline, height, height + 0.02).turned(-opening, about="y", center=(-half, 0, height))
    yield "lid", lid
    angle = np.radians(opening)
    yield (
        "prop",
        tube(
            [
                (half * 0.6, 0.35 * length, height),
                (-half + np.cos(angle) * half * 1.5, 0.35 * length, height + np.sin(angle) * half * 1.5),
            ],
            0.012,
        ),
    )
    yield "shelf", box((-half, -0.28, under), (half, 0, under + 0.1))
    yield from _keys(-half + 0.1, half - 0.1, -0.25, -0.06, under + 0.1)
    for x in (-half, half - 0.1):
        yield "shelf", box((x, -0.28, under + 0.1), (x + 0.1, 0, under + 0.2))
    for x, y in ((-half + 0.12, 0.05), (half - 0.12, 0.05), (-half * 0.5, length * 0.85)):
        yield "leg", cylinder(0.04, 0, under, top_radius=0.065, sides=16).moved(x, y)
    yield "pedals", box((-0.08, -0.02, 0.08), (0.08, 0.08, under))


RECIPES = {
    "laptop": Recipe(laptop, "laptop"),
    "keyboard": Recipe(keyboard, "keyboard"),
    "monitor": Recipe(monitor, "monitor"),
    "radio": Recipe(radio, "radio"),
    "xbox": Recipe(xbox, "xbox"),
    "guitar": Recipe(guitar, "guitar"),
    "electric_guitar": Recipe(electric_guitar, "guitar"),
    "piano": Recipe(piano, "piano"),
    "grand_piano": Recipe(grand_piano, "piano"),
}
