"""Who may ask the page for what, as its real server answers: hosts, origins, proxies, passwords, uploads, payloads."""

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data.errors import InputError
from demo.__main__ import root_from

gradio_client = pytest.importorskip("gradio_client", reason="the page needs Gradio: install ferox[demo]")

NAME = "mlp_1.torch.published-official"
JSON = {"Content-Type": "application/json"}
ASK = ("POST", "/gradio_api/call/models", b'{"data": []}')
HOPS = ("connection", "transfer-encoding", "content-length", "keep-alive")


@contextmanager
def serving(
    models: Path, log: Path, *arguments: str, **variables: str
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A page that serves `models`, by its port; what it prints goes to `log`."""
    places = [text for name in ("reports", "runs") for text in (f"--{name}", str(log.parent / name))]
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--models", str(models), *places, *arguments],
            stdout=written,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | variables,
        )
    try:
        deadline = time.monotonic() + 90
        while (printed := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())) is None:
            assert time.monotonic() < deadline
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield int(printed[1]), process
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doors-models")
    shutil.copy(tiny_model, folder / f"{NAME}.onnx")
    (folder / os.fsdecode(b"bad\xff.onnx")).write_bytes(b"not a model")
    return folder


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("doors") / "log"


@pytest.fixture(scope="module")
def port(models: Path, log: Path) -> Iterator[int]:
    """A page that may be asked for as ferox.test, and takes 4 MB of uploads, 3 of them from one address."""
    bad = log.parent / "reports" / os.fsdecode(b"report\xff")
    bad.mkdir(parents=True)
    (bad / "report.json").write_text("{}")
    (log.parent / "runs" / os.fsdecode(b"run\xff")).mkdir(parents=True)
    (log.parent / "tmp").mkdir()
    options = ("--allow-host", "ferox.test", "--upload-space", "4", "--upload-share", "3")
    with serving(models, log, *options, TMPDIR=str(log.parent / "tmp")) as (number, _):
        yield number


def ask(port: int, method: str, path: str, body: Any = None, headers: Any = None) -> tuple[int, str, dict[str, str]]:
    """Return status, body and headers (names in lower case) of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {**(JSON if method == "POST" else {}), **(headers or {})})
        answer = connection.getresponse()
        content = answer.read().decode(errors="replace")
        return answer.status, content, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def form(size: int) -> tuple[bytes, dict[str, str]]:
    """Return a form with one file, and its headers."""
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="me.png"\r\nContent-Type: image/png\r\n\r\n'
    return head + os.urandom(size) + b"\r\n--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


def send(port: int, size: int, path: str = "/gradio_api/upload", **headers: str) -> tuple[int, str, dict[str, str]]:
    body, kind = form(size)
    return ask(port, "POST", path, body, kind | headers)


