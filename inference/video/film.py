"""Films and streams, decoded through PyAV: a file opens nothing but itself, frames are no larger than pictures may be.

FFmpeg reads playlists, too, whose entries name other files or addresses, see
https://ffmpeg.org/ffmpeg-formats.html#concat-1 and #hls-2. So of files only formats that hold their own pictures are
opened, whatever their names end in, and what these would open besides is refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.commands import how_to_install
from data.errors import InputError, printable
from inference.photos.pictures import check_size
from inference.video.clock import Clock, is_due
from inference.video.frames import FilmFacts, Frame, Position, pixel_digest

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from inference.video.opening import Opening

USUAL_RATE = 25.0
SEEK_BACK = 10.0  # Seconds: by then, what follows a keyframe has long been decoded as from the beginning.
# What a film may lack at its end of the seconds that it says it has; a share of them, too, where that is more.
LEAST_MISSING, LEAST_MISSING_SHARE = 1.0, 0.02
# Frames between two moments, and a second: a film that has more is built to keep others waiting.
MOST_IDLE, MOST_RATE = 10_000, 2_000
MOST_STRETCHED = 4  # Pixels so many times as wide as high, or the other way round; others are taken as square.


def av_module() -> Any:
    """Return PyAV.

    Raises:
        InputError: it is not installed.
    """
    try:
        import av
    except ImportError as missing:
        raise InputError(
            f"PyAV is not installed; expected it to read films and streams; {how_to_install('video')}"
        ) from missing
    return av


@dataclass
class Film:
    """A film or a stream, see `inference.video.opening`. Of a film, a reading may go on after an earlier one.

    Attributes:
        opening: opens it.
        facts: what it says of itself.
        damaged: how many of its pieces could not be decoded whole, so far.
        reached: seconds of the last frame that was decoded.
    """

    opening: "Opening"
    facts: FilmFacts
    damaged: int = 0
    reached: float = 0.0
    _broken: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """What messages and documents call it."""
        return self.opening.name

    @property
    def can_resume(self) -> bool:
        """Whether it can be read from a position on."""
        return not self.opening.is_live

    def frames(self, every: float, after: Position | None = None) -> Iterator[Frame]:
        """Yield the frames that are looked at, one in `every` seconds; only those after a position, where one is given.

        Raises:
            InputError: no frame can be decoded, or one is larger than a picture may be.
        """
        if after is not None and after.time is not None and after.shift == 0:
            with self.opening.opened() as (container, stream):
                if (coming := self._sought(container, stream, after)) is not None:
                    clock = self._clock(container, stream)
                    clock.origin, clock.last = after.origin, after.seconds
                    yield from self._due(coming, stream, clock, every, after)
                    return
        with self.opening.opened() as (container, stream):
            self.facts, self.damaged = film_facts(container, stream), 0
            coming = self._decoded(container, stream)
            yield from self._due(coming, stream, self._clock(container, stream), every, None, after)

    def trouble(self) -> str | None:
        """Return what could not be read, as a sentence, once there are no more frames; None where all was read."""
        stated, at = None if self.opening.is_live else self.facts.seconds, f"breaks off at {self.reached:.1f} s"
        kept = "expected it whole; what was read is kept; copy the film anew to have all of it"
        if self._broken:
            return f"{self.name} {at} ({self._broken}): {kept}"
        if stated is not None and stated - self.reached > max(LEAST_MISSING, LEAST_MISSING_SHARE * stated):
            return f"{self.name} {at} of the {stated:.1f} s that it says it has: {kept}"
        # Who joins a stream comes in the middle of a picture.
        if self.damaged and not self.opening.is_live:
            return f"{self.name} has damaged frames or pieces: {kept}"
        return None

    def _clock(self, container: "InputContainer", stream: "VideoStream") -> Clock:
        usual = 1 / (self.facts.rate or USUAL_RATE)
        if self.opening.is_live:
            return Clock(None, usual)
        if container.start_time is not None:
            return Clock(container.start_time / 1e6, usual)
        if stream.start_time is not None and stream.time_base is not None:
            return Clock(float(stream.start_time * stream.time_base), usual)
        return Clock(None, usual)

    def _due(
        self,
        coming: "Iterator[VideoFrame]",
        stream: "VideoStream",
        clock: Clock,
        every: float,
        last: Position | None,
        after: Position | None = None,
    ) -> "Iterator[Frame]":
        """Yield those of the decoded frames that are looked at, behind `last`; none up to `after`, if that is given."""
        first, taken = (0, None) if last is None else (last.number + 1, last.seconds)
        idle = 0
        for number, picture in enumerate(coming, first):
            time = None if picture.pts is None or stream.time_base is None else float(picture.pts * stream.time_base)
            seconds = self.reached = clock.seconds(time)
            if not is_due(seconds, taken, every):
                idle += 1
                if idle > MOST_IDLE + MOST_RATE * every:
                    self._broken = "its time stands still"
                    return
                continue
            taken, idle = seconds, 0
            if after is None or number > after.number:
                position = Position(
                    number=number,
                    time=picture.pts,
                    seconds=seconds,
                    origin=clock.origin or 0.0,
                    shift=clock.shift,
                    damaged=self.damaged,
                )
                yield Frame(position, upright(picture, stream, self.name))
        if taken is None:
            raise InputError(f"{self.name} has no frame that can be decoded: expected one at least; check the film")

    def _decoded(self, container: "InputContainer", stream: "VideoStream") -> "Iterator[VideoFrame]":
        """Yield all frames in the order of presentation; what is damaged is counted, why it breaks off is kept."""
        av = av_module()
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                self._broken = printable(str(getattr(error, "strerror", None) or type(error).__name__))
                yield from self._rest(stream)
                return
            if packet is None:
                return
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                self.damaged += 1
                continue
            for picture in pictures:
                self.damaged += picture.is_corrupt
                yield picture

    def _rest(self, stream: "VideoStream") -> "list[VideoFrame]":
        """Return what the decoder holds still when no packets come any more."""
        try:
            return stream.decode(None)
        except av_module().FFmpegError:
            return []

    def _sought(
        self, container: "InputContainer", stream: "VideoStream", after: Position
    ) -> "Iterator[VideoFrame] | None":
        """Return the frames behind a position, None where seeking does not lead to the very frame that was there."""
        av = av_module()
        assert after.time is not None
        assert stream.time_base is not None
        try:
            container.seek(int(after.time - SEEK_BACK / stream.time_base), stream=stream)
        except (av.FFmpegError, OSError):
            return None
        coming = self._decoded(container, stream)
        for picture in coming:
            if picture.pts is None or picture.pts > after.time:
                break
            if picture.pts == after.time:
                if pixel_digest(upright(picture, stream, self.name)) != after.digest:
                    break
                self.damaged, self.reached = after.damaged, after.seconds
                return coming
        self._broken = ""
        return None


def film_facts(container: "InputContainer", stream: "VideoStream") -> FilmFacts:
    """Return what a film says of itself."""
    return FilmFacts(
        width=shown_width(stream.codec_context.width, stream),
        height=stream.codec_context.height,
        seconds=_stated_seconds(container, stream),
        rate=float(stream.average_rate) if stream.average_rate else None,
        codec=stream.codec_context.name,
        has_sound=bool(container.streams.audio),
    )


def _stated_seconds(container: "InputContainer", stream: "VideoStream") -> float | None:
    """Return how long the pictures are, by what is written of them alone: sound often lasts longer."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    # Matroska writes hours:minutes:seconds.
    written = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if written:
        hours, minutes, seconds = (float(part) for part in written.groups())
        return 3600 * hours + 60 * minutes + seconds
    return container.duration / 1e6 if container.duration and not container.streams.audio else None


def upright(picture: "VideoFrame", stream: "VideoStream", name: str) -> NDArray[np.uint8]:
    """Return a frame as people see it, uint8[H, W, 3] in RGB: turned as its film says, its pixels made square."""
    width = shown_width(picture.width, stream)
    check_size(width, picture.height, name)
    rgb = picture.to_ndarray(format="rgb24", width=width, height=picture.height)
    # FFmpeg gives degrees counterclockwise, and so does NumPy turn.
    return np.ascontiguousarray(np.rot90(np.asarray(rgb, np.uint8), round(picture.rotation / 90)))


def shown_width(width: int, stream: "VideoStream") -> int:
    """Return how many square pixels wide a frame is that is stored in `width` pixels."""
    ratio = stream.sample_aspect_ratio
    if not ratio or not 1 / MOST_STRETCHED <= ratio <= MOST_STRETCHED:
        return width
    return max(1, round(width * ratio))
