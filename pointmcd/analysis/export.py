"""How does an analysis leave the program? As JSON types and as arrays."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

from pointmcd import __version__
from pointmcd.analysis import findings
from pointmcd.files import written_whole
from pointmcd.records import Analysis, Answer, Comparison

ABOUT = ("name", "version", "settings", "weights")  # of the summary, in the file of arrays too

# Keys of before there were more answers: by role, the prefix of an answer's arrays and of its comparison's.
PREFIXES = {"distilled": ("student_", ""), "plain": ("plain_", "plain_")}


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
            "seen_fraction": _rounded(seen.mean(axis=1)),
            "unseen_points": len(analysis.unseen_points),
        },
        "teacher": {
            "top5": _top(analysis.teacher, analysis),
            "heat_on_background": _rounded(analysis.heat_on_background),
        },
        "student": {"top5": _top(analysis.student.prediction, analysis)},
        "plain": None if analysis.plain is None else {"top5": _top(analysis.plain.prediction, analysis)},
        "alignment": _alignment(analysis.student),
        "plain_alignment": None if analysis.plain is None else _alignment(analysis.plain),
        "answers": [
            _answer(key, answer, analysis) for key, answer in zip(analysis.keys, analysis.answers, strict=True)
        ],
        "domain": {"note": findings.domain_note(analysis), "rule": findings.DOMAIN_RULE},
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


def _answer(key: str, answer: Answer, analysis: Analysis) -> dict[str, Any]:
    """One network's answer; of a point network with its pools and its comparison."""
    told: dict[str, Any] = {
        "key": key, "role": answer.role, "task": answer.task, "network": answer.network, "run": answer.run,
        "weights": answer.weights, "top5": _top(answer, analysis), "margin": round(findings.margin(answer), 6),
    }  # fmt: skip
    if answer.pooling is not None:
        count, pooling = len(analysis.cloud.points), answer.pooling
        told |= {
            "channels": len(pooling.global_winners),
            "winning_points": int((findings.wins(pooling.global_winners, points=count) > 0).sum()),
            "winning_points_by_view": [int((findings.wins(row, points=count) > 0).sum()) for row in pooling.winners],
            "blind_channels": findings.blind_channels(analysis, pooling),
        }
    comparison = analysis.comparison_of(answer)
    return told if comparison is None else told | {"alignment": _alignment(comparison)}


def _top(answer: Answer, analysis: Analysis) -> list[list[Any]]:
    return [[name, round(probability, 6)] for name, probability in findings.top(answer, analysis.class_names)]


def _alignment(view: Comparison) -> dict[str, Any]:
    return {
        "cosine": _rounded(view.cosine),
        "similarity": [_rounded(row) for row in view.similarity],
        "diagonal_dominance": round(view.diagonal_dominance, 6),
        "retrieval_at_1": round(view.retrieval_at_1, 6),
    }


def _rounded(values: Num[np.ndarray, " n"]) -> list[float]:
    return [round(float(value), 6) for value in values]


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
    for key, answer in zip(analysis.keys, analysis.answers, strict=True):
        view = analysis.comparison_of(answer)
        if view is None:
            continue
        of_answer, of_comparison = PREFIXES.get(key, (f"{key}_", f"{key}_"))
        arrays |= {
            f"{of_answer}view_features": answer.view_features,
            f"{of_answer}logits": answer.logits,
            f"{of_comparison}similarity": view.similarity,
            f"{of_comparison}winners": view.winners.astype(np.int32),
            f"{of_comparison}pools": view.pools,
            f"{of_comparison}global_winners": view.global_winners.astype(np.int32),
            f"{of_comparison}alignment": view.alignment,
            f"{of_comparison}alignment_bias": view.alignment_bias,
        }
    with written_whole(Path(path).resolve()) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # the stub takes **kwds for allow_pickle
