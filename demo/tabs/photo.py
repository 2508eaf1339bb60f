"""The Photo tab: every face of a picture, numbered in it, with what each model makes of it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
from markupsafe import Markup

from data.errors import InputError
from demo.examples import EXAMPLES, draw_examples
from demo.intake.uploads import Upload, read_upload, upload
from demo.page import ENGINE_QUEUE, Page, browser_language, least_confidence, model_choice
from demo.state.shelf import title
from demo.view.cards import MOST_EXPLAINED, Reading, cards
from demo.view.html import notice, placeholder
from demo.view.words import Language, say
from inference.confidence import ALWAYS, check_min_confidence
from inference.engine import Engine
from inference.photos.annotate import numbered
from inference.photos.faces import Finder, Policy
from inference.photos.pictures import Picture
from inference.photos.reading import find_faces, predict_faces
from inference.saliency.explaining import explainer


def build(page: Page, _: gr.Tab) -> None:
    """Lay out the tab and wire it up."""
    text = page.text
    with gr.Row(equal_height=False, elem_classes="fx-columns"):
        with gr.Column(scale=5, min_width=320):
            picture = gr.Image(
                label=text("picture"),
                sources=["upload", "clipboard", "webcam"],
                type="filepath",
                height=380,
                elem_id="photo-picture",
                buttons=["fullscreen"],
            )
            # Gradio decodes pictures by their name and at any size; here inference.photos.pictures reads them. No event
            # may update this component's settings: Gradio would build it anew for that visitor, without this.
            picture.preprocess = upload  # type: ignore[method-assign, assignment]
            model = model_choice(page, "photo-model", several=True)
            least = least_confidence(page, "photo-least")
            looked = gr.Checkbox(False, label=text("looked"), elem_id="photo-looked")
            drawn = [str(path) for path in draw_examples(page.scratch / EXAMPLES)]
            # Clicking one makes Gradio take it for an upload of this component, which is removed with the others.
            picture.keep_in_cache.update(drawn)
            examples = gr.Dataset(
                components=["image"],
                samples=[[path] for path in drawn],
                type="index",
                label=text("examples"),
                elem_id="photo-examples",
            )
        with gr.Column(scale=7, min_width=320):
            seen = gr.Image(
                label=text("seen"),
                show_label=False,
                interactive=False,
                visible=False,
                format="jpeg",
                elem_id="photo-seen",
                buttons=["download", "fullscreen"],
            )
            answer = gr.HTML(placeholder(text("photo_empty")), elem_id="photo-answer")
            whole = gr.Button(text("whole_button"), visible=False, elem_id="photo-whole")

    one_face = gr.State("")  # The picture that is taken for one face, whichever model looks at it.

    def see(
        sent: Upload | None, name: str | None, sure: float, looked: bool, whole_one: str, request: gr.Request
    ) -> tuple[Any, ...]:
        how: Policy = "whole" if sent is not None and str(sent.path) == whole_one else "auto"
        return answered(page, sent, name, how, request, looked=looked, least=sure)

    def take_whole(sent: Upload | None) -> str:
        return "" if sent is None else str(sent.path)

    def example(index: int) -> str:
        return drawn[index]

    outputs = [seen, answer, whole]
    examples.click(example, examples, picture, queue=False, show_progress="hidden", api_visibility="private")
    shared: dict[str, Any] = {"api_visibility": "private", "concurrency_id": ENGINE_QUEUE, "show_progress": "minimal"}
    # One event for all: of several, a late answer would take the place of a newer one's.
    changes = [component.change for component in (picture, model, least, looked, one_face)]
    gr.on(changes, see, [picture, model, least, looked, one_face], outputs, trigger_mode="always_last", **shared)
    # In the queue: a state that is changed outside it raises no event.
    whole.click(take_whole, picture, one_face, show_progress="hidden", api_visibility="private")


def answered(
    page: Page,
    sent: Upload | None,
    name: str | None,
    policy: Policy,
    request: gr.Request,
    *,
    looked: bool = False,
    least: float = ALWAYS,
) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """Return what the tab shows for a picture: the picture with boxes, the cards, and whether to offer all of it.

    With `looked` the cards have heat over the first faces, too; below the confidence `least` they say that the model is
    unsure.
    """
    lang = browser_language(request)
    if sent is None:
        return gr.update(visible=False), notice(say(lang, "photo_empty"), "empty"), gr.update(visible=False)
    try:
        picture = read_upload(sent)
        engines, refused = page.shelf.engines(name)
        began = time.perf_counter()
        readings = read_faces(engines, picture, page.finder, policy, check_min_confidence(least))
        milliseconds = 1000 * (time.perf_counter() - began)
        if looked:
            readings = explained(engines, readings)
    except InputError as error:
        sentence = notice(say(lang, "not_taken", reason=error), "error")
        return gr.update(visible=False), sentence, gr.update(visible=False)
    boxes = [face.box for face in readings[0].prediction.faces]
    shown = numbered(picture.pixels, boxes if policy == "auto" else [])
    body = _left_out(refused, lang) + cards(readings, lang, milliseconds)
    return gr.update(value=shown, visible=True), body, gr.update(visible=not boxes)


def read_faces(
    engines: Sequence[Engine], picture: Picture, finder: Finder, policy: Policy, least: float = ALWAYS
) -> list[Reading]:
    """Return what each model sees in a picture, whose faces are searched for once."""
    faces = find_faces(picture, finder, policy)
    return [
        Reading(engine.path.stem, title(engine.path.stem), prediction)
        for engine in engines
        for prediction in predict_faces(engine, [faces], least)
    ]


def explained(engines: Sequence[Engine], readings: Sequence[Reading]) -> list[Reading]:
    """Return readings with what each model looked at in the first `MOST_EXPLAINED` faces: others wait in line."""
    return [
        replace(reading, explanations=explainer(engine).explain(reading.prediction.faces[:MOST_EXPLAINED]))
        for engine, reading in zip(engines, readings, strict=True)
    ]


def _left_out(refused: Mapping[str, InputError], lang: Language) -> Markup:
    notices = (
        notice(say(lang, "left_out", title=title(name), reason=reason), "error") for name, reason in refused.items()
    )
    return Markup().join(notices)
