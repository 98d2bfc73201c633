"""What stands out in an analysis? First answers, winners, blind channels, and when to doubt the networks."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Int

from pointmcd.records import Analysis, Answer, Pooling

TOP: Final = 5  # answers that are listed of a network
# Below this probability of the distilled student's first answer there is a warning: more likely wrong than right.
LOW_CONFIDENCE: Final = 0.5
WARNED_OF: Final = ("teacher", "distilled", "plain")  # a control is made to be wrong

DOMAIN_RULE: Final = (
    "Shown when the teacher, the distilled and the plain student do not all give the same first answer, or when the "
    f"distilled student's first answer has less than {100 * LOW_CONFIDENCE:.0f} % probability: the shape may be unlike "
    "the training data."
)


def top(answer: Answer, names: tuple[str, ...], *, count: int = TOP) -> list[tuple[str, float]]:
    """The likeliest classes with their probabilities, best first; of equals the one that is named first."""
    probabilities = answer.probabilities
    best: Int[np.ndarray, " k"] = np.argsort(-probabilities, kind="stable")[:count]
    return [(names[label], float(probabilities[label])) for label in best]


def margin(answer: Answer) -> float:
    """How far the likeliest class is ahead of the next, in probability; 1 where there is no other."""
    best = np.sort(answer.probabilities)[::-1]
    return float(best[0] - best[1]) if len(best) > 1 else 1.0


def wins(winners: Int[np.ndarray, "*V D"], *, points: int) -> Int[np.ndarray, " N"]:
    """Count the channels that each point wins, over all views that are given; a pool that saw nothing has no winner."""
    return np.bincount(winners[winners >= 0], minlength=points)


def blind_channels(analysis: Analysis, pooling: Pooling) -> int:
    """Channels of the pool over all points that points win which no view sees: never supervised by the teacher."""
    return int(wins(pooling.global_winners, points=len(analysis.cloud.points))[analysis.unseen_points].sum())


def domain_note(analysis: Analysis) -> str | None:
    """Say why the networks' answers deserve care, by `DOMAIN_RULE`; None if they do not."""
    answers = [answer for answer in analysis.answers if answer.role in WARNED_OF]
    reasons = []
    if len({int(answer.logits.argmax()) for answer in answers}) > 1:
        reasons.append("the networks disagree")
    confidence = min(float(answer.probabilities.max()) for answer in answers if answer.role == "distilled")
    if confidence < LOW_CONFIDENCE:
        reasons.append(f"the distilled student is only {100 * confidence:.0f} % sure")
    return f"Handle with care: {' and '.join(reasons)}." if reasons else None
