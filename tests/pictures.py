"""When do two pictures of the stage show the same? Where the same is drawn, and in the same colours."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

# What lies over the cloud and says something else than what is drawn.
OVERLAYS = ".pmv-tools, .pmv-status, .pmv-pane-title, .pmv-hovered { visibility: hidden !important; }"
# A channel of 256 levels: below this a pixel is ground, or of the same colour.
SLACK = 12
# A stage on which less is drawn shows no cloud, and two such would be alike.
LEAST_DRAWN = 0.005
LEAST_OVERLAP = 0.95


def picture_of(page: Any, pane: str = "main") -> np.ndarray:
    """Photograph one pane as the screen shows it: (H, W, 3) of 0 to 255."""
    shot = page.locator(f"[data-part=scene-{pane}]").screenshot(style=OVERLAYS)
    return read_picture(shot)


def read_picture(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(file)).convert("RGB"), dtype=np.int16)


def ground(picture: np.ndarray) -> np.ndarray:
    """The colour of most pixels. A pane's edge may show its neighbour's border, so no corner is believed."""
    packed = picture.astype(np.int64) @ [2**16, 2**8, 1]
    most = int(np.bincount(packed.ravel()).argmax())
    return np.array([most >> 16, most >> 8 & 255, most & 255])


def drawn(picture: np.ndarray) -> np.ndarray:
    """Which pixels are not the ground's."""
    found: np.ndarray = (np.abs(picture - ground(picture)) > SLACK).any(axis=2)
    return found


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of what is drawn."""
    one, other = drawn(first), drawn(second)
    return float((one & other).sum() / max((one | other).sum(), 1))


def difference(first: np.ndarray, second: np.ndarray, *, least: float = LEAST_OVERLAP) -> str:
    """Say how two pictures differ; nothing where they show the same.

    Args:
        first: One picture.
        second: The other.
        least: Share of what is drawn that has to be drawn in both, and of that, in one colour.
    """
    if first.shape != second.shape:
        return f"one has {first.shape[1]} x {first.shape[0]} pixels, the other {second.shape[1]} x {second.shape[0]}"
    if np.abs(ground(first) - ground(second)).max() > SLACK:
        return f"the ground is {ground(first)} in one, {ground(second)} in the other"
    shares = drawn(first).mean(), drawn(second).mean()
    if min(shares) < LEAST_DRAWN:
        return f"only {shares[0]:.2%} is drawn in one, {shares[1]:.2%} in the other"
    found = overlap(first, second)
    if found < least:
        return f"what is drawn overlaps by {found:.3f}"
    both = drawn(first) & drawn(second)
    alike = float((np.abs(first - second)[both] <= SLACK).all(axis=1).mean())
    return "" if alike >= least else f"{alike:.3f} of what is drawn has one colour"
