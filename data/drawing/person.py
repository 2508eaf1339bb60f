"""Whose face is drawn and how it is held: all that varies apart from the expression, and far more than it.

This is what makes the drawn faces hard: telling expressions apart takes more than a template.
Lengths are in face units: half the height of the head is 1.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.faceset import SIDE

CANVAS = 4 * SIDE  # Drawn four times too large and averaged down, so that thin lines keep their weight.
BROW, MOUTH = -0.42, 0.5  # Heights of the features of an average face; y points down.
BALD = 0.95

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """Who the face is."""

    width: float  # Half the head's width,
    jaw: float  # and how much of it the jaw keeps.
    eye_gap: float  # From the middle to the eye,
    eye_size: float  # and half the eye's length.
    brow_height: float
    brow_weight: float
    nose_width: float
    mouth_height: float
    lip: float  # The lips' thickness.
    hairline: float  # The height of the forehead; bald from `BALD` on.
    hair_side: float  # How far the hair hangs down at the sides.
    parting: float
    beard: float  # 0 for none.
    glasses: bool
    skin: float  # Tones.
    hair: float


@dataclass(frozen=True)
class Pose:
    """How the head is held, and where in the picture it is."""

    roll: float  # Radians, about the line of sight,
    yaw: float  # about the upright axis,
    pitch: float  # and about the line through the ears.
    scale: float  # Canvas pixels per face unit.
    centre: Points  # float64[2], canvas pixels.
    gaze: Points  # float64[2], face units.

    @cached_property
    def foreshortening(self) -> Points:
        """float64[2]: what turning the head leaves of widths and heights."""
        return np.cos([self.yaw, self.pitch])

    @cached_property
    def advance(self) -> Points:
        """float64[2]: how far turning the head moves a point that stands one unit out of it."""
        return np.sin([self.yaw, self.pitch])

    @cached_property
    def rotation(self) -> Points:
        """float64[2, 2]: the roll, to be multiplied from the right."""
        cosine, sine = np.cos(self.roll), np.sin(self.roll)
        return np.array([[cosine, sine], [-sine, cosine]])


def sample_look(rng: np.random.Generator) -> Look:
    """Invent a person."""
    skin = rng.uniform(105, 225)
    dark, brown, fair = rng.uniform(10, 60), rng.uniform(10, 0.6 * skin), rng.uniform(150, 220)
    return Look(
        width=rng.uniform(0.7, 0.86),
        jaw=rng.uniform(0.55, 0.9),
        eye_gap=rng.uniform(0.3, 0.37),
        eye_size=rng.uniform(0.15, 0.19),
        brow_height=BROW + rng.normal(0, 0.02),
        brow_weight=rng.uniform(0.03, 0.08),
        nose_width=rng.uniform(0.09, 0.15),
        mouth_height=MOUTH + rng.normal(0, 0.025),
        lip=rng.uniform(0.03, 0.075),
        hairline=rng.uniform(0.55, 1.0),
        hair_side=rng.choice([-0.3, 0.1, 1.1]) + rng.normal(0, 0.1),
        parting=rng.uniform(-0.5, 0.5),
        beard=rng.uniform(0.1, 0.45) * (rng.random() < 0.12),
        glasses=bool(rng.random() < 0.12),
        skin=skin,
        hair=rng.choice([dark, brown, fair], p=[0.6, 0.25, 0.15]),
    )


def sample_pose(rng: np.random.Generator) -> Pose:
    """Hold the head somehow: tilted up to 15 degrees, turned up to 26, raised or lowered up to 17."""
    return Pose(
        roll=np.radians(np.clip(rng.normal(0, 5), -15, 15)),
        yaw=np.clip(rng.normal(0, 0.14), -0.45, 0.45),
        pitch=np.clip(rng.normal(0, 0.1), -0.3, 0.3),
        scale=rng.uniform(78, 96),
        centre=CANVAS / 2 + rng.uniform(-6, 6, 2),
        gaze=rng.normal(0, 0.025, 2).clip(-0.06, 0.06),
    )
