"""What does a student make of only the points that the winners' slider keeps?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float32

from pointmcd.records import UserError
from viz.bundle import points_from_base64
from viz.page.loading import Models
from viz.page.options import POINTS, Options

# These questions skip the queue: few at a time, each for a moment. DGCNN gets fewer points, to answer within a second.
QUESTIONS_WAITING = 3
LONGEST_WAIT_S = 0.5
MOST_POINTS_ASKED = {"dgcnn": 1024}


def kept_predictor(get_models: Callable[[], Models]) -> Callable[[Any], dict[str, Any]]:
    """Make the function that the viewer asks; a plain function, because Gradio marks it.

    The points come with the question, so nothing of a visit is read; they are checked as anything from a browser.
    """
    turn, asking = threading.Lock(), threading.BoundedSemaphore(QUESTIONS_WAITING)

    def predict_kept(question: Any) -> dict[str, Any]:
        """Answer `{"student", "answer", "points"}` with `{"label", "probability"}`, `{"busy"}`, or an empty dict."""
        if not asking.acquire(blocking=False):
            return {"busy": True}
        try:
            if not turn.acquire(timeout=LONGEST_WAIT_S):
                return {"busy": True}
            try:
                return _answer(question, get_models())
            finally:
                turn.release()
        except (KeyError, TypeError, ValueError, UserError):  # not one of our viewer's questions
            return {}
        finally:
            asking.release()

    return predict_kept


def _answer(question: Any, models: Models) -> dict[str, Any]:
    from pointmcd.analysis.analyze import predict_points

    student = str(question.get("student", Options.student))
    points = thinned(points_from_base64(question["points"]), MOST_POINTS_ASKED.get(student, POINTS[1]))
    probabilities = predict_points(points, models, student=student, plain=_asks_plain(question))

    best = int(probabilities.argmax())
    return {"label": models.class_names[best], "probability": float(probabilities[best])}


def _asks_plain(question: Any) -> bool:
    """Tell which weights of the student are asked; raise KeyError where the server has none of that key."""
    key = question.get("answer", "plain" if question.get("plain") else "distilled")
    return {"distilled": False, "plain": True}[str(key)]


def thinned(points: Float32[np.ndarray, "N 3"], most: int) -> Float32[np.ndarray, "M 3"]:
    """Leave out points evenly, where a network would take too long for all of them."""
    if len(points) <= most:
        return points
    kept = np.linspace(0, len(points) - 1, most).astype(int)
    return np.asarray(points[kept])
