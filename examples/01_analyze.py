"""What does each network make of a shape? `python examples/01_analyze.py [FILE]`."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import pointmcd


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else HERE / "shapes" / "chair.off"
    shape = pointmcd.load_shape(path)
    analysis = pointmcd.analyze(shape, pointmcd.load_models())

    print(analysis.name)
    for note in analysis.notes:
        print(f"  {note}")

    print("\nWhat is it?")
    for key, answer in zip(analysis.keys, analysis.answers, strict=True):
        best = (-answer.probabilities).argsort()[:3]
        told = ", ".join(f"{analysis.class_names[k]} {answer.probabilities[k]:.0%}" for k in best)
        print(f"  {f'{key} (points)' if answer.pooling else f'{key} (images)':18} {told}")

    print("\nHow near is each student view to the teacher's view of the same camera? (cosine)")
    print("  azimuth" + "".join(f"{found.prediction.role:>11}" for found in analysis.comparisons))
    for view, azimuth in enumerate(analysis.cameras.azimuth_deg):
        print(f"  {azimuth:6.0f}°" + "".join(f"{found.cosine[view]:11.3f}" for found in analysis.comparisons))
    print(f"\nThe distilled student's own camera stands out by {analysis.student.diagonal_dominance:+.3f};")
    print(f"{analysis.student.retrieval_at_1:.0%} of its views find their own teacher view.")
    print(f"Computed in {sum(analysis.timings_ms.values()):.0f} ms: {analysis.timings_ms}")


if __name__ == "__main__":
    main()
