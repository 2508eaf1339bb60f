"""The Compare tab: the reports of the evaluations side by side, and each whole one to read."""

from collections.abc import Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from data.errors import InputError
from demo.page import Page, browser_language
from demo.state import reports
from demo.state.reports import ShownReport
from demo.state.shelf import title
from demo.view.html import notice, part
from demo.view.words import Language, say

MOST = 6
COLUMNS = ("model", "framework", "accuracy", "interval", "f1", "auc", "loss", "calibration", "size", "speed")


def build(page: Page, tab: gr.Tab) -> None:
    """Lay out the tab and wire it up; what there is, is looked up whenever the tab is opened."""
    text = page.text
    chosen = gr.Dropdown([], multiselect=True, max_choices=MOST, label=text("reports"), elem_id="compare-chosen")
    answer = gr.HTML(elem_id="compare-answer")
    with gr.Accordion(text("report_page"), open=False, elem_id="compare-pages"):
        opened = gr.Dropdown([], label=text("report_page"), show_label=False, elem_id="compare-page")
        whole = gr.HTML(elem_id="compare-whole")

    def look(before: list[str] | None, page_before: str | None, request: gr.Request) -> tuple[Any, Any, str]:
        names, pages = reports.names(page.report_roots), reports.pages(page.report_roots)
        kept = [name for name in before or () if name in names] or names[:MOST]
        update = gr.update(choices=[(title(name), name) for name in names], value=kept)
        first = page_before if page_before in pages else next(iter(pages), None)
        offered = gr.update(choices=[(title(name), name) for name in pages], value=first)
        return update, offered, side_by_side(page, kept, browser_language(request))

    def compare(names: list[str], request: gr.Request) -> str:
        return side_by_side(page, names, browser_language(request))

    def read(name: str | None) -> str:
        return framed(page, name)

    shared: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    tab.select(look, [chosen, opened], [chosen, opened, answer], **shared)
    chosen.input(compare, chosen, answer, **shared)
    opened.change(read, opened, whole, **shared)


def side_by_side(page: Page, names: Sequence[str], lang: Language) -> Markup:
    """Return tables of the chosen reports, one for what may be compared, with their confusion and ROC pictures."""
    unnamed = Markup().join(notice(str(error), "error") for error in reports.left_out(page.report_roots))
    if not reports.names(page.report_roots):
        return unnamed + notice(say(lang, "no_report", folder=page.reports.name), "empty")
    shown: list[ShownReport] = []
    refused: list[Markup] = []
    for name in names[:MOST]:
        try:
            shown.append(reports.report(page.report_roots, name))
        except InputError as error:
            refused.append(notice(str(error), "error"))
    return Markup().join([unnamed, *refused, *(_group(group, lang) for group in reports.tables(shown))])


def framed(page: Page, name: str | None) -> Markup:
    """Return a report's own page in a frame that cannot reach this one."""
    if not name:
        return Markup()
    try:
        return part("framed", name=name, content=reports.page(page.report_roots, name))
    except InputError as error:
        return notice(str(error), "error")


def _group(group: Sequence[ShownReport], lang: Language) -> Markup:
    columns = [say(lang, f"column_{name}") for name in COLUMNS]
    return part("compare", lang=lang, group=group, columns=columns, title=title)
