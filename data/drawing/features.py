"""The features of a face, each a few polygons and lines placed on a head that is turned in space.

Lengths are in face units: half the height of the head is 1; x to the right, y down, the origin between the
eyes and the tip of the nose. Tones are grey levels from 0 to 255.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.drawing.expressions import Expression
from data.drawing.person import BALD, Look, Points, Pose

SUBPIXEL_BITS = 4  # OpenCV takes fixed-point coordinates.
EYE, NOSE = -0.18, 0.22  # Their heights.
INK = 20.0
WRINKLES: Points = np.array(
    [[(0.05, -0.4), (0.06, -0.26)], [(0.02, -0.06), (0.12, -0.13)], [(0.02, 0.02), (0.12, -0.05)]]
)

SPAN = np.linspace(-1, 1, 13)
TURN = np.linspace(0, 2 * np.pi, 25)[:-1]
CIRCLE: Points = np.stack([np.cos(TURN), np.sin(TURN)], axis=1)
_T = (SPAN + 1) / 2
BERNSTEIN = np.stack([(1 - _T) ** 3, 3 * _T * (1 - _T) ** 2, 3 * _T**2 * (1 - _T), _T**3], axis=1)


@dataclass(frozen=True)
class Pen:
    """Draws in face units onto a canvas, the face turned as the pose says."""

    canvas: NDArray[np.uint8]
    pose: Pose

    def place(self, points: ArrayLike, flat: bool = False) -> NDArray[np.int32]:
        """Turn points of the face (of its outline where `flat`) into OpenCV's fixed-point pixels."""
        placed = np.asarray(points, np.float64)
        if not flat:
            depth = 0.75 * np.sqrt(np.maximum(1 - placed**2 @ (1.1, 0.64), 0))
            placed = placed * self.pose.foreshortening + depth[:, None] * self.pose.advance
        placed = placed @ self.pose.rotation * self.pose.scale + self.pose.centre
        fixed: NDArray[np.int32] = np.rint(placed * 2**SUBPIXEL_BITS).astype(np.int32)
        return fixed

    def fill(self, points: ArrayLike, tone: float, flat: bool = False) -> None:
        """Fill a polygon."""
        cv2.fillPoly(self.canvas, [self.place(points, flat)], tone, cv2.LINE_8, SUBPIXEL_BITS)

    def line(self, points: ArrayLike, tone: float, width: float, flat: bool = False) -> None:
        """Draw an open line."""
        thickness = max(1, round(width * self.pose.scale))
        placed = [self.place(points, flat)]
        cv2.polylines(self.canvas, placed, False, tone, thickness, cv2.LINE_8, SUBPIXEL_BITS)


def curve(*control: ArrayLike) -> Points:
    """float64[13, 2] along the cubic Bezier curve of four control points."""
    return BERNSTEIN @ np.asarray(control, np.float64)


def ellipse(x: float, y: float, half_width: float, half_height: float) -> Points:
    """float64[24, 2] around an ellipse."""
    return CIRCLE * (half_width, half_height) + (x, y)


def draw_head(pen: Pen, look: Look) -> None:
    """Hair behind, neck and shoulders, ears, and the head's outline."""
    if look.hairline < BALD:
        length = max(look.hair_side, 0.0)
        pen.fill(ellipse(0, -0.2 + length / 2, look.width + 0.14, 0.95 + length / 2), look.hair, flat=True)
    neck_and_shoulders = [(-0.4, 0.5), (0.4, 0.5), (0.45, 1.2), (1.3, 1.6), (-1.3, 1.6), (-0.45, 1.2)]
    pen.fill(neck_and_shoulders, 0.75 * look.skin, flat=True)
    turn = 0.12 * np.sin(pen.pose.yaw)
    for side in (-1, 1):
        pen.fill(ellipse(side * look.width - turn, 0, 0.09, 0.2), 0.85 * look.skin, flat=True)
    outline = CIRCLE * (look.width, 1)
    below = outline[:, 1].clip(0, None)
    outline[:, 0] *= 1 - (1 - look.jaw) * below**2 * (1 - 0.3 * below)
    pen.fill(outline, look.skin, flat=True)


