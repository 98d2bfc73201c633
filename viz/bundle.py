"""What does the page need of an Analysis? One compact, JSON-able bundle per shape; the browser does the rest.

Arrays travel as base64 of little-endian typed arrays: `{"dtype", "shape", "data"}`. Per-view winners are sparse (a
max-pool over N points has few winners), the mask is one bit per point and view, the images are lossless WebP, and the
pixel of a point is not sent at all: the page projects the point with the rig's own matrices.
"""

from __future__ import annotations

import base64
import io
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped, UInt8
from PIL import Image

from pointmcd.analysis import findings
from pointmcd.records import Analysis, Comparison, Role

VERSION: Final = 2
# The cloud the page draws; more points than this are thinned, and the page says so.
DEFAULT_POINTS_DRAWN: Final = 20_000
MOST_POINTS_DRAWN: Final = 50_000
MOST_POINTS_SHOWN: Final = 4096  # by the page: what can be chosen there
# What the page prints for each role, and the line behind it. Its colour is the theme's of the same name.
ROLES: Final[dict[Role, tuple[str, str]]] = {
    "teacher": ("Teacher", "Reads the rendered views"),
    "distilled": ("Distilled", "Reads the points alone; was trained with the teacher"),
    "plain": ("Plain", "Reads the points alone; the same recipe without the teacher"),
    "control": ("Control", "Reads the points alone; the same recipe with a teacher that it cannot learn from"),
    "own": ("Own", "Reads the points alone; weights of your own"),
}
# The margins' square roots are stored in 8 bits over 0..2, the diameter of a normalised shape.
LARGEST_MARGIN: Final = 2.0

Bundle = dict[str, Any]


def make_bundle(analysis: Analysis, *, points_drawn: int = DEFAULT_POINTS_DRAWN) -> Bundle:
    """Pack an analysis for the viewer.

    Args:
        analysis: Any shape, rig and student.
        points_drawn: At most this many points are sent, winners first; 1 to 50,000.

    Returns:
        A dict of JSON types, under 300 KB at N=2,048 and V=16 with 224-pixel renders.

    Raises:
        ValueError: `points_drawn` is out of range.
    """
    if not 1 <= points_drawn <= MOST_POINTS_DRAWN:
        raise ValueError(f"points_drawn is 1 to {MOST_POINTS_DRAWN:,}, not {points_drawn:,}.")
    cloud, cameras, visibility = analysis.cloud, analysis.cameras, analysis.visibility
    kept = _points_to_draw(analysis, points_drawn)
    count = len(cloud.points)
    notes = list(analysis.notes)
    if len(kept) < count:
        notes.append(f"The viewer draws {len(kept):,} of {count:,} points; all counts are of all points.")
    return {
        "version": VERSION,
        "name": analysis.name,
        "notes": notes,
        "student_name": analysis.student_name,
        "total_points": count,
        "points": _array(cloud.points[kept].astype(np.float32)),
        "to_world": _array(cloud.to_world.astype(np.float32)),
        "colors": None if cloud.colors is None else _array(cloud.colors[kept]),
        "cameras": {
            "world_to_camera": _array(cameras.world_to_camera.astype(np.float32)),
            "intrinsics": _array(cameras.intrinsics.astype(np.float32)),
            "image_size": cameras.image_size,
            "azimuth_deg": [round(float(a), 2) for a in cameras.azimuth_deg],
            "elevation_deg": [round(float(e), 2) for e in cameras.elevation_deg],
        },
        "images": _images(analysis.renders.images[..., 0]),
        "render_source": analysis.renders.source,
        "visibility": {
            "method": visibility.method,
            "mask": _array(np.packbits(visibility.mask[:, kept], axis=1, bitorder="little")),
            "margin": _array(_pack_margin(visibility.margin[:, kept])),
            "largest_margin": LARGEST_MARGIN,
            "seen": [int(n) for n in visibility.mask.sum(axis=1)],
            "unseen": len(analysis.unseen_points),
        },
        "heat": _heat(analysis),
        "answers": _answers(analysis, kept),
        "domain": {"note": findings.domain_note(analysis), "rule": findings.DOMAIN_RULE},
        "timings_ms": {stage: round(float(ms), 2) for stage, ms in analysis.timings_ms.items()},
    }


def pack_cell(
    analysis: Analysis, shares: Float32[np.ndarray, " N"], bias: float, *, points_drawn: int = DEFAULT_POINTS_DRAWN
) -> Bundle:
    """Pack the shares of one cell of the similarity matrix for a page that shows `make_bundle(analysis)`.

    Args:
        analysis: What the page shows.
        shares: Of each point, as `pointmcd.analysis.explain.cell_shares` gives them.
        bias: The bias's share.
        points_drawn: As for the page's bundle.

    Returns:
        The drawn points that have a share, and what it is, both as arrays; and the bias's share.
    """
    drawn = shares[_points_to_draw(analysis, points_drawn)]
    index = np.flatnonzero(drawn)
    return {"index": _array(index.astype(np.uint32)), "shares": _array(drawn[index]), "bias": bias}


def _heat(analysis: Analysis) -> dict[str, Any]:
    """Pack the heat maps with what they split: each view's logit of the teacher's first answer."""
    first = int(analysis.teacher.logits.argmax())
    return {
        "maps": _array(analysis.heat_maps.astype(np.float32)),
        "label": analysis.class_names[first],
        "logits": [round(float(logit), 4) for logit in analysis.teacher.view_logits[:, first]],
        "on_background": [round(float(share), 4) for share in analysis.heat_on_background],
    }


