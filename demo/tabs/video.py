"""The Video tab: a film is watched, its timeline is there to look at and to save, and a copy has its faces marked.

One film is read at a time, in a line of its own, and no photo waits for it. Stopping keeps what was read.
"""

import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from data.documents import read_document
from data.errors import InputError
from demo.intake.uploads import Upload, gone, upload
from demo.page import FILM_QUEUE, Page, browser_language, least_confidence, model_choice
from demo.view.film import FilmShown
from demo.view.html import notice, part, placeholder
from demo.view.words import Language, say
from inference.confidence import ALWAYS, check_min_confidence
from inference.video import EVERY
from inference.video.annotated import write_annotated
from inference.video.film import Film
from inference.video.job import (
    ANNOTATED_FILE,
    PAGE_FILE,
    TIMELINE_FILE,
    Reading,
    WatchOptions,
    write_answers,
)
from inference.video.opening import open_film
from inference.video.plan import watch_plan
from inference.video.summary import REMEDY, SUMMARY_FILE, WatchSummary
from inference.video.timeline import timeline_moments
from inference.video.work import WORK_FOLDER, Work

SHOWN_EVERY = 0.5  # Seconds between two signs of progress.
MOST_SECONDS = 3600.0  # Of a film that are read here: others wait behind it.
FOLDER_PREFIX = "film-"
MOST_FILMS = 8  # Whose answers are kept at once, for an hour at most.
MOST_STOPS = 1000  # Visitors whose last stop is remembered.
# What the tab shows: how far it is, the answer, the copy of the film, and the files to save.
Shown = tuple[Any, Any, Any, Any]


@dataclass
class Stops:
    """When each visitor last pressed stop, or run: whatever was asked for before is not gone on with."""

    _times: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def add(self, visitor: str | None) -> float:
        """Note that a visitor has pressed stop or run now; return when that is."""
        self._times[visitor or ""] = now = time.monotonic()
        while len(self._times) > MOST_STOPS:
            self._times.popitem(last=False)
        return now

    def since(self, visitor: str | None, asked: float) -> bool:
        """Whether a visitor has pressed stop since a time, or asked for another film."""
        return self._times.get(visitor or "", asked) > asked


def build(page: Page, _: gr.Tab) -> None:
    """Lay out the tab and wire it up; without PyAV it says what is missing."""
    text = page.text
    if find_spec("av") is None:
        gr.HTML(placeholder(text("no_av")), elem_id="video-missing")
        return
    with gr.Row(equal_height=False, elem_classes="fx-columns"):
        with gr.Column(scale=4, min_width=300):
            film = gr.File(label=text("film"), file_count="single", elem_id="video-film", height=180)
            # As in the Photo tab, no event may update this component's settings.
            film.preprocess = upload  # type: ignore[method-assign, assignment]
            model = model_choice(page, "video-model", several=False)
            least = least_confidence(page, "video-least")
            annotate = gr.Checkbox(value=True, label=text("film_annotate"), elem_id="video-annotate")
            with gr.Row():
                run = gr.Button(text("film_run"), variant="primary", elem_id="video-run")
                halt = gr.Button(text("stop"), elem_id="video-stop")
        with gr.Column(scale=8, min_width=320):
            progress = gr.HTML(placeholder(text("film_empty")), elem_id="video-progress")
            answer = gr.HTML(elem_id="video-answer")
            copy = gr.Video(
                visible=False, interactive=False, label=text("film_copy"), elem_id="video-copy", buttons=["download"]
            )
            files = gr.File(visible=False, interactive=False, label=text("film_files"), elem_id="video-files")
    # Not a state, which is read when its turn comes: each request has to keep the time at which it was made.
    asked, stops = gr.Number(0.0, visible=False), Stops()

    def watch(
        sent: Upload | None, name: str | None, sure: float, marked: bool, when: float, request: gr.Request
    ) -> Iterator[Shown]:
        visitor = request.session_hash
        lang = browser_language(request)
        yield from answered(
            page, sent, name, lang, least=sure, marked=marked, is_stopped=lambda: stops.since(visitor, when)
        )

    def stop(request: gr.Request) -> None:
        stops.add(request.session_hash)

    def ask(request: gr.Request) -> float:
        return stops.add(request.session_hash)

    run.click(ask, None, asked, queue=False, show_progress="hidden", api_visibility="private").then(
        watch,
        [film, model, least, annotate, asked],
        [progress, answer, copy, files],
        concurrency_id=FILM_QUEUE,
        concurrency_limit=1,
        show_progress="minimal",
        api_visibility="private",
        trigger_mode="multiple",
    )
    halt.click(stop, None, None, queue=False, show_progress="hidden", api_visibility="private")


