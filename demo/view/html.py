"""The page's parts from the templates beside this module, in a visitor's language."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from markupsafe import Markup

from data.faceset import LABELS
from demo.view.words import emotion, say
from inference.html import fill
from inference.report.plots import PALETTE

COLOURS = dict(zip(LABELS, PALETTE, strict=True))
REFUSALS = ("denied", "missing", "failed", "insecure")
CAMERA_SCRIPT = Path(__file__).with_name("camera.js")
TEMPLATES = (Path(__file__).with_name("templates"),)


def part(template: str, **values: Any) -> Markup:
    """Return a template with the values filled in; those that speak need `lang`."""
    return fill(TEMPLATES, f"{template}.html", say=say, emotion=emotion, colours=COLOURS, **values)


def notice(sentence: str, kind: str = "note") -> Markup:
    """Return one sentence as a box; `kind` is note, empty or error."""
    return part("notice", sentence=sentence, kind=kind)


def camera_refusals(text: Callable[[str], object]) -> list[Markup]:
    """Return the reasons for having no camera, hidden; `text` gives a sentence that the browser translates, of which
    Gradio finds one in a component."""
    return [part("refused", reason=reason, sentence=Markup(str(text(f"camera_{reason}")))) for reason in REFUSALS]


def placeholder(sentence: object) -> Markup:
    """Return what stands where an answer will be; `sentence` is one that the browser translates."""
    # Gradio's mark of such a sentence is JSON, and would be none if it were escaped.
    return Markup("<div class='fx-notice fx-empty'>{}</div>").format(Markup(str(sentence)))
