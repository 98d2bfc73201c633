"""What does an analysis look like on paper? One figure that stands by itself, for notebooks, slides and papers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from pointmcd.analysis.findings import TOP, top
from pointmcd.records import Analysis
from viz.theme import LIGHT, MAPS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d import Axes3D

COLUMNS: Final = 6  # views in a row


def overview(analysis: Analysis) -> Figure:
    """Draw the cloud, the predictions, the similarity matrix and every view in one figure of 11 inches by 4.5 and more.

    Args:
        analysis: Any shape, rig and student.

    Returns:
        A figure that belongs to no window: `figure.savefig("overview.png", dpi=150)`.
    """
    # matplotlib looks for the machine's fonts when it is imported; importing this module does nothing.
    from matplotlib.figure import Figure

    views = len(analysis.renders.images)
    rows = -(-views // COLUMNS)
    figure = Figure(figsize=(11, 4.2 + 1.9 * rows), layout="constrained", facecolor=LIGHT["panel"])
    grid = figure.add_gridspec(2, 1, height_ratios=[4.2, 1.9 * rows])
    top = figure.add_subfigure(grid[0])
    bottom = figure.add_subfigure(grid[1])
    # The name is the user's text: a dollar sign in it must not start a formula.
    figure.suptitle(analysis.name.replace("$", r"\$"), color=LIGHT["text"], fontweight="bold")
    cloud = top.add_subplot(1, 3, 1, projection="3d")
    _draw_cloud(cloud, analysis)
    _draw_predictions(top.add_subplot(1, 3, 2), analysis)
    _draw_similarity(top.add_subplot(1, 3, 3), analysis)
    for view, axes in enumerate(np.atleast_1d(bottom.subplots(rows, COLUMNS)).flat):
        axes.axis("off")
        if view < views:
            _draw_view(axes, analysis, view)
    return figure


def _draw_cloud(axes: Axes3D, analysis: Analysis) -> None:
    count = analysis.visibility.mask.sum(axis=0)
    x, y, z = analysis.cloud.points.T
    drawn = axes.scatter(
        x, y, z, c=count, s=5, cmap=_color_map("sequential"), vmin=0, vmax=len(analysis.visibility.mask)
    )
    axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1), title="Views that see each point")
    axes.set_box_aspect((1, 1, 1), zoom=1.5)
    axes.set_axis_off()
    axes.figure.colorbar(drawn, ax=axes, shrink=0.7, label=f"views of {len(analysis.visibility.mask)}")


def _draw_predictions(axes: Axes, analysis: Analysis) -> None:
    places: list[int] = []
    labels: list[str] = []
    for row, (key, answer) in enumerate(zip(analysis.keys, analysis.answers, strict=True)):
        best = top(answer, analysis.class_names)
        place = [row * (TOP + 1) + i for i in range(len(best))]
        axes.barh(place, [probability for _, probability in best], color=LIGHT[answer.role], label=key)
        places += place
        labels += [name.replace("_", " ") for name, _ in best]
    axes.set_yticks(places, labels, fontsize=8)
    axes.set(xlim=(0, 1), xlabel="probability", title="Predictions")
    axes.invert_yaxis()
    axes.legend(loc="lower right", fontsize=8)


def _draw_similarity(axes: Axes, analysis: Analysis) -> None:
    drawn = axes.imshow(analysis.student.similarity, cmap=_color_map("similarity"))
    ticks = np.arange(len(analysis.student.similarity))
    axes.set_xticks(ticks, ticks + 1, fontsize=7)
    axes.set_yticks(ticks, ticks + 1, fontsize=7)
    axes.set(
        xlabel="teacher view",
        ylabel="student view",
        title=f"View similarity: dominance {analysis.student.diagonal_dominance:+.3f},\n"
        f"retrieval@1 {analysis.student.retrieval_at_1:.0%}",
    )
    axes.figure.colorbar(drawn, ax=axes, shrink=0.7, label="cosine")


def _draw_view(axes: Axes, analysis: Analysis, view: int) -> None:
    axes.imshow(analysis.renders.images[view])
    azimuth, elevation = analysis.cameras.azimuth_deg[view], analysis.cameras.elevation_deg[view]
    seen = analysis.visibility.mask[view].mean()
    axes.set_title(f"{view + 1}: {azimuth:.0f}° / {elevation:.0f}°, sees {seen:.0%}", fontsize=8)


def _color_map(name: str) -> LinearSegmentedColormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, list(MAPS["light"][name]))
