"""What do people sit and lie on? Backs and headboards toward +Y, the sofa's toward +X, as in ModelNet40."""

from __future__ import annotations

import numpy as np

from pointmcd.data.synthetic.record import Dials, Parts, Recipe
from pointmcd.data.synthetic.solids import (
    Number,
    Point,
    Solid,
    arc,
    box,
    cylinder,
    frustum,
    lathe,
    loft,
    rounded_rectangle,
    tube,
)


def cushion(low: Point, high: Point, radius: Number) -> Solid:
    """Build a box with round vertical edges and a softened top and bottom rim."""
    width, depth = high[0] - low[0], high[1] - low[1]
    center = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2)
    rings = [
        rounded_rectangle(width - 2 * inset, depth - 2 * inset, radius, z=z, center=center)
        for inset, z in (
            (radius / 2, low[2]),
            (0.0, low[2] + radius / 2),
            (0.0, high[2] - radius / 2),
            (radius / 2, high[2]),
        )
    ]
    return loft(rings)


def chair(dials: Dials) -> Parts:
    """Build a dining chair with four legs."""
    width, depth = dials.number("seat width", 0.45, 0.42, 0.5), dials.number("seat depth", 0.44, 0.4, 0.48)
    seat, top = dials.number("seat height", 0.46, 0.43, 0.49), dials.number("height", 0.95, 0.88, 1.08)
    thick, leg = dials.number("seat thickness", 0.05, 0.03, 0.08), dials.number("leg width", 0.04, 0.03, 0.05)
    lean = dials.number("back lean", 0.06, 0.0, 0.1)
    half_x, half_y = width / 2, depth / 2
    yield "seat", box((-half_x, -half_y, seat - thick), (half_x, half_y, seat))
    for x in (-half_x, half_x - leg):
        for y in (-half_y, half_y - leg):
            inner = (x, y, x + leg, y + leg)
            splay = 0.02 if y > 0 else 0.0
            yield "leg", frustum((x + 0.005, y + splay, x + leg - 0.005, y + leg + splay), inner, 0, seat - thick)
    if dials.choice("back", "solid", "slats", "rails") == "solid":
        yield (
            "back",
            frustum(
                (-half_x, half_y - 0.035, half_x, half_y),
                (-half_x + 0.02, half_y - 0.025 + lean, half_x - 0.02, half_y + lean),
                seat,
                top,
            ),
        )
    else:
        yield from _open_back(dials, half_x, half_y, seat, top, lean)
    if dials.choice("arms", "none", "wood") == "wood":
        arm = seat + 0.2
        for sign in (-1.0, 1.0):
            x0, x1 = sorted((sign * half_x, sign * (half_x + 0.035)))
            yield "arm", box((x0, -half_y, arm), (x1, half_y - 0.02, arm + 0.03))
            yield "arm", box((x0, -half_y + 0.03, seat - thick), (x1, -half_y + 0.065, arm))


def _open_back(dials: Dials, half_x: Number, half_y: Number, seat: Number, top: Number, lean: Number) -> Parts:
    """Build two posts with upright slats or cross rails between them."""

    def bar(x0: Number, x1: Number, z0: Number, z1: Number) -> Solid:
        y0, y1 = (half_y - 0.035 + lean * (z - seat) / (top - seat) for z in (z0, z1))
        return frustum((x0, y0, x1, y0 + 0.03), (x0, y1, x1, y1 + 0.03), z0, z1)

    yield "back", bar(-half_x, -half_x + 0.04, seat, top)
    yield "back", bar(half_x - 0.04, half_x, seat, top)
    yield "back", bar(-half_x + 0.04, half_x - 0.04, top - 0.09, top)
    if dials.values["back"] == "slats":
        for x in np.linspace(-half_x + 0.09, half_x - 0.09, 4):
            yield "back", bar(float(x) - 0.015, float(x) + 0.015, seat, top - 0.09)
    else:
        for z in np.linspace(seat + 0.12, top - 0.22, 2):
            yield "back", bar(-half_x + 0.04, half_x - 0.04, float(z), float(z) + 0.06)