def draw_shadows(pen: Pen, look: Look, expression: Expression) -> None:
    """The soft ones: eye sockets, the nose's side, under the lip, raised cheeks, a beard."""
    if look.beard:
        tone = look.skin * (1 - look.beard) + look.hair * look.beard
        edge = CIRCLE[CIRCLE[:, 1] > 0.2] * (look.width * (0.3 + 0.7 * look.jaw), 0.98)
        pen.fill(np.concatenate([edge, [(0, 0.32)]]), tone)
    for side in (-1, 1):
        pen.fill(ellipse(side * look.eye_gap, EYE - 0.03, look.eye_size + 0.05, 0.14), 0.87 * look.skin)
        pen.fill(ellipse(side * 0.4, 0.18, 0.16, 0.1), look.skin + 14 * expression.fold)
        pen.line([(side * 0.07, -0.2), (side * 0.1, NOSE)], 0.9 * look.skin, 0.05)
    pen.fill(ellipse(0, look.mouth_height + 0.17 + expression.opening * 0.8, 0.15, 0.04), 0.85 * look.skin)


def draw_hair(pen: Pen, look: Look) -> None:
    """The hair above the forehead and down the sides; none on a bald head."""
    if look.hairline >= BALD:
        return
    edge, top = look.width + 0.06, -look.hairline
    crown = CIRCLE[CIRCLE[:, 1] <= 1e-9] * (edge, 1.12) + (0, 0.05)
    x = look.parting
    right = curve((edge, -0.05), (edge * 0.8, top), (x + 0.3, top), (x, top - 0.08))
    left = curve((x, top - 0.08), (x - 0.3, top), (-edge * 0.8, top), (-edge, -0.05))
    pen.fill(np.concatenate([crown[np.argsort(crown[:, 0])], right, left]), look.hair, flat=True)
    for side in (-1, 1):
        x = side * (look.width + 0.03)
        pen.line([(x, -0.3), (x, look.hair_side)], look.hair, 0.14, flat=True)


def draw_creases(pen: Pen, look: Look, expression: Expression) -> None:
    """Lines across the forehead, between the brows, on the nose, and from the nose to the mouth."""
    forehead, wrinkle, fold = (
        look.skin * (1 - 0.4 * min(depth, 1.0))
        for depth in (expression.forehead, expression.wrinkle, 0.8 * expression.fold)
    )
    if expression.forehead > 0.3:
        for y in (-0.6, -0.7):
            pen.line(curve((-0.3, y), (-0.1, y - 0.04), (0.1, y - 0.04), (0.3, y)), forehead, 0.02)
    foot, corner = expression.width + 0.07, look.mouth_height - expression.corner
    wing = (look.nose_width + 0.04, NOSE - 0.05)
    cheek = curve(wing, (foot, NOSE), (foot + 0.03, NOSE + 0.1), (foot, corner + 0.03))
    for mirror in ((-1, 1), (1, 1)):
        if expression.wrinkle > 0.15:
            for crease in WRINKLES:
                pen.line(crease * mirror, wrinkle, 0.025)
        if expression.fold > 0.15:
            pen.line(cheek * mirror, fold, 0.03)


def draw_brow(pen: Pen, look: Look, expression: Expression, side: int) -> None:
    """One brow, thinner at its outer end."""
    inner = look.eye_gap - look.eye_size - 0.02 - expression.brow_pinch
    outer = look.eye_gap + look.eye_size + 0.04
    high, low = look.brow_height - expression.brow_inner, look.brow_height - expression.brow_outer
    arch = min(high, low) * 0.5 + (high + low) * 0.25 - 0.03
    upper = curve((inner, high), (inner + 0.1, arch), (outer - 0.12, arch), (outer, low + 0.03))
    lower = upper + np.stack([0 * SPAN, look.brow_weight * (1.1 - 0.3 * (SPAN + 1))], axis=1)
    pen.fill(np.concatenate([upper, lower[::-1]]) * (side, 1), min(look.hair, 0.55 * look.skin))


