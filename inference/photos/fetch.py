"""Fetches the better face finder when somebody asks for it: one file, by its digest, into the user's data folder.

YuNet is MIT-licensed and part of OpenCV's model zoo, which keeps its files in Git LFS. Nothing is ever fetched unasked.
"""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

from data.errors import InputError, printable
from data.files import write_bytes

FILE = "face_detection_yunet_2023mar.onnx"
COMMIT = "966be4cb6eefc2a4f586ed0581bf4bbaa2533070"
# Of Git LFS's own server: the repository itself holds a pointer in the file's place.
ADDRESS = f"https://media.githubusercontent.com/media/opencv/opencv_zoo/{COMMIT}/models/face_detection_yunet/{FILE}"
# That file, and the model zoo's next version, which finds the same.
DIGESTS = (
    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
)
LARGEST = 4_000_000
SECONDS = 30
COMMAND = "ferox faces --fetch"
YUNET_HELP = "a YuNet .onnx to find faces with (default: FEROX_YUNET, else the fetched one, else Haar)"


def fetched_file() -> Path | None:
    """Return where the fetched model lies, or would lie: in the user's data folder; None where the user has none."""
    try:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    except RuntimeError:  # Neither HOME nor an entry for this user.
        return None
    return base / "ferox" / FILE


def fetch(address: str = ADDRESS) -> Path:
    """Get the model from `address`, check its digest, keep it, and return its path.

    Raises:
        InputError: the address cannot be reached, or holds anything but that file.
    """
    path = fetched_file()
    if path is None:
        raise InputError("this user has no home folder to keep the model in; set XDG_DATA_HOME to a writable folder")
    if not address.startswith(("https://", "http://")):
        raise InputError(f"--from is {printable(address)[:100]!r}, expected an address that begins with https://")
    content = _content(address)
    if content.startswith(b"version https://git-lfs"):
        raise InputError(
            f"{printable(address)} holds a Git LFS pointer in place of the file; give the address of the file itself, "
            "or leave out --from"
        )
    if (digest := hashlib.sha256(content).hexdigest()) not in DIGESTS:
        raise InputError(
            f"{printable(address)} holds another file ({len(content):,} bytes, sha256 {digest[:16]}...), expected "
            f"{FILE} ({DIGESTS[0][:16]}...); nothing is kept; fetch it by hand and name it with --yunet"
        )
    write_bytes(path, content)
    return path


def _content(address: str) -> bytes:
    remedy = f"try again where there is a network, or put {FILE} somewhere and name it with --yunet"
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            content: bytes = answer.read(LARGEST + 1)
            expected = answer.headers.get("Content-Length", "")
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(f"{printable(address)} cannot be fetched ({reason}); {remedy}") from error
    if expected.isdigit() and len(content) < min(int(expected), LARGEST):
        raise InputError(
            f"{printable(address)} broke off after {len(content):,} of {int(expected):,} bytes; nothing is kept; "
            f"{remedy}"
        )
    return content
