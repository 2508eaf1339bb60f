"""What the server takes from whom, and how it stops: a real process, asked by real connections."""

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from server_process import Reply, Served, ask, half_sent, serving, unread, until

from demo.examples import draw_examples
from inference.engine import Engine

pytest.importorskip("uvicorn", reason="the server needs ferox[serve]")

from ferox.serving.places import Places
from ferox.serving.refusals import Refused
from ferox.serving.settings import Limits

NAME = "mlp_1.torch.published-official"
INFER = f"/v2/models/{NAME}/infer"
TOKEN = "correct-horse-battery-staple"
FACE = {"name": "pixels", "shape": [1, 48, 48], "datatype": "UINT8", "data": [7] * 2304}
BODY = json.dumps({"inputs": [FACE]}).encode()


@pytest.fixture(scope="module")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that takes 3 requests at once, 2 of them from one address, for 2 seconds each."""
    options = ("--queue", 3, "--share", 2, "--deadline", 2, "--allow-host", "ferox.test")
    with serving(tmp_path_factory.mktemp("conduct"), tiny_model, *options) as served:
        yield served


def infer(server: Served, **headers: str) -> Reply:
    return ask(server.port, "POST", INFER, BODY, **headers)


def in_progress(server: Served) -> float:
    figures = ask(server.port, "GET", "/metrics").body.decode().splitlines()
    return float(next(line.split()[1] for line in figures if line.startswith("ferox_requests_in_progress ")))


def answer_of(connection: socket.socket) -> tuple[int, str]:
    """Return the status and body that come over a connection."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read().decode()


# --- hosts and origins


def test_hosts_are_the_pages(server: Served) -> None:
    for host in ("127.0.0.1", "localhost:1", "[::1]", "ferox.test"):
        assert infer(server, host=host).status == 200
    for host in ("evil.example", "x.ferox.test", ""):
        for reply in (infer(server, host=host), ask(server.port, "GET", "/v2/health/live", host=host)):
            assert reply.status == 403
            assert "expected an IP address, localhost or a name that it was started with" in reply.error


def test_what_comes_from_another_page_is_refused(server: Served) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        reply = infer(server, origin=origin)
        assert reply.status == 403
        assert "comes from another page" in reply.error
        assert not [name for name in reply.headers if name.startswith("access-control-")]
    assert infer(server, origin=f"http://127.0.0.1:{server.port}").status == 200
    assert ask(server.port, "GET", "/").headers["x-frame-options"] == "DENY"


# --- places, deadlines and clients that leave


def test_one_address_gets_its_share_of_places(server: Served) -> None:
    with half_sent(server.port, INFER, BODY) as one, half_sent(server.port, INFER, BODY) as other:
        until(lambda: in_progress(server) == 2)
        reply = infer(server)
        assert (reply.status, reply.headers["retry-after"]) == (429, "1")
        assert reply.error == ("this address has 2 requests in progress, at most 2 are taken; wait for their answers")
        assert infer(server, x_forwarded_for="10.0.0.1").status == 200
        for connection in (one, other):
            connection.sendall(BODY[-1:])
            assert answer_of(connection)[0] == 200
    assert infer(server).status == 200


def test_all_together_get_so_many_places(server: Served) -> None:
    headers = [f"X-Forwarded-For: 10.0.0.{n}\r\n" for n in range(3)]
    with (
        half_sent(server.port, INFER, BODY, headers[0]),
        half_sent(server.port, INFER, BODY, headers[1]),
        half_sent(server.port, INFER, BODY, headers[2]),
    ):
        until(lambda: in_progress(server) == 3)
        reply = infer(server)
        assert reply.status == 503
        assert reply.error == "3 requests are in progress, at most 3 are taken; try again later"
        assert ask(server.port, "GET", "/v2/health/ready").status == 200


def test_a_client_that_leaves_frees_its_place(server: Served) -> None:
    until(lambda: in_progress(server) == 0)
    with half_sent(server.port, INFER, BODY), half_sent(server.port, INFER, BODY):
        until(lambda: in_progress(server) == 2)
    until(lambda: in_progress(server) == 0)
    assert infer(server).status == 200
    until(lambda: sum(line["status"] == 499 for line in server.events("request")) >= 2)


