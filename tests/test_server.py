"""The server as programs meet it: the Open Inference Protocol through Triton's own client, and pictures."""

import functools
import gzip
import json
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from server_process import Reply, Served, ask, serving, until

from data.faceset import LABELS, FaceSet
from demo.examples import draw_examples
from inference.engine import Engine

pytest.importorskip("uvicorn", reason="the server needs ferox[serve]")
http_client = pytest.importorskip("tritonclient.http", reason="Triton's client needs ferox[dev]")

NAME = "mlp_1.torch.published-official"
OTHER = "cnn_1.torch.published-official"
INFER = f"/v2/models/{NAME}/infer"
# The time of writing is left out: the workers of one run must collect tests of the same names.
gzipped = functools.partial(gzip.compress, mtime=0)


@pytest.fixture(scope="module")
def models(tiny_model: Path, artifacts: dict[str, Path]) -> list[Path]:
    return [tiny_model, artifacts[OTHER]]


@pytest.fixture(scope="module")
def server(models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("server"), *models) as served:
        yield served


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Any]:
    with http_client.InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=4) as made:
        yield made


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    draw_examples(folder)
    return folder


def tensor(pixels: NDArray[np.uint8], *, binary: bool = True) -> Any:
    made = http_client.InferInput("pixels", list(pixels.shape), "UINT8")
    made.set_data_from_numpy(pixels, binary_data=binary)
    return made


def request(pixels: NDArray[np.uint8], **changes: Any) -> bytes:
    made = {"name": "pixels", "shape": list(pixels.shape), "datatype": "UINT8", "data": pixels.ravel().tolist()}
    return json.dumps({"inputs": [made | changes]}).encode()


# --- Triton's client, unchanged


def test_tritons_client_learns_what_the_server_and_its_models_are(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    for version in ("", "1"):
        assert client.is_model_ready(NAME, version)
        assert client.get_model_metadata(OTHER, version) == {
            "name": OTHER,
            "versions": ["1"],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 48, 48]}],
            "outputs": [{"name": name, "datatype": "FP32", "shape": [-1, 7]} for name in ("logits", "probabilities")],
        }
    assert not client.is_model_ready("other")
    assert not client.is_model_ready(NAME, "2")


