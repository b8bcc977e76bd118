"""The page of results in a headless browser: what a reader does, sees and hears, at desktop and phone width, light and dark.

Needs the extra ``browser`` and a Chromium or Chrome (``JEPAKIT_BROWSER=/path`` names one); skipped without.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_leaderboard import fresh
from test_report import plant

from benchmark import plugin
from benchmark.report import page as report

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[browser]'")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DESKTOP, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = os.environ.get("JEPAKIT_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    with api.sync_playwright() as driver:
        bundled = driver.chromium.executable_path
        if found is None and not Path(bundled).exists():
            pytest.skip("no Chromium or Chrome was found; name one with JEPAKIT_BROWSER")
        opened = driver.chromium.launch(executable_path=found or bundled)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    results = tmp_path_factory.mktemp("results")
    plant(results)
    plugin.everything()  # the files that sections about methods are made from
    return report.write(results, stale=fresh).as_uri()


@pytest.fixture(params=[(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")],
                ids=["desktop-light", "desktop-dark", "phone-light", "phone-dark"])  # fmt: skip
def tab(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Any]:
    """The page as it opens. Whatever it complains of or asks for beside itself fails the test."""
    size, scheme = request.param
    context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=size is PHONE)
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda sent: asked.append(sent.url))
    page.goto(address)
    yield page
    assert complaints == []
    assert {url.split("#")[0] for url in asked if not url.startswith("data:")} == {address}
    context.close()


def shown(page: Any) -> list[str]:
    """Ids of the parts that can be seen."""
    return page.eval_on_selector_all(".view", "all => all.filter(one => !one.hidden).map(one => one.id)")


def go(page: Any, id: str) -> None:
    page.evaluate("id => { location.hash = id; }", id)
    page.wait_for_function("id => !document.getElementById(id).closest('.view').hidden", arg=id)


def board(page: Any) -> str:
    """The id of the board of ``plant``."""
    return page.eval_on_selector("section[id^=board-ecg-simulated]", "one => one.id")


def column(page: Any, table: str, head: str) -> list[str]:
    """Texts of a column above the references, in the order of the page, without hidden rows."""
    return page.evaluate(
        """([id, head]) => {
            const table = document.getElementById(id);
            const place = [...table.tHead.rows[0].cells].findIndex(cell => cell.textContent.trim() === head);
            return [...table.tBodies[0].rows].filter(row => !row.hidden).map(row => row.cells[place].textContent.trim());
        }""",
        [table, head],
    )


def test_one_part_at_a_time_and_the_way_back(tab: Any) -> None:
    assert shown(tab) == ["overview"]
    tab.click("nav a[href='#methods']")
    assert shown(tab) == ["methods"] and tab.get_attribute("nav a[href='#methods']", "aria-current") == "page"
    tab.click("#methods-index a[href='#method-mae']")
    assert shown(tab) == ["method-mae"] and "mae" in tab.title()
    assert tab.evaluate("document.activeElement.textContent") == "mae", "who listens hears where they are"
    assert tab.is_visible("#method-mae dl") and "Differs" in tab.inner_text("#method-mae dl")
    tab.go_back()
    tab.wait_for_function("!document.getElementById('methods').hidden")
    assert shown(tab) == ["methods"]


def test_a_table_is_sorted_and_references_stay_apart(tab: Any) -> None:
    id = board(tab)
    go(tab, id)
    table = tab.eval_on_selector(f"#{id} table", "one => one.id")
    head = tab.locator(f"#{table} thead th", has_text=re.compile("^linear macro_f1$"))
    apart = f"#{table} tbody:nth-of-type(2) th[scope=row]"
    references = tab.eval_on_selector_all(apart, "all => all.map(one => one.textContent)")
    for order, turned in (("descending", True), ("ascending", False)):
        head.locator("button").press("Enter")
        assert head.get_attribute("aria-sort") == order
        cells = column(tab, table, "linear macro_f1")
        seen = [float(text.split()[0]) for text in cells if text]
        assert seen == sorted(seen, reverse=turned) and len(seen) > 2
        assert not any(cells[len(seen) :]), "empty cells come last, whichever way"
    assert sorted(references) == sorted(tab.eval_on_selector_all(apart, "all => all.map(one => one.textContent)"))


def test_a_table_is_filtered_by_name_and_family(tab: Any) -> None:
    go(tab, board(tab))
    form = tab.locator(".view:not([hidden]) form.filter").first
    table = form.get_attribute("data-for")
    form.get_by_label("Rows named").fill("jepa")
    assert column(tab, table, "method") == ["ijepa ◆", "lejepa"]
    assert form.locator("output").inner_text().startswith("2 of ")
    form.get_by_label("Rows named").fill("")
    form.get_by_label("Family").select_option("mae")
    assert column(tab, table, "family") == ["mae"]
    form.get_by_label("Family").select_option("")
    assert len(column(tab, table, "family")) > 3 and form.locator("output").inner_text() == ""


def test_no_part_is_wider_than_the_screen(tab: Any) -> None:
    for id in tab.eval_on_selector_all(".view", "all => all.map(one => one.id)"):
        go(tab, id)
        tab.eval_on_selector_all(".view:not([hidden]) details", "all => all.forEach(one => { one.open = true; })")
        wide, room = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide <= room, id


def test_the_theme_follows_the_system_and_the_button(tab: Any) -> None:
    def paper() -> int:
        words = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        return int(words.split("(")[1].split(",")[0])

    dark = tab.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert (paper() < 64) == dark
    button = tab.get_by_role("button", name="Light theme" if dark else "Dark theme")
    button.click()
    assert (paper() < 64) != dark
    tab.reload()
    assert (paper() < 64) != dark, "the choice is kept"
    tab.get_by_role("button", name="Dark theme" if dark else "Light theme").click()
    assert (paper() < 64) == dark


def test_a_keyboard_reaches_the_results(tab: Any) -> None:
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    tab.keyboard.press("Enter")
    assert shown(tab) == ["overview"] and tab.evaluate("document.activeElement.id") == "main"


def test_without_scripts_everything_is_there(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False, viewport=PHONE)
    page = context.new_page()
    page.goto(address)
    assert page.locator("#overview").is_visible() and page.locator("#method-mae").is_visible()
    assert not page.locator("form.filter").first.is_visible() and not page.locator("#theme").is_visible()
    context.close()


def test_axe_finds_nothing_serious(tab: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra 'browser'").Axe()
    for id in ("overview", "modality-ecg", board(tab), "methods", "method-mae", "data", "reading"):
        go(tab, id)
        tab.eval_on_selector_all(".view:not([hidden]) details", "all => all.forEach(one => { one.open = true; })")
        found = axe.run(tab).response["violations"]
        grave = [
            (one["id"], node["target"], node["any"][:1])
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert grave == [], id