def test_a_request_has_a_deadline(server: Served) -> None:
    with half_sent(server.port, INFER, BODY) as connection:
        status, body = answer_of(connection)
        assert status == 504
        assert json.loads(body)["error"].startswith("the request took over 2 seconds")
    until(lambda: in_progress(server) == 0)


def test_a_client_that_leaves_during_a_long_run_is_not_answered_for(tiny_model: Path, tmp_path: Path) -> None:
    draw_examples(tmp_path)
    picture = (tmp_path / "group.jpg").read_bytes()
    with serving(tmp_path, tiny_model) as server:
        connections = []
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
            head = f"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(picture)}\r\n\r\n"
            connection.sendall(head.encode() + picture)
            connections.append(connection)
        until(lambda: in_progress(server) > 5)
        for connection in connections:
            connection.close()
        until(lambda: in_progress(server) == 0)
        gone = [line for line in server.events("request") if line["status"] == 499]
        assert gone
        assert not [line for line in server.events("request") if line["status"] >= 500]


def test_the_timeout_of_the_protocol_is_kept(server: Served) -> None:
    body = json.dumps(
        {"inputs": [FACE | {"shape": [1000, 48, 48], "data": [7] * 2_304_000}], "parameters": {"timeout": 1}}
    )
    reply = ask(server.port, "POST", INFER, body.replace(" ", ""))
    assert reply.status == 504
    assert "which the request's timeout allows" in reply.error


def test_what_all_requests_hold_is_limited() -> None:
    places = Places(Limits(held_bytes=100))
    with places.place("a") as one:
        one.hold(60)
        with places.place("b") as other, pytest.raises(Refused, match="hold 60 bytes, at most 100 are taken") as error:
            other.hold(41)
        assert error.value.status == 503
        one.hold(40)
    assert (places.held, places.taken) == (0, 0)


def test_a_model_that_does_not_answer_is_not_the_clients_fault(overflowing: Path, tmp_path: Path) -> None:
    white, fit = FACE | {"data": [255] * 2304}, FACE | {"data": [255] + [0] * 2303}
    with serving(tmp_path, overflowing) as server:
        for face, status in ((white, 500), (fit, 200), (white, 500)):
            reply = ask(server.port, "POST", "/v2/models/model/infer", json.dumps({"inputs": [face]}))
            assert reply.status == status
        assert "answers with something other than probabilities" in reply.error


# --- the token


def test_all_but_health_needs_the_token(tiny_model: Path, tmp_path: Path) -> None:
    with serving(tmp_path, tiny_model, FEROX_TOKEN=TOKEN) as server:
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert ask(server.port, "GET", path).status == 200
        for path in ("/", "/v2", "/v1/models", "/metrics", "/openapi.json", f"/v2/models/{NAME}", "/v2/health/live/"):
            assert ask(server.port, "GET", path).status == 401
            assert ask(server.port, "GET", path, authorization=f"Bearer {TOKEN}").status in (200, 404, 307)
        for wrong in ("", TOKEN, f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \xe9"):
            reply = infer(server, authorization=wrong)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
            assert reply.error.startswith("the token is missing or wrong")
        assert infer(server, authorization=f"Bearer {TOKEN}").status == 200
        assert infer(server, authorization=f"bearer {TOKEN}").status == 200
        assert b"FEROX_TOKEN" in Path(f"/proc/{server.process.pid}/environ").read_bytes()  # As it was started.
        assert TOKEN not in server.log.read_text()


def refused_start(*arguments: object, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ferox.serving", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | variables,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    return done.stderr


def test_an_empty_token_never_opens_the_server(tiny_model: Path) -> None:
    for arguments, variables in (((), {"FEROX_TOKEN": ""}), (("--token", ""), {}), (("--token", " "), {})):
        assert "expected a secret; make one" in refused_start(tiny_model, *arguments, **variables)


def test_other_hosts_without_a_token_and_short_tokens_are_warned_of(tiny_model: Path, tmp_path: Path) -> None:
    busy = socket.create_server(("0.0.0.0", 0))  # So that nothing is opened to others here.
    with busy:
        options = ("--host", "0.0.0.0", "--port", busy.getsockname()[1])
        said = refused_start(tiny_model, *options)
        assert "warning: 0.0.0.0 lets everybody who reaches it use this server" in said
        assert "cannot be listened on (Address already in use)" in said
        said = refused_start(tiny_model, *options, "--token", "secret")
        assert "warning: the token has 6 characters and can be guessed" in said
        assert "warning: 0.0.0.0" not in said


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--port", 70000), "--port is 70000, expected 0 to 65535"),
        (("--wait", "nan"), "--wait is nan, expected 0 to 1000"),
        (("--queue", 0), "--queue is 0, expected 1 to 100000"),
        (("--tls-cert", "a.pem"), "expected both or none"),
        (("--tls-cert", "a.pem", "--tls-key", "b.pem"), "--tls-cert a.pem and --tls-key b.pem cannot be used"),
        (("--host", "203.0.113.1"), "203.0.113.1, port 8000, cannot be listened on"),
        (("--host", "no.such.host.invalid"), "no.such.host.invalid, port 8000, cannot be listened on"),
        (("nothing.onnx",), "nothing.onnx cannot be read"),
    ],
)
def test_settings_that_cannot_be_served_are_refused(
    tiny_model: Path, options: tuple[object, ...], sentence: str
) -> None:
    assert sentence in refused_start(tiny_model, *options)