@pytest.mark.parametrize("count", [1, 5, 150])
@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_gets_the_engines_answers(
    client: Any, drawn: FaceSet, models: list[Path], count: int, binary: bool
) -> None:
    outputs = [http_client.InferRequestedOutput(name, binary_data=binary) for name in ("logits", "probabilities")]
    for name, path in zip((NAME, OTHER), models, strict=True):
        got = client.infer(name, [tensor(drawn.pixels[:count], binary=binary)], outputs=outputs, request_id="seven")
        logits, probabilities = Engine.load(path, provider="cpu").run(drawn.pixels[:count])
        np.testing.assert_allclose(got.as_numpy("logits"), logits, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(got.as_numpy("probabilities"), probabilities, rtol=1e-5, atol=1e-6)
        said = got.get_response()
        assert (said["model_name"], said["model_version"], said["id"]) == (name, "1", "seven")
        assert said["parameters"]["digest"] == Engine.load(path, provider="cpu").manifest.digest


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_bodies_may_be_packed_both_ways(client: Any, drawn: FaceSet, packing: str) -> None:
    pixels = drawn.pixels[:40]
    plain = client.infer(NAME, [tensor(pixels)]).as_numpy("logits")
    got = client.infer(
        NAME, [tensor(pixels)], request_compression_algorithm=packing, response_compression_algorithm=packing
    )
    np.testing.assert_array_equal(got.as_numpy("logits"), plain)


def test_a_body_may_be_packed_in_several_members(server: Served, drawn: FaceSet) -> None:
    body = request(drawn.pixels[:1])
    body = body.encode() if isinstance(body, str) else body
    packed = gzip.compress(body[:50]) + gzip.compress(b"") + gzip.compress(body[50:])
    reply = ask(server.port, "POST", INFER, packed, content_encoding="gzip")
    assert reply.json()["outputs"] == ask(server.port, "POST", INFER, body).json()["outputs"]


def test_an_answer_is_packed_where_that_is_asked_for(server: Served, drawn: FaceSet) -> None:
    body = request(drawn.pixels[:40])
    plain = ask(server.port, "POST", INFER, body)
    for encoding, unpack in (("gzip", gzip.decompress), ("deflate", zlib.decompress)):
        reply = ask(server.port, "POST", INFER, body, accept_encoding=f"br, {encoding};q=0.5")
        assert reply.headers["content-encoding"] == encoding
        assert json.loads(unpack(reply.body))["outputs"] == plain.json()["outputs"]
    assert "content-encoding" not in ask(server.port, "POST", INFER, body, accept_encoding="gzip;q=0").headers


def test_a_part_of_the_outputs_each_in_its_own_form(client: Any, drawn: FaceSet) -> None:
    outputs = [
        http_client.InferRequestedOutput("probabilities", binary_data=True),
        http_client.InferRequestedOutput("logits", binary_data=False),
    ]
    got = client.infer(NAME, [tensor(drawn.pixels[:2])], outputs=outputs)
    assert [("data" in output) for output in got.get_response()["outputs"]] == [False, True]
    assert got.as_numpy("probabilities").shape == (2, 7)
    got = client.infer(NAME, [tensor(drawn.pixels[:2])], outputs=outputs[:1])
    assert got.as_numpy("logits") is None


def test_requests_of_tritons_client_at_once(client: Any, drawn: FaceSet) -> None:
    alone = [client.infer(NAME, [tensor(drawn.pixels[n : n + 1])]).as_numpy("logits") for n in range(12)]
    asked = [client.async_infer(NAME, [tensor(drawn.pixels[n : n + 1])]) for n in range(12)]
    for pending, expected in zip(asked, alone, strict=True):
        np.testing.assert_allclose(pending.get_result().as_numpy("logits"), expected, rtol=1e-5, atol=1e-5)


def test_tritons_client_is_told_what_is_wrong(client: Any, drawn: FaceSet) -> None:
    with pytest.raises(http_client.InferenceServerException, match=r"expected one of mlp_1") as error:
        client.infer("other", [tensor(drawn.pixels[:1])])
    assert error.value.status() == "404"
    classes = [http_client.InferRequestedOutput("logits", class_count=3)]
    with pytest.raises(http_client.InferenceServerException, match="the parameter classification is of an extension"):
        client.infer(NAME, [tensor(drawn.pixels[:1])], outputs=classes)
    wrong = http_client.InferInput("pixels", [1, 48, 48], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 48, 48), np.float32))
    with pytest.raises(http_client.InferenceServerException, match=r"'FP32', expected UINT8"):
        client.infer(NAME, [wrong])


# --- requests that are wrong


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "input"}, "the inputs are [input], expected [pixels] alone"),
        ({"shape": [1, 47, 48]}, "the shape [1, 47, 48], expected [N, 48, 48]"),
        ({"shape": [0, 48, 48]}, "expected [N, 48, 48] with N at least 1"),
        ({"shape": [-1, 48, 48]}, "expected [N, 48, 48] with N at least 1"),
        ({"shape": [2, 48, 48]}, "expected [2, 48, 48] or 4608 values in a row"),
        ({"shape": "1"}, "inputs.0.shape is '1'"),
        ({"data": None}, "neither data nor binary_data_size"),
        ({"data": [256] + [0] * 2303}, "not all whole numbers from 0 to 255"),
        ({"data": [-1] + [0] * 2303}, "not all whole numbers from 0 to 255"),
        ({"data": [0.5] + [0] * 2303}, "not all whole numbers from 0 to 255"),
        ({"data": [1 << 80] + [0] * 2303}, "not all whole numbers from 0 to 255"),
        ({"data": ["a"] * 2304}, "not all whole numbers from 0 to 255"),
        ({"data": [[0], [0, 1]]}, "is ragged"),
        ({"data": []}, "has the shape [0]"),
        ({"parameters": {"binary_data_size": 2304}}, "both data and binary_data_size"),
        ({"parameters": {"binary_data_size": 2304}, "data": None}, "2304 bytes and 0 follow the JSON"),
        ({"parameters": {"shared_memory_region": "a"}}, "is of an extension that this server lacks"),
    ],
)
def test_a_wrong_input_is_refused_with_a_sentence(
    server: Served, drawn: FaceSet, changes: dict[str, Any], sentence: str
) -> None:
    reply = ask(server.port, "POST", INFER, request(drawn.pixels[:1], **changes))
    assert reply.status == 400
    assert sentence in reply.error


