"""The page in a real browser: Debian's Chromium, driven by Playwright. Nothing may leave the machine."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import BROWSER_FLAGS, PATIENCE, ROOT, page_address

from data.faceset import LABELS
from demo.view.words import EMOTIONS_ZH

pytest.importorskip("gradio", reason="the page needs Gradio: install ferox[demo]")

NAME = "mlp_4.torch.published-official"
OTHER = "cnn_1.torch.published-official"


@pytest.fixture(scope="module")
def models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in (NAME, OTHER):
        shutil.copy(tiny_model, folder / f"{name}.onnx")
    return folder


@pytest.fixture(scope="module")
def reports(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    command = [sys.executable, "-m", "inference", "compare", *map(str, sorted(models.glob("*.onnx")))]
    subprocess.run([*command, "--no-robustness", "--no-latency", "--out", str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def server(models: Path, reports: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    runs = tmp_path_factory.mktemp("runs")
    words = ["--models", str(models), "--runs", str(runs), "--reports", str(reports), "--allow-host", "ferox.test"]
    with page_address([sys.executable, "-m", "demo", *words], ROOT, os.environ) as address:
        yield address


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from demo.examples import draw_examples

    folder = tmp_path_factory.mktemp("examples")
    draw_examples(folder)
    return folder


def give(page: Any, picture: Path) -> None:
    page.set_input_files("#photo-picture input[type=file]", picture)


def choose(page: Any, chooser: str, text: str) -> None:
    page.click(f"{chooser} input")
    page.click(f"{chooser} [role=option]:has-text('{text}')")


def expected_labels(model: Path, picture: Path) -> list[str]:
    command = [sys.executable, "-m", "inference", "predict", str(model), str(picture), "--json"]
    (record,) = json.loads(subprocess.check_output(command, text=True))
    return [face["label"] for face in record["faces"]]


# --- Photo


def test_every_face_of_a_photo_gets_a_card_with_the_label_that_the_command_line_gives(
    visit: Callable[..., Any], models: Path, examples: Path
) -> None:
    page = visit()
    give(page, examples / "group.jpg")
    page.wait_for_selector("#photo-answer .fx-card >> nth=3")
    shown = page.eval_on_selector_all("#photo-answer .fx-card", "cards => cards.map(card => card.dataset.label)")
    assert shown == expected_labels(models / f"{NAME}.onnx", examples / "group.jpg")
    first = page.locator("#photo-answer .fx-card").first
    shares = [float(text.rstrip("%")) for text in first.locator(".fx-share").all_inner_texts()]
    assert len(shares) == 7
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert page.locator("#photo-seen img").count() == 1


def test_below_a_least_confidence_the_page_is_unsure(visit: Callable[..., Any], examples: Path) -> None:
    page = visit()
    give(page, examples / "portrait.jpg")
    page.wait_for_selector("#photo-answer .fx-card .fx-label span")
    page.fill("#photo-least input[type=number]", "0.95")
    page.locator("#photo-least input[type=number]").blur()
    page.wait_for_selector("#photo-answer .fx-card[data-label=unsure]")
    assert page.locator("#photo-answer .fx-unsure").inner_text().startswith("Unsure: perhaps ")
    assert page.locator("#photo-answer .fx-share").count() == 7


def test_all_models_stand_side_by_side_on_the_same_face(visit: Callable[..., Any], examples: Path) -> None:
    page = visit()
    give(page, examples / "portrait.jpg")
    page.wait_for_selector("#photo-answer .fx-card")
    assert page.locator("#photo-answer section").count() == 1
    choose(page, "#photo-model", "All models")
    page.wait_for_selector("#photo-answer .fx-card section >> nth=1")
    shown = page.eval_on_selector_all("#photo-answer section", "all => all.map(each => each.dataset.model)")
    assert shown == [OTHER, NAME]


def test_what_the_model_looked_at_is_shown_when_it_is_asked_for(visit: Callable[..., Any], examples: Path) -> None:
    page = visit()
    give(page, examples / "group.jpg")
    page.wait_for_selector("#photo-answer .fx-card >> nth=3")
    assert not page.locator("#photo-looked input").is_checked()
    assert page.locator(".fx-heats").count() == 0
    page.check("#photo-looked input")
    page.wait_for_selector("#photo-answer .fx-card >> nth=3 >> .fx-heats")
    assert page.locator(".fx-heats[data-method=occlusion]").count() == 4
    for card in page.locator("#photo-answer .fx-card").all():
        named = [name.strip() for name in card.locator(".fx-name").all_inner_texts()[:2]]
        assert card.locator(".fx-heats figcaption b").all_inner_texts() == named
        assert all(width > 40 for width in card.locator(".fx-heats img").evaluate_all("all => all.map(i => i.width)"))
    assert "Red places speak for an answer" in page.inner_text("#photo-answer")
    # It stays on for the next model, of several, and goes again.
    choose(page, "#photo-model", "All models")
    page.wait_for_selector("#photo-answer .fx-card section >> nth=1 >> .fx-heats")
    page.uncheck("#photo-looked input")
    page.wait_for_function("() => !document.querySelector('.fx-heats')")
    assert page.locator("#photo-answer .fx-card").count() == 4


def test_answers_download_as_json_and_csv(visit: Callable[..., Any], examples: Path) -> None:
    page = visit()
    give(page, examples / "group.jpg")
    page.wait_for_selector("#photo-answer .fx-card")

    def saved(name: str) -> str:
        with page.expect_download() as download:
            page.click(f"#photo-answer a[download='{name}']")
        return Path(download.value.path()).read_text(encoding="utf-8-sig")

    (record,) = json.loads(saved("faces.json"))
    assert record["file"] == "group.jpg"
    assert len(record["faces"]) == 4
    rows = list(csv.DictReader(io.StringIO(saved("faces.csv"))))
    assert [row["label"] for row in rows] == [face["label"] for face in record["faces"]]
    assert [float(rows[0][label]) for label in LABELS] == pytest.approx(
        list(record["faces"][0]["probabilities"].values())
    )


def test_without_a_face_the_whole_picture_can_be_taken(visit: Callable[..., Any], examples: Path) -> None:
    page = visit()
    give(page, examples / "nobody.jpg")
    page.wait_for_selector("text=No face was found")
    page.click("#photo-whole")
    page.wait_for_selector("#photo-answer .fx-card")
    assert page.locator("#photo-answer .fx-card").count() == 1
    choose(page, "#photo-model", "All models")
    page.wait_for_selector("#photo-answer .fx-card section >> nth=1")
    page.click("#photo-picture [aria-label='Remove Image']")
    give(page, examples / "group.jpg")
    page.wait_for_selector("#photo-answer .fx-card >> nth=3")


def test_no_late_answer_takes_the_place_of_what_was_asked_for_last(visit: Callable[..., Any], examples: Path) -> None:
    page = visit()
    choose(page, "#photo-model", "All models")
    give(page, examples / "nobody.jpg")
    page.wait_for_selector("text=No face was found")
    page.click("#photo-whole")
    page.wait_for_selector("#photo-answer .fx-card")
    page.check("#photo-looked input")
    page.wait_for_selector("#photo-answer .fx-heats")
    page.click("#photo-picture [aria-label='Remove Image']")
    page.wait_for_selector("#photo-answer .fx-empty")
    # What each model looked at in four faces takes a while; that is no longer wanted while it is found out.
    give(page, examples / "group.jpg")
    page.wait_for_selector("#photo-picture img")
    page.uncheck("#photo-looked input")
    page.wait_for_selector("#photo-answer .fx-card >> nth=3")
    page.wait_for_function("() => !document.querySelector('#photo-answer .fx-heats')")
    page.wait_for_timeout(3000)
    assert page.locator("#photo-answer .fx-card").count() == 4
    assert page.locator("#photo-answer .fx-heats").count() == 0


def test_a_file_that_is_no_picture_is_refused_in_one_sentence_and_the_next_one_is_taken(
    visit: Callable[..., Any], examples: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("hello")
    page = visit()
    give(page, tmp_path / "text.png")
    sentence = page.wait_for_selector("#photo-answer .fx-error").inner_text()
    assert "text.png is not a picture" in sentence
    page.click("#photo-picture [aria-label='Remove Image']")
    give(page, examples / "crop.png")
    page.wait_for_selector("#photo-answer .fx-card")


def test_an_example_is_read_when_it_is_clicked(visit: Callable[..., Any]) -> None:
    page = visit()
    page.click("#photo-examples button >> nth=1")
    page.wait_for_selector("#photo-answer .fx-card")


def test_a_new_model_appears_by_itself(visit: Callable[..., Any], models: Path, tiny_model: Path) -> None:
    page = visit()
    assert len(offered(page, "#photo-model")) == 3
    added = models / "mlp_2.torch.best-official.onnx"
    shutil.copy(tiny_model, added)
    try:
        for _ in range(60):
            if len(titles := offered(page, "#photo-model")) == 4:
                break
            page.wait_for_timeout(1000)
        assert "MLP-2 · torch · best, official" in titles
    finally:
        added.unlink()


def offered(page: Any, chooser: str) -> list[str]:
    """Return the titles that a chooser offers, without choosing one."""
    page.click(f"{chooser} input")
    page.wait_for_selector(f"{chooser} [role=option]")
    titles = [
        str(text).removeprefix("✓").strip() for text in page.locator(f"{chooser} [role=option]").all_inner_texts()
    ]
    page.press(f"{chooser} input", "Tab")
    return titles


# --- Folder


def test_a_zip_becomes_a_gallery_a_table_and_a_csv(visit: Callable[..., Any], examples: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "to_be_predicted.zip", "w") as archive:
        for name in ("group.jpg", "crop.png", "nobody.jpg"):
            archive.write(examples / name, f"to_be_predicted/{name}")
        archive.writestr("to_be_predicted/broken.jpg", b"no picture")
    page = visit()
    page.click("role=tab[name='Folder']")
    page.set_input_files("#folder-files input[type=file]", tmp_path / "to_be_predicted.zip")
    page.wait_for_selector("#folder-files >> text=to_be_predicted")
    page.click("#folder-run")
    page.wait_for_selector("#folder-answer .fx-tiles")
    assert page.locator("#folder-answer figure").count() == 4
    rows = page.locator("#folder-answer tbody tr")
    assert rows.count() == 4 + 1 + 1 + 1
    assert "is not a picture" in page.locator("#folder-answer tr.fx-bad").inner_text()
    with page.expect_download() as download:
        page.click("#folder-answer a[download]")
    assert len(Path(download.value.path()).read_text().splitlines()) == 1 + 7


def test_who_waits_for_another_folder_sees_the_line_and_is_served_next(
    visit: Callable[..., Any], examples: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "long.zip", "w") as archive:
        for number in range(1000):
            archive.write(examples / "group.jpg", f"{number}.jpg")
    first = open_folder(visit, tmp_path / "long.zip")
    first.click("#folder-run")
    first.wait_for_selector("#folder-answer .fx-progress")
    second = open_folder(visit, examples / "crop.png")
    second.click("#folder-run")
    second.wait_for_selector("#folder-answer >> text=/queue: 1\\/1/")
    second.click("#folder-stop")
    second.wait_for_selector("#folder-answer >> text=Stopped before a picture was read.")
    second.click("#folder-run")
    second.wait_for_selector("#folder-answer >> text=/queue: 1\\/1/")
    first.click("#folder-stop")
    first.wait_for_selector("#folder-answer >> text=/Stopped after .* of 1,000 pictures/")
    assert first.locator("#folder-answer figure").count() > 0
    second.wait_for_selector("#folder-answer figure")


def open_folder(visit: Callable[..., Any], sent: Path) -> Any:
    """Open the Folder tab and give it a file."""
    page = visit()
    page.click("role=tab[name='Folder']")
    page.set_input_files("#folder-files input[type=file]", sent)
    page.wait_for_selector(f"#folder-files >> text={sent.stem}")
    return page


# --- Webcam


def test_the_camera_is_read_until_it_is_stopped(visit: Callable[..., Any]) -> None:
    page = visit()
    page.click("role=tab[name='Webcam']")
    page.click("text=Click to Access Webcam")
    page.click("#webcam-camera [aria-label='capture photo']")
    first = page.wait_for_selector("#webcam-answer .fx-latency").inner_text()
    assert re.fullmatch(r"\d+ ms a frame on the server · [\d.]+ frames a second", first)
    page.wait_for_function(
        "before => document.querySelector('#webcam-answer .fx-latency').innerText !== before", arg=first
    )
    page.click("#webcam-camera [aria-label='capture photo']")
    page.wait_for_selector("#webcam-camera [title='start recording']")


# --- Compare


def test_reports_stand_side_by_side_with_their_pictures(visit: Callable[..., Any], reports: Path) -> None:
    page = visit()
    page.click("role=tab[name='Compare']")
    page.wait_for_selector("#compare-answer tbody tr >> nth=1")
    assert page.locator("#compare-answer img").count() == 4
    accuracies = [float(row["accuracy"]) for row in figures(reports)]
    shown = page.locator("#compare-answer tbody tr td:nth-child(3)").all_inner_texts()
    assert shown == [f"{100 * accuracy:.2f} %" for accuracy in sorted(accuracies, reverse=True)]
    page.click("#compare-chosen [aria-label*='Remove'], #compare-chosen .token-remove >> nth=0")
    page.wait_for_function("document.querySelectorAll('#compare-answer tbody tr').length === 1")
    left = page.locator("#compare-answer h4").inner_text()
    page.click("role=tab[name='Photo']")
    page.click("role=tab[name='Compare']")
    page.wait_for_timeout(1000)
    assert page.locator("#compare-answer h4").all_inner_texts() == [left]
    page.click("#compare-pages button")
    whole = page.frame_locator("#compare-whole iframe")
    assert whole.locator("h1").first.inner_text() == "Which model to ship"
    whole.locator("#table-1 .sortable tbody a").first.click()
    whole.locator("#model-1-0[open] .confusion").wait_for()
    assert whole.locator("h1").first.inner_text() == "Which model to ship"


def figures(reports: Path) -> list[dict[str, Any]]:
    contents = [json.loads(path.read_text()) for path in sorted(reports.glob("*/report.json"))]
    return [content["figures"] for content in contents if "report" in content]


# --- Train


def open_train(visit: Callable[..., Any], epochs: int) -> Any:
    """Open the Train tab, choose the smallest model, and load it."""
    page = visit()
    page.click("role=tab[name='Train']")
    choose(page, "#train-model", "mlp_1")
    page.wait_for_selector("#train-layers >> text=1,246,727 parameters")
    page.fill("#train-epochs input", str(epochs))
    page.click("#train-load")
    return page


@pytest.mark.timeout(600)
def test_a_training_is_loaded_paused_resumed_exported_and_used(visit: Callable[..., Any], examples: Path) -> None:
    pytest.importorskip("onnxscript", reason="exporting needs ferox[export]")
    page = open_train(visit, 20_000)
    assert "expected 1 to 10000" in page.wait_for_selector("#train-said .fx-error").inner_text()
    # Long enough that it is still at work when the page has shown its first epoch, on a fast machine too.
    page.fill("#train-epochs input", "20")
    page.click("#train-load")
    page.wait_for_selector("#train-said >> text=Loaded and locked")
    assert page.is_disabled("#train-epochs input")
    page.click("#train-start")
    page.wait_for_selector(".fx-run[data-status=running] >> text=/epoch [1-9]/")
    page.click("#train-pause")
    page.wait_for_selector(".fx-run[data-status=paused]")

    again = visit()
    again.click("role=tab[name='Train']")
    again.wait_for_selector(".fx-run[data-status=paused]")
    again.click("#train-resume")
    page.wait_for_selector(".fx-run[data-status=finished][data-epochs='20']", timeout=5 * PATIENCE)
    assert page.locator("#train-shown .fx-figures img").count() == 3
    assert page.locator("#train-shown .fx-classes tbody tr").count() == 7
    page.click("#train-export")
    page.wait_for_selector("#train-exported >> text=is published", timeout=5 * PATIENCE)

    page.click("role=tab[name='Photo']")
    give(page, examples / "portrait.jpg")
    page.wait_for_selector("#photo-answer .fx-card")
    for _ in range(60):
        if any(title.startswith("MLP-1 · torch · published, official, 20") for title in offered(page, "#photo-model")):
            break
        page.wait_for_timeout(1000)
    choose(page, "#photo-model", "MLP-1 · torch · published, official")
    page.wait_for_selector("#photo-answer section[data-model^='mlp_1.torch.published-official-20']")


@pytest.mark.timeout(600)
def test_a_second_training_asks_and_a_stopped_one_frees_the_page(visit: Callable[..., Any]) -> None:
    first = open_train(visit, 5000)
    first.wait_for_selector("#train-said >> text=Loaded and locked")
    first.click("#train-start")
    first.wait_for_selector(".fx-run[data-status=running]")
    second = open_train(visit, 4000)
    second.wait_for_selector("#train-said >> text=Loaded and locked")
    second.click("#train-start")
    second.wait_for_selector("text=Only one runs at a time")
    second.click("#train-replace")
    second.wait_for_selector(".fx-run >> text=of 4000", timeout=3 * PATIENCE)
    second.click("#train-stop")
    second.wait_for_selector(".fx-run[data-status=stopped]", timeout=3 * PATIENCE)
    first.wait_for_selector(".fx-run[data-status=stopped]")


# --- Languages and widths


def test_a_chinese_browser_gets_chinese(visit: Callable[..., Any], examples: Path) -> None:
    page = visit("zh-CN")
    page.wait_for_selector("text=照片")
    give(page, examples / "portrait.jpg")
    label = page.wait_for_selector("#photo-answer .fx-label").inner_text()
    assert any(name in label for name in EMOTIONS_ZH.values())
    page.click("role=tab[name='训练']")
    page.wait_for_selector("#train-layers >> text=个参数")
    page.wait_for_function("document.querySelector('#train-data input').value === '程序绘制的人脸'")
    assert "__i18n__" not in page.inner_text("body")


# Where a chooser's text has to end, and where its arrow begins, in pixels from the left.
TEXT_AND_ARROW = """() => {
  const text = document.querySelector("#photo-model input");
  const end = text.getBoundingClientRect().right - parseFloat(getComputedStyle(text).paddingRight);
  return [end, document.querySelector("#photo-model .dropdown-arrow").getBoundingClientRect().left];
}"""


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_its_width(visit: Callable[..., Any], examples: Path, width: int) -> None:
    page = visit(width=width)
    give(page, examples / "group.jpg")
    page.wait_for_selector("#photo-answer .fx-card")
    choose(page, "#photo-model", "All models")
    page.wait_for_selector("#photo-answer section + section")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    text_ends, arrow = page.evaluate(TEXT_AND_ARROW)
    assert text_ends <= arrow


# --- No camera


@pytest.fixture
def strict_browser(browser: Any) -> Iterator[Any]:
    """A browser that gives nobody the camera, and takes ferox.test for this machine."""
    flags = [flag for flag in BROWSER_FLAGS if "fake-ui" not in flag]
    mapped = "--host-resolver-rules=MAP ferox.test 127.0.0.1"
    opened = browser.browser_type.launch(executable_path=shutil.which("chromium"), args=[*flags, mapped])
    yield opened
    opened.close()


def open_webcam(browser: Any, address: str) -> Any:
    page = browser.new_page(locale="en-US")
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.click("role=tab[name='Webcam']")
    return page


def test_a_refused_camera_is_explained(strict_browser: Any, server: str) -> None:
    page = open_webcam(strict_browser, server)
    page.wait_for_selector("#webcam-refused [data-reason]", state="attached")
    assert page.locator("#webcam-refused [data-reason]:visible").count() == 0
    page.click("text=Click to Access Webcam")
    page.wait_for_selector("#webcam-refused >> text=does not let the page have the camera")
    assert page.locator("#webcam-refused [data-reason]:visible").count() == 1


def test_a_camera_that_no_browser_gives_is_explained(strict_browser: Any, server: str) -> None:
    page = open_webcam(strict_browser, server.replace("127.0.0.1", "ferox.test"))
    page.wait_for_selector("#webcam-refused >> text=only to pages with https")
    assert page.locator("#webcam-refused [data-reason]:visible").count() == 1


def test_no_other_page_can_show_this_one_in_a_frame(strict_browser: Any, server: str) -> None:
    page = strict_browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.set_content(f"<iframe src='{server}'></iframe>")
    page.wait_for_timeout(2000)
    assert any("frame" in text and ("refused" in text.lower() or "violates" in text) for text in said)
