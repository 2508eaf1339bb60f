"""Maps as pictures: heat over a face, and a face's maps side by side with what the model saw."""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inference.saliency.explaining import FaceExplanation, Method
from inference.text import percent

# Paul Tol's "vibrant" scheme, which the colour-blind can tell apart: https://personal.sron.nl/~pault/
FOR, AGAINST = (204, 51, 17), (0, 119, 187)
STRONGEST = 0.75  # How much of the face the strongest heat hides.
SIDE = 240  # Pixels of a face in a picture.
MARGIN, CAPTION = 16, 56
INK, FAINT, PAPER = (31, 36, 48), (107, 114, 128), (255, 255, 255)
LARGE, SMALL = 17, 13

Pixels = NDArray[np.uint8]


def peak(values: NDArray[np.float32]) -> float:
    """Return the largest value of a map by size, with its sign."""
    return float(values.flat[np.abs(values).argmax()])


def overlay(crop: Pixels, values: NDArray[np.float32], side: int = SIDE) -> Pixels:
    """Return a face with a map's heat over it, uint8[side, side, 3]: red speaks for the answer, blue against it.

    Args:
        crop: uint8[48, 48], grey.
        values: float32[48, 48]; the largest by size has the full colour, so that heat tells where, not how much.
        side: pixels.
    """
    grey = _grown(crop, side)[:, :, None].astype(np.float32)
    scaled = cv2.resize(values, (side, side), interpolation=cv2.INTER_LINEAR) / (abs(peak(values)) or 1.0)
    heat = STRONGEST * np.abs(scaled)[:, :, None]
    colour = np.where(scaled[:, :, None] > 0, np.array(FOR, np.float32), np.array(AGAINST, np.float32))
    return np.asarray(np.rint((1 - heat) * grey + heat * colour), np.uint8)


def strength(method: Method, values: NDArray[np.float32]) -> str:
    """Return a map's largest value in words: `up to +12.3 points` of probability, or of the logit."""
    largest = peak(values)
    return f"up to {100 * largest:+.1f} points" if method == "occlusion" else f"up to {largest:+.2f} of the logit"


def side_by_side(explanation: FaceExplanation, title: str) -> Pixels:
    """Return what the model saw beside the heat for its answer and its runner-up, uint8[H, W, 3], with their names,
    probabilities and strengths below; `title` says the model and the method, in ASCII."""
    face, method = explanation.face, explanation.method
    tiles = [
        (np.repeat(_grown(face.crop, SIDE)[:, :, None], 3, axis=2), "what the model saw", ""),
        *(
            (
                overlay(face.crop, found.values),
                f"{found.label} {percent(found.probability, 1)}",
                strength(method, found.values),
            )
            for found in explanation.maps
        ),
    ]
    return _sheet(tiles, title)


def _sheet(tiles: Sequence[tuple[Pixels, str, str]], title: str) -> Pixels:
    width = MARGIN + len(tiles) * (SIDE + MARGIN)
    height = MARGIN + SIDE + CAPTION + SMALL + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    for place, (tile, name, note) in enumerate(tiles):
        left = MARGIN + place * (SIDE + MARGIN)
        sheet.paste(Image.fromarray(tile), (left, MARGIN))
        pen.text((left, MARGIN + SIDE + 8), name, INK, _font(LARGE))
        pen.text((left, MARGIN + SIDE + 31), note, FAINT, _font(SMALL))
    pen.text((MARGIN, height - MARGIN - SMALL), title, FAINT, _font(SMALL))
    return np.asarray(sheet, np.uint8)


def _grown(crop: Pixels, side: int) -> Pixels:
    return np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