@pytest.mark.parametrize(
    ("body", "headers", "status", "sentence"),
    [
        (b"", {}, 400, "it is no JSON"),
        (b"[]", {}, 400, "the request"),
        (b"{}", {}, 400, "inputs is missing"),
        (b'{"inputs": ' + b"[" * 100_000, {}, 400, "the request"),
        (b'{"inputs": [], "parameters": {"binary_data_output": 1}}', {}, 400, "the inputs are []"),
        (b"{}", {"inference_header_content_length": "9"}, 400, "expected at most the 2 bytes of the body"),
        (b"{}", {"inference_header_content_length": "-1"}, 400, "expected a number of bytes"),
        (b"{}", {"inference_header_content_length": "\xb2"}, 400, "expected a number of bytes"),
        (b"{}", {"inference_header_content_length": "1" * 5000}, 400, "expected a number of bytes"),
        (zlib.compress(b"{}") * 2, {"content_encoding": "deflate"}, 400, "10 bytes follow the deflate"),
        (gzipped(b"{}") + gzipped(b"x")[:-9], {"content_encoding": "gzip"}, 400, "ends too early"),
        (gzipped(b" " * 9_000_000) * 2, {"content_encoding": "gzip"}, 413, "over 10100000 bytes"),
        (b"{}", {"content_encoding": "br"}, 415, "expected gzip, deflate or none"),
        (b"{}", {"content_encoding": "gzip"}, 400, "the body is no gzip"),
        (gzipped(b"{}" * 50)[:-9], {"content_encoding": "gzip"}, 400, "ends too early"),
        (gzipped(b" " * 20_000_000), {"content_encoding": "gzip"}, 413, "over 10100000 bytes"),
        (b" " * 10_100_001, {}, 413, "over 10100000 bytes"),
    ],
)
def test_a_wrong_body_is_refused_with_a_sentence(
    server: Served, body: bytes, headers: dict[str, str], status: int, sentence: str
) -> None:
    reply = ask(server.port, "POST", INFER, body, **headers)
    assert reply.status == status
    assert sentence in reply.error


def test_a_body_of_no_declared_length_is_counted(server: Served) -> None:
    parts = (b" " * 1_000_000 for _ in range(12))
    assert ask(server.port, "POST", INFER, parts).status == 413


def test_too_many_faces_are_refused(server: Served) -> None:
    reply = ask(server.port, "POST", INFER, request(np.zeros((1, 48, 48), np.uint8), shape=[1025, 48, 48]))
    assert (reply.status, reply.error) == (413, "pixels has 1025 faces, expected at most 1024; send several requests")


def test_outputs_and_parameters_are_checked(server: Served, drawn: FaceSet) -> None:
    for change, sentence in (
        ({"outputs": [{"name": "labels"}]}, "the output 'labels' is asked for"),
        ({"outputs": [{"name": "logits"}] * 2}, "each once"),
        ({"parameters": {"binary_data_output": 1}}, "expected true or false"),
        ({"parameters": {"timeout": -1}}, "timeout is '-1', expected a whole number of microseconds"),
        ({"parameters": {"timeout": 10**400}}, "timeout is a larger number, expected a whole number"),
        ({"parameters": {"timeout": "1"}}, "timeout is '1', expected a whole number"),
    ):
        body = json.dumps(json.loads(request(drawn.pixels[:1])) | change)
        reply = ask(server.port, "POST", INFER, body)
        assert reply.status == 400
        assert sentence in reply.error


def test_a_path_that_is_none_is_refused_in_the_protocols_form(server: Served) -> None:
    for method, path, status in (("GET", "/v1/nothing", 404), ("POST", "/v2", 405), ("GET", INFER, 405)):
        reply = ask(server.port, method, path)
        assert reply.status == status
        assert f"there is no {method} {path}" in reply.error


