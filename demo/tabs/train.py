"""The Train tab: choose, load, start, pause, resume, stop, watch, export. The work is done by other processes."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import gradio as gr

from data.errors import InputError, printable
from demo.page import EXPORT_QUEUE, Page, browser_language
from demo.state.choices import PROTOCOLS, Wish, installed_frameworks
from demo.state.shelf import title as shelf_title
from demo.state.supervisor import Current, Supervisor
from demo.view.html import notice, placeholder
from demo.view.training import layers, view
from demo.view.words import Language, say
from training.recipe import CHOICES, recipe
from training.run import RunRecord
from training.specs import MODELS, model_spec

LOOK_SECONDS = 2.0
FIRST_MODEL = "cnn_1"
# Stands for the faces that the page was started with: visitors are not told where they lie.
GIVEN = "given"


@dataclass(frozen=True)
class TrainFields:
    """The component that holds each field of a `Wish`, by the same name."""

    model: gr.Dropdown
    framework: gr.Dropdown
    data: gr.Dropdown
    protocol: gr.Dropdown
    test_share: gr.Number
    epochs: gr.Number
    batch_size: gr.Number
    learning_rate: gr.Number
    optimizer: gr.Dropdown
    balance: gr.Dropdown
    keep_all: gr.Checkbox

    @property
    def components(self) -> list[Any]:
        """The components in the order in which `Wish` has its fields."""
        return [getattr(self, field.name) for field in fields(Wish)]


@dataclass(frozen=True)
class Handlers:
    """What happens when something is pressed or time has passed."""

    page: Page
    supervisor: Supervisor

    def look(self, request: gr.Request, before: Any) -> list[Any]:
        """Show how the training stands, if that is new."""
        return self._board(browser_language(request), before)

    def describe(self, model: str, request: gr.Request) -> list[Any]:
        """Show a model's layers, and fill in what its recipe says."""
        base = recipe("published", "torch", model)
        drawn = layers(model_spec(model), browser_language(request))
        return [drawn, base.batch_size, base.learning_rate, base.optimizer]

    def greet(self, model: str, request: gr.Request) -> list[Any]:
        """Put what was laid out before anybody's language was known into it."""
        lang = browser_language(request)
        return [layers(model_spec(model), lang), gr.update(choices=_faces(self.page, lang))]

    def load(self, request: gr.Request, *values: Any) -> list[Any]:
        """Lock the fields if they hold what can be trained; else say what is wrong."""
        try:
            settings = self.wish(values).settings()
        except InputError as error:
            return _fields_state(notice(str(error), "error"), locked=False)
        name = _title(settings.model, settings.framework)
        return _fields_state(notice(say(browser_language(request), "loaded", title=name)), locked=True)

    def change(self) -> list[Any]:
        """Unlock the fields."""
        return _fields_state("", locked=False)

    def start(self, request: gr.Request, *values: Any) -> list[Any]:
        """Start a training, or ask first where another one is there."""
        lang, now = browser_language(request), self.supervisor.current()
        if not now.alive and now.status != "paused":
            return self.begin(values, lang)
        sentence = notice(say(lang, "asks", title=now.title))
        return [sentence, gr.update(visible=True), *self._board(lang, None)]

    def replace(self, request: gr.Request, *values: Any) -> list[Any]:
        """Pause the training that is there, wait until its state is saved, and start another one."""
        lang = browser_language(request)
        try:
            now = self.supervisor.current()
            if now.alive and now.status != "pausing":
                self.supervisor.pause()
            self.supervisor.wait()
        except InputError as error:
            return [notice(str(error), "error"), gr.update(visible=False), *self._board(lang, None)]
        return self.begin(values, lang)

    def begin(self, values: Sequence[Any], lang: Language) -> list[Any]:
        """Start a training."""
        wish = self.wish(values)
        try:
            settings = wish.settings()
            self.supervisor.start(_title(settings.model, settings.framework), wish.arguments())
            sentence = ""
        except InputError as error:
            sentence = notice(str(error), "error")
        return [sentence, gr.update(visible=False), *self._board(lang, None)]

    def wish(self, values: Sequence[Any]) -> Wish:
        """Return what the fields hold, with the page's own path to the faces: what a client sends is never one."""
        sent = Wish(**dict(zip((field.name for field in fields(Wish)), values, strict=True)))
        return replace(sent, data=str(self.page.data) if sent.data == GIVEN and self.page.data else "")

    def pause(self, request: gr.Request) -> list[Any]:
        """Pause the training."""
        return self.act(self.supervisor.pause, request)

    def resume(self, request: gr.Request) -> list[Any]:
        """Go on with the training."""
        return self.act(self.supervisor.resume, request)

    def stop(self, request: gr.Request) -> list[Any]:
        """Stop the training for good."""
        return self.act(self.supervisor.stop, request)

    def act(self, action: Callable[[], None], request: gr.Request) -> list[Any]:
        """Do something to the training, and show how it stands or why that was not possible."""
        try:
            action()
            sentence = ""
        except InputError as error:
            sentence = notice(str(error), "error")
        return [sentence, *self._board(browser_language(request), None)]

    def export(self, request: gr.Request) -> Iterator[str]:
        """Export the training's best checkpoint."""
        yield from publish(self.page, self.supervisor.current(), browser_language(request))

    def _board(self, lang: Language, before: Any) -> list[Any]:
        """Return what is known now, how it looks, and which buttons can be pressed; nothing where nothing is new."""
        now = self.supervisor.current()
        now = replace(now, reason=self.page.without_paths(now.reason))
        epochs = len(now.record.checkpoints) and now.record.checkpoints[-1].epoch if now.record else 0
        state = [now.status, str(now.folder), epochs, now.record.test is not None if now.record else False]
        if state == before:
            return [gr.skip() for _ in range(6)]
        best = now.record is not None and now.record.best is not None
        return [
            state,
            view(now, lang),
            gr.update(interactive=now.status in ("starting", "running")),
            gr.update(interactive=now.status in ("paused", "stopped", "failed") and now.record is not None),
            gr.update(interactive=now.alive or now.status == "paused"),
            gr.update(interactive=best and not now.alive),
        ]


