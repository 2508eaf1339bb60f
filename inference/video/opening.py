"""Opens films and streams through PyAV, and says what cannot be opened.

A file is handed over as bytes, so that FFmpeg opens no protocol of its own; a stream has those that its address needs.
"""

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from data.errors import InputError, printable
from inference.machine import available_cpus
from inference.photos.pictures import MAX_PIXELS, check_size, file_name
from inference.video.film import Film, av_module, film_facts
from inference.video.frames import NOTHING_SAID

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Formats that hold their own pictures, by FFmpeg's names; not among them: concat, hls, dash, image2, sdp, lavfi.
FORMATS = (
    *("mov", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "gif", "ivf", "mjpeg", "h264", "hevc"),
    *("m4v", "mpegvideo", "mxf", "nut", "dv", "yuv4mpegpipe", "obu", "wtv", "av1"),
)
LIVE_FORMATS = (*FORMATS, "hls", "dash", "rtsp", "rtp", "sdp", "mpjpeg", "live_flv")
KNOWN = "MP4, MOV, MKV, WebM, AVI, MPEG, FLV, WMV or OGG"
# Which of FFmpeg's protocols a stream may use, by that of its address: never `file`.
PROTOCOLS = {
    "http": "http,tcp",
    "https": "https,http,tls,tcp,crypto",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp",
    "rtp": "rtp,udp",
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,udp,tls,tcp",
    "srt": "srt",
    "tcp": "tcp",
    "udp": "udp",
}
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
BUFFER = 1 << 20
LONGEST = 200  # Characters of an address that are shown.
PATIENCE = 15.0  # Seconds that a stream may take to open, or to send something.


@dataclass(frozen=True)
class Opening:
    """Opens a film, `source`, as often as it is asked to; `name` is what messages and documents call it."""

    source: Path | str
    name: str

    @property
    def is_live(self) -> bool:
        """Whether it is a stream, which is not read twice."""
        return isinstance(self.source, str)

    @contextmanager
    def opened(self) -> "Iterator[tuple[InputContainer, VideoStream]]":
        """Yield the film and its pictures.

        Raises:
            InputError: it cannot be opened, or has no pictures, or too large ones.
        """
        if isinstance(self.source, str):
            with self._container(self.source, LIVE_FORMATS, self._stream_options(self.source)) as container:
                yield container, self._pictures(container)
            return
        _check_ordinary(self.source, self.name)
        options: dict[str, Any] = {"io_open": _refuse, "buffer_size": BUFFER}
        with (
            self.source.open("rb") as file,
            self._container(file, FORMATS, options) as container,
        ):
            yield container, self._pictures(container)

    def _container(self, file: Any, formats: tuple[str, ...], options: dict[str, Any]) -> "InputContainer":
        av = av_module()
        given = {"format_whitelist": ",".join(formats), **options.pop("options", {"protocol_whitelist": ""})}
        try:
            container: InputContainer = av.open(file, "r", options=given, metadata_errors="replace", **options)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._unreadable(error) from error
        return container

    def _stream_options(self, address: str) -> dict[str, Any]:
        scheme = urlsplit(address).scheme.lower()
        options = {"protocol_whitelist": PROTOCOLS[scheme]}
        if scheme in ("rtsp", "rtsps"):
            options["rtsp_transport"] = "tcp"  # Over UDP, frames arrive torn.
        return {"options": options, "timeout": (PATIENCE, PATIENCE)}

    def _unreadable(self, error: Exception) -> InputError:
        if self.is_live:
            reason = getattr(error, "strerror", None) or type(error).__name__
            return InputError(f"{self.name} cannot be opened ({reason}): expected a stream there; check its address")
        return InputError(
            f"{self.name} is no film that can be read, or its beginning or end is missing: expected {KNOWN}, by its "
            "content; give another file"
        )

    def _pictures(self, container: "InputContainer") -> "VideoStream":
        """Return the first stream of pictures that is not the cover of a sound track, ready to be decoded."""
        covers = av_module().stream.Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & covers]
        if not streams:
            what = "sound, but no pictures" if container.streams.audio else "no pictures"
            raise InputError(f"{self.name} has {what}: expected a film; give one")
        stream = streams[0]
        context = stream.codec_context
        if context is None:
            raise InputError(f"{self.name} is coded in a way that PyAV does not know: expected H.264, say; convert it")
        if context.width and context.height:
            check_size(context.width, context.height, self.name)
        stream.thread_type = "AUTO"
        stream.thread_count = available_cpus()
        # Frames may be larger than the film says: they are refused before there is room for them.
        context.options = {"max_pixels": str(MAX_PIXELS)}
        return stream


def open_film(path: Path, name: str | None = None) -> Film:
    """Open a film in a file and look at what it says of itself; `name` is what to call it, its own by default.

    Raises:
        InputError: it cannot be opened, or has no pictures, or too large ones, or PyAV is missing.
    """
    opening = Opening(path, file_name(name or str(path)))
    with opening.opened() as (container, stream):
        return Film(opening, film_facts(container, stream))


def open_stream(address: str) -> Film:
    """Return a stream by its address, which is opened when its frames are asked for.

    Raises:
        InputError: its protocol is not known, or PyAV is missing.
    """
    av_module()
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise InputError(f"{printable(address)[:LONGEST]} is no address ({error}): expected one; correct it") from error
    if parts.scheme.lower() not in PROTOCOLS:
        raise InputError(f"{parts.scheme}:// is no protocol of streams: expected {', '.join(PROTOCOLS)}; give such one")
    return Film(Opening(address, without_password(address)), NOTHING_SAID)


def without_password(address: str) -> str:
    """Return a stream's address without what is secret in it: user, password and query."""
    parts = urlsplit(address)
    return printable(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl())[:LONGEST]


def _check_ordinary(path: Path, name: str) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror}): expected a film there; check the path") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{name} is not a file: expected a film in one; give a file")
    if not status.st_size:
        raise InputError(f"{name} is empty: expected a film; give another file")


def _refuse(url: str, *_: object) -> NoReturn:
    """Open nothing: a film that names other files has them not read."""
    raise PermissionError("a film may not open other files")
