"""The page's server, asked as a program asks it: real Gradio, real onnxruntime, a child process."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from starlette.responses import PlainTextResponse

from data.addresses import is_loopback
from data.errors import InputError
from demo.__main__ import account_from, main
from demo.intake.limits import JSON_BYTES, RequestLimits
from demo.state.shelf import ALL, Shelf, title
from demo.view.downloads import safe_cell
from demo.view.sentences import SENTENCES
from demo.view.words import language, say
from inference.catalogue import DEFAULT

gradio_client = pytest.importorskip("gradio_client", reason="the page needs Gradio: install ferox[demo]")


@pytest.fixture(scope="module")
def models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model under two names, and one file that only looks like a model."""
    folder = tmp_path_factory.mktemp("shelf")
    shutil.copy(tiny_model, folder / "mlp_1.torch.published-official.onnx")
    shutil.copy(tiny_model, folder / "cnn_1.paddle.best-official.onnx")
    (folder / "broken.torch.published-official.onnx").write_bytes(b"not a model")
    return folder


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[str]:
    """The address of a page that serves `models`."""
    process, address = serve("--models", str(models))
    yield address
    stop(process)


@pytest.fixture(scope="module")
def client(server: str) -> Any:
    return gradio_client.Client(server, verbose=False)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the page's own drawn pictures."""
    from demo.examples import draw_examples

    folder = tmp_path_factory.mktemp("examples")
    draw_examples(folder)
    return folder


