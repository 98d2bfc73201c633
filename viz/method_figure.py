"""What is PointMCD in one picture? The method's two paths, drawn with one shape's own images, masks and features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from jaxtyping import Float

from pointmcd.records import Analysis
from viz.theme import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE: Final = (15.0, 6.6)  # inches; axes below are placed in these units, from the lower left
CHANNELS: Final = 24  # of a descriptor, those that differ most between the views
VIEW_AZIMUTH: Final = -60.0


def method(analysis: Analysis, *, views: Sequence[int] = (0, 2, 4)) -> Figure:
    """Draw how the teacher's and the student's descriptors of three views come about, and what is compared.

    Args:
        analysis: Any shape and student.
        views: Three views of the rig, counted from 0.

    Returns:
        A figure of 15 by 6.6 inches that belongs to no window.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, facecolor=LIGHT["panel"])
    canvas = _axes(figure, 0, 0, *SIZE)
    canvas.set(xlim=(0, SIZE[0]), ylim=(0, SIZE[1]))
    _draw_titles(canvas)
    _scatter(_axes(figure, 0.2, 0.75, 2.2, 2.6), analysis.cloud.points, colors=LIGHT["text"])
    channels = _telling_channels(analysis.teacher.view_features)
    for row, view in enumerate(views):
        left = 3.0 + 1.75 * row
        image = _axes(figure, left, 4.0, 1.55, 1.55)
        image.imshow(analysis.renders.images[view])
        image.set_title(f"view {view + 1}", fontsize=10, color=LIGHT["muted"], pad=3)
        seen = analysis.visibility.mask[view]
        colors = np.where(seen, LIGHT["seen"], LIGHT["hidden"])
        azimuth = float(analysis.cameras.azimuth_deg[view])
        _scatter(_axes(figure, left, 1.0, 1.55, 2.1), analysis.cloud.points, colors=colors, azimuth=azimuth)
        canvas.text(left + 0.78, 0.86, f"{seen.sum():,} points seen", ha="center", fontsize=10, color=LIGHT["seen"])
        height = 5.2 - 0.55 * row
        cosine = analysis.student.cosine[view]
        _draw_descriptor(canvas, 10.0, height, analysis.teacher.view_features[view, channels], "teacher", view)
        features = analysis.student.prediction.view_features[view, channels]
        _draw_descriptor(canvas, 10.0, height - 2.85, features, "distilled", view)
        canvas.text(14.15, height - 2.85, f"cos {cosine:.2f}", va="center", fontsize=11, color=LIGHT["text"])
    return figure


def _draw_titles(canvas: Axes) -> None:
    style: dict[str, Any] = {"fontsize": 12, "color": LIGHT["text"], "va": "center"}
    canvas.text(0.2, 6.25, "Training: what the image network says of each view,", fontweight="bold", **style)
    canvas.text(0.2, 5.95, "the point network has to say from the points that this view sees.", **style)
    canvas.text(0.2, 4.95, "Teacher", fontsize=14, fontweight="bold", color=LIGHT["teacher"])
    canvas.text(0.2, 4.8, "reads images,\nknows no points", va="top", fontsize=11, color=LIGHT["muted"])
    canvas.text(0.2, 3.42, "Student", fontsize=14, fontweight="bold", color=LIGHT["distilled"])
    canvas.text(1.25, 3.45, "reads points", fontsize=11, color=LIGHT["muted"])
    canvas.text(3.0, 3.28, "VAFP: max over the points that each view sees", fontsize=11, color=LIGHT["muted"])
    _box(canvas, 8.35, 4.35, "image\nnetwork", LIGHT["teacher"])
    _box(canvas, 8.35, 1.5, "pool per view,\nalign", LIGHT["distilled"])
    for y in (4.78, 1.93):
        _arrow(canvas, (8.1, y), (8.35, y))
        _arrow(canvas, (9.55, y), (9.85, y))
    _arrow(canvas, (2.4, 1.93), (2.95, 1.93), "features")
    canvas.annotate(
        "", (12.2, 2.72), (12.2, 3.72), arrowprops={"arrowstyle": "<->", "color": LIGHT["accent"], "lw": 2},
    )  # fmt: skip
    canvas.text(12.4, 3.22, "L = mean | v − g |", fontsize=13, color=LIGHT["accent"], va="center", fontweight="bold")
    canvas.text(0.2, 0.3, "Afterwards the student stands alone: no images, no cameras, no masks.", **style)


def _draw_descriptor(canvas: Axes, left: float, y: float, values: Float[np.ndarray, " C"], who: str, view: int) -> None:
    from matplotlib.patches import Rectangle

    letter = "v" if who == "teacher" else "g"
    canvas.text(left, y, f"${letter}_{{{view + 1}}}$", fontsize=13, va="center", color=LIGHT[who])
    scale = max(float(np.abs(values).max()), 1e-9)
    for channel, value in enumerate(values):
        place = (left + 0.45 + 0.15 * channel, y - 0.19)
        canvas.add_patch(Rectangle(place, 0.15, 0.38, color=LIGHT[who], alpha=float(abs(value)) / scale, linewidth=0))
    canvas.add_patch(
        Rectangle((left + 0.45, y - 0.19), 0.15 * len(values), 0.38, fill=False, edgecolor=LIGHT["border-strong"])
    )


def _telling_channels(features: Float[np.ndarray, "V T"]) -> np.ndarray:
    """Choose the channels in which views differ most: the others would draw equal stripes."""
    spread = features.std(axis=0)
    return np.sort(np.argsort(-spread, kind="stable")[:CHANNELS])


def _scatter(
    axes: Axes, points: Float[np.ndarray, "N 3"], *, colors: str | np.ndarray, azimuth: float = VIEW_AZIMUTH
) -> None:
    """Draw a cloud as a camera at this azimuth, 20 degrees up, sees it: far points first."""
    turn, tilt = np.radians(azimuth), np.radians(20.0)
    right = np.array([-np.sin(turn), np.cos(turn), 0.0])
    toward = np.array([np.cos(turn) * np.cos(tilt), np.sin(turn) * np.cos(tilt), np.sin(tilt)])
    order = np.argsort(points @ toward)
    across, up = points @ right, points @ np.cross(toward, right)
    chosen = colors if isinstance(colors, str) else colors[order]
    axes.scatter(across[order], up[order], c=chosen, s=5, linewidths=0)
    axes.set(xlim=(-0.8, 0.8), aspect="equal")


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    axes = figure.add_axes((left / SIZE[0], bottom / SIZE[1], width / SIZE[0], height / SIZE[1]))
    axes.set_axis_off()
    return axes


def _box(canvas: Axes, left: float, bottom: float, text: str, color: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    style = "round,pad=0,rounding_size=0.12"
    canvas.add_patch(FancyBboxPatch((left, bottom), 1.2, 0.86, boxstyle=style, facecolor=color, edgecolor="none"))
    canvas.text(left + 0.6, bottom + 0.43, text, ha="center", va="center", fontsize=10.5, color="white")


def _arrow(canvas: Axes, start: tuple[float, float], end: tuple[float, float], text: str = "") -> None:
    canvas.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": LIGHT["muted"], "lw": 1.5})
    canvas.text((start[0] + end[0]) / 2, start[1] + 0.15, text, ha="center", fontsize=9.5, color=LIGHT["muted"])
