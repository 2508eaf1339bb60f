"""The Folder tab: many pictures or a zip, a row for each face, and one unreadable file that stops no other."""

import io
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import gradio as gr
import numpy as np
from markupsafe import Markup
from PIL import Image

from data.errors import InputError
from data.leftout import Tally, sentence
from demo.intake.archive import Source, sources
from demo.intake.uploads import KEPT_SECONDS, Upload, uploads
from demo.page import FOLDER_QUEUE, Page, browser_language, least_confidence, model_choice
from demo.view.downloads import csv_link
from demo.view.html import notice, part, placeholder
from demo.view.words import Language, say
from inference.confidence import ALWAYS, check_min_confidence
from inference.engine import Engine
from inference.photos.annotate import numbered
from inference.photos.faces import Finder
from inference.photos.pictures import Picture, file_name, read_picture
from inference.photos.reading import FacePrediction, PicturePrediction, predict_picture

SHOWN = 300  # Tiles and rows on the page.
THUMBNAIL = 200  # Pixels.
EVERY = 0.4  # Seconds between two signs of progress.
OTHERS = 3  # Visitors whose last work is kept beside the newest.


@dataclass
class Work:
    """What has been read of one visitor's pictures, `total` of them; kept here so that stopping does not lose it.

    Faces whose most probable label has less than `min_confidence` get none. `touched` is the time, by
    `time.monotonic`, of the last picture.
    """

    visitor: str | None = None
    model: str = ""
    min_confidence: float = ALWAYS
    total: int = 0
    seconds: float = 0.0
    touched: float = field(default_factory=time.monotonic)
    left_out: Tally = field(default_factory=Tally)
    predictions: list[PicturePrediction] = field(default_factory=list)
    tiles: list[Markup] = field(default_factory=list)

    def shown(self, lang: Language) -> Markup:
        """Return gallery, table and CSV of what has been read, and whether that is not all."""
        predictions, tiles = list(self.predictions), list(self.tiles)
        if len(predictions) == self.total:
            return _finished(self, predictions, tiles, lang)
        stopped = notice(say(lang, "folder_stopped", done=f"{len(predictions):,}", total=f"{self.total:,}"))
        return stopped + (_finished(self, predictions, tiles, lang) if predictions else Markup())


class Desk:
    """The works that visitors may ask for again: the newest of each, a few in all, for as long as uploads are kept.

    Gradio ends a visitor's reading and begins the next one's before it asks for what the first has come to.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._works: list[Work] = []
        self._timer: threading.Timer | None = None

    def begin(self, visitor: str | None, min_confidence: float) -> Work:
        """Return a new work of a visitor, whose former ones are forgotten."""
        work = Work(visitor, min_confidence=min_confidence)
        with self._lock:
            others = [other for other in self._works if other.visitor != visitor and other.total]
            self._works = [*others[-OTHERS:], work]
            self._forget_later()
        return work

    def of(self, visitor: str | None) -> Work | None:
        """Return what a visitor's reading has come to; None where there is none."""
        with self._lock:
            return next((work for work in self._works if work.visitor == visitor and work.total), None)

    def forget_old(self) -> None:
        """Forget what was read too long ago."""
        with self._lock:
            self._works = [work for work in self._works if time.monotonic() - work.touched < KEPT_SECONDS]
            self._timer = None
            self._forget_later()

    def _forget_later(self) -> None:
        if self._timer is None and self._works:
            wait = KEPT_SECONDS - (time.monotonic() - min(work.touched for work in self._works))
            self._timer = threading.Timer(max(wait, 1), self.forget_old)
            self._timer.daemon = True
            self._timer.start()


