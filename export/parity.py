"""The gate: a model is published only if the finished file answers as the framework did.

The rule for float32: no logit differs by more than `TOLERANCE` x max(1, the face's largest |reference logit|). A face
can then get another label only where the reference's lead of first over second is no more than twice that difference:
such near ties are counted and listed.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from data.faceset import SIDE
from inference.manifest import NearTie, Parity

TOLERANCE = 1e-5
BATCHES = (1, 2, 7, 64)
LEAST_CLASSES = 3
Logits = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def probes(faces: Pixels) -> Pixels:
    """Return the faces followed by zeros, full scale and seeded noise, uint8[N + 10, 48, 48]."""
    noise = np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE), dtype=np.uint8)
    extremes = np.stack([np.zeros((SIDE, SIDE), np.uint8), np.full((SIDE, SIDE), 255, np.uint8)])
    return np.concatenate([faces, extremes, noise])


def answers_in_batches(answer: Callable[[Pixels], Logits], pixels: Pixels) -> list[tuple[int, Logits]]:
    """Return (start, logits) of all probes in batches of 64, and of the first 64 and the last ones in each batch size.

    Args:
        answer: gives float32[N, 7] for N probes, uint8[N, 48, 48], in one batch.
        pixels: the probes.
    """
    whole, parts = max(BATCHES), []
    for size in BATCHES:
        covered = len(pixels) if size == whole else min(whole, len(pixels))
        parts += [(start, min(start + size, covered)) for start in range(0, covered, size)]
        parts.append((max(0, len(pixels) - size), len(pixels)))
    return [(start, answer(pixels[start:stop])) for start, stop in parts]


def judge(
    reference: Logits,
    answered: list[tuple[int, Logits]],
    faces: int,
    known_classes: int = LEAST_CLASSES,
    remedy: str = "train it longer, or otherwise, until it tells faces apart",
) -> Parity:
    """Compare the answers with `reference` float32[probes, 7], of which the first `faces` are of real faces.

    A reference has to give real faces `LEAST_CLASSES` different labels, or as many as there are `known_classes` among
    those faces where that is fewer: agreement with a model that always says the same would prove nothing; `remedy` is
    what to do then.
    """
    classes, least = len(np.unique(reference[:faces].argmax(axis=1))), min(LEAST_CLASSES, known_classes)
    finite = np.isfinite(reference).all() and all(np.isfinite(logits).all() for _, logits in answered)
    if not finite:
        return _failed("NaN or infinity among the logits", reference, faces, classes)
    if any(logits.shape != reference[start : start + len(logits)].shape for start, logits in answered):
        return _failed("the number of answers is not the number of probes", reference, faces, classes)
    scale = np.maximum(1.0, np.abs(reference).max(axis=1))
    difference = np.zeros(len(reference))
    for start, logits in answered:
        part = slice(start, start + len(logits))
        largest = np.abs(logits.astype(np.float64) - reference[part]).max(axis=1)
        difference[part] = np.maximum(difference[part], largest)
    smallest = float((difference / scale).max())
    reason = ""
    if smallest > TOLERANCE:
        reason = f"logits differ by {smallest:.3g} of their scale, over the tolerance of {TOLERANCE:g}"
    elif classes < least:
        reason = (
            f"the reference gives real faces {classes} different labels; agreement proves nothing below {least}; "
            f"{remedy}"
        )
    return Parity(
        passed=not reason,
        reason=reason,
        faces=faces,
        probes=len(reference),
        tolerance=TOLERANCE,
        largest_difference=float(difference.max()),
        smallest_tolerance=smallest,
        near_ties=_near_ties(reference, answered),
        classes=classes,
    )


def _near_ties(reference: Logits, answered: list[tuple[int, Logits]]) -> tuple[NearTie, ...]:
    ordered = np.sort(reference.astype(np.float64), axis=1)
    margins = ordered[:, -1] - ordered[:, -2]
    labels = reference.argmax(axis=1)
    differing = {
        start + int(face)
        for start, logits in answered
        for face in np.flatnonzero(logits.argmax(axis=1) != labels[start : start + len(logits)])
    }
    return tuple(NearTie(index, float(margins[index])) for index in sorted(differing))


def _failed(reason: str, reference: Logits, faces: int, classes: int) -> Parity:
    return Parity(passed=False, reason=reason, faces=faces, probes=len(reference), tolerance=TOLERANCE, classes=classes)
