"""The Folder tab: many pictures or a zip, a row for each face, and one unreadable file that stops no other."""

import io
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

import gradio as gr
import numpy as np
from PIL import Image

from data.errors import InputError
from data.leftout import Tally, sentence
from demo.intake.archive import Source, sources
from demo.intake.uploads import Upload, uploads
from demo.page import Page, browser_language, model_choice
from demo.state.shelf import title
from demo.view.annotate import numbered
from demo.view.cards import COLOURS, Reading, csv_link, notice
from demo.view.words import Language, emotion, say
from inference.engine import Engine
from inference.photos.faces import FaceBox, Finder
from inference.photos.pictures import Picture, file_name, read_picture
from inference.photos.reading import FacePrediction, PicturePrediction, predict_picture
from inference.text import percent

SHOWN = 300  # Tiles and rows on the page.
THUMBNAIL = 200  # Pixels.
EVERY = 0.4  # Seconds between two signs of progress.


@dataclass
class Work:
    """What has been read of one visitor's pictures, `total` of them; kept here so that stopping does not lose it."""

    visitor: str | None = None
    model: str = ""
    total: int = 0
    seconds: float = 0.0
    left_out: Tally = field(default_factory=Tally)
    predictions: list[PicturePrediction] = field(default_factory=list)
    tiles: list[str] = field(default_factory=list)

    def shown(self, lang: Language) -> str:
        """Return gallery, table and CSV of what has been read, and whether that is not all."""
        predictions, tiles = list(self.predictions), list(self.tiles)
        if len(predictions) == self.total:
            return _finished(self, predictions, tiles, lang)
        stopped = notice(say(lang, "folder_stopped", done=f"{len(predictions):,}", total=f"{self.total:,}"))
        return stopped + (_finished(self, predictions, tiles, lang) if predictions else "")


def build(page: Page, _: gr.Tab) -> None:
    """Lay out the tab and wire it up."""
    text = page.text
    with gr.Row(equal_height=False, elem_classes="fx-columns"):
        with gr.Column(scale=4, min_width=300):
            files = gr.File(label=text("files"), file_count="multiple", elem_id="folder-files", height=260)
            # As in the Photo tab, no event may update this component's settings.
            files.preprocess = uploads  # type: ignore[method-assign, assignment]
            model = model_choice(page, "folder-model", several=False)
            with gr.Row():
                run = gr.Button(text("run"), variant="primary", elem_id="folder-run")
                halt = gr.Button(text("stop"), elem_id="folder-stop")
        with gr.Column(scale=8, min_width=320):
            answer = gr.HTML(f"<div class='fx-notice fx-empty'>{text('folder_empty')}</div>", elem_id="folder-answer")
    # One is read at a time, so that the last one is all there is to keep.
    desk = [Work()]

    def read_all(sent: list[Upload], name: str | None, request: gr.Request) -> Iterator[str]:
        desk[0] = Work(request.session_hash)
        yield from answered(page, sent, name, browser_language(request), desk[0])

    def stop(request: gr.Request) -> str:
        lang, work = browser_language(request), desk[0]
        if work.visitor == request.session_hash and work.total:
            return work.shown(lang)
        return notice(say(lang, "folder_withdrawn"))

    # A line of its own: a folder takes minutes, and a photo must not wait for it. Who waits in it sees the place in it.
    going = run.click(
        read_all,
        [files, model],
        answer,
        concurrency_limit=1,
        show_progress="minimal",
        api_visibility="private",
    )
    halt.click(stop, None, answer, cancels=[going], queue=False, show_progress="hidden", api_visibility="private")


def answered(
    page: Page, sent: Sequence[Upload], name: str | None, lang: Language, work: Work | None = None
) -> Iterator[str]:
    """Yield what the tab shows: how far it is, and at the end gallery, table and CSV; `work` is filled on the way."""
    work = work or Work()
    began = shown = time.perf_counter()
    try:
        if not sent:
            raise InputError(say(lang, "folder_empty"))
        engine = page.shelf.engine(name)
        with sources(sent, work.left_out) as waiting:
            work.model, work.total = engine.path.stem, len(waiting)
            yield progress_bar(0, work.total, lang)
            for source in waiting:
                prediction, tile = read_one(engine, source, page.finder, lang, draw=len(work.tiles) < SHOWN)
                work.predictions.append(prediction)
                work.seconds = time.perf_counter() - began
                work.tiles += [tile] if tile else []
                if time.perf_counter() - shown > EVERY:
                    shown = time.perf_counter()
                    yield progress_bar(len(work.predictions), work.total, lang)
    except InputError as error:
        yield notice(str(error), "error")
        return
    yield work.shown(lang)


