"""What all tabs share: the models, the face finder, the words, and the choice of a model."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from demo.state.shelf import ALL, Shelf, title
from demo.view.words import Language, language, say
from inference.confidence import ALWAYS
from inference.photos.faces import Finder

# What runs a model waits in one line, since onnxruntime takes all processors for each run.
ENGINE_QUEUE = "engine"
# But for what takes minutes: of each kind one runs at a time, in a line of its own, and no photo waits for it.
BATCH_QUEUE, FOLDER_QUEUE, FILM_QUEUE, EXPORT_QUEUE = "batch", "folder", "film", "export"
LONG_QUEUES = frozenset((BATCH_QUEUE, FOLDER_QUEUE, FILM_QUEUE, EXPORT_QUEUE))
FILM_BYTES = 500_000_000  # How large a film may be that is sent here, unless somebody says otherwise.


@dataclass(frozen=True)
class Page:
    """The page being built. `text` gives a sentence that the browser translates; `scratch` is removed at the end.

    `film_bytes` is how large a film may be.
    """

    shelf: Shelf
    finder: Finder
    reports: Path
    runs: Path
    data: Path | None
    scratch: Path
    text: Callable[[str], Any]
    film_bytes: int = FILM_BYTES
    choosers: list[tuple[gr.Dropdown, bool]] = field(default_factory=list)

    @property
    def report_roots(self) -> tuple[Path, ...]:
        """Where reports lie: those that were made here, and those that came with the models."""
        return self.reports, *(folder / "reports" for folder in self.shelf.folders)

    def without_paths(self, text: str) -> str:
        """Return what another process said, without the folders of this machine: visitors are not told of them."""
        places = [path for path in (self.data, self.runs, *self.shelf.folders, self.reports) if path is not None]
        folders = {str(folder) for path in places for folder in (path.parent, path.resolve().parent)}
        for folder in sorted(folders | {str(Path.cwd())}, key=len, reverse=True):
            if folder.startswith("/") and folder != "/":
                text = text.replace(f"{folder}/", "")
        return text


def browser_language(request: gr.Request | None) -> Language:
    """Return the language that a request's browser asks for."""
    headers = getattr(request, "headers", None) or {}
    return language(headers.get("accept-language"))


def model_choice(page: Page, elem_id: str, *, several: bool) -> gr.Dropdown:
    """Return a choice among the models there are, kept up to date by `refresh_choosers`; `several` adds all of them."""
    names = page.shelf.names()
    chooser = gr.Dropdown(
        choices(names, several, "en"),
        value=names[0] if names else None,
        label=page.text("model"),
        elem_id=elem_id,
        filterable=False,
    )
    # The shelf decides whether there is such a model, not what was there when the page was built.
    chooser.preprocess = _as_sent  # type: ignore[method-assign, assignment]
    page.choosers.append((chooser, several))
    return chooser


def least_confidence(page: Page, elem_id: str) -> gr.Slider:
    """Return a choice of the confidence below which the page says that it is unsure; 0, the default, is never."""
    return gr.Slider(0, 0.95, ALWAYS, step=0.05, label=page.text("min_confidence"), elem_id=elem_id)


def choices(names: list[str], several: bool, lang: Language) -> list[tuple[str, str]]:
    """Return titles and names of models, with "all" behind them where there are several to choose from."""
    everything = [(say(lang, "all_models"), ALL)] if several and len(names) > 1 else []
    return [*((title(name), name) for name in names), *everything]


def _as_sent(value: Any) -> Any:
    return value


def refreshed(page: Page, chosen: list[Any], lang: Language) -> list[Any]:
    """Return updates for all choosers: the models there are now, and for a choice that has gone another one."""
    names = page.shelf.names()
    updates: list[Any] = []
    for (_, several), value in zip(page.choosers, chosen, strict=True):
        offered = choices(names, several, lang)
        kept = value if value in [name for _, name in offered] else (names[0] if names else None)
        updates.append(gr.update(choices=offered, value=kept))
    return updates
