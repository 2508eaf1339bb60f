"""The better face finder, fetched from a real server on this machine: whole, wrong, broken off, not there at all."""

import hashlib
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from test_faces import yunet_path

from data.errors import InputError
from inference.photos import fetch as fetching
from inference.photos.faces import HaarFinder, YuNetFinder, finder, finder_words
from inference.photos.fetch import DIGESTS, fetch, fetched_file

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + DIGESTS[0].encode() + b"\nsize 232589\n"


class Server(http.server.BaseHTTPRequestHandler):
    """Answers with what lies under the path in `files`; what begins with `broken` stops half-way."""

    files: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.path.startswith("/broken") else content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("FEROX_YUNET", raising=False)
    return tmp_path


def test_the_right_file_is_kept_and_used_from_then_on(server: str, home: Path, tmp_path: Path) -> None:
    Server.files["/yunet"] = yunet_path().read_bytes()
    if hashlib.sha256(Server.files["/yunet"]).hexdigest() not in DIGESTS:
        pytest.skip("the YuNet model at hand is of another version than the two that are known")
    assert isinstance(finder(), HaarFinder)
    command = [sys.executable, "-m", "inference", "faces", "--fetch", "--from", f"{server}/yunet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path == fetched_file()
    assert path.is_relative_to(home)
    assert "looked for with YuNet" in done.stderr
    assert isinstance(finder(), YuNetFinder)
    with pytest.raises(InputError, match="cannot be read"):
        finder(tmp_path / "missing.onnx")
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="is not a YuNet model"):
        finder()


@pytest.mark.parametrize(
    ("path", "content", "sentence"),
    [
        ("/wrong", b"another file", r"holds another file \(12 bytes, sha256 [0-9a-f]{16}\.\.\.\)"),
        ("/pointer", POINTER, "holds a Git LFS pointer in place of the file"),
        ("/broken", b"x" * 100_000, r"broke off after 50,000 of 100,000 bytes|IncompleteRead"),
        ("/huge", b"x" * (fetching.LARGEST + 1000), "holds another file"),
        ("/missing", None, "cannot be fetched"),
    ],
)
def test_anything_else_is_refused_and_not_kept(
    path: str, content: bytes | None, sentence: str, server: str, home: Path
) -> None:
    if content is not None:
        Server.files[path] = content
    with pytest.raises(InputError, match=sentence):
        fetch(server + path)
    assert not [file for file in home.rglob("*") if file.is_file()]
    assert isinstance(finder(), HaarFinder)


def test_without_a_network_it_is_said_what_to_do() -> None:
    # Nothing listens on the discard port.
    with pytest.raises(InputError, match=r"cannot be fetched .*name it with --yunet"):
        fetch("http://127.0.0.1:9/yunet")
    with pytest.raises(InputError, match="expected an address"):
        fetch("file:///etc/passwd")


def test_it_is_said_which_finder_looks_and_how_to_get_the_better_one() -> None:
    done = subprocess.run([sys.executable, "-m", "inference", "faces"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert finder_words(HaarFinder()) in done.stderr
    assert "ferox faces --fetch" in done.stderr
