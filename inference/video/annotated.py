"""A copy of a film with its faces marked, as browsers play it: H.264 in MP4, its sound kept where it can be.

The film is read a second time, beside its timeline: boxes move from moment to moment, for all the frames between.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.files import whole_path
from inference.confidence import UNSURE
from inference.photos.annotate import numbered
from inference.photos.faces import FaceBox
from inference.video import EVERY_FRAME
from inference.video.film import Film, av_module
from inference.video.frames import Frame
from inference.video.timeline import TimelineFace, TimelineMoment

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

TICKS = 90_000  # A second, as MPEG has it: films of uneven frames keep their times.
OPTIONS = {"preset": "veryfast", "crf": "22"}
SOUNDS = ("aac", "mp3", "opus")  # What browsers play in an MP4; others would have to be coded anew.


def write_annotated(film: Film, moments: Iterator[TimelineMoment], path: Path, until: float | None) -> Generator[float]:
    """Write the copy, whole or not at all; yield the seconds that are done, frame by frame.

    Args:
        film: the film.
        moments: its timeline.
        path: where to write, an .mp4.
        until: seconds after which to stop, None for all of it.

    Raises:
        InputError: the film cannot be read any more.
    """
    av = av_module()
    with whole_path(path) as temporary, ExitStack() as stack:
        # FFmpeg would take what stands before a colon for a protocol; it puts the table of contents in front itself.
        output = stack.enter_context(
            av.open(f"file:{temporary}", "w", format="mp4", options={"movflags": "+faststart"})
        )
        sound = stack.enter_context(film.opening.opened())[0] if film.facts.has_sound else None
        copy = Copy(output, sound)
        for frame, faces in marked(film.frames(EVERY_FRAME), moments):
            seconds = frame.position.seconds
            if until is not None and seconds > until:
                break
            copy.add(frame, faces)
            yield seconds
        copy.finish()


class Copy:
    """An MP4 that is being written, with the sound of another container, or without."""

    def __init__(self, output: "OutputContainer", sound: "InputContainer | None") -> None:
        self._output = output
        self._pictures: VideoStream | None = None
        self._time = -1
        tracks = [track for track in (sound.streams.audio if sound else ()) if track.codec_context.name in SOUNDS]
        self._sound = output.add_stream_from_template(tracks[0]) if tracks else None
        self._packets = sound.demux(tracks[0]) if sound and tracks else iter(())
        self._next = self._following()
        self._origin = (sound.start_time or 0) / 1e6 if sound else 0.0

    def add(self, frame: Frame, faces: Sequence[TimelineFace]) -> None:
        """Append a frame with its faces marked, and the sound before it."""
        av = av_module()
        texts = [f"{face.track} {face.label or UNSURE} {face.confidence:.0%}" for face in faces]
        pixels = numbered(frame.pixels, [face.box for face in faces], texts, largest=None, letters=0.6)
        height, width = (side - side % 2 for side in pixels.shape[:2])  # H.264 halves both sides for colours.
        if self._pictures is None:
            self._pictures = self._output.add_stream("libx264", rate=TICKS, options=OPTIONS)
            self._pictures.width, self._pictures.height, self._pictures.pix_fmt = width, height, "yuv420p"
            self._pictures.time_base = self._pictures.codec_context.time_base = Fraction(1, TICKS)
        picture = av.VideoFrame.from_ndarray(pixels[:height, :width].copy(), "rgb24")
        if (width, height) != (self._pictures.width, self._pictures.height):
            picture = picture.reformat(width=self._pictures.width, height=self._pictures.height)
        # No two frames may have one time.
        self._time = max(self._time + 1, round(frame.position.seconds * TICKS))
        picture.pts, picture.time_base = self._time, Fraction(1, TICKS)
        self._output.mux(self._pictures.encode(picture))
        self._add_sound(frame.position.seconds)

    def finish(self) -> None:
        """Write what the encoder holds still."""
        if self._pictures is not None:
            self._output.mux(self._pictures.encode(None))

    def _add_sound(self, until: float) -> None:
        while self._next is not None and self._sound is not None:
            packet = self._next
            if packet.pts is None or packet.dts is None:
                self._next = self._following()
                continue
            if float(packet.dts * packet.time_base) - self._origin > until:
                return
            shift = round(self._origin / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = self._sound
            self._output.mux(packet)
            self._next = self._following()

    def _following(self) -> "Packet[Any] | None":
        """Return the next packet of sound; what is broken in a sound track ends it, and not the film."""
        with suppress(av_module().FFmpegError, OSError):
            return next(self._packets, None)
        return None


def marked(
    frames: Iterator[Frame], moments: Iterator[TimelineMoment]
) -> Iterator[tuple[Frame, tuple[TimelineFace, ...]]]:
    """Yield every frame with its faces: those of the moment before it, on their way to where the next one has them."""
    before, after = next(moments, None), next(moments, None)
    for frame in frames:
        while after is not None and frame.position.number >= after.frame:
            before, after = after, next(moments, None)
        if before is None or frame.position.number < before.frame:
            yield frame, ()
        else:
            yield frame, _between(before, after, frame.position.seconds)


def _between(before: TimelineMoment, after: TimelineMoment | None, seconds: float) -> tuple[TimelineFace, ...]:
    if after is None or after.seconds <= before.seconds:
        return before.faces
    share = (seconds - before.seconds) / (after.seconds - before.seconds)
    later = {face.track: face.box for face in after.faces}
    return tuple(replace(face, box=_moved(face.box, later.get(face.track, face.box), share)) for face in before.faces)


def _moved(box: FaceBox, other: FaceBox, share: float) -> FaceBox:
    sides = zip((box.x, box.y, box.width, box.height), (other.x, other.y, other.width, other.height), strict=True)
    x, y, width, height = (round(one + share * (two - one)) for one, two in sides)
    return FaceBox(x, y, width, height, box.score)