def armchair(dials: Dials) -> Parts:
    """Build an upholstered chair on short legs, higher than wide."""
    width, depth = dials.number("width", 0.7, 0.64, 0.78), dials.number("depth", 0.72, 0.66, 0.78)
    seat, top = dials.number("seat height", 0.45, 0.42, 0.48), dials.number("height", 1.0, 0.92, 1.1)
    arm, leg = dials.number("arm width", 0.11, 0.08, 0.14), dials.number("leg height", 0.14, 0.08, 0.18)
    half_x, half_y = width / 2, depth / 2
    yield "seat", cushion((-half_x + arm, -half_y, leg), (half_x - arm, half_y - 0.14, seat), 0.03)
    yield (
        "back",
        frustum(
            (-half_x + arm, half_y - 0.14, half_x - arm, half_y),
            (-half_x + arm, half_y - 0.04, half_x - arm, half_y + 0.08),
            leg,
            top,
        ),
    )
    for sign in (-1, 1):
        x0, x1 = sorted((sign * half_x, sign * (half_x - arm)))
        yield "arm", cushion((x0, -half_y, leg), (x1, half_y, seat + 0.2), 0.03)
        for y in (-half_y + 0.05, half_y - 0.05):
            yield "leg", cylinder(0.02, 0, leg, top_radius=0.03, sides=12).moved(sign * (half_x - 0.06), y)


def office_chair(dials: Dials) -> Parts:
    """Build a swivel chair on a five-armed star with castors."""
    seat, top = dials.number("seat height", 0.5, 0.46, 0.54), dials.number("height", 1.05, 0.95, 1.15)
    width, reach = dials.number("seat width", 0.5, 0.46, 0.54), dials.number("star radius", 0.32, 0.28, 0.34)
    half = width / 2
    yield "seat", cushion((-half, -half, seat - 0.09), (half, half - 0.02, seat), 0.06)
    back = rounded_rectangle(width * 0.92, top - seat - 0.1, 0.07)
    front = np.stack([back[:, 0], np.full(len(back), half - 0.01), back[:, 1] + (top + seat + 0.1) / 2], axis=1)
    bend = np.array([0.0, 0.06, 0.0])
    yield "back", loft([front, front + bend]).turned(-6, about="x", center=(0, half, seat))
    yield "back", box((-0.04, half - 0.02, seat - 0.05), (0.04, half + 0.01, seat + 0.25))
    yield "base", cylinder(0.03, 0.1, seat - 0.09, sides=16)
    for k in range(5):
        spoke = frustum((0.03, -0.02, reach, 0.02), (0.03, -0.025, reach, 0.025), 0.06, 0.1)
        wheel = cylinder(0.03, -0.02, 0.02, sides=14).turned(90, about="x").moved(reach - 0.02, 0, 0.03)
        yield "base", spoke.turned(72 * k + 18)
        yield "wheel", wheel.turned(72 * k + 18)
    if dials.choice("arms", "loops", "none") == "loops":
        for sign in (-1, 1):
            x = sign * (half + 0.03)
            path = [(x, 0.12, seat - 0.05), (x, 0.1, seat + 0.2), (x, -0.15, seat + 0.2)]
            yield "arm", tube(path, 0.02)


def stool(dials: Dials) -> Parts:
    """Build a bar stool: a round seat on four splayed legs with a foot ring."""
    height, radius = dials.number("height", 0.72, 0.6, 0.8), dials.number("seat radius", 0.18, 0.16, 0.2)
    thick, splay = dials.number("seat thickness", 0.05, 0.03, 0.07), dials.number("splay", 0.08, 0.03, 0.12)
    under, foot = height - thick, dials.number("ring height", 0.25, 0.18, 0.3)
    rim = thick * 0.3
    profile = [(0, under), (radius - rim, under), (radius, under + rim), (radius, height - rim)]
    yield "seat", lathe([*profile, (radius - rim, height), (0, height)])
    for k in range(4):
        angle = np.radians(45 + 90 * k)
        direction = np.array([np.cos(angle), np.sin(angle)])
        low, high = direction * (radius * 0.75 + splay), direction * radius * 0.75
        yield "leg", tube([(*low, 0), (*high, under)], 0.016)
    ring = radius * 0.75 + splay * (1 - foot / under)
    yield "ring", lathe(arc((ring, foot), 0.01, 0, 315, 8))


