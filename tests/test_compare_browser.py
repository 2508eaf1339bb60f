"""The comparison's page in a real browser: it sorts, changes its theme, and asks the network for nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def page(browser: Any, compared: Path) -> Iterator[Any]:
    """The page; afterwards nothing may have been logged as an error, nor requested but the page itself."""
    file = (compared / "compare.html").as_uri()
    errors: list[str] = []
    requests: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    opened = context.new_page()
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(file)
    yield opened
    context.close()
    assert errors == []
    assert [url for url in requests if not url.startswith("data:")] == [file]


def column(page: Any, number: int) -> list[str]:
    """The cells of a column of the first ranking, as their exact values."""
    script = "(cells) => cells.map(cell => cell.dataset.value ?? cell.textContent)"
    found: list[str] = page.locator(f"#table-1 .sortable tbody tr > :nth-child({number})").evaluate_all(script)
    return found


@pytest.mark.parametrize(("name", "number"), [("ECE", 7), ("p50, ms", 10), ("images/s at 64", 12)])
def test_pressing_a_heading_sorts_by_its_figures_and_again_turns_the_order(page: Any, name: str, number: int) -> None:
    head = page.locator("#table-1 .sortable thead th", has_text=name)
    head.locator("button").click()
    first = [float(value) for value in column(page, number)]
    direction = head.get_attribute("aria-sort")
    assert first == sorted(first, reverse=direction == "descending")
    assert len(set(first)) > 2
    head.locator("button").click()
    second = [float(value) for value in column(page, number)]
    assert second == sorted(second, reverse=direction == "ascending")
    assert head.get_attribute("aria-sort") != direction
    assert page.locator("#table-1 .sortable th[aria-sort]").count() == 1


def test_names_sort_as_text_and_rows_stay_whole(page: Any, compared: Path) -> None:
    page.locator("#table-1 .sortable thead th", has_text="framework").locator("button").click()
    frameworks = column(page, 2)
    assert frameworks == sorted(frameworks)
    rows = json.loads((compared / "report.json").read_text())["tables"][0]["rows"]
    expected = {(row["label"], row["framework"], 100 * row["figures"]["accuracy"]) for row in rows}
    shown = set(zip(column(page, 1), frameworks, (float(value) for value in column(page, 3)), strict=True))
    assert shown == expected


def test_theme_button_goes_through_light_and_dark(page: Any) -> None:
    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    button = page.locator("#theme")
    seen = {button.inner_text(): background()}
    for _ in range(2):
        button.click()
        seen[button.inner_text()] = background()
    assert list(seen) == ["theme: auto", "theme: light", "theme: dark"]
    assert seen["theme: auto"] == seen["theme: light"] == "rgb(246, 247, 249)"
    assert seen["theme: dark"] == "rgb(18, 21, 27)"
    page.emulate_media(color_scheme="dark")
    button.click()
    assert background() == seen["theme: dark"]


def test_pointing_at_a_row_picks_its_series_out(page: Any) -> None:
    page.locator("#table-1 .sortable tbody tr").nth(1).hover()
    assert page.locator("#table-1.focused .on.line").count() > 0
    assert page.locator("#table-1 .line[data-series].on:not([data-series='1'])").count() == 0


def test_a_name_opens_what_is_known_of_the_model(page: Any) -> None:
    details = page.locator("#model-1-2")
    assert not details.evaluate("one => one.open")
    page.locator("#table-1 .sortable tbody a").nth(2).click()
    assert details.evaluate("one => one.open")
    assert details.locator(".confusion td").count() == 49


@pytest.mark.parametrize("width", [390, 1280])
def test_page_is_no_wider_than_the_screen_and_its_pictures_are_drawn(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("img").evaluate_all("(all) => all.every(one => one.complete && one.naturalWidth === 48)")
    for chart in page.locator("#table-1 > * svg.chart:visible").all():
        box = chart.bounding_box()
        assert box["width"] > 100
        assert box["height"] > 80


def test_printed_page_is_light_and_shows_the_figures(page: Any) -> None:
    page.locator("#theme").click()
    page.locator("#theme").click()
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(31, 36, 48)"
    assert not page.locator("#theme").is_visible()
    assert page.locator("#table-1 .sortable").is_visible()
