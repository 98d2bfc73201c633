"""What do the cameras see of a shape? Its cloud, renders and visibility, before any network is asked."""

from __future__ import annotations

from pointmcd.analysis.stages import Stages
from pointmcd.records import Sampling, Scene
from pointmcd.scene.cameras import DISTANCE, IMAGE_SIZE, Rig
from pointmcd.scene.render import render_points
from pointmcd.scene.visibility import resolve_method, visible_points
from pointmcd.shapes.sample import sample_points


def make_scene(sampling: Sampling, rig: Rig, visibility: str, stages: Stages) -> Scene:
    """Sample the shape, render the points and test which of them each camera sees.

    Raises:
        ShapeError: The shape cannot be used.
        SettingError: A setting cannot be used, or not with this shape.
    """
    shape, do = sampling.shape, stages.timed
    cameras = stages.keep("cameras", (rig,), lambda: rig.cameras(image_size=IMAGE_SIZE))
    cloud = stages.keep(
        "cloud", (sampling,), lambda: do("sample", sample_points, shape, count=sampling.points, seed=sampling.seed)
    )
    renders = stages.keep("renders", (cloud, cameras), lambda: do("render", render_points, cloud.points, cameras))
    method = resolve_method(visibility, cloud)
    seen = stages.keep(
        "visibility",
        (cloud, cameras, renders, method),
        lambda: do("visibility", visible_points, cloud, cameras, method=method, renders=renders),
    )
    notes = cloud.notes
    if seen.method != "raycast" and rig.distance < DISTANCE:
        notes += (f"Cameras nearer than {DISTANCE:g} radii: {seen.method} finds fewer of the visible points there.",)
    return Scene(shape.name, notes, cloud, cameras, renders, seen, sampling)
