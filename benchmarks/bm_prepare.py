"""How fast are the renders and the visibility of a whole data set made, against the plain form of every step?

Run on an idle machine: `python -m benchmarks.bm_prepare [--device cuda]`. The clouds are our own shapes, stretched at
random, of 1,024 points, seen by 12 cameras, drawn at 224 and kept at 96 pixels. tests/scene checks that both
forms, and those for many clouds at once, give the same bytes.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from scipy.spatial import ConvexHull, cKDTree

from benchmarks import rows
from benchmarks.rows import Row
from pointmcd.data.augmentation import augmented_copies
from pointmcd.data.synthetic import SHAPES, make_shape
from pointmcd.data.view_cache import prepare_views
from pointmcd.networks.teachers.classification import to_input_size
from pointmcd.records import Cameras
from pointmcd.scene.batched_render import batched_draw_points
from pointmcd.scene.batched_visibility import batched_hidden_point_removal
from pointmcd.scene.cameras import FIELD_OF_VIEW_DEG, ring, to_camera, to_pixels
from pointmcd.scene.discs import AMBIENT, DISC_NEIGHBOUR, DISC_SCALE, FAR_BRIGHTNESS, NORMAL_NEIGHBOURS
from pointmcd.scene.render import draw_points, estimate_normals
from pointmcd.scene.visibility import HPR_RADIUS_FACTOR, hidden_point_removal
from pointmcd.shapes.sample import sample_points

ABOUT = "Normals, renders and visibility of a data set: clouds a second, and the time for ModelNet40."
IMAGE_SIZE = 96
MODELNET40_CLOUDS = 12_311
SECONDS_ALLOWED = 180.0  # normals, visibility and 96-pixel renders of ModelNet40 on two cores
CLOUDS_ALONE = 48
CLOUDS_TOGETHER = (64, 704)
CLOUDS_ON_GPU = (512, 4608)
SECONDS_ALLOWED_ON_GPU = 20.0  # the same work on an H200
CLOUDS_COMPARED = 8  # with exact hulls
GRID = 4096  # directions that the plain arg-max asks

Draw: TypeAlias = Callable[[Float[np.ndarray, "N 3"], Cameras], UInt8[np.ndarray, "V H W"]]
Masks: TypeAlias = Callable[[Float[np.ndarray, "N 3"], Float[np.ndarray, "V 3"]], Bool[np.ndarray, "V N"]]


def made_clouds(count: int, *, points: int = 1024) -> Float32[np.ndarray, "S N 3"]:
    """Sample every synthetic shape and stretch it at random, until there are `count` clouds."""
    kinds = list(SHAPES)[:count]
    clouds = np.stack([sample_points(make_shape(name).shape, count=points, seed=0).points for name in kinds])
    copies = -(-count // len(clouds))
    return augmented_copies(clouds, copies=copies, scale=(0.7, 1.4), shift=0.0, seed=0)[:count]


def plain_normals(
    points: Float[np.ndarray, "N 3"],
) -> tuple[Float32[np.ndarray, "N 3"], Float[np.ndarray, "N k"]]:
    """Fit planes by the eigenvectors of every neighbourhood's covariance; and the neighbours' distances."""
    distances, nearest = cKDTree(points).query(points, k=NORMAL_NEIGHBOURS)
    patches = points[nearest].astype(np.float64)
    patches -= patches.mean(axis=1, keepdims=True)
    _, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", patches, patches))
    return np.asarray(axes[:, :, 0], dtype=np.float32), distances


def plain_images(points: Float[np.ndarray, "N 3"], cameras: Cameras) -> UInt8[np.ndarray, "V H W"]:
    """Shade every point, write the number of the nearest disc on each pixel, and look the pixels' greys up."""
    normals, distances = plain_normals(points)
    radius = float(np.clip(DISC_SCALE * np.median(distances[:, DISC_NEIGHBOUR]), 0.01, 0.25))
    in_camera = to_camera(points, cameras)
    to_center = np.linalg.norm(cameras.world_to_camera[:, :, 3], axis=-1)[:, None]
    turned = np.einsum("vij,nj->vni", cameras.world_to_camera[:, :, :3], normals)
    facing = np.abs((turned * in_camera).sum(axis=-1)) / np.linalg.norm(in_camera, axis=-1)
    behind = np.clip((in_camera[..., 2] - to_center + 1) / 2, 0, 1)
    lit = (AMBIENT + (1 - AMBIENT) * facing) * (1 - (1 - FAR_BRIGHTNESS) * behind)
    brightness = (1 + 254 * np.clip(lit, 0, 1)).astype(np.uint8)

    depth, size, views = in_camera[..., 2], cameras.image_size, len(in_camera)
    corner = np.floor(to_pixels(in_camera, cameras)).astype(np.int32)
    radii = np.clip(np.rint(radius * cameras.intrinsics[0, 0] / depth), 1, size // 4).astype(np.int32)
    margin = size // 2
    index = np.full((views, size + 2 * margin, size + 2 * margin), -1, dtype=np.int32)
    for view in range(views):
        order = np.argsort(-depth[view], kind="stable")
        for disc in np.unique(radii[view]):  # ascending: far ones first
            down_by, across_by = np.mgrid[-disc : disc + 1, -disc : disc + 1]
            covered = down_by**2 + across_by**2 <= (disc + 0.3) ** 2
            drawn = order[radii[view, order] == disc]
            down = corner[view, drawn, 1, None] + margin + down_by[covered]
            across = corner[view, drawn, 0, None] + margin + across_by[covered]
            index[view, down, across] = drawn[:, None]
    index = index[:, margin : margin + size, margin : margin + size]
    greys = np.take_along_axis(brightness, np.maximum(index, 0).reshape(views, -1), axis=1).reshape(index.shape)
    return np.where(index >= 0, greys, 0).astype(np.uint8)


def plain_masks(points: Float[np.ndarray, "N 3"], centers: Float[np.ndarray, "V 3"]) -> Bool[np.ndarray, "V N"]:
    """Flip the points about every centre and name the corners of their hull."""
    masks = np.zeros((len(centers), len(points)), dtype=bool)
    for mask, center in zip(masks, centers.astype(np.float64), strict=True):
        offsets = points - center
        distance = np.linalg.norm(offsets, axis=1, keepdims=True)
        flipped = offsets + 2 * (HPR_RADIUS_FACTOR * distance.max() - distance) * offsets / distance
        corners = ConvexHull(np.concatenate([flipped, np.zeros((1, 3))])).vertices
        mask[corners[corners < len(points)]] = True
    return masks


def grid_masks(
    points: Float[torch.Tensor, "B N 3"], cameras: Cameras, *, directions: int
) -> Bool[torch.Tensor, "B V N"]:
    """Name the flipped points that lie farthest out in one of many directions, which fill each camera's field of view.

    The plain form of arg-max: one matrix product per view.
    """
    centers, turn = (torch.from_numpy(part).to(points) for part in (cameras.centers, cameras.world_to_camera[:, :, :3]))
    offsets = points[:, None] - centers[:, None]
    distance = offsets.norm(dim=-1, keepdim=True)
    flipped = offsets / distance * (2 * HPR_RADIUS_FACTOR * distance.amax(dim=2, keepdim=True) - distance)
    flipped -= flipped.mean(dim=2, keepdim=True)
    # A spiral over a cap somewhat wider than the shape: equal steps of height, turned by the golden angle.
    step = torch.arange(directions).to(points) + 0.5
    forward = 1 - (1 - np.cos(np.radians(FIELD_OF_VIEW_DEG / 2) + 0.1)) * step / directions
    turned, across = np.pi * (3 - 5**0.5) * step, (1 - forward * forward).sqrt()
    spiral = torch.stack([across * turned.cos(), across * turned.sin(), forward], dim=-1) @ turn
    seen = torch.zeros(flipped.shape[:3], dtype=torch.bool, device=points.device)
    for mask, cloud in zip(seen, flipped, strict=True):
        mask.scatter_(1, torch.bmm(spiral, cloud.transpose(1, 2)).argmax(dim=-1), value=True)
    return seen


def overlap(found: Bool[torch.Tensor, "B V N"], exact: Bool[torch.Tensor, "B V N"]) -> float:
    """Compute the intersection over union of masks, mean over clouds and views."""
    return float(((found & exact).sum(dim=-1) / (found | exact).sum(dim=-1)).mean())


def measure() -> list[Row]:
    """Time each step in one process in turn with its plain form, then the whole over one process per core."""
    clouds = made_clouds(CLOUDS_TOGETHER[1])
    agreement = _agreement(torch.from_numpy(clouds[:CLOUDS_COMPARED]))
    return [*_alone(clouds[:CLOUDS_ALONE]), *_together(clouds), agreement]


def measure_gpu(
    *, few: int = CLOUDS_ON_GPU[0], many: int = CLOUDS_ON_GPU[1], points: int = 1024, device: str = "cuda"
) -> list[Row]:
    """Time `prepare_views` on the device, and each of its stages on a batch of `few` clouds held there."""
    clouds = made_clouds(many, points=points)
    held = torch.from_numpy(clouds[:few]).to(device)
    cameras = ring()
    centers = torch.from_numpy(cameras.centers).to(device)

    def whole(count: int) -> Callable[[], object]:
        def prepare() -> int:
            with tempfile.TemporaryDirectory() as folder:
                return prepare_views(
                    clouds[:count], folder, image_size=IMAGE_SIZE, device=torch.device(device), batched=True
                ).prepared

        return prepare

    few_s, many_s = rows.alternating(whole(few), whole(many), repeats=1)
    speed = (many - few) / (many_s - few_s)
    reckoned = many_s + (MODELNET40_CLOUDS - many) / speed
    stages: dict[str, Callable[[], object]] = {
        "12 images of 224 pixels": lambda: [batched_draw_points(some, cameras) for some in held.split(128)],
        "hidden point removal": lambda: [batched_hidden_point_removal(some, centers) for some in held.split(128)],
        f"the same by a grid of {GRID} directions": lambda: grid_masks(held, cameras, directions=GRID),
    }
    images = batched_draw_points(held[:128], cameras)
    seconds = rows.alternating(*stages.values(), repeats=2)
    (smaller,) = rows.alternating(lambda: to_input_size(images, IMAGE_SIZE), repeats=2)
    memory = rows.peak_gpu_memory(whole(min(few, 128)))
    what = "on one GPU, normals, 96-pixel renders and visibility from 12 views, to disk"
    return [
        Row(what, "12,311 clouds", reckoned, "s", SECONDS_ALLOWED_ON_GPU, at_least=False,
            detail=f"reckoned from {many} clouds, {speed:.0f} clouds/s"),
        Row(what, "peak memory", memory, "MB"),
        *(Row(f"on one GPU, {name}", "speed", few / time_s, "clouds/s")
          for name, time_s in zip(stages, seconds, strict=True)),
        Row("on one GPU, 12 images from 224 to 96 pixels", "speed", len(images) / smaller, "clouds/s"),
        _agreement(held[:CLOUDS_COMPARED]),
    ]  # fmt: skip


def _agreement(clouds: Float[torch.Tensor, "B N 3"]) -> Row:
    """Compare arg-max with the exact hulls: its own directions, and those of a grid."""
    cameras = ring()
    doubles = clouds.cpu().numpy().astype(np.float64)
    exact = np.stack([hidden_point_removal(cloud, cameras.centers) for cloud in doubles])
    truth = torch.from_numpy(exact).to(clouds.device)
    found = batched_hidden_point_removal(clouds, torch.from_numpy(cameras.centers).to(clouds))
    grid = overlap(grid_masks(clouds, cameras, directions=GRID), truth)
    return Row(
        f"hidden point removal by arg-max, {len(clouds)} clouds of {clouds.shape[1]} points from 12 views",
        "IoU with the exact hulls", overlap(found, truth), "of 1",
        detail=f"{int((found != truth).sum())} of {truth.numel()} points differ; grid of {GRID} directions: {grid:.3f}",
    )  # fmt: skip


def _alone(clouds: Float32[np.ndarray, "S 1024 3"]) -> list[Row]:
    cameras = ring()
    doubles = clouds.astype(np.float64)
    drawn = [torch.from_numpy(draw_points(cloud, cameras))[:, None] for cloud in clouds]

    def whole(draw: Draw, masks: Masks) -> None:
        for cloud, double in zip(clouds, doubles, strict=True):
            to_input_size(torch.from_numpy(draw(cloud, cameras))[:, None], IMAGE_SIZE)
            masks(double, cameras.centers)

    steps: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "normals": (
            lambda: [plain_normals(cloud) for cloud in clouds],
            lambda: [estimate_normals(cloud) for cloud in clouds],
        ),
        "normals and 12 images of 224 pixels": (
            lambda: [plain_images(cloud, cameras) for cloud in clouds],
            lambda: [draw_points(cloud, cameras) for cloud in clouds],
        ),
        "hidden point removal from 12 cameras": (
            lambda: [plain_masks(cloud, cameras.centers) for cloud in doubles],
            lambda: [hidden_point_removal(cloud, cameras.centers) for cloud in doubles],
        ),
        "everything, images brought to 96 pixels": (
            lambda: whole(plain_images, plain_masks),
            lambda: whole(draw_points, hidden_point_removal),
        ),
    }
    found = []
    for step, (plain_form, fast_form) in steps.items():
        plain, fast = (len(clouds) / seconds for seconds in rows.alternating(plain_form, fast_form, repeats=2))
        detail = f"{fast / plain:.2f} x the plain form's {plain:.0f} clouds/s"
        found.append(Row(f"one process, {step}", "speed", fast, "clouds/s", detail=detail))
    (seconds,) = rows.alternating(lambda: [to_input_size(images, IMAGE_SIZE) for images in drawn], repeats=2)
    found.append(Row("one process, 12 images from 224 to 96 pixels", "speed", len(clouds) / seconds, "clouds/s"))
    return found