def build(page: Page, tab: gr.Tab) -> None:
    """Lay out the tab and wire it up."""
    text = page.text
    with gr.Row(equal_height=False, elem_classes="fx-columns"):
        with gr.Column(scale=4, min_width=320):
            chosen = _fields(page)
            inputs = chosen.components
            spec = gr.HTML(layers(model_spec(FIRST_MODEL), "en"), elem_id="train-layers")
            with gr.Row():
                load = gr.Button(text("load"), variant="primary", elem_id="train-load")
                change = gr.Button(text("change"), visible=False, elem_id="train-change")
                start = gr.Button(text("start"), variant="primary", interactive=False, elem_id="train-start")
            said = gr.HTML(elem_id="train-said")
            with gr.Row(visible=False) as question:
                instead = gr.Button(text("replace"), variant="stop", elem_id="train-replace")
                leave = gr.Button(text("leave"), elem_id="train-leave")
        with gr.Column(scale=8, min_width=320):
            with gr.Row():
                actions = {name: _action(page, name) for name in ("pause", "resume", "stop", "export")}
            exported = gr.HTML(elem_id="train-exported")
            shown = gr.HTML(placeholder(text("train_empty")), elem_id="train-shown")
    known = gr.State(None)
    board = [known, shown, *actions.values()]

    do = Handlers(page, Supervisor(page.runs))
    shared: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    lock = [said, load, change, start, question, *inputs]
    described = [spec, chosen.batch_size, chosen.learning_rate, chosen.optimizer]
    chosen.model.change(do.describe, chosen.model, described, **shared)
    load.click(do.load, inputs, lock, **shared)
    change.click(do.change, None, lock, **shared)
    start.click(do.start, inputs, [said, question, *board], **shared)
    instead.click(do.replace, inputs, [said, question, *board], **shared)
    leave.click(lambda: ("", gr.update(visible=False)), None, [said, question], **shared)
    for name in ("pause", "resume", "stop"):
        actions[name].click(getattr(do, name), None, [said, *board], **shared)
    actions["export"].click(do.export, None, exported, concurrency_id=EXPORT_QUEUE, concurrency_limit=1, **shared)
    tab.select(do.greet, chosen.model, [spec, chosen.data], **shared)
    tab.select(do.look, known, board, **shared)
    gr.Timer(LOOK_SECONDS).tick(do.look, known, board, queue=False, **shared)


