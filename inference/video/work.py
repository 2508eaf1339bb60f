"""A folder in which a timeline grows: rows and small pictures as they come, and how far they are good.

Rows are appended, and now and then the disk is waited for and the state written, whole or not at all. What a killed
process has written behind its last state is cut off by the next one, which goes on from there.
"""

import os
import shutil
import time
from pathlib import Path
from typing import BinaryIO, cast

from data.documents import read_document
from data.errors import InputError
from data.files import TEMPORARY_PREFIX, whole_file, write_json
from inference.video.frames import pixel_digest
from inference.video.moments import Step
from inference.video.state import REMEDY, STATE_FILE, Reached, as_values, reached
from inference.video.thumbnails import Thumbnails
from inference.video.timeline import HEADER, moment_lines

WORK_FOLDER = ".work"
SAVED_EVERY = 3.0  # Seconds of work that a kill may cost.


class Work:
    """Rows, pictures and state of a reading below its folder; use it as a context."""

    def __init__(self, folder: Path) -> None:
        """Take up what is there.

        Raises:
            InputError: what is there cannot be gone on with.
        """
        self.folder = folder / WORK_FOLDER
        self.rows = self.folder / "rows.csv"
        self.thumbnails = Thumbnails(self.folder / "thumbnails")
        self.thumbnails.folder.mkdir(parents=True, exist_ok=True)
        for stale in self.folder.rglob(f"{TEMPORARY_PREFIX}*"):
            stale.unlink()
        state = self.folder / STATE_FILE
        self.reached = read_document(Reached, state, REMEDY) if state.exists() else None
        self.moments = self.reached.moments if self.reached else 0
        self._last: Step | None = None
        self._saved = time.monotonic()
        self._file = self._opened()
        self._size = self._file.tell()

    def __enter__(self) -> "Work":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, step: Step) -> None:
        """Keep a moment's rows, and its picture where it is one of those that are kept."""
        lines = moment_lines(step.moment).encode()
        self.thumbnails.add(self.moments, step.moment)
        self._file.write(lines)
        # All at once for whoever interrupts this: what is saved is whole moments.
        self._last, self.moments, self._size = step, self.moments + 1, self._size + len(lines)
        if time.monotonic() - self._saved > SAVED_EVERY:
            self.save()

    def save(self) -> None:
        """Make sure that what was read is kept, whatever comes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._last is not None:
            step = self._last
            position = step.position.known_by(pixel_digest(step.moment.pixels))
            self.reached = reached(position, self.moments, self._size, step.scene)
            write_json(self.folder / STATE_FILE, as_values(self.reached))
        self._saved = time.monotonic()

    def publish(self, path: Path) -> None:
        """Write the rows of whole moments to a file of their own."""
        with self.rows.open("rb") as rows, whole_file(path) as file:
            _copy(rows, file, self._size)

    def remove(self) -> None:
        """Remove the folder: all of it is in the answers."""
        self._file.close()
        shutil.rmtree(self.folder)

    def _opened(self) -> BinaryIO:
        """Return the rows' file, cut off behind the state's last row, to go on there."""
        if self.reached is None:
            new = self.rows.open("wb")
            new.write(HEADER.encode())
            return new
        if not self.rows.exists() or self.rows.stat().st_size < self.reached.bytes:
            raise InputError(f"{self.rows} is shorter than its state says: expected it as it was left; {REMEDY}")
        file = cast(BinaryIO, self.rows.open("r+b"))
        file.truncate(self.reached.bytes)
        file.seek(self.reached.bytes)
        return file


def _copy(rows: BinaryIO, file: BinaryIO, size: int) -> None:
    while size > 0 and (piece := rows.read(min(size, 1 << 20))):
        file.write(piece)
        size -= len(piece)
