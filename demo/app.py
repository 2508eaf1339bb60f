"""Builds the page out of its tabs, and serves it."""

import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from markupsafe import Markup
from starlette.middleware import Middleware

from data.addresses import is_address
from data.errors import InputError
from data.scratch import scratch_folder
from demo import api
from demo.examples import EXAMPLES
from demo.intake.guessing import LoginLimit
from demo.intake.hosts import Doors, HostCheck
from demo.intake.limits import AROUND, RequestLimits
from demo.intake.payloads import PayloadCheck, check_early
from demo.intake.quota import Quota, UploadQuota
from demo.intake.scratch import cleaned
from demo.intake.uploads import KEPT_SECONDS
from demo.page import FILM_BYTES, LONG_QUEUES, Page, browser_language, refreshed
from demo.state.shelf import Shelf
from demo.tabs import compare, folder, photo, train, video, webcam
from demo.view.html import CAMERA_SCRIPT, notice
from demo.view.theme import STYLE, theme
from demo.view.words import say, translations
from inference.photos.faces import HaarFinder, finder

WAITING = 32  # Requests in line, of which half are left to short ones; one more is refused at once.
RUNNING = 2
LARGEST_ZIP = 200_000_000
REFRESH_SECONDS = 5.0
CLEANING_SECONDS = 300  # Between two looks for uploads that are too old to keep.

I18N = gr.I18n(en=translations("en"), zh=translations("zh"), **{"zh-CN": translations("zh")})


TABS: dict[str, Callable[[Page, gr.Tab], None]] = {
    "photo": photo.build,
    "webcam": webcam.build,
    "video": video.build,
    "folder": folder.build,
    "compare": compare.build,
    "train": train.build,
}


