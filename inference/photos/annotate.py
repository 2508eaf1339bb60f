"""Draws on a picture where its faces are, with the numbers that the cards beside it carry."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.photos.faces import FaceBox

SHOWN_SIDE = 1280  # Pixels: more would only cost time to send.
FRAME = (255, 255, 255)
EDGE = (67, 56, 202)

Pixels = NDArray[np.uint8]


def numbered(
    pixels: Pixels,
    boxes: Sequence[FaceBox],
    texts: Sequence[str] | None = None,
    largest: int | None = SHOWN_SIDE,
    letters: float = 1.0,
) -> Pixels:
    """Return a copy of uint8[H, W, 3], RGB, of at most `largest` pixels a side, with each box and its number drawn.

    `texts` are drawn in place of the numbers; OpenCV's letters are ASCII alone. `letters` makes them larger or smaller.
    """
    factor = 1.0 if largest is None else min(1.0, largest / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
    shrunk = pixels if factor == 1.0 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    canvas = np.array(shrunk, np.uint8)
    unit = max(1.0, max(size) / 640)
    for number, box in enumerate(boxes, 1):
        left, top = round(box.x * factor), round(box.y * factor)
        right, bottom = round((box.x + box.width) * factor), round((box.y + box.height) * factor)
        _frame(canvas, (left, top), (right, bottom), unit)
        _tag(canvas, texts[number - 1] if texts else str(number), (left, top), letters * unit)
    return canvas


def _frame(canvas: Pixels, corner: tuple[int, int], opposite: tuple[int, int], unit: float) -> None:
    # Light over dark: seen on any background.
    cv2.rectangle(canvas, corner, opposite, EDGE, round(4 * unit), cv2.LINE_AA)
    cv2.rectangle(canvas, corner, opposite, FRAME, round(1.4 * unit), cv2.LINE_AA)


def _tag(canvas: Pixels, text: str, corner: tuple[int, int], unit: float) -> None:
    scale, weight = 0.62 * unit, max(1, round(1.6 * unit))
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, weight)
    pad = round(6 * unit)
    left = min(max(0, corner[0]), max(0, canvas.shape[1] - width - 2 * pad))
    top = max(0, corner[1] - height - 2 * pad)
    cv2.rectangle(canvas, (left, top), (left + width + 2 * pad, top + height + 2 * pad), EDGE, cv2.FILLED)
    origin = (left + pad, top + pad + height)
    cv2.putText(canvas, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, FRAME, weight, cv2.LINE_AA)
