"""The Webcam tab: the camera's frames read one after another, with steady labels and the last half minute."""

import io
import time
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup
from PIL import Image

from data.errors import InputError
from demo.intake.uploads import upload
from demo.page import Page, browser_language, least_confidence, model_choice
from demo.state.camera import KEPT, CameraMemory, remember
from demo.view.downloads import link
from demo.view.html import camera_refusals, notice, part, placeholder
from demo.view.words import Language, say
from inference.confidence import ALWAYS, check_min_confidence
from inference.photos.annotate import numbered
from inference.photos.pictures import Picture, read_picture
from inference.photos.reading import predict_picture

EVERY = 0.2  # Seconds between two frames.
CAMERAS = 4  # At once.
TURN = 30  # Seconds until one that has the turn waits behind those in line; with nobody there, it has the next one too.
CONSTRAINTS = {"video": {"width": {"ideal": 640}, "height": {"ideal": 480}}}
STRIP_WIDTH, STRIP_HEIGHT = 600, 46


def build(page: Page, _: gr.Tab) -> None:
    """Lay out the tab and wire it up."""
    text = page.text
    with gr.Row(equal_height=False, elem_classes="fx-columns"):
        with gr.Column(scale=5, min_width=320):
            camera = gr.Image(
                label=text("camera"),
                sources=["webcam"],
                streaming=True,
                type="filepath",
                height=380,
                webcam_options=gr.WebcamOptions(mirror=True, constraints=CONSTRAINTS),
                elem_id="webcam-camera",
            )
            # As in the Photo tab, no event may update this component's settings.
            camera.preprocess = frame  # type: ignore[method-assign, assignment]
            model = model_choice(page, "webcam-model", several=False)
            least = least_confidence(page, "webcam-least")
        with gr.Column(scale=7, min_width=320):
            with gr.Column(elem_id="webcam-refused"):
                for refusal in camera_refusals(text):
                    gr.HTML(refusal)
            answer = gr.HTML(placeholder(text("camera_empty")), elem_id="webcam-answer")
            with gr.Row():
                save = gr.Button(text("camera_save"), size="sm", elem_id="webcam-save")
                saved = gr.HTML(elem_id="webcam-saved")
    memory = gr.State(CameraMemory())

    def look(
        picture: Picture | None, name: str | None, sure: float, before: CameraMemory, request: gr.Request
    ) -> tuple[Any, Any]:
        return seen(page, picture, name, before, browser_language(request), sure)

    camera.stream(
        look,
        [camera, model, least, memory],
        [answer, memory],
        stream_every=EVERY,
        time_limit=TURN,
        concurrency_limit=CAMERAS,
        # Any other would dim the answer with each frame; who waits in line reads so on the camera's own button.
        show_progress="hidden",
        api_visibility="private",
    )
    save.click(timeline_link, memory, saved, queue=False, show_progress="hidden", api_visibility="private")


def timeline_link(memory: CameraMemory, request: gr.Request) -> Markup:
    """Return a link that saves what the camera has shown so far as `timeline.csv`."""
    lang = browser_language(request)
    if not memory.rows:
        return notice(say(lang, "camera_no_rows"))
    said = say(lang, "camera_rows", moments=f"{len(memory.rows):,}")
    # Without the mark that begins it, Excel takes UTF-8 for the system's own encoding.
    return link(said, "timeline.csv", "text/csv", memory.timeline().encode("utf-8-sig"))


def frame(payload: Any) -> Picture | None:
    """Return a camera's frame, or None for one that is empty or cannot be read: the next one follows at once."""
    address = getattr(payload, "url", None) or ""
    try:
        if address.startswith("data:"):
            return read_picture(b64decode(address.partition(",")[2]), "frame")
        sent = upload(payload)
        return None if sent is None else read_picture(sent.path, "frame")
    except (InputError, NoBase64):
        return None


def seen(
    page: Page, picture: Picture | None, name: str | None, before: CameraMemory, lang: Language, least: float = ALWAYS
) -> tuple[Any, Any]:
    """Return what the tab shows after a frame, and what it remembers; below the confidence `least` it is unsure."""
    if picture is None:
        return gr.skip(), gr.skip()
    began = time.perf_counter()
    try:
        sure = check_min_confidence(least)
        prediction = predict_picture(page.shelf.engine(name), picture, page.finder, "auto", sure)
    except InputError as error:
        return notice(str(error), "error"), before
    now = time.monotonic()
    memory = remember(before, prediction.faces, picture.pixels, now)
    return view(picture, memory, now, 1000 * (time.perf_counter() - began), lang), memory


def view(picture: Picture, memory: CameraMemory, now: float, milliseconds: float, lang: Language) -> Markup:
    """Return a frame with its boxes, a card for each face, the strip, and what a frame costs."""
    tracks = memory.scene.present(now)
    shown = numbered(picture.pixels, [track.box for track in tracks], [str(track.number) for track in tracks])
    content = io.BytesIO()
    Image.fromarray(shown).save(content, "JPEG", quality=80)
    return part(
        "webcam",
        lang=lang,
        frame="data:image/jpeg;base64," + b64encode(content.getvalue()).decode(),
        latency=say(lang, "camera_latency", milliseconds=f"{milliseconds:.0f}", rate=f"{_rate(memory):.1f}"),
        strip=_strip(memory, now),
        strip_size=(STRIP_WIDTH, STRIP_HEIGHT),
        tracks=tracks,
    )


def _rate(memory: CameraMemory) -> float:
    recent = memory.strip[-11:]
    seconds = recent[-1].time - recent[0].time
    return (len(recent) - 1) / seconds if seconds > 0 else 0.0


@dataclass(frozen=True)
class StripBar:
    """A frame in the strip, in its units: as high as the answer was sure."""

    label: str
    left: float
    width: float
    height: float


def _strip(memory: CameraMemory, now: float) -> list[StripBar]:
    """Return the last 30 seconds of the first face: a bar a frame in which it was found."""
    moments, bars = memory.strip, []
    for moment, after in zip(moments, [*(each.time for each in moments[1:]), now + EVERY], strict=True):
        if moment.label is not None:
            left = STRIP_WIDTH * (1 - (now - moment.time) / KEPT)
            # A camera that paused leaves a gap, and not a long bar.
            width = STRIP_WIDTH * min(after - moment.time, 5 * EVERY) / KEPT + 0.5
            bars.append(StripBar(moment.label, left, width, STRIP_HEIGHT * moment.share))
    return bars