@dataclass(frozen=True)
class Places:
    """Where the page finds what it shows.

    Attributes:
        models: the models, and where the Train tab exports to.
        reports: the evaluations.
        runs: the trainings.
        data: FER2013 for the Train tab, or None for drawn faces.
        shipped: folders of further models, with their reports.
    """

    models: Path
    reports: Path
    runs: Path
    data: Path | None = None
    shipped: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Serving:
    """How the page is served: where it listens, what it is called, who may use it, and how much may be sent.

    `port` None is the first free one from 7860. `names` are those by which it may be asked for besides addresses and
    localhost, `root` is the path or the whole address that it has behind a proxy, `account` a user and a password,
    `film_bytes` how large a film may be.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    share: bool = False
    account: tuple[str, str] | None = None
    names: tuple[str, ...] = ()
    framing: bool = False
    root: str = ""
    quota: Quota = Quota()
    film_bytes: int = FILM_BYTES

    @property
    def doors(self) -> Doors:
        """The names that are let in from the start: what it listens on and what its address is called, too."""
        names = [self.host, urlsplit(self.root).hostname or ""]
        # An address needs no letting in, and as a name it would let pages on its other ports change things.
        return Doors([*self.names, *(name for name in names if name and not is_address(name))], framing=self.framing)

    @property
    def largest_file(self) -> int:
        """The bytes that a file may have which is sent here, whatever it is; the tabs have limits of their own."""
        return max(LARGEST_ZIP, self.film_bytes)

    @property
    def root_path(self) -> str:
        """The path of `root`, without a slash at its end."""
        return urlsplit(self.root).path.rstrip("/")


def serve(places: Places, serving: Serving) -> None:
    """Serve the page until interrupted or terminated.

    Raises:
        InputError: the face finder asked for by FEROX_YUNET cannot be used, or the address cannot be listened on.
    """
    _unwind_when_terminated()
    with suppress(KeyboardInterrupt), scratch_folder("ferox-demo-") as scratch:
        os.environ["GRADIO_TEMP_DIR"] = str(scratch)
        blocks = build(places, scratch, serving.film_bytes)
        with cleaned(scratch, scratch / EXAMPLES, KEPT_SECONDS, CLEANING_SECONDS):
            start(blocks, serving)
            blocks.block_thread()


def _unwind_when_terminated() -> None:
    """Make SIGTERM end the process as Ctrl-C does, by way of everything that cleans up."""
    # Python lets no other thread set one.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, _: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # A second one would cut the cleaning short.
    raise KeyboardInterrupt


def build(places: Places, scratch: Path, film_bytes: int = FILM_BYTES) -> Any:
    """Lay out the whole page; files that it makes go into `scratch`, films may be so large."""
    page = Page(
        Shelf(places.models, *places.shipped),
        finder(),
        places.reports,
        places.runs,
        places.data,
        scratch,
        I18N,
        film_bytes,
    )
    with gr.Blocks(title="ferox", analytics_enabled=False) as blocks:
        gr.HTML(f"<header class='fx-header'><h1>ferox</h1><p class='fx-tagline'>{I18N('tagline')}</p></header>")
        missing = gr.HTML(visible=False, elem_id="no-model")
        with gr.Tabs(elem_id="tabs"):
            for name, tab in TABS.items():
                with gr.Tab(I18N(f"tab_{name}"), id=name, elem_id=f"tab-{name}") as opened:
                    tab(page, opened)
        gr.HTML(f"<p class='fx-caution'>{I18N('caution')}</p>")
        if isinstance(page.finder, HaarFinder):
            gr.HTML(f"<p class='fx-caution' id='finder'>{I18N('finder_haar')}</p>")
        api.build(page)
        _keep_models_fresh(blocks, page, missing)
    blocks.queue(max_size=WAITING, default_concurrency_limit=RUNNING, api_open=False)
    check_early(blocks, LONG_QUEUES)
    return blocks


def start(blocks: Any, serving: Serving) -> str:
    """Start serving in the background and return the page's address; an `InputError` where that is not possible."""
    doors = serving.doors
    try:
        _, local, public = blocks.launch(
            prevent_thread_lock=True,
            server_name=serving.host,
            server_port=serving.port,
            share=serving.share,
            auth=serving.account,
            root_path=serving.root,
            theme=theme(),
            css_paths=STYLE,
            head=f"<script>{CAMERA_SCRIPT.read_text(encoding='utf-8')}</script>",
            i18n=I18N,
            inbrowser=False,
            ssr_mode=False,
            show_error=False,
            max_file_size=serving.largest_file,
            state_session_capacity=200,
            enable_monitoring=False,
            pwa=False,
            mcp_server=False,
            strict_cors=True,
            allowed_paths=[],
            footer_links=["api"],
            app_kwargs={"middleware": _inside(serving), "lifespan": _outside(doors, serving.root_path)},
        )
    except (OSError, ValueError) as error:
        place = f"{serving.host}, port {serving.port or 'any'}"
        raise InputError(f"{place} cannot be listened on ({error}); give another") from error
    if public:
        # Who comes through the tunnel asks for its name, which is known only now.
        doors.allow(urlsplit(str(public)).hostname or "")
    return str(local)


def _inside(serving: Serving) -> list[Middleware]:
    """Return what looks at requests behind Gradio's own middleware, the outermost first."""
    guessing = [Middleware(LoginLimit)] if serving.account else []
    return [
        Middleware(PayloadCheck),
        *guessing,
        Middleware(UploadQuota, quota=serving.quota),
        Middleware(RequestLimits, uploads=serving.largest_file + AROUND),
    ]


def _outside(doors: Doors, root: str) -> Callable[[Any], Any]:
    """Return what puts the check of hosts around all of an application, as it starts: Gradio puts its own around any
    that it is given."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        app.middleware_stack = HostCheck(app.middleware_stack, doors, root)
        yield

    return lifespan


def _keep_models_fresh(blocks: Any, page: Page, missing: gr.HTML) -> None:
    choosers = [chooser for chooser, _ in page.choosers]
    known = gr.State(None)

    def look(request: gr.Request, before: Any, *values: Any) -> list[Any]:
        lang, names, unnamed = browser_language(request), page.shelf.names(), list(page.shelf.left_out().values())
        now = [names, list(map(str, unnamed))]
        if before == now:
            return [gr.skip() for _ in range(len(choosers) + 2)]
        sentences = [notice(str(error), "error") for error in unnamed]
        if not names:
            sentences.append(notice(say(lang, "no_model", folder=page.shelf.folders[0].name)))
        said = gr.update(value=Markup().join(sentences), visible=bool(sentences))
        return [now, said, *refreshed(page, list(values), lang)]

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
