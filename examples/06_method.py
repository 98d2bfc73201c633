"""What does the method do with one shape, in one picture? `python examples/06_method.py [FILE] [PICTURE.png]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import pointmcd
from viz.method_figure import method


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else HERE / "shapes" / "chair.off"
    picture = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="pointmcd_") + "/method.png")
    figure = method(pointmcd.analyze(pointmcd.load_shape(path), pointmcd.load_models()))
    figure.savefig(picture, dpi=110)
    print(f"{picture}: {figure.get_figwidth():g} x {figure.get_figheight():g} inches")


if __name__ == "__main__":
    main()
