"""Builds the page out of its tabs, and serves it."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from data.errors import InputError
from data.scratch import scratch_folder
from demo import api
from demo.intake.limits import RequestLimits
from demo.intake.uploads import KEPT_SECONDS
from demo.page import Page, browser_language, refreshed
from demo.state.shelf import Shelf
from demo.tabs import compare, folder, photo, train, webcam
from demo.view.html import notice
from demo.view.theme import STYLE, theme
from demo.view.words import say, translations
from inference.photos.faces import finder

WAITING = 16  # Requests in line; one more is refused at once.
RUNNING = 2
LARGEST_UPLOAD = "200mb"
REFRESH_SECONDS = 5.0
CLEANING_SECONDS = 600  # Between two looks for uploads that are too old to keep.

I18N = gr.I18n(en=translations("en"), zh=translations("zh"), **{"zh-CN": translations("zh")})


TABS: dict[str, Callable[[Page, gr.Tab], None]] = {
    "photo": photo.build,
    "webcam": webcam.build,
    "folder": folder.build,
    "compare": compare.build,
    "train": train.build,
}


@dataclass(frozen=True)
class Places:
    """Where the page finds what it shows; `data` is FER2013 for the Train tab, or None for drawn faces."""

    models: Path
    reports: Path
    runs: Path
    data: Path | None = None


def serve(
    places: Places, *, host: str, port: int | None, share: bool = False, account: tuple[str, str] | None = None
) -> None:
    """Serve the page until interrupted or terminated.

    Raises:
        InputError: the face finder asked for by FEROX_YUNET cannot be used, or the address cannot be listened on.
    """
    _unwind_when_terminated()
    with scratch_folder("ferox-demo-") as scratch:
        os.environ["GRADIO_TEMP_DIR"] = str(scratch)
        blocks = build(places, scratch)
        start(blocks, host=host, port=port, share=share, account=account)
        blocks.block_thread()


def _unwind_when_terminated() -> None:
    """Make SIGTERM end the process as Ctrl-C does, by way of everything that cleans up."""
    # Python lets no other thread set one.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, _: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # A second one would cut the cleaning short.
    raise SystemExit(128 + number)


def build(places: Places, scratch: Path) -> Any:
    """Lay out the whole page; files that it makes go into `scratch`."""
    page = Page(Shelf(places.models), finder(), places.reports, places.runs, places.data, scratch, I18N)
    with gr.Blocks(title="ferox", analytics_enabled=False, delete_cache=(CLEANING_SECONDS, KEPT_SECONDS)) as blocks:
        gr.HTML(f"<header class='fx-header'><h1>ferox</h1><p class='fx-tagline'>{I18N('tagline')}</p></header>")
        missing = gr.HTML(visible=False, elem_id="no-model")
        with gr.Tabs(elem_id="tabs"):
            for name, tab in TABS.items():
                with gr.Tab(I18N(f"tab_{name}"), id=name, elem_id=f"tab-{name}") as opened:
                    tab(page, opened)
        gr.HTML(f"<p class='fx-caution'>{I18N('caution')}</p>")
        api.build(page)
        _keep_models_fresh(blocks, page, missing)
    blocks.queue(max_size=WAITING, default_concurrency_limit=RUNNING, api_open=True)
    return blocks


def start(
    blocks: Any, *, host: str, port: int | None, share: bool = False, account: tuple[str, str] | None = None
) -> str:
    """Start serving in the background and return the page's address; an `InputError` where that is not possible."""
    try:
        _, local, _ = blocks.launch(
            prevent_thread_lock=True,
            server_name=host,
            server_port=port,
            share=share,
            auth=account,
            theme=theme(),
            css_paths=STYLE,
            i18n=I18N,
            inbrowser=False,
            ssr_mode=False,
            show_error=False,
            max_file_size=LARGEST_UPLOAD,
            state_session_capacity=200,
            enable_monitoring=False,
            pwa=False,
            mcp_server=False,
            strict_cors=True,
            allowed_paths=[],
            footer_links=["api"],
            app_kwargs={"middleware": [Middleware(RequestLimits)]},
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{host}, port {port or 'any'} cannot be listened on ({error}); give another") from error
    return str(local)


def _keep_models_fresh(blocks: Any, page: Page, missing: gr.HTML) -> None:
    choosers = [chooser for chooser, _ in page.choosers]
    known = gr.State(None)

    def look(request: gr.Request, before: Any, *values: Any) -> list[Any]:
        lang, names = browser_language(request), page.shelf.names()
        if before == names:
            return [gr.skip() for _ in range(len(choosers) + 2)]
        sentence = notice(say(lang, "no_model", folder=page.shelf.folder.name))
        return [names, gr.update(value=sentence, visible=not names), *refreshed(page, list(values), lang)]

    shared: dict[str, Any] = {
        "fn": look,
        "inputs": [known, *choosers],
        "outputs": [known, missing, *choosers],
        "show_progress": "hidden",
        "queue": False,
        "api_visibility": "private",
    }
    blocks.load(**shared)
    gr.Timer(REFRESH_SECONDS).tick(**shared)