def publish(page: Page, now: Current, lang: Language) -> Iterator[str]:
    """Yield what is said while and after the training's best checkpoint is exported through the parity gate."""
    if now.folder is None or now.record is None or now.record.best is None:
        yield notice(say(lang, "nothing_to_export"), "error")
        return
    yield notice(say(lang, "exporting"))
    # The run's own time stamp: else its artifact would have the name of every other run of that recipe. So what it may
    # replace is an artifact of the same run, from before it was resumed.
    naming = ["--tag", time_stamp(now.folder, now.record), "--replace"]
    command = [sys.executable, "-m", "export", str(now.folder), "--out", str(page.shelf.folders[0]), *naming]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        yield notice(say(lang, "exported", name=shelf_title(Path(done.stdout.strip()).stem)))
        return
    lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
    reason = page.without_paths(lines[-1].removeprefix("error: "))
    yield notice(say(lang, "not_exported", reason=reason), "error")


def time_stamp(folder: Path, record: RunRecord) -> str:
    """Return what a run folder's name has behind recipe and protocol: when the run began."""
    return folder.name.removeprefix(f"{record.settings.recipe}-{record.settings.split.protocol}-")


def _fields(page: Page) -> TrainFields:
    text, base = page.text, recipe("published", "torch", FIRST_MODEL)
    frameworks = installed_frameworks()
    if not frameworks:
        gr.HTML(f"<div class='fx-notice fx-error'>{text('no_framework')}</div>")
    faces = _faces(page, "en")
    with gr.Group(elem_id="train-fields"):
        with gr.Row():
            model = gr.Dropdown(list(MODELS), value=FIRST_MODEL, label=text("architecture"), elem_id="train-model")
            framework = gr.Dropdown(
                frameworks, value=next(iter(frameworks), None), label=text("framework"), elem_id="train-framework"
            )
        with gr.Row():
            data = gr.Dropdown(faces, value=faces[-1][1], label=text("dataset"), elem_id="train-data")
            protocol = gr.Dropdown(list(PROTOCOLS), value="official", label=text("protocol"), elem_id="train-protocol")
        with gr.Row():
            share = gr.Number(0.2, label=text("test_share"), elem_id="train-share")
            epochs = gr.Number(30, label=text("epochs"), elem_id="train-epochs")
        with gr.Row():
            batch = gr.Number(base.batch_size, label=text("batch_size"), elem_id="train-batch")
            rate = gr.Number(base.learning_rate, label=text("learning_rate"), elem_id="train-rate", step=0.0001)
        with gr.Row():
            optimizer = gr.Dropdown(
                list(CHOICES["optimizer"]), value=base.optimizer, label=text("optimizer"), elem_id="train-optimizer"
            )
            balance = gr.Dropdown(
                list(CHOICES["balance"]), value=base.balance, label=text("balance"), elem_id="train-balance"
            )
        keep = gr.Checkbox(False, label=text("keep_all"), elem_id="train-keep")
    return TrainFields(
        model=model,
        framework=framework,
        data=data,
        protocol=protocol,
        test_share=share,
        epochs=epochs,
        batch_size=batch,
        learning_rate=rate,
        optimizer=optimizer,
        balance=balance,
        keep_all=keep,
    )


def _faces(page: Page, lang: Language) -> list[tuple[str, str]]:
    return [(say(lang, "drawn_faces"), ""), *([(printable(page.data.name), GIVEN)] if page.data else [])]


def _action(page: Page, name: str) -> gr.Button:
    return gr.Button(page.text(name), interactive=False, size="md", min_width=90, elem_id=f"train-{name}")


def _fields_state(sentence: str, *, locked: bool) -> list[Any]:
    """Return updates for what is said, Load, Change, Start, the question, and every field."""
    return [
        sentence,
        gr.update(visible=not locked),
        gr.update(visible=locked),
        gr.update(interactive=locked),
        gr.update(visible=False),
        *(gr.update(interactive=not locked) for _ in fields(Wish)),
    ]


def _title(model: str, framework: str) -> str:
    return shelf_title(f"{model}.{framework}")
