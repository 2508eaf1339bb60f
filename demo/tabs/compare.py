"""The Compare tab: the reports of the evaluations side by side, and each whole one to read."""

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from data.errors import InputError
from demo.page import Page, browser_language
from demo.state import reports
from demo.state.reports import Shown
from demo.state.shelf import title
from demo.view.cards import notice
from demo.view.words import Language, say
from inference.html import png_address
from inference.text import or_dash, percent

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


def side_by_side(page: Page, names: Sequence[str], lang: Language) -> str:
    """Return tables of the chosen reports, one for what may be compared, with their confusion and ROC pictures."""
    if not reports.names(page.report_roots):
        return notice(say(lang, "no_report", folder=page.reports.name), "empty")
    found: list[Shown] = []
    refused: list[str] = []
    for name in names[:MOST]:
        try:
            found.append(reports.report(page.report_roots, name))
        except InputError as error:
            refused.append(notice(str(error), "error"))
    bodies = [_table(group, lang) + _pictures(group, lang) for group in reports.tables(found)]
    return "".join(refused + bodies)


def framed(page: Page, name: str | None) -> str:
    """Return a report's own page in a frame that cannot reach this one."""
    if not name:
        return ""
    try:
        content = reports.page(page.report_roots, name)
    except InputError as error:
        return notice(str(error), "error")
    return (
        f"<iframe class='fx-report' title='{escape(name, quote=True)}' sandbox='allow-scripts allow-downloads' "
        f"srcdoc='{escape(content, quote=True)}'></iframe>"
    )


def _table(group: Sequence[Shown], lang: Language) -> str:
    head = "".join(f"<th scope='col'>{say(lang, f'column_{name}')}</th>" for name in COLUMNS)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _cells(each))}</tr>" for each in group)
    notes = "".join(
        f"<li>{escape(f'{title(each.name)}: ' if len(group) > 1 else '')}{escape(note)}</li>"
        for each in group
        for note in each.report.notes
    )
    return (
        f"<h3 class='fx-title'>{escape(group[0].report.heading)}</h3>"
        f"<div class='fx-table fx-numbers'><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        f"{f'<ul class=fx-notes>{notes}</ul>' if notes else ''}"
    )


def _cells(shown: Shown) -> tuple[str, ...]:
    report, figures = shown.report, shown.report.figures
    return (
        report.label,
        report.manifest.framework,
        percent(figures.accuracy, 2),
        report.interval,
        or_dash(figures.macro.f1.value, ".4f"),
        or_dash(figures.macro_roc.auc, ".4f"),
        f"{figures.log_loss:.4f}",
        f"{figures.calibration_error:.4f}",
        f"{report.megabytes:.1f}",
        f"{report.engine.images_per_second:,.0f}",
    )


def _pictures(group: Sequence[Shown], lang: Language) -> str:
    shown = []
    for report in group:
        pictures = "".join(_picture(report, name, lang) for name in ("confusion", "roc"))
        shown.append(f"<h4 class='fx-title'>{escape(title(report.name))}</h4><div class='fx-figures'>{pictures}</div>")
    return "".join(shown)


def _picture(report: Shown, name: str, lang: Language) -> str:
    content = report.picture(name)
    if content is None:
        return ""
    caption = say(lang, f"{name}_of", name=title(report.name))
    return f"<img src='{png_address(content)}' alt='{escape(caption, quote=True)}' loading='lazy'>"