def read_one(
    engine: Engine, source: Source, finder: Finder, lang: Language, *, draw: bool
) -> tuple[PicturePrediction, str]:
    """Return what the model sees in one picture, and its tile if `draw`; an unreadable one has its error in both."""
    try:
        picture = read_picture(source.read(), file_name(source.name))
    except InputError as error:
        broken = PicturePrediction(source.name, (), (), str(error))
        return broken, _tile(source.name, "", notice(str(error), "error")) if draw else ""
    seen = predict_picture(engine, picture, finder, "auto")
    named = PicturePrediction(source.name, seen.notes, seen.faces)
    return named, _picture_tile(named, picture, lang) if draw else ""


def progress_bar(done: int, total: int, lang: Language) -> str:
    """Return how far something is, in words and as a bar."""
    share = 100 * done / total if total else 0
    sentence = say(lang, "progress", done=f"{done:,}", total=f"{total:,}")
    return (
        f"<div class='fx-progress' role='status'><p>{sentence}</p>"
        f"<span class='fx-track'><i style='width:{share:.1f}%'></i></span></div>"
    )


def _finished(work: Work, predictions: Sequence[PicturePrediction], tiles: Sequence[str], lang: Language) -> str:
    head = say(
        lang,
        "folder_done",
        pictures=f"{len(predictions):,}",
        faces=f"{sum(len(prediction.faces) for prediction in predictions):,}",
        refused=sum(prediction.error is not None for prediction in predictions),
        seconds=f"{work.seconds:.1f}",
    )
    table = csv_link([Reading(work.model, title(work.model), prediction) for prediction in predictions], lang)
    links = f"<span class='fx-links'>{table}</span>"
    left_out = notice(sentence(work.left_out.sorted())) if work.left_out.found else ""
    rows = [row for prediction in predictions[:SHOWN] for row in _rows(prediction, lang)]
    cut = len(predictions) > SHOWN or len(rows) > SHOWN
    return (
        f"<div class='fx-head'><span>{head}</span>{links}</div>{left_out}<div class='fx-tiles'>{''.join(tiles)}</div>"
        f"{notice(say(lang, 'only_first', count=SHOWN)) if cut else ''}{_table(rows[:SHOWN], lang)}"
    )


def _picture_tile(prediction: PicturePrediction, picture: Picture, lang: Language) -> str:
    labels = "".join(_chip(number, face, lang) for number, face in enumerate(prediction.faces, 1))
    return _tile(
        prediction.name, _thumbnail(picture, prediction.faces), labels or f"<em>{say(lang, 'no_face_short')}</em>"
    )


def _tile(name: str, image: str, below: str) -> str:
    shown = f"<img src='{image}' alt='' loading='lazy'>" if image else "<span class='fx-broken'>!</span>"
    return f"<figure>{shown}<figcaption><span>{escape(name)}</span>{below}</figcaption></figure>"


def _chip(number: int, face: FacePrediction, lang: Language) -> str:
    words = f"{number} {emotion(lang, face.label)} {percent(face.confidence)}"
    return f"<b style='--tone:{COLOURS[face.label]}'>{words}</b>"


def _thumbnail(picture: Picture, faces: Sequence[FacePrediction]) -> str:
    image = Image.fromarray(picture.pixels)
    image.thumbnail((2 * THUMBNAIL, 2 * THUMBNAIL), reducing_gap=2.0)
    factor = image.width / picture.pixels.shape[1]
    boxes = [
        FaceBox(*(round(side * factor) for side in (face.box.x, face.box.y, face.box.width, face.box.height)))
        for face in faces
    ]
    whole = len(boxes) == 1 and boxes[0].width == image.width
    drawn = Image.fromarray(numbered(np.asarray(image), [] if whole else boxes))
    content = io.BytesIO()
    drawn.thumbnail((THUMBNAIL, THUMBNAIL))
    drawn.save(content, "JPEG", quality=82)
    return "data:image/jpeg;base64," + b64encode(content.getvalue()).decode()


def _table(rows: Sequence[str], lang: Language) -> str:
    names = ("column_file", "column_face", "column_label", "column_share", "column_second")
    head = "".join(f"<th scope='col'>{say(lang, name)}</th>" for name in names)
    return f"<div class='fx-table'><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"


def _rows(prediction: PicturePrediction, lang: Language) -> Iterator[str]:
    name = escape(prediction.name)
    if prediction.error is not None:
        yield f"<tr class='fx-bad'><td>{name}</td><td>–</td><td colspan='3'>{escape(prediction.error)}</td></tr>"
    elif not prediction.faces:
        yield f"<tr><td>{name}</td><td>–</td><td colspan='3'>{say(lang, 'no_face_short')}</td></tr>"
    for number, face in enumerate(prediction.faces, 1):
        (first, best), (second, other) = face.ranking[:2]
        yield (
            f"<tr><td>{name}</td><td>{number}</td><td>{emotion(lang, first)}</td><td>{percent(best, 1)}</td>"
            f"<td>{emotion(lang, second)} {percent(other, 1)}</td></tr>"
        )
