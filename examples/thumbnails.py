"""What does each example look like in the page's gallery? Draws examples/thumbnails/ from examples/shapes/.

Run it after the shapes changed: `python examples/thumbnails.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from pointmcd.scene.cameras import rig
from pointmcd.scene.render import render
from pointmcd.shapes.load import load_shape
from pointmcd.shapes.sample import sample_points

SIZE = 96
MARGIN = 4
# Drawn larger and then reduced, so that edges are smooth.
DRAWN_SIZE = 480
# A point set is drawn from all its points up to this many: more than the networks read, for a closed surface.
POINTS = 8192
AZIMUTH_DEG, ELEVATION_DEG = -55.0, 22.0
# Of the darkest and the brightest pixel: both stand out from a light page and from a dark one.
SHADOW, LIGHT = np.array([54, 68, 100]), np.array([184, 202, 234])


def thumbnail(path: Path) -> Image.Image:
    """Draw one shape from the front on a transparent ground, as large as the square lets it be."""
    cloud = sample_points(load_shape(path), count=POINTS)
    renders = render(cloud, rig(np.array([AZIMUTH_DEG]), np.array([ELEVATION_DEG]), image_size=DRAWN_SIZE))
    seen = renders.index[0] >= 0
    grey = renders.images[0, ..., 0].astype(float)
    darkest, brightest = np.percentile(grey[seen], [2, 98])
    shade = np.clip((grey - darkest) / max(brightest - darkest, 1.0), 0, 1)[..., None]
    pixels = np.concatenate([SHADOW + (LIGHT - SHADOW) * shade, np.where(seen, 255, 0)[..., None]], axis=-1)
    drawn = Image.fromarray(pixels.astype(np.uint8))
    shape_only = drawn.crop(drawn.getchannel("A").getbbox())
    shape_only.thumbnail((SIZE - 2 * MARGIN, SIZE - 2 * MARGIN), Image.Resampling.LANCZOS)
    square = Image.new("RGBA", (SIZE, SIZE))
    square.paste(shape_only, ((SIZE - shape_only.width) // 2, (SIZE - shape_only.height) // 2))
    return square


def main() -> None:
    folder = HERE / "thumbnails"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for path in sorted((HERE / "shapes").iterdir()):
        thumbnail(path).quantize(64).save(folder / f"{path.stem}.png", optimize=True)


if __name__ == "__main__":
    main()