# --- hosts and origins


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST.:7860", "[::1]:80", "10.1.2.3", "ferox.test:8"])
def test_addresses_localhost_and_given_names_are_let_in(port: int, host: str) -> None:
    assert ask(port, "GET", "/config", headers={"Host": host})[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example:7861", "localhost.evil.example", "x.ferox.test", "[", "", "127.0.0.1.x"]
)
def test_any_other_host_is_refused_with_a_sentence(port: int, host: str) -> None:
    for method, path in (("GET", "/"), ("GET", "/config"), ("POST", "/gradio_api/queue/join")):
        status, text, headers = ask(port, method, path, headers={"Host": host})
        assert status == 403
        assert "expected an IP address, localhost or a name that it was started with" in json.loads(text)["error"]
        assert not [name for name in headers if name.startswith("access-control-")]


def test_a_proxy_that_was_asked_for_another_host_is_refused_too(port: int) -> None:
    for host, status in (("evil.example", 403), ("ferox.test", 200), ("ferox.test, evil.example", 403)):
        assert ask(port, "GET", "/config", headers={"X-Forwarded-Host": host})[0] == status


@pytest.mark.parametrize(
    ("origin", "forwarded", "status"),
    [
        (None, None, 200),
        ("http://127.0.0.1:{port}", None, 200),
        ("https://ferox.test", None, 200),
        ("https://ferox.test", "ferox.test", 200),
        ("http://127.0.0.1:1", None, 403),
        ("https://127.0.0.1:{port}", None, 200),
        ("http://evil.example", None, 403),
        ("http://10.1.2.3", "10.1.2.3", 403),
        ("http://ferox.test.evil.example", None, 403),
        ("null", None, 403),
        ("file://", None, 403),
        ("http://[", None, 403),
    ],
)
def test_what_changes_something_comes_from_this_page_or_a_program(
    port: int, origin: str | None, forwarded: str | None, status: int
) -> None:
    headers = {} if origin is None else {"Origin": origin.format(port=port)}
    headers |= {"X-Forwarded-Host": forwarded} if forwarded else {}
    assert ask(port, *ASK, headers)[0] == status
    for path in ("/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/cancel", "/login"):
        answered, text, shown = ask(port, "POST", path, b"{}", headers)
        assert (answered == 403) == (status == 403)
        assert ("comes from another page" in text) == (status == 403)
        if status == 403:
            assert not [name for name in shown if name.startswith("access-control-")]


def test_another_page_may_neither_read_this_one_nor_ask_what_it_may(port: int) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for host in (f"127.0.0.1:{port}", "10.1.2.3"):
        for method, path in (("OPTIONS", "/gradio_api/queue/join"), ("GET", "/config")):
            _, _, headers = ask(port, method, path, headers=asked | {"Host": host})
            assert "access-control-allow-origin" not in headers


def test_no_page_may_frame_this_one_unless_that_was_asked_for(port: int, models: Path, tmp_path: Path) -> None:
    for path in ("/", "/config", "/nowhere"):
        _, _, headers = ask(port, "GET", path)
        assert headers["content-security-policy"] == "frame-ancestors 'none'"
        assert headers["x-frame-options"] == "DENY"
    with serving(models, tmp_path / "log", "--allow-framing") as (other, _):
        status, _, headers = ask(other, "GET", "/")
        assert status == 200
        assert not {"content-security-policy", "x-frame-options"} & set(headers)


def test_a_public_links_name_is_let_in_when_it_is_known() -> None:
    from demo.intake.hosts import Doors

    doors = Doors(["Ferox.test"])
    assert doors.admits("ferox.test.")
    assert not doors.admits("1a2b.gradio.live")
    doors.allow("1a2b.gradio.live")
    assert doors.admits("1a2b.gradio.live")


# --- behind a proxy


@contextmanager
def proxy(upstream: int, *, strips: bool) -> Iterator[int]:
    """A proxy that shows what listens on `upstream` below /ferox, by its own port."""

    class Forward(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix("/ferox") or "/" if strips else self.path
            connection = http.client.HTTPConnection("127.0.0.1", upstream, timeout=60)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOPS}
            connection.request(self.command, path, body, headers | {"X-Forwarded-Host": self.headers["Host"]})
            answer = connection.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOPS:
                    self.send_header(name, value)
            self.end_headers()
            while part := answer.read1(65_536):
                self.wfile.write(part)
            connection.close()

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_page_behind_a_proxy_takes_large_pictures_whether_or_not_its_prefix_is_kept(
    models: Path, tmp_path: Path, how: str
) -> None:
    options = ["--root-path", "/ferox/"] if how == "option" else []
    variables = {"GRADIO_ROOT_PATH": "/ferox"} if how == "variable" else {}
    with serving(models, tmp_path / "log", *options, **variables) as (upstream, _):
        for strips in (True, False):
            with proxy(upstream, strips=strips) as port:
                assert send(port, 2_000_000, "/ferox/gradio_api/upload")[0] == 200
                assert ask(port, "POST", "/ferox/gradio_api/call/models", b" " * 2_000_000)[0] == 413
                client = gradio_client.Client(f"http://127.0.0.1:{port}/ferox", verbose=False)
                assert [model["name"] for model in client.predict(api_name="/models")] == [NAME, "bad?"]
                config = json.loads(ask(port, "GET", "/ferox/config")[1])
                assert config["root"] == f"http://127.0.0.1:{port}/ferox"


def test_a_root_is_a_path_or_an_address() -> None:
    assert [root_from(text) for text in ("", "/a/", "https://x.test/a")] == ["", "/a", "https://x.test/a"]
    for text in ("ferox", "ftp://x.test/a", "http://"):
        with pytest.raises(InputError, match="expected a path that begins with / or an address"):
            root_from(text)


# --- payloads


@pytest.mark.parametrize(
    ("path", "payload", "sentence"),
    [
        ("call/predict", {"data": []}, "the request has 0 values: expected 3"),
        (
            "call/predict",
            {"data": [{"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}, "", "auto"]},
            "uploaded",
        ),
        ("call/predict", {"data": [7, "", "auto"]}, "expected 3 as /gradio_api/info describes"),
        ("call/predict", {"data": [{"no": 1}, "", "auto"]}, "expected 3 as /gradio_api/info describes"),
        ("call/predict", {"data": [None, "", "sideways\udcff"]}, "sideways"),
        ("call/predict_batch", {"data": ["x", "", "auto"]}, "expected 3 as /gradio_api/info describes"),
        ("call/nothing", {"data": []}, "no such function"),
        ("call/v2/nothing", {}, "no such function"),
        ("run/nothing", {"data": []}, "no such function"),
        ("run/predict", {"data": []}, "does not accept direct HTTP POST"),
        ("run/x", {"data": [], "fn_index": 9999}, "no such function"),
        ("queue/join", {"data": [], "fn_index": 9999, "session_hash": "a"}, "no such function"),
        ("queue/join", {"data": []}, ""),
        ("call/predict", [], ""),
        ("call/predict", "\udcff", ""),
    ],
)
def test_a_payload_that_gradio_refuses_gets_a_4xx_with_a_sentence_and_no_traceback(
    port: int, log: Path, path: str, payload: Any, sentence: str
) -> None:
    status, text, _ = ask(port, *("POST", f"/gradio_api/{path}", json.dumps(payload).encode()))
    assert 400 <= status < 500
    assert sentence in text
    assert json.loads(text)["detail"]
    assert not [file for file in kept(log) if file.name == "hostname"]
    assert ask(port, *ASK)[0] == 200
    assert "Traceback" not in log.read_text()


def test_what_does_not_wait_in_line_is_refused_alike(port: int, log: Path) -> None:
    config = json.loads(ask(port, "GET", "/config")[1])
    at_once = [each for each in config["dependencies"] if not each["queue"] and len(each["inputs"]) > 1]
    assert at_once
    for each in at_once:
        body = json.dumps({"data": [], "fn_index": each["id"], "session_hash": "b"}).encode()
        status, text, _ = ask(port, "POST", "/gradio_api/run/predict", body)
        assert status == 400
        assert "the request has 0 values" in json.loads(text)["error"]
    assert "Traceback" not in log.read_text()


# --- names that are no text


def test_a_name_that_is_no_utf8_is_named_and_takes_nothing_down(port: int) -> None:
    for path in ("/", "/config", "/gradio_api/info"):
        assert ask(port, "GET", path)[0] == 200
    client = gradio_client.Client(f"http://127.0.0.1:{port}", verbose=False)
    good, bad = client.predict(api_name="/models")
    assert (good["name"], good["error"]) == (NAME, None)
    assert bad["error"] == "bad?.onnx is left out, its name is no UTF-8: expected one that is; rename it"


def test_a_report_whose_name_is_no_utf8_is_said_to_be_left_out(tmp_path: Path) -> None:
    from demo.page import Page
    from demo.state.shelf import Shelf
    from demo.tabs.compare import side_by_side
    from inference.photos.faces import HaarFinder

    bad = tmp_path / os.fsdecode(b"report\xff")
    bad.mkdir()
    (bad / "report.json").write_text("{}")
    folder = tmp_path / os.fsdecode(b"models\xff")
    page = Page(Shelf(folder), HaarFinder(), tmp_path, tmp_path, None, tmp_path, str)
    html = side_by_side(page, [], "en")
    assert "report? is left out, its name is no UTF-8" in html
    assert html.encode()


@pytest.mark.parametrize("arguments", [["evaluate"], ["compare", "--no-robustness", "--no-latency"], ["predict"]])
def test_commands_take_a_model_whose_name_is_no_utf8(tiny_model: Path, tmp_path: Path, arguments: list[str]) -> None:
    model, picture = (os.fsencode(tmp_path) + name for name in (b"/bad\xff.onnx", b"/missing\xff.png"))
    shutil.copy(tiny_model, os.fsdecode(model))
    out = [] if arguments == ["predict"] else ["--out", str(tmp_path / "out")]
    files = [model, picture] if arguments == ["predict"] else [model]
    done = subprocess.run(
        [sys.executable, "-m", "inference", arguments[0], *files, *arguments[1:], *out],
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode == (2 if arguments == ["predict"] else 0), done.stderr
    if arguments == ["predict"]:
        assert b"missing?.png does not exist" in done.stderr
    else:
        assert (done.stdout + done.stderr).decode()
        assert list((tmp_path / "out").rglob("report.json"))


# --- uploads


def kept(log: Path) -> list[Path]:
    return [path for path in (log.parent / "tmp").rglob("*") if path.is_file() and "examples" not in path.parts]


def test_a_broken_off_upload_leaves_nothing(port: int, log: Path) -> None:
    before = kept(log)
    body, _ = form(1_000_000)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = (
            "POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        )
        connection.sendall(f"{head}Content-Length: 2000000\r\n\r\n".encode() + body[:900_000])
        until(lambda: len(kept(log)) > len(before))
    until(lambda: kept(log) == before)
    assert "Traceback" not in log.read_text()


def test_uploads_have_a_quota_for_all_and_for_each_address(port: int, log: Path) -> None:
    before = kept(log)
    assert send(port, 3_500_000)[0] == 413
    body, headers = form(3_500_000)
    status, text, _ = ask(
        port, "POST", "/gradio_api/upload", (body[at : at + 50_000] for at in range(0, len(body), 50_000)), headers
    )
    assert status == 413
    assert "over 3000000 bytes: expected fewer; divide it" in text
    until(lambda: kept(log) == before)
    # uvicorn believes a proxy on this machine whom it speaks for.
    assert send(port, 2_000_000, **{"X-Forwarded-For": "10.0.0.1"})[0] == 200
    status, text, answer = send(port, 2_000_000, **{"X-Forwarded-For": "10.0.0.1"})
    assert status == 429
    assert "has sent 2000" in text
    assert 3000 < int(answer["retry-after"]) <= 3600
    assert send(port, 1_000_000, **{"X-Forwarded-For": "10.0.0.2"})[0] == 200
    status, text, _ = send(port, 1_500_000, **{"X-Forwarded-For": "10.0.0.3"})
    assert status == 507
    assert "at most 4000000 are kept" in text
    assert send(port, 100_000, **{"X-Forwarded-For": "10.0.0.3"})[0] == 200


def test_old_files_go_by_themselves_whoever_wrote_them(tmp_path: Path) -> None:
    from demo.intake.scratch import cleaned

    (tmp_path / "examples").mkdir()
    (tmp_path / "ab12").mkdir()
    for name in ("examples/group.jpg", "ab12/me.png", "tmpbroken"):
        (tmp_path / name).write_bytes(b"x")
    with cleaned(tmp_path, tmp_path / "examples", seconds=0.5, every=0.1):
        assert (tmp_path / "ab12" / "me.png").exists()
        until(lambda: list(tmp_path.iterdir()) == [tmp_path / "examples"])
    assert (tmp_path / "examples" / "group.jpg").exists()


def test_the_cleaner_outlives_what_it_cannot_remove_and_what_vanishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from demo.intake import scratch

    looks: list[float] = []

    def failing(folder: Path, kept: Path, before: float) -> None:
        looks.append(before)
        raise PermissionError(1, "Operation not permitted", str(folder))

    with monkeypatch.context() as patch:
        patch.setattr(scratch, "remove_old", failing)
        with scratch.cleaned(tmp_path, tmp_path / "examples", seconds=0.5, every=0.01):
            until(lambda: len(looks) > 1)
    assert "cannot be removed: Operation not permitted" in capsys.readouterr().err
    for name in "abc":
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "file").write_bytes(b"x")
    found = scratch._below(tmp_path)
    seen = [next(found)]
    for name in "abc":
        if not seen[0].is_relative_to(tmp_path / name):
            shutil.rmtree(tmp_path / name)
    seen += found
    assert {tmp_path / name for name in "abc"} <= set(seen)
    scratch.remove_old(tmp_path, tmp_path / "examples", time.time() + 10)
    assert list(tmp_path.iterdir()) == []


def test_a_sender_that_falls_silent_gives_its_bytes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from demo.intake import quota

    monkeypatch.setattr(quota, "SILENT_SECONDS", 0.05)
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] == "http.request":
            pass

    async def upload() -> quota.UploadQuota:
        messages: asyncio.Queue[Any] = asyncio.Queue()
        messages.put_nowait({"type": "http.request", "body": b"x" * 500, "more_body": True})
        door = quota.UploadQuota(app, quota.Quota(1000, 1000))
        scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": [], "client": ("::1", 1)}

        async def send(message: Any) -> None:
            sent.append(message)

        await asyncio.wait_for(door(scope, messages.get, send), 30)
        return door

    door = asyncio.run(upload())
    assert (door.ledger.everybody, sent[0]["status"]) == (0, 408)
    assert b"nothing of the upload came" in sent[1]["body"]


def test_those_who_come_at_once_do_not_fill_the_line_for_long_work(monkeypatch: pytest.MonkeyPatch) -> None:
    from demo.intake import payloads

    line: list[object] = []

    async def preprocess(*_: object, **options: object) -> None:
        await asyncio.sleep(0.01)

    async def push(body: object, *_: object) -> tuple[bool, str, str]:
        line.append(body)
        return True, "", "success"

    queue = SimpleNamespace(push=push, event_queue_per_concurrency_id={"films": SimpleNamespace(queue=line)})
    blocks = SimpleNamespace(preprocess_data=preprocess, _queue=queue, state_holder={})
    wanted = SimpleNamespace(concurrency_id="films", inputs=[])
    monkeypatch.setattr(payloads, "get_fn", lambda *_: wanted)
    payloads.check_early(blocks, frozenset(["films"]))
    body = SimpleNamespace(session_hash=None, data=[])

    async def come() -> list[Any]:
        return await asyncio.gather(*(blocks._queue.push(body, None, None) for _ in range(20)))

    answers = asyncio.run(come())
    assert [taken for taken, _, _ in answers] == [True] * payloads.MOST_LONG + [False] * (20 - payloads.MOST_LONG)
    assert {kind for taken, _, kind in answers if not taken} == {"queue_full"}


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- passwords


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [(["--auth", ""], {}), ([], {"FEROX_AUTH": ""}), (["--auth", ""], {"FEROX_AUTH": "me:secret"})],
)
def test_an_empty_password_never_opens_the_page(
    tmp_path: Path, arguments: list[str], variables: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "demo", "--models", str(tmp_path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=os.environ | variables)
    assert done.returncode == 2
    assert "expected USER:PASSWORD" in done.stderr
    assert "Running" not in done.stdout


def log_in(port: int, password: str, address: str) -> int:
    body = urllib.parse.urlencode({"username": "me", "password": password})
    kind = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": address}
    return ask(port, "POST", "/login", body, kind)[0]


def test_guessing_gets_slower_and_who_knows_the_password_gets_in(models: Path, tmp_path: Path) -> None:
    with serving(models, tmp_path / "log", FEROX_AUTH="me:secret") as (port, _):
        assert ask(port, *ASK)[0] == 401
        began, waits = time.monotonic(), []
        for _ in range(4):
            assert log_in(port, "guess", "10.0.0.1") == 400
            waits.append(time.monotonic() - began)
        # Half a second, one, and two.
        assert waits[-1] >= 3.5
        answers: list[int] = []

        def guess() -> None:
            with suppress(OSError, http.client.HTTPException):  # The page ends while some still wait.
                answers.append(log_in(port, "guess", "10.0.0.1"))

        guessers = [threading.Thread(target=guess) for _ in range(12)]
        for guesser in guessers:
            guesser.start()
        until(lambda: 429 in answers)
        began = time.monotonic()
        assert log_in(port, "secret", "10.0.0.2") == 200
        assert time.monotonic() - began < 4
    for guesser in guessers:
        guesser.join()


def test_a_training_does_not_know_the_pages_password(models: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs ferox[torch]")
    with serving(models, tmp_path / "log", FEROX_AUTH="me:not-for-children") as (port, process):
        client = gradio_client.Client(f"http://127.0.0.1:{port}", auth=("me", "not-for-children"), verbose=False)
        start = next(each for each in client.config["dependencies"] if each["api_name"] == "start")
        by_id = {each["id"]: each["props"] for each in client.config["components"]}
        values = [by_id[number].get("value") for number in start["inputs"]]
        body = json.dumps({"data": values, "fn_index": start["id"], "session_hash": "c"}).encode()
        cookie = "; ".join(f"{name}={value}" for name, value in dict(client.cookies).items())
        assert ask(port, "POST", "/gradio_api/queue/join", body, {"Cookie": cookie})[0] == 200
        lock = tmp_path / "runs" / ".demo" / "lock"
        until(lambda: lock.exists() and bool(lock.read_text().strip()), 60)
        child = int(lock.read_text())
        try:
            environment = Path(f"/proc/{child}/environ").read_bytes()
            assert b"PATH=" in environment
            assert b"not-for-children" not in environment
        finally:
            os.kill(child, signal.SIGKILL)
        assert process.poll() is None


# --- long work


def test_a_photo_does_not_wait_for_many(models: Path, tmp_path: Path) -> None:
    from demo.examples import draw_examples

    draw_examples(tmp_path)
    files = [gradio_client.handle_file(tmp_path / "group.jpg")] * 64
    with serving(models, tmp_path / "log") as (own, _):
        client = gradio_client.Client(f"http://127.0.0.1:{own}", verbose=False)
        batches = [client.submit(files, NAME, "auto", api_name="/predict_batch") for _ in range(4)]
        until(lambda: batches[0].status().code.name == "PROCESSING")
        answer = client.predict(gradio_client.handle_file(tmp_path / "group.jpg"), NAME, api_name="/predict")
        assert len(answer["faces"]) == 4
        assert not all(batch.done() for batch in batches)
        for batch in batches:
            batch.cancel()