# --- pictures


def predicted(model: Path, picture: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "inference", "predict", str(model), str(picture), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    (record,) = json.loads(done.stdout)
    assert isinstance(record, dict)
    return record


def form(*files: tuple[str, bytes]) -> tuple[bytes, str]:
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n\r\n'.encode() + content + b"\r\n"
        for name, content in files
    ]
    return b"".join([*parts, b"--b--\r\n"]), "multipart/form-data; boundary=b"


def same(record: dict[str, Any], expected: dict[str, Any]) -> None:
    assert [face["box"] for face in record["faces"]] == [face["box"] for face in expected["faces"]]
    for face, other in zip(record["faces"], expected["faces"], strict=True):
        assert face["label"] == other["label"]
        assert face["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
    assert {**record, "faces": []} == {**expected, "faces": []}


@pytest.mark.parametrize("name", ["group.jpg", "crop.png", "nobody.jpg"])
def test_a_picture_gets_one_object_of_predict_json(
    server: Served, models: list[Path], pictures: Path, name: str
) -> None:
    content = (pictures / name).read_bytes()
    body, kind = form((name, content))
    expected = predicted(models[0], pictures / name) | {"file": name}
    same(ask(server.port, "POST", "/v1/faces", body, content_type=kind).json(), expected)
    raw = ask(server.port, "POST", "/v1/faces", content, content_type="image/jpeg").json()
    same(raw, expected | {"file": "the picture"})


def test_a_least_confidence_leaves_the_probabilities(server: Served, pictures: Path) -> None:
    content = (pictures / "group.jpg").read_bytes()
    plain = ask(server.port, "POST", "/v1/faces", content).json()["faces"]
    told = ask(server.port, "POST", "/v1/faces?min_confidence=1", content).json()["faces"]
    assert [face["probabilities"] for face in told] == [face["probabilities"] for face in plain]
    assert [face["label"] for face in told] == [None] * len(plain)


def test_a_model_and_a_way_to_faces_may_be_named(server: Served, models: list[Path], pictures: Path) -> None:
    content = (pictures / "group.jpg").read_bytes()
    expected = predicted(models[1], pictures / "group.jpg") | {"file": "the picture"}
    same(ask(server.port, "POST", f"/v1/faces?model={OTHER}", content).json(), expected)
    whole = ask(server.port, "POST", "/v1/faces?faces=whole", content).json()
    assert [face["box"]["width"] for face in whole["faces"]] == [1280]
    assert list(whole["faces"][0]["probabilities"]) == list(LABELS)
    for query, status, sentence in (
        ("model=other", 404, "the model is 'other'"),
        ("faces=sideways", 400, "expected auto or whole"),
        ("min_confidence=60", 400, "expected 0 (always answer) to 1"),
        ("min_confidence=nan", 400, "expected 0 (always answer) to 1"),
        ("min_confidence=much", 400, "expected a number from 0 to 1"),
    ):
        reply = ask(server.port, "POST", f"/v1/faces?{query}", content)
        assert reply.status == status
        assert sentence in reply.error


def refused(server: Served, body: bytes, **headers: str) -> Reply:
    reply = ask(server.port, "POST", "/v1/faces", body, **headers)
    assert reply.status != 200
    return reply


def test_a_picture_that_cannot_be_read_is_refused_with_a_sentence(server: Served, pictures: Path) -> None:
    content = (pictures / "group.jpg").read_bytes()
    two, kind = form(("a.jpg", content), ("b.jpg", content))
    broken, _ = form(("../../etc/me\x1b.jpg", content[:5000]))
    for body, headers, status, sentence in (
        (b"no picture", {}, 422, "is not a picture that can be read"),
        (b"", {}, 422, "is empty"),
        (content[:5000], {}, 422, "damaged or truncated"),
        (b"\xff" * 10_000_001, {}, 413, "expected at most 10 MB"),
        (two, {"content_type": kind}, 400, "Too many files"),
        (b"--b--\r\n", {"content_type": kind}, 400, "the form has 0 files"),
        (b"x", {"content_type": "multipart/form-data"}, 400, "the form cannot be read"),
        (broken, {"content_type": kind}, 422, "me?.jpg is a damaged"),
        (gzip.compress(content), {"content_encoding": "gzip"}, 415, "send the picture as it is"),
    ):
        reply = refused(server, body, **headers)
        assert (reply.status, sentence in reply.error) == (status, True), reply.error


# --- what the server says of itself


def test_models_are_listed_as_their_manifests_have_them(server: Served, models: list[Path]) -> None:
    listed = ask(server.port, "GET", "/v1/models").json()["models"]
    manifests = [Engine.load(path, provider="cpu").manifest for path in models]
    assert [model["name"] for model in listed] == [NAME, OTHER]
    assert [model["digest"] for model in listed] == [manifest.digest for manifest in manifests]
    assert listed[0]["labels"] == list(LABELS)


def test_the_openapi_document_is_whole_and_its_page_needs_no_network(server: Served) -> None:
    document = ask(server.port, "GET", "/openapi.json").json()
    names = set(document["components"]["schemas"])
    text = json.dumps(document)
    assert document["components"]["schemas"]["InferRequest"]["required"] == ["inputs"]
    assert {"InferRequest", "InferResponse", "PictureRecord", "ErrorDocument"} <= names
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.split('"')[0] in names
    for path in ("/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer", "/v1/faces", "/metrics"):
        assert path in document["paths"]
    page = ask(server.port, "GET", "/")
    html = page.body.decode()
    assert page.headers["content-type"].startswith("text/html")
    assert "POST /v1/faces" in html
    assert "://" not in html
    assert "<script" not in html


def test_the_documents_schemas_hold_what_is_answered(server: Served, drawn: FaceSet, pictures: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="checking schemas needs jsonschema: install ferox[dev]")
    document = ask(server.port, "GET", "/openapi.json").json()
    content = (pictures / "group.jpg").read_bytes()
    for name, value in (
        ("InferResponse", ask(server.port, "POST", INFER, request(drawn.pixels[:2])).json()),
        ("PictureRecord", ask(server.port, "POST", "/v1/faces", content).json()),
        ("ModelList", ask(server.port, "GET", "/v1/models").json()),
        ("ModelMetadata", ask(server.port, "GET", f"/v2/models/{NAME}").json()),
        ("ErrorDocument", ask(server.port, "GET", "/nothing").json()),
    ):
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(value)


def test_figures_are_counted_by_operation_and_model(models: list[Path], drawn: FaceSet, tmp_path: Path) -> None:
    with serving(tmp_path, *models) as server:
        for _ in range(3):
            assert ask(server.port, "POST", INFER, request(drawn.pixels[:5])).status == 200
        assert ask(server.port, "POST", "/v2/models/other/infer", b"{}").status == 404
        # A request is counted when all of it is over, which can be after its answer was read.
        until(lambda: len(server.events("request")) == 4)
        figures = ask(server.port, "GET", "/metrics").body.decode().splitlines()
        assert f'ferox_requests_total{{model="{NAME}",operation="ModelInfer",status="200"}} 3.0' in figures
        assert 'ferox_requests_total{model="",operation="ModelInfer",status="404"} 1.0' in figures
        assert f'ferox_batch_faces_sum{{model="{NAME}"}} 15.0' in figures
        assert f'ferox_queue_faces{{model="{NAME}"}} 0.0' in figures
        assert f'ferox_request_seconds_count{{model="{NAME}",operation="ModelInfer"}} 3.0' in figures
        assert "ferox_requests_in_progress 0.0" in figures
        until(lambda: len(server.events("request")) == 5)
        lines = server.events("request")
        assert [line["status"] for line in lines] == [200, 200, 200, 404, 200]
        assert (lines[0]["model"], lines[0]["faces"], lines[0]["client"]) == (NAME, 5, "127.0.0.1")
        assert "expected one of" in lines[3]["reason"]


def test_a_folder_is_all_of_its_models(models: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    for path in models:
        shutil.copy(path, folder)
    with serving(tmp_path, folder) as server:
        listed = ask(server.port, "GET", "/v1/models").json()["models"]
        assert [model["name"] for model in listed] == sorted([NAME, OTHER])
