"""A declaration in NumPy and OpenCV: what the foreign model's own users would feed it with, and make of its answers.

It shares nothing with `export.adopt.nodes`, so that the gate, which compares the two, can find a mistake in either.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from data.faceset import LABELS
from inference.adoption import Answers, Others, Preprocessing

RULES = {"opencv-linear": cv2.INTER_LINEAR, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
BATCH = 64
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def fed(pixels: Pixels, preprocessing: Preprocessing) -> Floats:
    """Return what goes into a model for grey faces uint8[N, 48, 48], float32[N, ...] in its layout."""
    whole = preprocessing.resize == "opencv-linear"
    side, rule = (preprocessing.size, preprocessing.size), RULES[preprocessing.resize]
    pictures = [face if whole else face.astype(np.float32) for face in pixels]
    faces = np.stack([cv2.resize(face, side, interpolation=rule) for face in pictures]).astype(np.float32)
    colours = np.repeat(faces[..., np.newaxis], preprocessing.channels, axis=3)
    mean, deviation = (np.array(values, np.float32) for values in (preprocessing.mean, preprocessing.deviation))
    normal = (colours / np.float32(preprocessing.divide_by) - mean) / deviation
    if preprocessing.order == "bgr":
        normal = normal[..., ::-1]
    layouts = {"nchw": normal.transpose(0, 3, 1, 2), "nhwc": normal, "nhw": normal[..., 0]}
    return np.ascontiguousarray(layouts[preprocessing.layout], np.float32)


def answered(
    run: Callable[[Floats], Floats], pixels: Pixels, preprocessing: Preprocessing, batch: int | None
) -> Floats:
    """Return all that a foreign model answers to faces uint8[N, 48, 48], float32[N, columns].

    Args:
        run: the model itself, a row of answers for each face.
        pixels: the faces, N at least 1.
        preprocessing: how they are fed to it.
        batch: how many it takes, the last ones being filled up with black faces; None is any number.
    """
    size, parts = batch or BATCH, []
    for start in range(0, len(pixels), size):
        part = pixels[start : start + size]
        missing = 0 if batch is None else batch - len(part)
        filled = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.uint8)])
        parts.append(run(fed(filled, preprocessing))[: len(part)])
    return np.concatenate(parts)


def logits(raw: Floats, names: tuple[str, ...], answers: Answers, others: Others) -> Floats:
    """Return logits float32[N, 7] in the order of `LABELS`, of all that a model answers, float32[N, columns]."""
    wanted = [names.index(label) for label in LABELS]
    if answers == "logits" and (others == "dropped" or len(names) == len(LABELS)):
        return raw[:, wanted]
    values = raw.astype(np.float64)
    if answers == "logits":
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        values = powers / powers.sum(axis=1, keepdims=True)
    seven = values[:, wanted]
    if others == "kept-out":
        seven = seven + np.delete(values, wanted, axis=1).sum(axis=1, keepdims=True) / len(LABELS)
    elif len(names) > len(LABELS):
        seven = seven / np.maximum(seven.sum(axis=1, keepdims=True), 1e-30)
    return np.log(np.maximum(seven, 1e-7)).astype(np.float32)


def what_they_are(raw: Floats) -> Answers | None:
    """Tell what answers are by their values; None where they could be either, such as those of a sigmoid."""
    if (raw < 0).any() or (raw > 1).any():
        return "logits"
    return "probabilities" if np.abs(raw.sum(axis=1) - 1).max() < 1e-3 else None