def _points_to_draw(analysis: Analysis, limit: int) -> Int[np.ndarray, " M"]:
    """Choose points in file order: all, or those that win channels first and an even sample of the others."""
    count = len(analysis.cloud.points)
    if count <= limit:
        return np.arange(count)
    wins = np.zeros(count, dtype=np.int64)
    for student in analysis.comparisons:
        wins += findings.wins(student.winners, points=count) + findings.wins(student.global_winners, points=count)
    winners = np.flatnonzero(wins)
    if len(winners) >= limit:
        return np.sort(winners[np.argsort(-wins[winners], kind="stable")[:limit]])
    others = np.flatnonzero(wins == 0)
    spread = np.linspace(0, len(others) - 1, limit - len(winners)).round().astype(np.int64)
    return np.sort(np.concatenate([winners, others[spread]]))


def _answers(analysis: Analysis, kept: Int[np.ndarray, " M"]) -> list[dict[str, Any]]:
    """Pack what each network says, in the order to show; a student with what the page looks into."""
    roles = [answer.role for answer in analysis.answers]
    packed = []
    for key, answer in zip(analysis.keys, analysis.answers, strict=True):
        label, hint = ROLES[answer.role]
        student = analysis.comparison_of(answer)
        packed.append({
            "key": key,
            "role": answer.role,
            "network": answer.network,
            "run": answer.run,
            "label": label if roles.count(answer.role) == 1 else f"{label} {answer.run}".strip(),
            "hint": hint,
            "color": answer.role,
            "weights": answer.weights,
            "top": [[name, round(probability, 5)] for name, probability in findings.top(answer, analysis.class_names)],
            "margin": round(findings.margin(answer), 5),
            "view_features_dim": answer.view_features.shape[1],
            "student": None if student is None else _student(student, kept, analysis),
        })  # fmt: skip
    return packed


def _student(student: Comparison, kept: Int[np.ndarray, " M"], analysis: Analysis) -> dict[str, Any]:
    """Pack one student; its winners and alignment as sparse rows, one per view (compressed sparse row format)."""
    count = len(analysis.cloud.points)
    starts, indices, wins, alignment = [0], [], [], []
    for view_winners, view_alignment in zip(student.winners, student.alignment, strict=True):
        row_wins = findings.wins(view_winners, points=count)[kept]
        row_alignment = view_alignment[kept]
        filled = np.flatnonzero((row_wins > 0) | (row_alignment != 0))
        starts.append(starts[-1] + len(filled))
        indices.append(filled)
        wins.append(row_wins[filled])
        alignment.append(row_alignment[filled])
    global_wins = findings.wins(student.global_winners, points=count)
    channels = student.winners.shape[1]
    small = np.uint16 if len(kept) <= np.iinfo(np.uint16).max else np.uint32
    return {
        "channels": channels,
        "rows": _array(np.array(starts, dtype=np.uint32)),
        "index": _array(np.concatenate(indices).astype(small)),
        "wins": _array(np.concatenate(wins).astype(np.uint16)),
        "alignment": _array(np.concatenate(alignment).astype(np.float16)),
        "alignment_bias": [round(float(b), 5) for b in student.alignment_bias],
        "global_wins": _array(global_wins[kept].astype(np.uint16)),
        "feature_colors": _array((student.feature_colors[kept] * 255).round().clip(0, 255).astype(np.uint8)),
        "similarity": _array(student.similarity.astype(np.float32)),
        "diagonal_dominance": round(student.diagonal_dominance, 5),
        "retrieval_at_1": round(student.retrieval_at_1, 5),
        "blind_channels": findings.blind_channels(analysis, student.pooling),
        "global_channels": int(global_wins.sum()),
    }


def _pack_margin(margin: Float[np.ndarray, "V M"]) -> UInt8[np.ndarray, "V M"]:
    """Store sqrt(margin) in 8 bits: an error below 0.002 at a margin of 0.05, where it matters; 0.008 at most."""
    finite = np.nan_to_num(margin, nan=0.0, posinf=LARGEST_MARGIN).clip(0, LARGEST_MARGIN)
    return np.asarray(np.sqrt(finite / LARGEST_MARGIN) * 255).round().astype(np.uint8)


def _images(grey: UInt8[np.ndarray, "V H W"]) -> list[str]:
    """Encode the views side by side: WebP takes nearly all the time of a bundle, and needs no Python meanwhile."""
    with ThreadPoolExecutor(os.cpu_count()) as encoders:
        return list(encoders.map(_image, grey))


def _image(grey: UInt8[np.ndarray, "H W"]) -> str:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey)).save(stream, "WEBP", lossless=True, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _array(values: Shaped[np.ndarray, ...]) -> dict[str, Any]:
    little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<")))
    return {
        "dtype": values.dtype.name,
        "shape": list(values.shape),
        "data": base64.b64encode(little.tobytes()).decode("ascii"),
    }


def points_from_base64(text: str) -> Float32[np.ndarray, "N 3"]:
    """Decode points that the viewer sends back, checking what a browser could get wrong.

    Raises:
        ValueError: Not base64, too many points, or no whole points.
    """
    if len(text) > 16 * MOST_POINTS_SHOWN:  # 12 bytes a point are 16 characters
        raise ValueError(f"At most {MOST_POINTS_SHOWN:,} points can come back.")
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").reshape(-1, 3).astype(np.float32)