def serve(*arguments: str, **variables: str) -> tuple[subprocess.Popen[str], str]:
    """Start `python -m demo` on a free port and wait until it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | variables,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return process, found.group()
    raise AssertionError("the page did not start")


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(timeout=30)
    assert process.stdout is not None
    process.stdout.close()


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def command_line(model: Path, *pictures: Path) -> Any:
    command = [sys.executable, "-m", "inference", "predict", str(model), *map(str, pictures), "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


# --- the endpoints


def test_predict_answers_exactly_what_the_command_line_answers(client: Any, models: Path, examples: Path) -> None:
    name = "mlp_1.torch.published-official"
    for picture in (examples / "group.jpg", examples / "crop.png", examples / "nobody.jpg"):
        answer = client.predict(gradio_client.handle_file(picture), name, "auto", api_name="/predict")
        (expected,) = command_line(models / f"{name}.onnx", picture)
        assert answer == expected | {"file": picture.name}
    assert (
        len(client.predict(gradio_client.handle_file(examples / "group.jpg"), name, api_name="/predict")["faces"]) == 4
    )


def test_predict_batch_answers_what_the_command_line_answers_and_an_unreadable_file_spoils_no_other(
    client: Any, models: Path, examples: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("hello")
    pictures = [examples / "portrait.jpg", tmp_path / "text.png", examples / "crop.png"]
    name = "mlp_1.torch.published-official"
    answers = client.predict(list(map(gradio_client.handle_file, pictures)), name, "auto", api_name="/predict_batch")
    expected = command_line(models / f"{name}.onnx", *pictures)
    assert answers == [record | {"file": path.name} for record, path in zip(expected, pictures, strict=True)]
    assert "is not a picture" in answers[1]["error"]
    assert answers[0]["faces"]
    assert answers[2]["faces"]
    (alone,) = client.predict([gradio_client.handle_file(pictures[1])], name, "auto", api_name="/predict_batch")
    assert alone == answers[1]


def test_models_lists_what_is_there_and_says_what_is_wrong_with_the_rest(client: Any) -> None:
    found = {record["name"]: record for record in client.predict(api_name="/models")}
    assert found["mlp_1.torch.published-official"]["model"] == "mlp_1"
    assert found["mlp_1.torch.published-official"]["parameters"] == 16135
    assert found["cnn_1.paddle.best-official"]["title"] == "CNN-1 · paddle · best, official"
    assert "no digest" in found["broken.torch.published-official"]["error"]


def test_only_the_three_endpoints_are_named(client: Any) -> None:
    described = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(described) == {"/predict", "/predict_batch", "/models"}
    assert [parameter["parameter_name"] for parameter in described["/predict"]["parameters"]] == [
        "picture",
        "model",
        "faces",
    ]


# --- what must be refused, and the next request served


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.png", b"", "is empty"),
        ("text.png", b"hello, I am text", "is not a picture"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", "is not a picture"),
        ("cut.jpg", None, "damaged or truncated"),
        ("bomb.png", "bomb", "at most 25 megapixels"),
    ],
)
def test_a_bad_picture_gets_one_sentence_without_a_path_and_the_server_lives(
    client: Any, examples: Path, tmp_path: Path, name: str, content: bytes | str | None, sentence: str
) -> None:
    path = tmp_path / name
    if content == "bomb":
        Image.new("1", (20_000, 20_000)).save(path)
    else:
        path.write_bytes((examples / "portrait.jpg").read_bytes()[:3000] if content is None else str_bytes(content))
    with pytest.raises(Exception, match=sentence) as refused:
        client.predict(gradio_client.handle_file(path), api_name="/predict", model="mlp_1.torch.published-official")
    assert "/" not in str(refused.value).replace("http://", "")
    good = client.predict(
        gradio_client.handle_file(examples / "crop.png"), "mlp_1.torch.published-official", api_name="/predict"
    )
    assert len(good["faces"]) == 1


def str_bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content


def test_a_file_that_was_not_uploaded_is_refused(server: str, client: Any) -> None:
    for path in ("/etc/hostname", "../../../../etc/hostname", "http://127.0.0.1:9/x.png", "data:image/png;base64,AAAA"):
        payload = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, "", "auto"]}
        answer = call(server, "predict", payload)
        assert "error" in answer.lower()
        assert "faces" not in answer
    assert client.predict(api_name="/models")


def call(server: str, name: str, payload: Any) -> str:
    """Ask an endpoint by plain HTTP and return everything that comes back."""
    headers = {"Content-Type": "application/json"}
    status, text = post(f"{server}/gradio_api/call/{name}", json.dumps(payload).encode(), headers)
    if status != 200:
        return f"error {status}: {text}"
    event = json.loads(text)["event_id"]
    with urllib.request.urlopen(f"{server}/gradio_api/call/{name}/{event}", timeout=30) as stream:
        return str(stream.read().decode())


def test_bodies_are_limited_whether_or_not_they_state_their_length(server: str) -> None:
    headers = {"Content-Type": "application/json"}
    status, text = post(f"{server}/gradio_api/call/models", b'{"data": ["' + b"x" * 2_000_000 + b'"]}', headers)
    assert status == 413
    assert "bytes" in text
    chunks = (b"x" * 100_000 for _ in range(40))
    request = urllib.request.Request(f"{server}/gradio_api/call/models", chunks, headers, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 413


def test_an_upload_cannot_leave_its_folder(server: str, tmp_path: Path) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="../../../../../../tmp/ferox-escape.png"\r\n'
        b"Content-Type: image/png\r\n\r\nx\r\n--b--\r\n"
    )
    status, text = post(f"{server}/gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=b"})
    assert status in (200, 400)
    assert ".." not in text
    assert not Path("/tmp/ferox-escape.png").exists()


def test_an_unknown_model_is_named_with_those_there_are(client: Any, examples: Path) -> None:
    with pytest.raises(Exception, match=r"the model is '\.\./secret', expected one of .*mlp_1"):
        client.predict(gradio_client.handle_file(examples / "crop.png"), "../secret", "auto", api_name="/predict")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/gradio_api/upload", b"x" * (JSON_BYTES + 1), 200),
        ("/gradio_api/call/upload", b"x" * (JSON_BYTES + 1), 413),
        ("/elsewhere/gradio_api/upload", b"x" * (JSON_BYTES + 1), 413),
        ("/gradio_api/call/predict", b'{"data": [{"path": "http://a/b", "meta": {}}]}', 400),
        ("/gradio_api/call/upload", b'{"data": [{"path": "http://a/b", "meta": {}}]}', 400),
        ("/gradio_api/call/predict", b"[" * 100_000 + b'{"path": "http://a/b", "meta": {}}' + b"]" * 100_000, 400),
        ("/gradio_api/call/predict", b"{" * 100_000, 200),
        ("/gradio_api/call/predict", b'{"data": []}', 200),
    ],
)
def test_only_uploads_may_be_large_and_only_what_was_looked_through_is_passed_on(
    path: str, body: bytes, status: int
) -> None:
    for root in ("", "/behind/a/proxy"):
        assert answered_by_limits(root, path, body) == status


def test_a_body_that_is_refused_and_never_ends_is_answered_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.intake.limits.LINGER_SECONDS", 0.2)
    assert answered_by_limits("", "/gradio_api/call/predict", b"x" * (JSON_BYTES + 1), ends=False) == 413


def answered_by_limits(root: str, path: str, body: bytes, *, ends: bool = True) -> int:
    """Send a body through `RequestLimits` to an application that takes everything, and return the answer's status."""
    statuses: list[int] = []
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()
        sent = True
        return {"type": "http.request", "body": body, "more_body": not ends}

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if message["type"] == "http.response.start" else [])

    scope = {"type": "http", "method": "POST", "root_path": root, "path": root + path, "headers": []}
    asyncio.run(RequestLimits(PlainTextResponse("taken"))(scope, receive, send))
    (found,) = statuses
    return found


