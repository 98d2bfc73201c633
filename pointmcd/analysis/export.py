"""How does an analysis leave the program? As JSON types and as arrays."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from pointmcd import __version__
from pointmcd.files import written_whole
from pointmcd.records import (
    Analysis,
    Prediction,
    StudentView,
)

ABOUT = ("name", "version", "settings", "weights")  # of the summary, in the file of arrays too

TOP = 5  # answers listed in a summary


def summary(analysis: Analysis) -> dict[str, Any]:
    """What `python -m pointmcd analyze --json` and the page's API answer: plain JSON types."""
    seen = analysis.visibility.mask
    return {
        "name": analysis.name,
        "version": __version__,
        "settings": _settings(analysis),
        "notes": list(analysis.notes),
        "points": seen.shape[1],
        "views": seen.shape[0],
        "visibility": {
            "method": analysis.visibility.method,
            "seen_fraction": [round(float(share), 6) for share in seen.mean(axis=1)],
            "unseen_points": len(analysis.unseen_points),
        },
        "teacher": {
            "top5": _top(analysis.teacher, analysis.class_names),
            "heat_on_background": [round(float(share), 6) for share in analysis.heat_on_background],
        },
        "student": {"top5": _top(analysis.student.prediction, analysis.class_names)},
        "plain": None if analysis.plain is None else {"top5": _top(analysis.plain.prediction, analysis.class_names)},
        "alignment": _alignment(analysis.student),
        "plain_alignment": None if analysis.plain is None else _alignment(analysis.plain),
        "timings_ms": analysis.timings_ms,
        "weights": _weights(analysis),
    }


def _settings(analysis: Analysis) -> dict[str, Any] | None:
    """What was asked for, and the visibility test that "auto" stood for; None of a record made by hand."""
    if analysis.settings is None:
        return None
    return asdict(analysis.settings) | {"visibility_used": analysis.visibility.method}


def _weights(analysis: Analysis) -> dict[str, str]:
    """SHA-256 of each network's file."""
    weights = {"teacher": analysis.teacher_weights, "student": analysis.student.weights}
    return weights if analysis.plain is None else weights | {"plain": analysis.plain.weights}


def _top(prediction: Prediction, names: tuple[str, ...]) -> list[list[Any]]:
    probabilities = prediction.probabilities
    best: Int[np.ndarray, " 5"] = np.argsort(-probabilities, kind="stable")[:TOP]
    return [[names[label], round(float(probabilities[label]), 6)] for label in best]


def _alignment(view: StudentView) -> dict[str, Any]:
    return {
        "cosine": [round(float(value), 6) for value in view.cosine],
        "similarity": [[round(float(value), 6) for value in row] for row in view.similarity],
        "diagonal_dominance": round(view.diagonal_dominance, 6),
        "retrieval_at_1": round(view.retrieval_at_1, 6),
    }


def save_arrays(analysis: Analysis, path: str | Path) -> None:
    """Write the analysis's arrays as a compressed .npz (no pickles); see docs/conventions.md for axes and units.

    `about` is JSON text: of what, with which settings, version and weights.
    """
    about = summary(analysis)
    arrays = {
        "points": analysis.cloud.points,
        "to_world": analysis.cloud.to_world,
        "visibility": analysis.visibility.mask,
        "pixels": analysis.visibility.pixels,
        "margin": analysis.visibility.margin,
        "images": analysis.renders.images,
        "depth": analysis.renders.depth,
        "index": analysis.renders.index,
        "heat_maps": analysis.heat_maps,
        "heat_on_background": analysis.heat_on_background,
        "world_to_camera": analysis.cameras.world_to_camera,
        "intrinsics": analysis.cameras.intrinsics,
        "class_names": np.array(analysis.class_names),
        "teacher_view_features": analysis.teacher.view_features,
        "teacher_logits": analysis.teacher.logits,
        "about": np.array(json.dumps({key: about[key] for key in ABOUT})),
    }
    for name, view in (("student", analysis.student), ("plain", analysis.plain)):
        if view is None:
            continue
        prefix = "" if name == "student" else "plain_"
        arrays |= {
            f"{name}_view_features": view.prediction.view_features,
            f"{name}_logits": view.prediction.logits,
            f"{prefix}similarity": view.similarity,
            f"{prefix}winners": view.winners.astype(np.int32),
            f"{prefix}pools": view.pools,
            f"{prefix}global_winners": view.global_winners.astype(np.int32),
            f"{prefix}alignment": view.alignment,
            f"{prefix}alignment_bias": view.alignment_bias,
        }
    with written_whole(Path(path).resolve()) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # the stub takes **kwds for allow_pickle
