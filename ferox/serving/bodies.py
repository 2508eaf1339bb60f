"""Bodies of requests and answers: counted while they come, unpacked within limits, and pictures taken out of forms."""

import gzip
import zlib
from collections.abc import AsyncGenerator

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Receive

from ferox.serving.places import Place
from ferox.serving.refusals import Refused
from inference.photos.pictures import MAX_BYTES

# What zlib calls each of HTTP's encodings; `deflate` is zlib's own format there.
WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
LEAST_PACKED = 1000  # Bytes: a shorter answer does not get shorter.


class Gone(Exception):
    """The client went away before its request was whole."""


async def read_body(receive: Receive, limit: int, place: Place) -> bytes:
    """Return a request's body, whose bytes are held in `place`.

    Raises:
        Gone: the client went away.
        Refused: 413, it is over `limit` bytes; 503, all requests together hold too many.
    """
    content, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        part = message.get("body", b"")
        if len(content) + len(part) > limit:
            raise too_large(limit)
        place.hold(len(part))
        content += part
        more = message.get("more_body", False)
    return bytes(content)


def too_large(limit: int) -> Refused:
    """Return what is said of a body over `limit` bytes."""
    return Refused(413, f"the request has over {limit} bytes, expected at most that many; send less at once")


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """Return a body without its Content-Encoding.

    Raises:
        Refused: 415, the encoding is not known; 413, it unpacks to over `limit` bytes; 400, it is damaged.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in WINDOWS:
        raise Refused(415, f"the Content-Encoding is {encoding[:40]!r}, expected {', '.join(WINDOWS)} or none")
    content = b""
    # Of gzip, a body may hold several members, one behind the other (RFC 1952).
    while True:
        reader = zlib.decompressobj(WINDOWS[encoding])
        try:
            content += reader.decompress(body, limit + 1 - len(content))
        except zlib.error as error:
            raise Refused(400, f"the body is no {encoding} ({error}), expected what Content-Encoding says") from None
        if len(content) > limit:
            raise too_large(limit)
        if not reader.eof:
            raise Refused(400, f"the {encoding} of the body ends too early, expected all of it; send it again")
        body = reader.unused_data
        if not body:
            return content
        if encoding != "gzip":
            raise Refused(400, f"{len(body)} bytes follow the {encoding} of the body, expected none; send it alone")


def packed(body: bytes, accepted: str) -> tuple[bytes, str]:
    """Return an answer in the first encoding of an Accept-Encoding that is known here, and which that is."""
    if len(body) < LEAST_PACKED:
        return body, ""
    for offer in accepted.lower().split(","):
        name, _, weight = (part.strip() for part in offer.partition(";"))
        if name in WINDOWS and weight.replace(" ", "") not in ("q=0", "q=0.0"):
            return (gzip.compress(body, 1) if name == "gzip" else zlib.compress(body, 1)), name
    return body, ""


async def picture_in(headers: Headers, body: bytes) -> tuple[str | None, bytes]:
    """Return a picture's name, where it has one, and its content: the whole body, or the one file of a form.

    Raises:
        Refused: 400, the form is damaged or has not one file; 413, the picture is over 10 MB.
    """
    name: str | None = None
    if headers.get("content-type", "").lower().startswith("multipart/form-data"):
        name, body = await _file_in(headers, body)
    if len(body) > MAX_BYTES:
        raise Refused(
            413, f"the picture has {len(body)} bytes, expected at most {MAX_BYTES // 1_000_000} MB; save it smaller"
        )
    return name, body


async def _file_in(headers: Headers, body: bytes) -> tuple[str | None, bytes]:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(headers, stream(), max_files=1, max_fields=8)
    # Pictures of people are written to no disk.
    parser.spool_max_size = len(body) + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refused(400, f"the form cannot be read ({error.message}), expected one file; send it again") from None
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(files) != 1:
            raise Refused(400, f"the form has {len(files)} files, expected one picture; send it as a file")
        return files[0].filename or None, await files[0].read()
    finally:
        await form.close()