def test_two_models_of_one_name_and_an_empty_folder_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_model, tmp_path)
    assert "have one name" in refused_start(tiny_model, tmp_path / tiny_model.name)
    (tmp_path / "empty").mkdir()
    assert "has no .onnx file" in refused_start(tmp_path / "empty")


# --- TLS


@pytest.mark.skipif(shutil.which("openssl") is None, reason="making a certificate takes openssl")
def test_it_speaks_https_with_a_certificate(tiny_model: Path, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    with serving(tmp_path, tiny_model, "--tls-cert", certificate, "--tls-key", key) as server:
        context = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection("localhost", server.port, timeout=60, context=context)
        connection.request("POST", INFER, BODY)
        assert connection.getresponse().status == 200
        connection.close()
        assert server.events("serving")[0]["address"].startswith("https://")
    said = refused_start(tiny_model, "--tls-cert", certificate, "--tls-key", certificate)
    assert "cannot be used" in said


# --- stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_finishes_what_it_has_taken_refuses_the_rest_and_ends_with_0(
    tiny_model: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with serving(tmp_path, tiny_model) as server:
        with half_sent(server.port, INFER, BODY) as connection:
            until(lambda: in_progress(server) == 1)
            server.process.send_signal(number)
            until(lambda: ask(server.port, "GET", "/v2/health/ready").status == 503)
            assert ask(server.port, "GET", "/v2/health/live").status == 200
            reply = infer(server)
            assert reply.status == 503
            assert reply.error == "the server is stopping, expected no more requests; ask another one"
            connection.sendall(BODY[-1:])
            assert answer_of(connection)[0] == 200
        assert server.process.wait(timeout=30) == 0
        assert [line["event"] for line in server.events("stopped")] == ["stopped"]


def test_a_signal_in_the_moment_of_the_address_stops_it_as_any_other(tiny_model: Path) -> None:
    program = (
        "import builtins, os, signal, sys\n"
        "from ferox.serving.__main__ import main\n"
        "def said(*words, **how):\n"
        "    sys.stdout.write(f'{words[0]}\\n')\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "builtins.print = said\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program, "--port", "0", tiny_model], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("http://127.0.0.1:")
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["serving", "stopping", "stopped"]


def test_a_stop_waits_for_nobody_longer_than_the_deadline(tiny_model: Path, tmp_path: Path) -> None:
    with serving(tmp_path, tiny_model, "--deadline", 1) as server, half_sent(server.port, INFER, BODY) as connection:
        until(lambda: in_progress(server) == 1)
        server.process.terminate()
        assert answer_of(connection)[0] == 504
        assert server.process.wait(timeout=30) == 0


def test_a_stop_waits_no_longer_for_who_lacks_the_token_and_a_second_one_for_nobody(
    tiny_model: Path, tmp_path: Path
) -> None:
    with serving(tmp_path, tiny_model, "--deadline", 2, FEROX_TOKEN=TOKEN) as server:
        with half_sent(server.port, INFER, BODY) as connection:
            assert answer_of(connection)[0] == 401
        with half_sent(server.port, INFER, BODY):
            server.process.terminate()
            assert server.process.wait(timeout=30) == 0
    patient = serving(tmp_path, tiny_model, "--deadline", 3000, FEROX_TOKEN=TOKEN)
    with patient as server, half_sent(server.port, INFER, BODY):
        server.process.terminate()
        until(lambda: bool(server.events("stopping")))
        server.process.terminate()
        assert server.process.wait(timeout=30) == 0


def test_who_leaves_without_reading_what_was_asked_for_is_no_failure(tiny_model: Path, tmp_path: Path) -> None:
    with serving(tmp_path, tiny_model) as server:
        for _ in range(3):
            with unread(server.port):
                time.sleep(0.1)  # So that an answer waits for its reader, and others wait for that one.
        assert infer(server).status == 200
        assert [line for line in server.lines() if line["level"] != "info"] == []


@pytest.mark.parametrize("signals", [1, 2])
def test_who_does_not_read_what_was_asked_for_holds_up_no_stop(signals: int, tiny_model: Path, tmp_path: Path) -> None:
    deadline = 1 if signals == 1 else 3000
    with serving(tmp_path, tiny_model, "--deadline", deadline) as server, unread(server.port):
        for _ in range(signals):
            server.process.terminate()
            until(lambda: bool(server.events("stopping")))
        assert server.process.wait(timeout=30) == 0
        assert [line["connections"] for line in server.events("cut off")] == [1]


# --- models that are replaced


def test_a_replaced_model_is_taken_up_and_no_request_is_lost(
    tiny_model: Path, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / f"{NAME}.onnx"
    shutil.copy(tiny_model, path)
    before, after = (Engine.load(each, provider="cpu") for each in (path, artifacts["cnn_1.torch.published-official"]))
    expected = {
        engine.manifest.digest: engine.run(np.full((1, 48, 48), 7, np.uint8))[0][0] for engine in (before, after)
    }
    replies: list[Reply] = []
    ended = threading.Event()

    def keep_asking(server: Served) -> None:
        while not ended.is_set():
            replies.append(infer(server))

    with serving(tmp_path, path) as server:
        asking = [threading.Thread(target=keep_asking, args=(server,)) for _ in range(3)]
        for thread in asking:
            thread.start()
        try:
            until(lambda: len(replies) > 20)
            shutil.copy(artifacts["cnn_1.torch.published-official"], tmp_path / "new")
            (tmp_path / "new").replace(path)
            until(lambda: len(server.events("model")) == 1)
            asked = len(replies)
            until(lambda: len(replies) > asked + 20)
            (tmp_path / "bad").write_bytes(tiny_model.read_bytes()[:-5])
            (tmp_path / "bad").replace(path)
            until(lambda: len(server.events("model")) == 2)
            asked = len(replies)
            until(lambda: len(replies) > asked + 20)
        finally:
            ended.set()
            for thread in asking:
                thread.join()
        taken, refused = server.events("model")
        assert (taken["outcome"], taken["digest"]) == ("taken up", after.manifest.digest)
        assert (refused["outcome"], refused["digest"]) == ("refused", after.manifest.digest)
        assert "is damaged" in refused["reason"]
        figures = ask(server.port, "GET", "/metrics").body.decode().splitlines()
        assert f'ferox_model_replacements_total{{model="{NAME}",outcome="refused"}} 1.0' in figures
    assert {reply.status for reply in replies} == {200}
    answered = [reply.json() for reply in replies]
    assert {answer["parameters"]["digest"] for answer in answered} == set(expected)
    for answer in answered:
        np.testing.assert_allclose(
            answer["outputs"][0]["data"], expected[answer["parameters"]["digest"]], rtol=1e-5, atol=1e-5
        )
    assert answered[-1]["parameters"]["digest"] == after.manifest.digest


def test_no_content_of_a_picture_is_logged_or_written(tiny_model: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    draw_examples(tmp_path)
    content = (tmp_path / "group.jpg").read_bytes() + os.urandom(3_000_000)
    head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="private-name.jpg"\r\n\r\n'
    with serving(tmp_path, tiny_model, TMPDIR=str(scratch)) as server:
        kind = "multipart/form-data; boundary=b"
        reply = ask(server.port, "POST", "/v1/faces", head + content + b"\r\n--b--\r\n", content_type=kind)
        assert len(reply.json()["faces"]) == 4
        assert "private-name" not in server.log.read_text()
        until(lambda: len(server.events("request")) == 1)
        (line,) = server.events("request")
        assert (line["operation"], line["faces"], line["status"]) == ("Faces", 4, 200)
    assert not list(scratch.iterdir())
