"""The static site in Chromium, as any host would serve it: equal to Python, and no picture leaves the page."""

import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.site_page import FLAGS, answer, draw_pictures, served
from benchmarks.web import Tally, camera_file, page_faces
from data.faceset import LABELS, FaceSet
from demo.examples import draw_examples, face, toned
from demo.view.words import EMOTIONS_ZH
from demo.web.sentences import OWN
from demo.web.site import BUILT, WORKER
from inference.catalogue import DEFAULT, find_model
from inference.engine import Engine
from inference.photos.faces import HaarFinder
from inference.photos.pictures import read_picture
from inference.photos.reading import predict_picture

ROOT = Path(__file__).parents[1]
SLOW = 60_000  # Milliseconds: the machine that runs this may be busy.
OTHER = "resnet_18_48.torch.best-official.int8"
READY = "html[data-ready]"
# Resolves once the service worker has kept all that the first answer needs.
KEPT = """() => new Promise(async (resolve) => {
  const { active } = await navigator.serviceWorker.ready;
  const look = () => active.state === "activated" ? resolve() : setTimeout(look, 20);
  look();
})"""

# The page's first picture, once it is about to be drawn (`held`), waits for `release()`.
HELD = """
const decode = globalThis.createImageBitmap;
globalThis.held = new Promise((tell) => {
  globalThis.createImageBitmap = (...given) => {
    globalThis.createImageBitmap = decode;
    return new Promise((resolve) => { globalThis.release = resolve; tell(); }).then(() => decode(...given));
  };
});
"""

pytestmark = pytest.mark.skipif(not (BUILT / WORKER).is_file(), reason="demo/web is not built: make web")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a site in it, so that it is served in a sub-path, and drawn pictures."""
    made = tmp_path_factory.mktemp("web")
    command = [sys.executable, "-m", "ferox", "web", str(made / "site"), DEFAULT, OTHER, "--embed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{made / 'site'}\n"
    assert "<ferox-faces></ferox-faces>" in done.stderr
    drawn = draw_pictures(made / "drawn", 12)
    # A bit over 1280 pixels, where both copies that are searched are one.
    for width in (1300, 1390):
        with Image.open(drawn[0]) as picture:
            picture.resize((width, round(width * picture.height / picture.width))).save(made / "drawn" / f"{width}.png")
    draw_examples(made / "examples")
    return made


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(folder) as found:
        yield f"{found}/site/"


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Open the page; afterwards no error may have been logged, and no request have gone elsewhere or sent anything."""
    errors: list[str] = []
    requests: list[Any] = []
    contexts = []

    def opened(at: str = address, script: str = "", ready: str = READY, **options: Any) -> Any:
        context = browser.new_context(locale=options.pop("locale", "en-US"), **options)
        contexts.append(context)
        context.on("request", lambda request: requests.append(request))
        page = context.new_page()
        page.set_default_timeout(SLOW)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        if script:
            page.add_init_script(script)
        page.goto(at)
        page.wait_for_selector(ready)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []
    assert [request.url for request in requests if not request.url.startswith((address, "data:", "blob:"))] == []
    assert {(request.method, request.post_data) for request in requests} == {("GET", None)}


def test_it_is_equal_to_python_on_drawn_pictures(visit: Callable[..., Any], folder: Path) -> None:
    page, finder = visit(), HaarFinder()
    page.select_option("#model", "all")
    page.wait_for_selector("#manifest section:nth-child(2)", state="attached")
    engines = [Engine.load(find_model(name), provider="cpu") for name in (DEFAULT, OTHER)]
    tally, kinds = Tally(), set()
    for path in sorted((folder / "drawn").iterdir()):
        picture = read_picture(path)
        found = answer(page, path)
        # Of a picture without a face it has no document.
        records = found if isinstance(found, list) else [{"faces": []}] * len(engines)
        for engine, record in zip(engines, records, strict=True):
            faces = predict_picture(engine, picture, finder, "auto").faces
            for here, there in zip(faces, record["faces"], strict=True):
                tally.add(here, there)
        kinds.add(path.suffix)
    assert kinds == {".png", ".jpg"}
    assert len(tally.sides) > 40
    assert max(tally.sides) <= 1
    assert tally.labels == tally.ties
    # Chromium decodes with the libraries that Pillow has; another version of them may move a grey level.
    assert np.median(tally.differences) < 1e-3


