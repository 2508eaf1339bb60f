"""How a face moves: a Kalman filter of constant velocity, as SORT has it, for moments that are unevenly apart.

SORT: https://arxiv.org/abs/1602.00763; that what is not seen should not be carried on along its last speed for long, as
OC-SORT found, https://arxiv.org/abs/2203.14360: here the speed fades. Noise is in sizes of the face, as in ByteTrack,
https://arxiv.org/abs/2110.06864.
"""

import math
from dataclasses import dataclass

from inference.photos.faces import FaceBox

MEASURED = 0.07  # Of a face's size: how far a finder's boxes jump about.
ACCELERATED = 2.0  # Sizes a second by which a speed may have changed after a second.
UNKNOWN_SPEED = 1.5  # Sizes a second, of a face seen once.
FADING = 1.0  # Seconds in which a speed falls to 1/e while a face is not seen.


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Where a face's middle is, in pixels, and its speed, in pixels a second, with the variances that both share.

    Attributes:
        x: across.
        y: down.
        speed_x: across.
        speed_y: down.
        place_variance: of x, and of y.
        covariance: of place and speed.
        speed_variance: of the speeds.
    """

    x: float
    y: float
    speed_x: float
    speed_y: float
    place_variance: float
    covariance: float
    speed_variance: float

    def after(self, seconds: float, size: float) -> "Motion":
        """Return what is expected after some seconds of a face of this size, in pixels."""
        fade = math.exp(-seconds / FADING)
        reach = FADING * (1 - fade)
        noise = (ACCELERATED * size) ** 2
        return Motion(
            x=self.x + reach * self.speed_x,
            y=self.y + reach * self.speed_y,
            speed_x=fade * self.speed_x,
            speed_y=fade * self.speed_y,
            place_variance=(
                self.place_variance
                + 2 * reach * self.covariance
                + reach**2 * self.speed_variance
                + noise * seconds**3 / 3
            ),
            covariance=fade * (self.covariance + reach * self.speed_variance) + noise * seconds**2 / 2,
            speed_variance=fade**2 * self.speed_variance + noise * seconds,
        )

    def seen(self, box: FaceBox) -> "Motion":
        """Return the motion after the face was found where it was expected at this time, or near it."""
        x, y = middle(box)
        spread = self.spread(box)
        gain, speed_gain = self.place_variance / spread, self.covariance / spread
        return Motion(
            x=self.x + gain * (x - self.x),
            y=self.y + gain * (y - self.y),
            speed_x=self.speed_x + speed_gain * (x - self.x),
            speed_y=self.speed_y + speed_gain * (y - self.y),
            place_variance=(1 - gain) * self.place_variance,
            covariance=(1 - gain) * self.covariance,
            speed_variance=self.speed_variance - speed_gain * self.covariance,
        )

    def spread(self, box: FaceBox) -> float:
        """Return the variance, in square pixels, of where a face is found that is expected here."""
        return self.place_variance + measured_variance(box)


def begun(box: FaceBox) -> Motion:
    """Return the motion of a face that is seen for the first time."""
    x, y = middle(box)
    return Motion(
        x=x,
        y=y,
        speed_x=0.0,
        speed_y=0.0,
        place_variance=measured_variance(box),
        covariance=0.0,
        speed_variance=(UNKNOWN_SPEED * size(box)) ** 2,
    )


def middle(box: FaceBox) -> tuple[float, float]:
    """Return the middle of a box, in pixels."""
    return box.x + box.width / 2, box.y + box.height / 2


def size(box: FaceBox) -> float:
    """Return the longer side of a box, in pixels."""
    return float(max(box.width, box.height))


def measured_variance(box: FaceBox) -> float:
    """Return the variance of where a face of a box's size is found, in square pixels."""
    return (MEASURED * size(box)) ** 2