def _together(clouds: Float32[np.ndarray, "S 1024 3"]) -> list[Row]:
    """Time `prepare_views` on few and on more clouds: the difference is free of what starting processes costs."""
    workers = os.cpu_count() or 1
    seconds = []
    for count in CLOUDS_TOGETHER:
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            cache = prepare_views(clouds[:count], folder, image_size=IMAGE_SIZE, workers=workers)
            seconds.append(time.perf_counter() - started)
    few, many = CLOUDS_TOGETHER
    speed = (many - few) / (seconds[1] - seconds[0])
    whole = seconds[1] + (MODELNET40_CLOUDS - many) / speed
    start = seconds[0] - few / speed
    bytes_each = (cache.images.nbytes + cache.visibility.nbytes) / many
    what = f"{workers} processes, normals, 96-pixel renders and visibility from 12 views, to disk"
    return [
        Row(what, "speed", speed, "clouds/s", detail=f"after a start of {start:.1f} s"),
        Row(what, "12,311 clouds", whole, "s", SECONDS_ALLOWED, at_least=False, detail=f"reckoned from {many} clouds"),
        Row(what, "12,311 clouds on disk", bytes_each * MODELNET40_CLOUDS / 1e9, "GB"),
    ]


if __name__ == "__main__":
    rows.run("bm_prepare", measure, ABOUT, on_gpu=measure_gpu)