def answered(
    page: Page,
    sent: Upload | None,
    name: str | None,
    lang: Language,
    *,
    marked: bool,
    is_stopped: Callable[[], bool],
    least: float = ALWAYS,
) -> Iterator[Shown]:
    """Yield what the tab shows: how far it is, then the timeline and the files, and at last the copy.

    Args:
        page: the page.
        sent: the film.
        name: the model's.
        lang: the visitor's language.
        marked: whether to write the copy with the faces marked.
        is_stopped: says whether the visitor wants no more of it.
        least: below this confidence there is no label.
    """
    hidden = gr.update(value=None, visible=False)
    if is_stopped():
        yield notice(say(lang, "film_withdrawn")), "", hidden, hidden
        return
    try:
        with _folder(page.scratch) as folder:
            film = checked_film(sent, page.film_bytes, lang)
            yield FilmShown(film.facts.seconds).progress(lang), "", hidden, hidden
            options = WatchOptions(
                out=folder, every=EVERY, limit=MOST_SECONDS, min_confidence=check_min_confidence(least)
            )
            for sign in _read(page, film, name, options, lang, is_stopped):
                yield sign, gr.skip(), gr.skip(), gr.skip()
            if not (folder / SUMMARY_FILE).exists():
                yield notice(say(lang, "film_withdrawn")), "", hidden, hidden
                return
            summary = read_document(WatchSummary, folder / SUMMARY_FILE, REMEDY)
            files = [str(folder / file) for file in (TIMELINE_FILE, PAGE_FILE, SUMMARY_FILE)]
            yield "", result(summary, folder, lang), hidden, gr.update(value=files, visible=True)
            if marked and summary.finished:
                yield from _marked(film, summary, folder, lang, is_stopped)
    except InputError as error:
        yield notice(str(error), "error"), gr.skip(), gr.skip(), gr.skip()


def checked_film(sent: Upload | None, most: int, lang: Language) -> Film:
    """Open an uploaded film.

    Raises:
        InputError: there is none, it is larger than `most` bytes, or it cannot be read.
    """
    if sent is None:
        raise InputError(say(lang, "film_empty"))
    if not sent.path.exists():
        raise gone(sent.name)
    if (size := sent.path.stat().st_size) > most:
        raise InputError(
            f"{sent.name} has {size / 1e6:.0f} MB: at most {most / 1e6:.0f} MB are taken here; ferox watch reads "
            "larger ones"
        )
    return open_film(sent.path, sent.name)


def result(summary: WatchSummary, folder: Path, lang: Language) -> Markup:
    """Return what a film came to: a head, what of it was not read, and its timeline's own page in a frame."""
    notes = [] if summary.trouble is None else [summary.trouble]
    if summary.limit is not None and summary.seconds + 1 >= summary.limit:
        notes.append(say(lang, "film_limit", minutes=f"{MOST_SECONDS / 60:.0f}"))
    if not summary.finished:
        notes.append(say(lang, "film_stopped", seconds=f"{summary.seconds:.1f}"))
    head = say(
        lang,
        "film_done",
        seconds=f"{summary.seconds:.1f}",
        moments=f"{summary.moments:,}",
        persons=len(summary.tracks),
    )
    content = (folder / PAGE_FILE).read_text(encoding="utf-8")
    return part("video", lang=lang, head=head, notes=notes, name=summary.source, content=content)


def _read(
    page: Page, film: Film, name: str | None, options: WatchOptions, lang: Language, is_stopped: Callable[[], bool]
) -> Iterator[Markup]:
    """Yield signs of progress while a film is read; afterwards its answers are in the folder, unless there are none."""
    engine = page.shelf.engine(name)
    plan = watch_plan(film, engine, page.finder, options.faces, options.every, options.limit, options.min_confidence)
    with Work(options.out) as work:
        reading, shown, finished = Reading(film, options, work), FilmShown(film.facts.seconds), True
        said = time.monotonic()
        with closing(reading.moments(engine, page.finder)) as moments:
            for moment in moments:
                shown.add(moment)
                if is_stopped():
                    finished = False
                    break
                if time.monotonic() - said > SHOWN_EVERY:
                    said = time.monotonic()
                    yield shown.progress(lang)
        if work.moments:
            work.save()
            write_answers(film, options.out, plan, work, finished=finished, trouble=reading.trouble)


def _marked(
    film: Film, summary: WatchSummary, folder: Path, lang: Language, is_stopped: Callable[[], bool]
) -> Iterator[Shown]:
    """Yield how far the copy is, and at last the copy; a stop leaves it out."""
    path, said, total = folder / ANNOTATED_FILE, 0.0, round(summary.seconds)
    copying = write_annotated(film, timeline_moments(folder / TIMELINE_FILE), path, summary.limit)
    with _closing_aside(copying) as progress:
        for seconds in progress:
            if is_stopped():
                yield "", gr.skip(), gr.skip(), gr.skip()
                return
            if time.monotonic() - said > SHOWN_EVERY:
                said = time.monotonic()
                yield part("marking", lang=lang, done=round(seconds), total=total), gr.skip(), gr.skip(), gr.skip()
    yield "", gr.skip(), gr.update(value=str(path), visible=True), gr.skip()


@contextmanager
def _closing_aside(copying: Generator[float]) -> Iterator[Generator[float]]:
    """Close a copy that is being written; where its visitor is gone, in a thread: Gradio closes what nobody waits for
    on its event loop, and an MP4 takes long to end."""
    try:
        yield copying
    except GeneratorExit:
        threading.Thread(target=copying.close, name="abandoned copy", daemon=True).start()
        raise
    except BaseException:
        copying.close()
        raise
    copying.close()


@contextmanager
def _folder(scratch: Path) -> Iterator[Path]:
    """Yield a folder for a film's answers, which the browser fetches from there until it is too old to keep.

    One without answers is removed, and so are the oldest where there are many: they are about as large as the films.
    """
    for old in sorted(scratch.glob(f"{FOLDER_PREFIX}*"), key=_written)[: 1 - MOST_FILMS]:
        shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=scratch))
    try:
        yield folder
    finally:
        shutil.rmtree(folder / WORK_FOLDER, ignore_errors=True)
        if not any(folder.iterdir()):
            folder.rmdir()


def _written(path: Path) -> float:
    """When a folder was last written into; long ago where it has been removed meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