def build(page: Page, _: gr.Tab) -> None:
    """Lay out the tab and wire it up."""
    text = page.text
    with gr.Row(equal_height=False, elem_classes="fx-columns"):
        with gr.Column(scale=4, min_width=300):
            files = gr.File(label=text("files"), file_count="multiple", elem_id="folder-files", height=260)
            # As in the Photo tab, no event may update this component's settings.
            files.preprocess = uploads  # type: ignore[method-assign, assignment]
            model = model_choice(page, "folder-model", several=False)
            least = least_confidence(page, "folder-least")
            with gr.Row():
                run = gr.Button(text("run"), variant="primary", elem_id="folder-run")
                halt = gr.Button(text("stop"), elem_id="folder-stop")
        with gr.Column(scale=8, min_width=320):
            answer = gr.HTML(placeholder(text("folder_empty")), elem_id="folder-answer")
    desk = Desk()

    def read_all(sent: list[Upload], name: str | None, sure: float, request: gr.Request) -> Iterator[str]:
        work = desk.begin(request.session_hash, sure)
        yield from answered(page, sent, name, browser_language(request), work)

    def stop(request: gr.Request) -> str:
        lang, work = browser_language(request), desk.of(request.session_hash)
        return notice(say(lang, "folder_withdrawn")) if work is None else work.shown(lang)

    # Who waits in this line sees the place in it.
    going = run.click(
        read_all,
        [files, model, least],
        answer,
        concurrency_id=FOLDER_QUEUE,
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
        least = check_min_confidence(work.min_confidence)
        engine = page.shelf.engine(name)
        with sources(sent, work.left_out) as waiting:
            work.model, work.total = engine.path.stem, len(waiting)
            yield progress_bar(0, work.total, lang)
            for source in waiting:
                prediction, tile = read_one(
                    engine, source, page.finder, lang, draw=len(work.tiles) < SHOWN, least=least
                )
                work.predictions.append(prediction)
                work.seconds, work.touched = time.perf_counter() - began, time.monotonic()
                work.tiles += [tile] if tile else []
                if time.perf_counter() - shown > EVERY:
                    shown = time.perf_counter()
                    yield progress_bar(len(work.predictions), work.total, lang)
    except InputError as error:
        yield notice(str(error), "error")
        return
    yield work.shown(lang)


def read_one(
    engine: Engine, source: Source, finder: Finder, lang: Language, *, draw: bool, least: float = ALWAYS
) -> tuple[PicturePrediction, Markup]:
    """Return what the model sees in one picture, and its tile if `draw`; an unreadable one has its error in both."""
    try:
        picture = read_picture(source.read(), file_name(source.name))
    except InputError as error:
        broken = PicturePrediction(source.name, (), (), str(error))
        return broken, tile(broken, None, lang) if draw else Markup()
    seen = replace(predict_picture(engine, picture, finder, "auto", least), name=source.name)
    return seen, tile(seen, picture, lang) if draw else Markup()


def progress_bar(done: int, total: int, lang: Language) -> Markup:
    """Return how far something is, in words and as a bar."""
    return part("progress", lang=lang, done=done, total=total)


def tile(prediction: PicturePrediction, picture: Picture | None, lang: Language) -> Markup:
    """Return a picture of the gallery with what was seen in it; None where it could not be read."""
    thumbnail = "" if picture is None else _thumbnail(picture, prediction.faces)
    return part("tile", lang=lang, prediction=prediction, thumbnail=thumbnail)


def _finished(work: Work, predictions: Sequence[PicturePrediction], tiles: Sequence[Markup], lang: Language) -> Markup:
    head = say(
        lang,
        "folder_done",
        pictures=f"{len(predictions):,}",
        faces=f"{sum(len(prediction.faces) for prediction in predictions):,}",
        refused=sum(prediction.error is not None for prediction in predictions),
        seconds=f"{work.seconds:.1f}",
    )
    rows = [row for prediction in predictions[:SHOWN] for row in _rows(prediction)]
    return part(
        "folder",
        lang=lang,
        head=head,
        csv=csv_link([(work.model, prediction) for prediction in predictions], lang),
        left_out=sentence(work.left_out.sorted()) if work.left_out.found else "",
        tiles=Markup().join(tiles),
        cut=len(predictions) > SHOWN or len(rows) > SHOWN,
        shown=SHOWN,
        rows=rows[:SHOWN],
    )


def _rows(prediction: PicturePrediction) -> list[tuple[PicturePrediction, int, FacePrediction | None]]:
    """A row for each face with its number; one without for a picture that has none."""
    faces = [(prediction, number, face) for number, face in enumerate(prediction.faces, 1)]
    return [*faces] or [(prediction, 0, None)]


def _thumbnail(picture: Picture, faces: Sequence[FacePrediction]) -> str:
    image = Image.fromarray(picture.pixels)
    image.thumbnail((2 * THUMBNAIL, 2 * THUMBNAIL), reducing_gap=2.0)
    factor = image.width / picture.pixels.shape[1]
    boxes = [face.box.scaled(factor) for face in faces]
    whole = len(boxes) == 1 and boxes[0].width == image.width
    drawn = Image.fromarray(numbered(np.asarray(image), [] if whole else boxes))
    content = io.BytesIO()
    drawn.thumbnail((THUMBNAIL, THUMBNAIL))
    drawn.save(content, "JPEG", quality=82)
    return "data:image/jpeg;base64," + b64encode(content.getvalue()).decode()
