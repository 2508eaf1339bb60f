"""Small pictures of moments for the timeline's page, at most so many of a film of any length.

They are spread evenly: of every moment at first, then of every second one, every fourth one and so on, as they get too
many; so a reading that was interrupted has the same ones in the end.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from inference.photos.annotate import numbered
from inference.video.moments import Moment

MOST = 400
SIDE = 320  # Pixels of the longer side.
QUALITY = 72


@dataclass(frozen=True)
class Thumbnails:
    """A folder of small pictures, each named after its moment's place among all, from 0."""

    folder: Path

    def add(self, place: int, moment: Moment) -> None:
        """Keep a picture of a moment, with its faces numbered, where it is one of those that are kept."""
        step = _step(place)
        if place % step:
            return
        if place and _step(place - 1) != step:
            for path in self.folder.glob("*.jpg"):
                if int(path.stem) % step:
                    path.unlink()
        # Not waited for: a disk that has lost one has lost no row.
        _small(moment).save(self.folder / f"{place:09d}.jpg", "JPEG", quality=QUALITY)

    def kept(self, moments: int) -> dict[int, Path]:
        """Return the pictures of the first `moments` moments by their places."""
        places = {int(path.stem): path for path in sorted(self.folder.glob("*.jpg"))}
        return {place: path for place, path in places.items() if place < moments}


def _step(place: int) -> int:
    """Return of how many moments one is kept when there are `place` before this one: a power of 2."""
    step = 1
    while place // step >= MOST:
        step *= 2
    return step


def _small(moment: Moment) -> Image.Image:
    # Drawn twice as large: numbers as large as faces would hide these.
    texts = [str(face.track) for face in moment.faces]
    drawn = numbered(moment.pixels, [face.box for face in moment.faces], texts, largest=2 * SIDE)
    factor = min(1.0, SIDE / max(drawn.shape[:2]))
    size = (max(1, round(drawn.shape[1] * factor)), max(1, round(drawn.shape[0] * factor)))
    return Image.fromarray(np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), np.uint8))
