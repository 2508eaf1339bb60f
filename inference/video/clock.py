"""Which frames are taken, and when they are: presentation times as films really have them."""

import math
from dataclasses import dataclass

EPSILON = 1e-6  # Seconds: 5 frames of 0.04 s are 0.2 s, whatever binary fractions make of it.


@dataclass
class Clock:
    """Makes seconds that never fall of presentation times, which may be missing, or jump back where films were joined.

    Attributes:
        origin: the film's first presentation time, in seconds; None until there is a frame, where nothing says so.
        usual: seconds from a frame to the next where nothing says so.
        shift: what is added because times have jumped back.
        last: the seconds of the frame before, None before the first.
    """

    origin: float | None
    usual: float
    shift: float = 0.0
    last: float | None = None

    def seconds(self, time: float | None) -> float:
        """Return when a frame is, in seconds from the film's beginning; `time` is its own, None where it has none."""
        if time is None or not math.isfinite(time):
            self.last = 0.0 if self.last is None else self.last + self.usual
            return self.last
        if self.last is None:
            # A film may say that it begins later than its first frame.
            self.origin = time if self.origin is None else min(self.origin, time)
        elif self.origin is None:
            self.origin = time - self.last - self.usual
        seconds = time - self.origin + self.shift
        if self.last is not None and seconds < self.last - EPSILON:
            self.shift += self.last + self.usual - seconds
            seconds = self.last + self.usual
        self.last = seconds
        return seconds


def is_due(seconds: float, last: float | None, every: float) -> bool:
    """Whether a frame is taken: the first one of each `every` seconds, counted from the film's beginning.

    Args:
        seconds: when the frame is.
        last: when the frame taken before it is, None before the first.
        every: seconds; 0 takes every frame.
    """
    if last is None or every == 0:
        return True
    return math.floor((seconds + EPSILON) / every) > math.floor((last + EPSILON) / every)
