"""Which points does each camera see? Three tests compared: `python examples/02_what_each_camera_sees.py [FILE]`.

No network takes part: visibility is geometry alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from pointmcd.scene.cameras import ring
from pointmcd.scene.render import render_points
from pointmcd.scene.visibility import visible_points
from pointmcd.shapes.load import load_shape
from pointmcd.shapes.sample import sample_points


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else HERE / "shapes" / "chair.off"
    shape = load_shape(path)
    cloud = sample_points(shape, count=1024, seed=0)
    cameras = ring(12)
    renders = render_points(cloud.points, cameras)
    methods = ["raycast", "hpr", "zbuffer"] if shape.is_mesh else ["hpr", "zbuffer"]
    masks = {name: visible_points(cloud, cameras, method=name, renders=renders).mask for name in methods}
    truth = masks[methods[0]]

    print(f"{shape.name}: {len(cloud.points):,} points, {len(truth)} cameras. Share of the points that each one sees:")
    print("  azimuth  " + "".join(f"{name:>9}" for name in methods))
    for view, azimuth in enumerate(cameras.azimuth_deg):
        shares = "".join(f"{masks[name][view].mean():9.0%}" for name in methods)
        print(f"  {azimuth:6.0f}°  {shares}")

    print(f"\nAgainst {methods[0]}:")
    for name in methods[1:]:
        both, either = (truth & masks[name]).sum(), (truth | masks[name]).sum()
        print(
            f"  {name:8} precision {both / masks[name].sum():.2f}, recall {both / truth.sum():.2f}, "
            f"intersection over union {both / either:.2f}"
        )

    seen_by = truth.sum(axis=0)
    print(f"\n{(seen_by == 0).sum()} points are seen by no camera, {(seen_by == len(truth)).sum()} by all of them;")
    print(f"a point is seen by {seen_by.mean():.1f} cameras on average.")
    hidden = ~truth.any(axis=0)
    if hidden.any():
        height = cloud.points[:, 2]
        print(f"Mean height of the unseen {height[hidden].mean():+.2f}, of the seen {height[~hidden].mean():+.2f}.")
    opposite = np.roll(truth, len(truth) // 2, axis=0)
    print(
        f"Opposite cameras share {(truth & opposite).sum() / (truth | opposite).sum():.0%} of what either of them sees."
    )


if __name__ == "__main__":
    main()