def test_given_pythons_own_crops_probabilities_are_the_same(
    visit: Callable[..., Any], drawn: FaceSet, tmp_path: Path
) -> None:
    page, engine = visit(), Engine.load(find_model(DEFAULT), provider="cpu")
    for pixels, expected in zip(drawn.pixels[:20], engine.predict(drawn.pixels[:20]), strict=True):
        Image.fromarray(pixels).save(tmp_path / "crop.png")
        (face,) = page_faces(page, tmp_path / "crop.png")
        assert np.abs(np.array(list(face["probabilities"].values())) - expected).max() < 1e-3


def test_a_large_picture_is_searched_for_small_faces_as_python_does(visit: Callable[..., Any], tmp_path: Path) -> None:
    scene = np.full((2000, 3000), 190, np.uint8)
    scene[300:420, 500:620], scene[900:1600, 1200:1900] = face(3, 120, 190), face(5, 700, 190)
    Image.fromarray(toned(scene)).save(tmp_path / "large.png")
    page = visit()
    faces = predict_picture(
        Engine.load(find_model(DEFAULT), provider="cpu"), read_picture(tmp_path / "large.png"), HaarFinder(), "auto"
    ).faces
    tally = Tally()
    for here, there in zip(faces, page_faces(page, tmp_path / "large.png"), strict=True):
        tally.add(here, there)
    assert len(tally.sides) == 2
    assert max(tally.sides) <= 1