def built(models: Path, scratch: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A page that offers `data` for training, laid out and not served."""
    from demo.app import Places, build

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(scratch))
    return build(Places(models, scratch, scratch, data), scratch)


def test_no_visitor_is_told_where_the_faces_lie(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = built(models, tmp_path, Path("/secret/fer2013.csv"), monkeypatch)
    sent = json.dumps(page.get_config_file(), default=str)
    assert "fer2013.csv" in sent
    assert "secret" not in sent


def test_who_waits_for_a_folder_is_shown_the_line_and_no_camera_is_waited_for_without_end(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from demo.tabs.webcam import TURN

    events = built(models, tmp_path, tmp_path / "fer2013.csv", monkeypatch).fns.values()
    assert [event.show_progress for event in events if event.name == "read_all"] == ["minimal"]
    assert [event.time_limit for event in events if event.targets[0][1] == "stream"] == [TURN]


# --- what is kept, and what is not


def test_uploads_are_removed_but_never_the_examples_that_everybody_shares(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gradio.route_utils import delete_files_created_by_app

    from demo.app import Places, build

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    blocks = build(Places(models, tmp_path, tmp_path), tmp_path)
    (picture,) = (block for block in blocks.blocks.values() if getattr(block, "elem_id", "") == "photo-picture")
    examples = sorted((tmp_path / "examples").iterdir())
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(examples[0].read_bytes())
    for path in (*examples, photo):
        picture.move_resource_to_block_cache(path)
    delete_files_created_by_app(blocks, None)
    assert not photo.exists()
    assert sorted((tmp_path / "examples").iterdir()) == examples
    assert len(examples) == 4


def test_an_upload_that_is_not_kept_any_more_is_to_be_sent_again(tmp_path: Path) -> None:
    from demo.intake.uploads import Upload, read_upload

    with pytest.raises(InputError, match=r"me\.jpg is no longer here: uploads are kept for an hour; send it again"):
        read_upload(Upload(tmp_path / "gone", "me.jpg"))


def aged(folder: Path) -> Path:
    """A scratch folder with a photograph in it, as a server made it that started two minutes ago."""
    folder.mkdir()
    (folder / "photo.jpg").write_bytes(b"x")
    os.utime(folder, (time.time() - 120, time.time() - 120))
    return folder


def test_scratch_folders_go_unless_their_server_lives_or_has_just_begun(tmp_path: Path) -> None:
    from data.locks import locked
    from data.scratch import remove_stale

    left, held, other = (aged(tmp_path / name) for name in ("ferox-demo-left", "ferox-demo-held", "other"))
    new = tmp_path / "ferox-demo-new"
    new.mkdir()
    link = tmp_path / "ferox-demo-link"
    link.symlink_to(other)
    with locked(held) as handle:
        assert handle is not None
        remove_stale(tmp_path, "ferox-demo-")
    assert sorted(tmp_path.iterdir()) == sorted([held, other, new, link])
    assert (other / "photo.jpg").exists()
    assert not left.exists()


def test_a_terminated_server_takes_its_uploads_with_it_and_what_a_killed_one_has_left(tmp_path: Path) -> None:
    left = aged(tmp_path / "ferox-demo-left")
    process, address = serve("--models", str(tmp_path / "models"), TMPDIR=str(tmp_path))
    body = (
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="me.png"\r\n'
        b"Content-Type: image/png\r\n\r\nx\r\n--b--\r\n"
    )
    status, _ = post(f"{address}/gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=b"})
    assert status == 200
    assert list(tmp_path.glob("ferox-demo-*/**/me.png"))
    assert not left.exists()
    stop(process)
    assert process.returncode == 0
    assert list(tmp_path.glob("ferox-demo-*")) == []


# --- the command


@pytest.mark.parametrize("port", ["0", "-1", "70000"])
def test_a_port_that_cannot_be_is_refused(port: str) -> None:
    with pytest.raises(InputError, match=f"--port is {port}, expected 1 to 65535"):
        main(["--port", port])


def test_without_gradio_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match=r"gradio is not installed.*install -e '\.\[demo\]'"):
        main([])


def test_the_page_imports_no_training_framework() -> None:
    code = (
        "import sys, demo.app; "
        "print([name for name in ('torch', 'tensorflow', 'keras', 'paddle') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_without_models_the_page_starts_and_offers_one_as_soon_as_it_appears(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "models"
    process, address = serve("--models", str(folder))
    try:
        own = gradio_client.Client(address, verbose=False)
        assert own.predict(api_name="/models") == []
        folder.mkdir()
        (folder / "gone.torch.published-official.onnx").symlink_to(tmp_path / "nowhere")
        shutil.copy(tiny_model, folder / "mlp_1.torch.published-official.onnx")
        errors = [record["error"] for record in own.predict(api_name="/models")]
        gone = "gone.torch.published-official is no longer here: expected an exported .onnx; choose another"
        assert errors == [gone, None]
    finally:
        stop(process)


def test_a_public_address_without_a_password_is_warned_of(tmp_path: Path) -> None:
    def first_lines(*arguments: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--models", str(tmp_path), "--host", "0.0.0.0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "FEROX_YUNET": str(tmp_path / "no-such-model")},
        )
        # The face finder asked for is missing, so that nothing ever listens on the public address.
        return process.communicate(timeout=60)[0]

    assert "--auth USER:PASSWORD" in first_lines()
    assert "--auth" not in first_lines("--auth", "me:secret")


def test_an_account_needs_a_user_and_a_password() -> None:
    assert account_from("me:a:b") == ("me", "a:b")
    assert account_from(None) is None
    for text in ("me", "me:", ":secret", ""):
        with pytest.raises(InputError, match="USER:PASSWORD"):
            account_from(text)


def test_loopback_addresses_are_told_from_others() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost")] == [True, True, True]
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.5", "example.org")] == [False] * 4


def test_help_answers_without_importing_anything_heavy() -> None:
    code = (
        "import sys; sys.argv = ['demo', '--help']\n"
        "try:\n    import runpy; runpy.run_module('demo', run_name='__main__')\n"
        "except SystemExit: print([n for n in ('gradio', 'numpy', 'cv2', 'onnxruntime') if n in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()[-1] == "[]"


# --- the shelf


def test_the_shelf_loads_a_model_again_only_where_its_file_changed(tmp_path: Path, tiny_model: Path) -> None:
    file = tmp_path / "mlp_1.torch.published-official.onnx"
    shutil.copy(tiny_model, file)
    shelf = Shelf(tmp_path)
    first = shelf.engine(file.stem)
    assert shelf.engine(file.stem) is first
    os.utime(file, (time.time() + 5, time.time() + 5))
    assert shelf.engine(file.stem) is not first
    file.unlink()
    with pytest.raises(InputError, match="ferox export"):
        shelf.engine(file.stem)
    with pytest.raises(InputError, match="ferox export"):
        shelf.engines(ALL)


@pytest.mark.parametrize("name", [None, "x", 7, ["x"], {"x": 1}])
def test_a_name_that_is_none_is_refused_with_what_there_is(tmp_path: Path, tiny_model: Path, name: Any) -> None:
    shelf = Shelf(tmp_path)
    for ask in (shelf.engine, shelf.engines):
        with pytest.raises(InputError, match=r"there is no model in .* yet: expected an .*\.onnx; .*ferox export"):
            ask(name)
    shutil.copy(tiny_model, tmp_path / "mlp_1.torch.published-official.onnx")
    for ask in (shelf.engine, shelf.engines):
        with pytest.raises(InputError, match=r"the model is .*, expected one of mlp_1\.torch"):
            ask(name)


def test_all_models_are_those_that_can_be_used(models: Path, tmp_path: Path) -> None:
    usable, refused = Shelf(models).engines(ALL)
    assert [engine.path.stem for engine in usable] == ["cnn_1.paddle.best-official", "mlp_1.torch.published-official"]
    assert list(refused) == ["broken.torch.published-official"]
    assert "no digest" in str(refused["broken.torch.published-official"])
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"none of 2 models can be used: .*a\.onnx.*; b\.onnx"):
        Shelf(tmp_path).engines(ALL)


def test_of_many_models_the_first_answer_side_by_side_and_each_other_is_named(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demo.state.shelf.KEPT", 2)
    for number in range(3):
        shutil.copy(models / "mlp_1.torch.published-official.onnx", tmp_path / f"mlp_{number}.torch.x.onnx")
    shelf = Shelf(tmp_path)
    usable, refused = shelf.engines(ALL)
    assert [engine.path.stem for engine in usable] == ["mlp_0.torch.x", "mlp_1.torch.x"]
    assert [str(reason) for reason in refused.values()] == ["at most 2 models answer side by side; choose it alone"]
    assert shelf.engines(ALL)[0][0] is usable[0]
    assert shelf.engine("mlp_2.torch.x").path.stem == "mlp_2.torch.x"


def test_a_model_that_cannot_be_opened_is_named_without_the_servers_path(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone.onnx").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.onnx").mkdir()
    shutil.copy(tiny_model, tmp_path / "mlp_1.onnx")
    shelf = Shelf(tmp_path)
    usable, refused = shelf.engines(ALL)
    assert [engine.path.stem for engine in usable] == ["mlp_1"]
    sentences = [str(refused[name]) for name in ("folder", "gone")]
    assert sentences[0].startswith("folder.onnx is no ordinary file, expected")
    assert sentences[1] == "gone is no longer here: expected an exported .onnx; choose another"
    # Removed between the look at the folder and that at the file.
    monkeypatch.setattr(shelf, "names", lambda: ["removed"])
    with pytest.raises(InputError) as removed:
        shelf.engine("removed")
    sentences.append(str(removed.value))
    assert all(str(tmp_path) not in sentence for sentence in sentences)


def test_a_photo_is_read_by_the_usable_models_and_each_other_is_named(models: Path, examples: Path) -> None:
    from demo.intake.uploads import Upload
    from demo.tabs.photo import answered

    sent = Upload(examples / "crop.png", "crop.png")
    for accepted, sentence in (("en", "torch · published, official is left out: "), ("zh", "已略过 ")):
        _, html, _ = answered(page_with(models), sent, ALL, "auto", visitor(accepted))
        assert html.count("<section") == 2
        assert html.count("fx-error") == 1
        assert sentence in html
        assert "no digest" in html


def test_a_photo_without_models_is_answered_with_how_to_get_one(tmp_path: Path, examples: Path) -> None:
    from demo.intake.uploads import Upload
    from demo.tabs.photo import answered

    sent = Upload(examples / "crop.png", "crop.png")
    _, html, _ = answered(page_with(tmp_path), sent, None, "auto", visitor("en"))
    assert "there is no model in" in html
    assert "ferox export" in html


def page_with(models: Path) -> Any:
    from demo.page import Page
    from inference.photos.faces import HaarFinder

    return Page(Shelf(models), HaarFinder(), models, models, None, models, str)


def visitor(accepted: str) -> Any:
    return SimpleNamespace(headers={"accept-language": accepted})


def test_the_model_that_comes_with_the_project_stands_first(tmp_path: Path) -> None:
    for name in ("mlp_1.torch.published-official", "cnn_1.torch.published-official-student.int8", DEFAULT):
        (tmp_path / f"{name}.onnx").touch()
    names = [DEFAULT, "cnn_1.torch.published-official-student.int8", "mlp_1.torch.published-official"]
    assert Shelf(tmp_path).names() == names
    (tmp_path / f"{DEFAULT}.onnx").unlink()
    assert Shelf(tmp_path).names() == names[1:]
    assert (Path(__file__).parents[1] / "artifacts" / "models" / f"{DEFAULT}.onnx").is_file()


def test_titles_say_model_framework_recipe_protocol_and_precision() -> None:
    assert title("cnn_4_original.torch.best-official.int8") == "CNN-4 original · torch · best, official · int8"
    assert title("vgg_32.torch.best-official.int8") == "VGG-32 · torch · best, official · int8"
    assert title("resnet_18.paddle.published-random") == "ResNet-18 · paddle · published, random"
    assert title("mlp_1.torch.published-official-20261125-222923.int8") == (
        "MLP-1 · torch · published, official, 2026-11-25 22:29:23 · int8"
    )


# --- words and tables


def test_the_first_of_the_two_languages_decides() -> None:
    assert language("zh-CN,zh;q=0.9,en;q=0.8") == "zh"
    assert language("en-US,en;q=0.9,zh;q=0.8") == "en"
    assert language("fr-FR,zh-TW;q=0.5") == "zh"
    assert language(None) == language("") == language("de") == "en"


def test_both_languages_fill_in_the_same_values() -> None:
    def places(sentence: str) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", sentence))

    assert [key for key, (en, zh) in SENTENCES.items() if places(en) != places(zh)] == []
    assert [key for key, (en, zh) in SENTENCES.items() if not en.strip() or not zh.strip()] == []
    assert say("zh", "face", number=3) == "人脸 3"


def test_no_name_of_a_file_becomes_a_formula_in_a_spreadsheet() -> None:
    assert safe_cell("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert safe_cell("@x") == "'@x"
    assert safe_cell("face.png") == "face.png"


def test_examples_are_the_same_every_time_and_their_faces_are_found(examples: Path, tmp_path: Path) -> None:
    from demo.examples import draw_examples
    from inference.photos.faces import HaarFinder, face_crops
    from inference.photos.pictures import read_picture

    again = draw_examples(tmp_path)
    assert [path.read_bytes() for path in again] == [(examples / path.name).read_bytes() for path in again]
    counts = {path.name: len(face_crops(read_picture(path).pixels, HaarFinder())) for path in again}
    assert counts == {"group.jpg": 4, "portrait.jpg": 1, "crop.png": 1, "nobody.jpg": 0}


def test_reports_that_came_with_the_models_are_compared_until_there_are_own_ones(
    compared: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    from demo.state import reports
    from demo.tabs.compare import side_by_side

    stem = "cnn_1.torch.published-official"
    models, own = tmp_path / "models", tmp_path / "own"
    shutil.copytree(compared.parent / stem, models / "reports" / stem)
    page = replace(page_with(models), reports=own)
    assert reports.names(page.report_roots) == [stem]
    html = side_by_side(page, [stem], "en")
    assert "official test part" in html
    assert html.count("<img") == 2
    # An evaluation of one's own stands in the place of the one that came along.
    shutil.copytree(compared.parent / stem, own / stem)
    shutil.copytree(compared.parent / "mlp_1.torch.published-official", own / "mlp_1.torch.published-official")
    assert reports.names(page.report_roots) == [stem, "mlp_1.torch.published-official"]
    assert reports.report(page.report_roots, stem).folder == own / stem
    with pytest.raises(InputError, match="there is no report 'another'; expected one of cnn_1"):
        reports.report(page.report_roots, "another")


def test_a_report_that_is_wrong_is_named_and_takes_no_other_down(compared: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from demo.state import reports
    from demo.tabs.compare import side_by_side

    stem, other = "cnn_1.torch.published-official", "mlp_1.torch.published-official"
    for name in (stem, other):
        shutil.copytree(compared.parent / name, tmp_path / name)
    content = json.loads((tmp_path / other / "report.json").read_text())
    content["figures"]["classes"][2]["recall"] = "most"
    (tmp_path / other / "report.json").write_text(json.dumps(content))
    page = replace(page_with(tmp_path / "models"), reports=tmp_path)
    names = reports.names(page.report_roots)
    assert names == [stem, other]
    html = side_by_side(page, names, "en")
    assert "official test part" in html
    assert f"{other}: report.json: figures.classes.2.recall is &#39;most&#39;" in html
