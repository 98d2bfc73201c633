"""Which shapes does the page offer before a visitor brings one?"""

from __future__ import annotations

from pathlib import Path

from pointmcd.shapes.load import EXTENSIONS

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE_FOLDER = REPOSITORY / "examples" / "shapes"
THUMBNAIL_FOLDER = REPOSITORY / "examples" / "thumbnails"
FIRST_EXAMPLE = "chair"


def examples() -> dict[str, Path]:
    """List the shipped shapes by their key in the address bar, in alphabetical order."""
    return {path.stem: path for path in sorted(EXAMPLE_FOLDER.iterdir()) if path.suffix in EXTENSIONS}


def thumbnails() -> list[tuple[str, str]]:
    """List the picture and the caption of each example, in the same order."""
    return [(str(THUMBNAIL_FOLDER / f"{key}.png"), key.replace("_", " ")) for key in examples()]
