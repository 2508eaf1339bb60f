"""One finished picture: a face before some background, somehow hidden, lit and badly photographed."""

import cv2
import numpy as np
from numpy.typing import NDArray

from data.drawing import features
from data.drawing.expressions import Expression
from data.drawing.features import Pen
from data.drawing.person import CANVAS, Look, Pose, sample_look, sample_pose
from data.faceset import SIDE

GRID = np.linspace(-1, 1, SIDE)
SOFTNESS = (9, 9)  # Canvas pixels.


def draw_portrait(expression: Expression, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw somebody who shows `expression`: uint8[48, 48]."""
    look, pose = sample_look(rng), sample_pose(rng)
    pen = Pen(np.empty((CANVAS, CANVAS), np.uint8), pose)
    draw_background(pen, rng)
    draw_face(pen, look, expression)
    if rng.random() < 0.15:
        draw_occlusion(pen, look, rng)
    return photograph(pen.canvas, pose, rng)


def draw_face(pen: Pen, look: Look, expression: Expression) -> None:
    """Draw the soft parts, then over them the sharp ones."""
    features.draw_head(pen, look)
    features.draw_shadows(pen, look, expression)
    pen.canvas[:] = cv2.blur(pen.canvas, SOFTNESS)
    features.draw_hair(pen, look)
    features.draw_creases(pen, look, expression)
    for side in (-1, 1):
        features.draw_brow(pen, look, expression, side)
        features.draw_eye(pen, look, expression, side)
    features.draw_nose(pen, look, expression)
    features.draw_mouth(pen, look, expression)
    if look.glasses:
        features.draw_glasses(pen, look)


def draw_background(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a wall with a thing or two, brighter or darker than the face."""
    pen.canvas[:] = rng.uniform(10, 245)
    for _ in range(rng.integers(0, 3)):
        corners = rng.uniform(0, CANVAS, (2, 2)).astype(int).tolist()
        cv2.rectangle(pen.canvas, corners[0], corners[1], rng.uniform(10, 245), -1)


def draw_occlusion(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Draw a hand at the cheek, a strand of hair over the face, or bars in front of it."""
    side = rng.choice([-1, 1])
    match rng.integers(3):
        case 0:
            for finger in range(4):
                tip = (side * rng.uniform(0.3, 0.5), 0.25 + 0.17 * finger)
                tone = look.skin * (0.95 - 0.06 * (finger % 2))
                pen.line([(side * 1.0, 0.45 + 0.15 * finger), tip], tone, 0.16, flat=True)
        case 1:
            top, foot = rng.uniform(-0.3, 0.3), side * rng.uniform(0.3, 0.8)
            strand = features.curve((top, -0.95), (side * 0.3, -0.6), (foot, -0.3), (foot, 0.5))
            pen.line(strand, look.hair, 0.1, flat=True)
        case _:
            tone = rng.uniform(10, 245)
            for x in rng.uniform(0, CANVAS, 2).astype(int).tolist():
                cv2.line(pen.canvas, (x, 0), (x + int(rng.uniform(-60, 60)), CANVAS), tone, 7)


def photograph(canvas: NDArray[np.uint8], pose: Pose, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light the face as the ball that it roughly is, and take a poor picture of it: uint8[48, 48]."""
    small = cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    picture = (small / 255.0 * light(pose, rng)).clip(0, 1)
    picture = picture ** rng.uniform(0.7, 1.3)
    picture = 0.5 + (picture - 0.5) * rng.uniform(0.7, 1.15) + rng.normal(0, 0.04)
    picture = cv2.GaussianBlur(picture, (3, 3), rng.uniform(0.2, 0.8))
    picture = picture + rng.normal(0, rng.uniform(0.005, 0.03), picture.shape)
    developed: NDArray[np.uint8] = np.rint(picture.clip(0, 1) * 255).astype(np.uint8)
    return developed


def light(pose: Pose, rng: np.random.Generator) -> NDArray[np.float64]:
    """float64[48, 48]: by how much each pixel is lit; more often from above than from below."""
    x0, y0 = pose.centre / (CANVAS / 2) - 1
    radius = 1.1 * pose.scale / (CANVAS / 2)
    x, y = (GRID[None, :] - x0) / radius, (GRID[:, None] - y0) / radius
    bulge = np.sqrt(np.clip(1 - x**2 - y**2, 0.05, 1))
    across, down = rng.normal(0, 0.15), rng.normal(-0.06, 0.09)
    lit: NDArray[np.float64] = (0.75 + 0.25 * bulge + across * x + down * y).clip(0.15, 1.5)
    return lit
