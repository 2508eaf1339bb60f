"""A few pictures to begin with, drawn here: photographs of people are never shipped."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.drawing.expressions import sample_expression
from data.drawing.features import Pen
from data.drawing.person import CANVAS, sample_look, sample_pose
from data.drawing.portrait import draw_face
from data.faceset import LABELS, SIDE

EXAMPLES = "examples"  # The folder of them in the scratch folder.
PAPER, WALL = 205, 226  # Greys behind a face and between prints; `toned` makes them warm.
PAPERS = (205, 160, 190, 125)
SEED = 7
# Grey to colour as in an old photograph: at 0, 90, 180 and 255, for red, green and blue.
TONES = ((38, 122, 214, 252), (28, 88, 176, 246), (32, 70, 140, 230))

Pixels = NDArray[np.uint8]


def draw_examples(folder: Path) -> list[Path]:
    """Draw into `folder` a group, a portrait, a bare 48 x 48 crop and a picture without a face; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "group.jpg": toned(_prints([17, 5, 14, 19], 1280, 720, 270)),
        "portrait.jpg": toned(_prints([16], 640, 720, 440)),
        "crop.png": cv2.resize(face(13, CANVAS), (SIDE, SIDE), interpolation=cv2.INTER_AREA),
        "nobody.jpg": toned(_hills(960, 640)),
    }
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / name, quality=92)
    return [folder / name for name in pictures]


def face(number: int, side: int, paper: int = PAPER) -> Pixels:
    """Draw face `number`, which shows the emotion `LABELS[number % 7]`: uint8[side, side]."""
    rng = np.random.default_rng((SEED, number))
    look, pose = sample_look(rng), sample_pose(rng)
    factor = side / CANVAS
    pose = replace(pose, scale=pose.scale * factor, centre=pose.centre * factor)
    pen = Pen(np.full((side, side), paper, np.uint8), pose)
    draw_face(pen, look, sample_expression(number % len(LABELS), rng))
    return pen.canvas


def toned(grey: Pixels) -> Pixels:
    """Colour uint8[H, W] like an old photograph: uint8[H, W, 3], RGB."""
    table = np.stack([np.interp(np.arange(256), (0, 90, 180, 255), tone) for tone in TONES], axis=1)
    return np.asarray(table.astype(np.uint8)[grey])


def _prints(numbers: list[int], width: int, height: int, side: int) -> Pixels:
    """Hang prints of faces on a wall, side by side and not quite level."""
    canvas = np.full((height, width), WALL, np.uint8)
    step, border, head = width // len(numbers), side // 20, side // 5
    for index, number in enumerate(numbers):
        paper = PAPERS[index % len(PAPERS)]
        printed = np.full((side + head + 2 * border, side + 2 * border), 252, np.uint8)
        printed[border:-border, border:-border] = paper
        printed[border + head : -border, border:-border] = face(number, side, paper)
        left = index * step + (step - printed.shape[1]) // 2
        top = (height - printed.shape[0]) // 2 + (-1) ** index * height // 28
        canvas[top : top + printed.shape[0], left : left + printed.shape[1]] = printed
    return canvas


def _hills(width: int, height: int) -> Pixels:
    canvas = np.full((height, width), 235, np.uint8)
    cv2.circle(canvas, (width * 3 // 4, height // 4), height // 12, 255, cv2.FILLED, cv2.LINE_AA)
    x = np.arange(width)
    for tone, base, swing, length in ((190, 0.55, 0.08, 3.1), (140, 0.7, 0.06, 4.3), (85, 0.84, 0.05, 2.2)):
        edge = height * (base + swing * np.sin(length * np.pi * x / width + tone))
        outline = np.vstack([np.stack([x, edge], axis=1), [[width, height], [0, height]]])
        cv2.fillPoly(canvas, [outline.astype(np.int32)], tone, cv2.LINE_AA)
    return canvas
