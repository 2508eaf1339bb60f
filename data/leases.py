"""Leases on work that several machines could do: a folder of its own for every holder, so that none spoils another's.

Locks of files end with their process, but not every network file system has them, and none knows a machine that is
gone. A lease is a folder, `lease-0001` and so on: to make the next one, which only one process can, is to hold it. The
holder writes a beat into it again and again. Whoever has watched it stand still for long enough may make the next.

No clock is compared with another: a watcher measures on its own for how long the beat has stood still. And whatever an
earlier holder writes when it wakes up late goes into its own folder, where nobody looks any more.
"""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

PREFIX, BEAT_FILE = "lease-", "beat"
RELEASED = "released"
_NAME = re.compile(rf"{PREFIX}(\d{{4,}})")


def held_folders(place: Path) -> list[Path]:
    """Return the folders of all holders so far, the newest first."""
    try:
        names = [path.name for path in place.iterdir()]
    except FileNotFoundError:
        return []
    numbered = sorted(((int(found[1]), name) for name in names if (found := _NAME.fullmatch(name))), reverse=True)
    return [place / name for _, name in numbered]


def newest(place: Path) -> int:
    """Return the number of the newest lease, 0 where there has been none."""
    folders = held_folders(place)
    return int(folders[0].name.removeprefix(PREFIX)) if folders else 0


@dataclass
class Lease:
    """A lease that this process holds.

    Attributes:
        folder: the holder's own.
        number: from 1.
        seconds: for how long others have to see the beat stand still before they take over.
    """

    folder: Path
    number: int
    seconds: float
    beats: int = 0
    last: float = 0.0

    def beat(self) -> bool:
        """Say that the holder is at work; False where it has to stop, since another one may have taken over.

        That is so where a newer lease is there, or where the last beat is so long ago that there may be: this process
        was stopped, its machine slept, or the file system did not answer. Then it has to end its work first.
        """
        if self.beats and _now() - self.last > self.seconds / 2:
            return False
        if newest(self.folder.parent) != self.number:
            return False
        began = _now()
        self.beats += 1
        try:
            _write(self.folder / BEAT_FILE, f"{self.beats}")
        except OSError:
            return True  # Tried again at the next beat, until the last one is too long ago.
        self.last = began
        return True

    def release(self) -> None:
        """Let others take over at once."""
        _write(self.folder / BEAT_FILE, RELEASED)


def claim(place: Path, number: int, seconds: float) -> Lease | None:
    """Return the lease of that number, the one after the newest; None if another process was faster."""
    folder = place / f"{PREFIX}{number:04d}"
    if newest(place) != number - 1:
        return None
    place.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        return None
    return Lease(folder, number, seconds)


class Watch:
    """Watches the newest lease of a place, to know when its holder is gone."""

    def __init__(self, place: Path, seconds: float) -> None:
        self.place = place
        self.seconds = seconds
        self._seen: tuple[int, str] | None = None
        self._since = 0.0

    def is_free(self) -> bool:
        """Whether the next lease may be claimed: there is none, it was released, or its beat has stood still."""
        number = newest(self.place)
        if number == 0:
            return True
        seen = (number, _read(self.place / f"{PREFIX}{number:04d}" / BEAT_FILE))
        if seen[1] == RELEASED:
            return True
        if seen != self._seen:
            self._seen, self._since = seen, _now()
        return _now() - self._since > self.seconds


def _now() -> float:
    # Unlike the monotonic clock, this one goes on while a machine sleeps; Linux has it.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _write(path: Path, text: str) -> None:
    # Into the same file: a network file system may show a file that was replaced for as long as it remembers its name.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(handle, f"{text:<20}\n".encode(), 0)
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> str:
    """Return what was written last; empty where nothing is there or can be read, which counts as standing still."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