def draw_eye(pen: Pen, look: Look, expression: Expression, side: int) -> None:
    """One eye between its lids; the iris goes only where the lids leave it to be seen."""
    middle, size = (side * look.eye_gap, EYE), look.eye_size
    bow = 1 - SPAN**2
    upper = np.stack([SPAN * size, -expression.lid_upper * bow], axis=1)
    lower = np.stack([SPAN * size, expression.lid_lower * bow], axis=1)
    pen.fill(np.concatenate([upper, lower[::-1]]) + middle, min(255.0, 1.15 * look.skin + 30))
    for radius, tone in ((0.085, 55), (0.045, 10)):
        disc = CIRCLE * radius + pen.pose.gaze
        opening = 1 - (disc[:, 0] / size) ** 2
        disc[:, 1] = disc[:, 1].clip(-expression.lid_upper * opening, expression.lid_lower * opening)
        pen.fill(disc + middle, tone)
    pen.line(upper + middle, 0.25 * look.skin, 0.03)
    pen.line(lower + middle, 0.6 * look.skin, 0.015)


def draw_nose(pen: Pen, look: Look, expression: Expression) -> None:
    """The tip's underside and the nostrils, drawn up by a wrinkled nose."""
    width, y = look.nose_width + 0.03 * expression.wrinkle, NOSE - 0.06 * expression.wrinkle
    wing = curve((width, y - 0.06), (width + 0.02, y + 0.04), (0.05, y), (0, y + 0.03))
    for mirror in ((-1, 1), (1, 1)):
        pen.line(wing * mirror, 0.65 * look.skin, 0.025)
        pen.fill(ellipse(0.5 * width, y + 0.01, 0.035, 0.02) * mirror, 0.35 * look.skin)


def draw_mouth(pen: Pen, look: Look, expression: Expression) -> None:
    """Lips, and between them the dark of the mouth, and in it the teeth."""
    y = look.mouth_height - 0.5 * expression.lift
    above = y - 0.5 * expression.lift - 0.2 * expression.opening + 0.15 * expression.corner
    below = above + max(expression.opening, 0.0) + 0.15 * expression.corner
    outer_upper, upper, lower, outer_lower = (
        lip_edge(expression, y, height) for height in (above - look.lip, above, below, below + 1.3 * look.lip)
    )
    pen.fill(np.concatenate([outer_upper, outer_lower[::-1]]), 0.68 * look.skin)
    if expression.opening <= 0.02:
        pen.line(upper, 0.3 * look.skin, 0.03)
        return
    inside = np.concatenate([upper, lower[::-1]])
    bite = upper + min(max(expression.teeth, 0.0), 1.0) * (lower - upper)
    pen.fill(inside, INK)
    pen.fill(np.concatenate([upper, bite[::-1]]), 225)
    if expression.teeth > 0.85:
        pen.line((upper + bite) / 2, 100, 0.015)
    pen.line(inside, INK, 0.02)


def lip_edge(expression: Expression, y: float, middle: float) -> Points:
    """float64[13, 2]: from one corner of a mouth at height `y` to the other, through the height `middle`."""
    half, level = expression.width, y - expression.corner
    shoulder = half * expression.roundness
    # Half way, a cubic is at a quarter of its ends' mean height plus three quarters of its controls'.
    control = (middle - 0.25 * level) / 0.75
    left, right = (-half, level + expression.skew), (half, level - expression.skew)
    return curve(left, (-shoulder, control), (shoulder, control), right)


def draw_glasses(pen: Pen, look: Look) -> None:
    """Two rims, a bridge and the arms."""
    rim = ellipse(look.eye_gap, EYE + 0.01, 0.25, 0.2)
    for mirror in ((-1, 1), (1, 1)):
        pen.line(np.concatenate([rim, rim[:1]]) * mirror, INK, 0.03)
        pen.line(np.array([(look.eye_gap + 0.25, EYE), (look.width, EYE - 0.04)]) * mirror, INK, 0.03)
    pen.line([(0.25 - look.eye_gap, EYE), (look.eye_gap - 0.25, EYE)], INK, 0.03)