def test_what_cannot_be_read_gets_a_sentence_and_the_next_picture_an_answer(
    visit: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    page = visit()
    Image.new("L", (16, 600)).save(tmp_path / "long.png")
    Image.new("L", (15, 15)).save(tmp_path / "tiny.png")
    png = (tmp_path / "tiny.png").read_bytes()
    (tmp_path / "huge.png").write_bytes(png[:16] + struct.pack(">II", 8000, 6000) + png[24:])
    (tmp_path / "cut.jpg").write_bytes((folder / "examples" / "group.jpg").read_bytes()[:300])
    (tmp_path / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "heavy.png").write_bytes(png + bytes(10_000_000))
    for name, words in {
        "long.png": "at most 32 times as long as wide",
        "tiny.png": "at least 16 a side",
        "huge.png": "at most 25 megapixels",
        "cut.jpg": "damaged or truncated JPEG",
        "phone.jpg": "HEIC",
        "text.png": "not a picture that can be read",
        "heavy.png": "at most 10 are taken",
    }.items():
        said = answer(page, tmp_path / name)
        assert isinstance(said, str)
        assert said.startswith(f"This cannot be used: {name} ")
        assert words in said
        assert page.get_attribute("#photo-answer .fx-notice", "role") == "alert"
    assert len(page_faces(page, folder / "examples" / "group.jpg")) == 4


def test_a_picture_that_comes_late_does_not_take_the_place_of_a_newer_one(
    visit: Callable[..., Any], folder: Path
) -> None:
    page = visit(script=HELD)
    page.set_input_files("#photo-file", folder / "examples" / "nobody.jpg")
    page.evaluate("held")
    assert len(page_faces(page, folder / "examples" / "group.jpg")) == 4
    page.evaluate("release(); new Promise((resolve) => setTimeout(resolve, 500))")
    assert page.locator("#photo-answer .fx-card").count() == 4
    assert page.is_hidden("#photo-whole")


def test_a_picture_without_a_face_is_offered_whole(visit: Callable[..., Any], folder: Path) -> None:
    page = visit()
    assert str(answer(page, folder / "examples" / "nobody.jpg")).startswith("No face was found")
    page.click("#photo-whole")
    page.wait_for_selector("#photo-answer .fx-card")
    assert page.is_hidden("#photo-whole")
    assert page.is_visible("#photo-seen")


def test_it_works_without_a_network_after_the_first_visit(browser: Any, folder: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    with served(folder) as address:
        page.goto(f"{address}/site/")
        page.wait_for_selector(READY)
        page.evaluate(KEPT)
    page.reload()
    page.wait_for_selector(READY)
    assert len(page_faces(page, folder / "examples" / "group.jpg")) == 4
    page.select_option("#model", OTHER)
    page.wait_for_selector("#status .fx-error")
    assert "no network" in page.inner_text("#status")
    context.close()


def test_an_isolated_page_has_threads(browser: Any, folder: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(SLOW)
    with served(folder, isolated=True) as address:
        page.goto(f"{address}/site/")
        page.wait_for_selector(READY)
        threads = page.evaluate("Math.min(navigator.hardwareConcurrency, 4)")
        assert page.get_attribute("html", "data-threads") == str(threads)
        # One for the page's own worker, and one for each thread but the first.
        assert len(page.workers) == threads
        assert len(page_faces(page, folder / "examples" / "group.jpg")) == 4
        context.close()


def test_neither_page_nor_worker_reaches_another_place(browser: Any, address: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector(READY)
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(1)
        place = f"http://127.0.0.1:{other.getsockname()[1]}"
        attempt = f"fetch('{place}', {{ mode: 'no-cors' }}).then(() => 'sent', () => 'refused')"
        workers = page.workers
        assert len(workers) == 1
        assert [here.evaluate(attempt) for here in (page, *workers)] == ["refused", "refused"]
        with pytest.raises(TimeoutError):
            other.accept()
    # Text does not become code.
    page.evaluate("setTimeout('window.ran = true')")
    page.wait_for_timeout(100)
    assert page.evaluate("window.ran") is None
    context.close()


def test_a_changed_byte_in_a_model_is_found_before_it_answers(
    visit: Callable[..., Any], folder: Path, address: str
) -> None:
    broken = folder / "site" / "broken"
    shutil.copytree(folder / "site", broken, ignore=shutil.ignore_patterns("*.gz", "*.br", "broken"))
    model = broken / "models" / f"{DEFAULT}.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    page = visit(f"{address}broken/", ready="#status .fx-error")
    assert "is damaged: its bytes do not give the digest" in page.inner_text("#status")
    assert page.get_attribute("html", "data-ready") is None


def test_a_browser_without_simd_is_told(visit: Callable[..., Any]) -> None:
    page = visit(script="WebAssembly.validate = () => false", ready="#status .fx-error")
    assert page.inner_text("#status") == OWN["web_no_simd"][0]
    assert page.is_hidden("#page")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("throw new DOMException('', 'NotAllowedError')", "does not let the page have the camera"),
        ("throw new DOMException('', 'NotFoundError')", "finds no camera"),
        ("throw new DOMException('', 'NotReadableError')", "another program may have it"),
    ],
)
def test_a_camera_that_cannot_be_had_is_explained(script: str, words: str, visit: Callable[..., Any]) -> None:
    page = visit(script=f"navigator.mediaDevices.getUserMedia = async () => {{ {script} }}")
    page.click("#tab-webcam")
    page.click("#webcam-start")
    page.wait_for_selector("#webcam-answer .fx-error")
    assert words in page.inner_text("#webcam-answer")
    assert page.inner_text("#webcam-start") == "Start the camera"


def test_a_camera_s_face_keeps_its_number_and_the_camera_is_let_go(browser: Any, address: str, tmp_path: Path) -> None:
    camera = camera_file(tmp_path / "camera.mjpeg")
    flags = [*FLAGS, f"--use-file-for-fake-video-capture={camera}"]
    opened = browser.browser_type.launch(executable_path=shutil.which("chromium"), args=flags)
    page = opened.new_context(permissions=["camera"]).new_page()
    page.set_default_timeout(SLOW)
    page.goto(address)
    page.wait_for_selector(READY)
    page.click("#tab-webcam")
    page.click("#webcam-start")
    page.wait_for_selector(".fx-strip rect:nth-child(13)", state="attached")
    assert page.inner_text("#webcam-answer .fx-label").startswith("1 ")
    assert page.eval_on_selector_all("#webcam-answer .fx-card", "(cards) => cards.length") == 1
    assert "ms a frame in this browser" in page.inner_text(".fx-latency")
    page.click("#tab-photo")
    page.click("#tab-webcam")
    assert page.inner_text("#webcam-start") == "Start the camera"
    assert page.evaluate("document.querySelector('#webcam-video').srcObject") is None
    opened.close()


def test_it_speaks_chinese_and_its_keys_move_between_tabs(visit: Callable[..., Any], folder: Path) -> None:
    page = visit(locale="zh-CN", viewport={"width": 390, "height": 844})
    assert page.get_attribute("html", "lang") == "zh-CN"
    (first, *_) = page_faces(page, folder / "examples" / "group.jpg")
    assert EMOTIONS_ZH[first["label"]] in page.inner_text("#photo-answer .fx-label")
    page.click("#language")
    assert first["label"] in page.inner_text("#photo-answer .fx-label")
    assert page.get_attribute("html", "lang") == "en"
    page.focus("#tab-photo")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#tab-webcam", "aria-selected") == "true"
    assert page.is_visible("#webcam")
    assert page.is_hidden("#photo")
    # Nothing lies beyond a phone's screen.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_manifest_is_shown_and_examples_are_read(visit: Callable[..., Any]) -> None:
    page = visit(color_scheme="dark")
    page.click(".about summary")
    told = page.inner_text("#manifest")
    manifest = Engine.load(find_model(DEFAULT), provider="cpu").manifest
    accuracy = manifest.parity.parts["test"].accuracy
    for words in (manifest.digest[:16], "official", "fer2013.csv", f"{100 * accuracy:.2f} %", "torch", "int8"):
        assert words in told
    page.click("#photo-examples button >> nth=1")
    page.wait_for_selector("#photo-answer .fx-card")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(23, 21, 19)"


def test_another_page_shows_it_by_one_tag_and_is_told_answers(
    browser: Any, address: str, folder: Path, tmp_path: Path
) -> None:
    # The outer page's own policy lets no connection, worker or style through. Playwright asks for 'unsafe-eval'.
    origin = address.removesuffix("/site/")
    policy = f"default-src 'none'; script-src {origin} 'unsafe-inline' 'unsafe-eval'; frame-src {origin}"
    script = "addEventListener('ferox-answer', (event) => { window.told = event.detail; })"
    (tmp_path / "index.html").write_text(
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><script>{script}</script>'
        f'<script src="{address}embed.js"></script><ferox-faces lang="zh"></ferox-faces>'
    )
    with served(tmp_path) as outer:
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(SLOW)
        page.goto(outer.replace("127.0.0.1", "localhost"))
        page.wait_for_function("document.querySelector('ferox-faces').shadowRoot !== null")
        page.wait_for_timeout(100)
        frame = page.wait_for_event("framenavigated") if len(page.frames) < 2 else page.frames[1]
        frame.wait_for_selector(READY)
        assert frame.get_attribute("html", "lang") == "zh-CN"
        assert frame.is_hidden(".fx-header")
        frame.set_input_files("#photo-file", folder / "examples" / "group.jpg")
        page.wait_for_function("window.told !== undefined")
        (record,) = page.evaluate("window.told")
        assert [face["label"] in LABELS for face in record["faces"]] == [True] * 4
        # It grows with its content.
        page.wait_for_function(
            "parseInt(document.querySelector('ferox-faces').shadowRoot.querySelector('iframe').style.height) > 900"
        )
        context.close()