def bench(dials: Dials) -> Parts:
    """Build a long park bench of slats."""
    length, depth = dials.number("length", 1.5, 1.3, 1.9), dials.number("depth", 0.42, 0.36, 0.46)
    seat, top = dials.number("seat height", 0.44, 0.4, 0.47), dials.number("height", 0.82, 0.74, 0.88)
    slats, half = 4, length / 2
    pitch = depth / slats
    for k in range(slats):
        y = -depth / 2 + k * pitch
        yield "seat", box((-half, y, seat - 0.035), (half, y + pitch * 0.82, seat))
    sides = (-half + 0.08, half - 0.14)
    for x in sides:
        yield "leg", box((x, -depth / 2, 0), (x + 0.06, -depth / 2 + 0.06, seat - 0.035))
        yield "leg", box((x, depth / 2 - 0.07, 0), (x + 0.06, depth / 2 - 0.01, seat - 0.035))
        yield "leg", box((x, -depth / 2 + 0.06, seat - 0.1), (x + 0.06, depth / 2 - 0.07, seat - 0.035))
    if dials.choice("back", "slats", "none") == "slats":
        for x in sides:
            post = (x, depth / 2 + 0.04, x + 0.06, depth / 2 + 0.08)
            yield "back", frustum((x, depth / 2 - 0.04, x + 0.06, depth / 2), post, seat, top)
        for z in np.linspace(seat + 0.1, top - 0.08, 3):
            y = depth / 2 - 0.045 + 0.08 * (float(z) - seat) / (top - seat)
            yield "back", box((-half, y - 0.025, float(z)), (half, y, float(z) + 0.08))


def sofa(dials: Dials) -> Parts:
    """Build a sofa, its back toward +X."""
    length, depth = dials.number("length", 2.0, 1.7, 2.3), dials.number("depth", 0.9, 0.82, 0.98)
    seat, top = dials.number("seat height", 0.43, 0.38, 0.47), dials.number("height", 0.82, 0.74, 0.9)
    arm, back = dials.number("arm width", 0.2, 0.13, 0.25), dials.number("back depth", 0.24, 0.2, 0.28)
    arm_top, seats = dials.number("arm height", 0.62, 0.56, 0.68), dials.count("seats", 3, 2, 3)
    half_x, half_y, leg = depth / 2, length / 2, 0.06
    yield "base", box((-half_x, -half_y + arm, leg), (half_x - back, half_y - arm, seat - 0.15))
    yield (
        "back",
        frustum(
            (half_x - back, -half_y + arm, half_x, half_y - arm),
            (half_x - back * 0.7, -half_y + arm, half_x, half_y - arm),
            leg,
            top,
        ),
    )
    room = (length - 2 * arm) / seats
    for k in range(seats):
        y = -half_y + arm + k * room
        yield "cushion", cushion((-half_x - 0.02, y, seat - 0.15), (half_x - back, y + room, seat), 0.04)
    for sign in (-1, 1):
        y0, y1 = sorted((sign * half_y, sign * (half_y - arm)))
        yield "arm", cushion((-half_x, y0, leg), (half_x, y1, arm_top), 0.05)
        for x in (-half_x + 0.08, half_x - 0.08):
            yield "leg", box((x - 0.03, sign * (half_y - 0.1) - 0.03, 0), (x + 0.03, sign * (half_y - 0.1) + 0.03, leg))


def bed(dials: Dials) -> Parts:
    """Build a bed, its headboard toward +Y."""
    width, length = dials.number("width", 1.5, 1.0, 1.9), dials.number("length", 2.05, 1.95, 2.15)
    mattress, head = dials.number("mattress top", 0.5, 0.42, 0.58), dials.number("headboard", 1.0, 0.8, 1.15)
    foot = dials.number("footboard", 0.5, 0.34, 0.65)
    half_x, half_y, frame = width / 2, length / 2, 0.3
    yield "frame", box((-half_x, -half_y, 0.12), (half_x, half_y, frame))
    yield "mattress", cushion((-half_x + 0.02, -half_y + 0.02, frame), (half_x - 0.02, half_y - 0.02, mattress), 0.06)
    yield "headboard", box((-half_x - 0.03, half_y, 0), (half_x + 0.03, half_y + 0.07, head))
    yield "footboard", box((-half_x - 0.03, -half_y - 0.06, 0), (half_x + 0.03, -half_y, foot))
    pillows = 2 if width > 1.25 else 1
    room = (width - 0.1) / pillows
    for k in range(pillows):
        x = -half_x + 0.05 + (k + 0.5) * room
        rings = [
            rounded_rectangle(room * 0.88 * f, 0.4 * f, 0.1 * f, z=mattress + z, center=(x, half_y - 0.26))
            for f, z in ((0.9, 0.0), (1.0, 0.05), (0.85, 0.1), (0.5, 0.12))
        ]
        yield "pillow", loft(rings)


RECIPES = {
    "chair": Recipe(chair, "chair"),
    "armchair": Recipe(armchair, "chair"),
    "office_chair": Recipe(office_chair, "chair"),
    "stool": Recipe(stool, "stool"),
    "bench": Recipe(bench, "bench"),
    "sofa": Recipe(sofa, "sofa"),
    "bed": Recipe(bed, "bed"),
}
