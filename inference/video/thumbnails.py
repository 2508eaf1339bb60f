"""Small pictures of moments for the timeline's page, at most so many of a film of any length.

They are spread evenly: of every moment at first, then of every second one, every fourth one and so on, as they get too
many; so a reading that was interrupted has the same ones in the end.
"""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from data.files import whole_file
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
        with whole_file(self.folder / f"{place:09d}.jpg") as file:
            _small(moment).save(file, "JPEG", quality=QUALITY)

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
    drawn = Image.fromarray(numbered(moment.pixels, [face.box for face in moment.faces], texts, largest=2 * SIDE))
    drawn.thumbnail((SIDE, SIDE))
    return drawn
