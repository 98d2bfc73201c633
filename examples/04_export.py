"""How does an analysis leave the program? NPZ, JSON and PLY: `python examples/04_export.py [FILE] [FOLDER]`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import pointmcd
from pointmcd.analysis.export import save_arrays, summary
from pointmcd.records import Analysis


def scalar_fields(analysis: Analysis) -> dict[str, np.ndarray]:
    """One number per point, as MeshLab or CloudCompare colour a cloud by them."""
    points = len(analysis.cloud.points)
    winners = analysis.student.winners
    return {
        "seen_by": analysis.visibility.mask.sum(axis=0),
        "wins": np.bincount(winners[winners >= 0], minlength=points),
        "wins_global": np.bincount(analysis.student.global_winners, minlength=points),
        "alignment": analysis.student.alignment.mean(axis=0),
    }


def write_ply(path: Path, points: np.ndarray, fields: dict[str, np.ndarray]) -> None:
    """Write points with scalar fields as a binary PLY."""
    names = ["x", "y", "z", *fields]
    table = np.column_stack([points, *fields.values()]).astype("<f4")
    properties = "".join(f"property float {name}\n" for name in names)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(table)}\n{properties}end_header\n"
    path.write_bytes(header.encode("ascii") + table.tobytes())


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else HERE / "shapes" / "chair.off"
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="pointmcd_"))
    folder.mkdir(parents=True, exist_ok=True)
    analysis = pointmcd.analyze(pointmcd.load_shape(path), pointmcd.load_models())

    save_arrays(analysis, folder / "analysis.npz")
    (folder / "analysis.json").write_text(json.dumps(summary(analysis), indent=2), encoding="utf-8")
    to_world = analysis.cloud.to_world
    in_file_units = analysis.cloud.points @ to_world[:3, :3].T + to_world[:3, 3]
    write_ply(folder / "analysis.ply", in_file_units, scalar_fields(analysis))

    for file in sorted(folder.glob("analysis.*")):
        print(f"{file.stat().st_size:10,} bytes  {file}")
    with np.load(folder / "analysis.npz", allow_pickle=False) as arrays:
        print("\nIn the NPZ:")
        for name in arrays:
            print(f"  {name:22} {arrays[name].dtype!s:8} {arrays[name].shape}")
    again = pointmcd.load_shape(folder / "analysis.ply")
    drift = np.abs(again.vertices - in_file_units).max()
    print(f"\nRead back from the PLY: {len(again.vertices):,} points, at most {drift:.1e} away from where they were.")


if __name__ == "__main__":
    main()
