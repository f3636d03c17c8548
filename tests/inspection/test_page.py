"""The page of ``capsbuild report``, in a real browser."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.capsbuild.command import capsbuild, write
from tests.inspection.browser import Page, browser
from tests.inspection.capsules import HOSTILE, build

CELLS = "[...document.querySelectorAll('#map > button')].map((e) => e.getAttribute('aria-label'))"
CELL = "[...document.querySelectorAll('#map > button')].find((e) => e.getAttribute('aria-label').startsWith('{}'))"
CRUMBS = "[...document.querySelectorAll('#crumbs button')].map((e) => e.textContent)"
PATHS = "[...document.querySelectorAll('#rows td:first-child')].map((e) => e.textContent)"
SEARCH = """(() => {{
  const field = document.getElementById('search'); field.value = {!r}; field.dispatchEvent(new Event('input'));
}})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def html(capsule: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("page") / "alan.html"
    ran = capsbuild("report", capsule, "--html", place)
    assert (ran.status, ran.out, ran.err) == (0, f"✅ Page written: {place}\n", "")
    return place


@pytest.fixture
def opened(page: Page, html: Path) -> Iterator[Page]:
    page.requests.clear()
    page.complaints.clear()
    page.open(html)
    yield page
    assert page.requests == [html.as_uri()]
    assert page.complaints == []


def different_rows(png: bytes) -> int:
    """How many rows of a PNG are unlike all others: one that shows nothing has next to none."""
    width, _, _, kind = struct.unpack(">IIBB", png[16:26])
    places = (match.start() for match in re.finditer(b"IDAT", png))
    data = b"".join(png[at + 4 : at + 4 + int.from_bytes(png[at - 4 : at], "big")] for at in places)
    rows = zlib.decompressobj().decompress(data)
    stride = width * {2: 3, 6: 4}[kind] + 1
    return len({rows[at : at + stride] for at in range(0, len(rows), stride)})


def test_the_page_shows_the_capsule(opened: Page) -> None:
    assert opened.run("document.title") == "alan 2.1.0"
    assert opened.run("document.querySelector('h1').textContent") == "alan 2.1.0"
    labels = opened.run(CELLS)
    assert [label.partition(":")[0].partition("-")[0] for label in labels[:3]] == ["pyyaml", "app", "click"]
    assert opened.run("document.getElementById('changes').hidden") is True


@pytest.mark.parametrize("dark", [False, True])
def test_it_can_be_seen_in_light_and_dark(opened: Page, html: Path, dark: bool) -> None:
    opened.requests.clear()
    opened.open(html, dark=dark)
    background = opened.run("getComputedStyle(document.body).backgroundColor")
    text = opened.run("getComputedStyle(document.body).color")
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (background, text)]
    assert (brightness[0] < 150 and brightness[1] > 600) if dark else (brightness[0] > 600 and brightness[1] < 150)
    assert different_rows(opened.screenshot()) > 300


def test_the_cells_fill_the_map_in_proportion(opened: Page) -> None:
    boxes = opened.run(
        "[...document.querySelectorAll('#map > button')].map((e) => [parseFloat(e.style.left), parseFloat(e.style.top),"
        " parseFloat(e.style.width), parseFloat(e.style.height)])"
    )
    width, height = opened.run(
        "[document.getElementById('map').clientWidth, document.getElementById('map').clientHeight]"
    )
    areas = [box[2] * box[3] for box in boxes]
    assert sum(areas) == pytest.approx(width * height, rel=1e-3)
    assert areas == sorted(areas, reverse=True)
    for x, y, w, h in boxes:
        assert min(x, y) >= -0.01 and x + w <= width + 0.01 and y + h <= height + 0.01
    for number, (x, y, w, h) in enumerate(boxes):
        for ox, oy, ow, oh in boxes[:number]:
            assert min(x + w, ox + ow) - max(x, ox) < 0.01 or min(y + h, oy + oh) - max(y, oy) < 0.01


def test_a_click_goes_into_a_package_and_the_path_leads_back(opened: Page) -> None:
    opened.click(CELL.format("pyyaml"))
    crumbs = opened.run(CRUMBS)
    assert crumbs[0] == "alan 2.1.0" and crumbs[1].startswith("pyyaml-")
    assert any(label.startswith("yaml:") for label in opened.run(CELLS))
    opened.click("document.querySelector('#crumbs button')")
    assert opened.run(CRUMBS) == ["alan 2.1.0"]


def test_the_keyboard_does_the_same(opened: Page) -> None:
    opened.run(f"{CELL.format('pyyaml')}.focus()")
    opened.press("Enter", "\r")
    assert len(opened.run(CRUMBS)) > 1
    assert opened.run("document.activeElement.parentElement.id") == "map"
    opened.press("Escape")
    assert opened.run(CRUMBS) == ["alan 2.1.0"]


def test_a_file_is_told_of(opened: Page) -> None:
    opened.click(CELL.format("app"))
    opened.click(CELL.format("data/big") if opened.run(f"!!{CELL.format('data/big')}") else CELL.format("data:"))
    assert opened.run("document.getElementById('told').textContent").startswith("data/big [1].bin : file, 1.28 MB")


def test_search_finds_by_all_words(opened: Page) -> None:
    opened.run(SEARCH.format("demo-lib SAME.py"))
    names = [path.rsplit("/", 1)[1] for path in opened.run(PATHS)]
    assert sorted(names) == ["same.py", "same.pyi", "test_same.py"]
    assert opened.run("document.getElementById('count').textContent").startswith("3 of ")
    opened.run(SEARCH.format("no such thing"))
    assert opened.run(PATHS) == []


def test_the_table_is_sorted_by_a_click_on_its_head(opened: Page) -> None:
    opened.click("document.querySelector('#heads button')")
    paths = opened.run(PATHS)
    assert paths == sorted(paths) and len(paths) > 50
    assert opened.run("document.querySelector('#heads th').getAttribute('aria-sort')") == "ascending"


def test_everything_that_can_be_used_has_a_name(opened: Page) -> None:
    unnamed = "[...document.querySelectorAll('button, input, section, nav')].filter((e) => !e.hidden && !("
    unnamed += "e.textContent.trim() || e.getAttribute('aria-label') || (e.labels && e.labels.length))).length"
    assert opened.run(unnamed) == 0
    assert opened.run("document.documentElement.lang") == "en"


def test_names_are_text_whatever_they_hold(opened: Page, html: Path) -> None:
    opened.run(SEARCH.format("static/"))
    assert set(opened.run(PATHS)) == {HOSTILE, "static/<img src=x onerror=alert(1)>"}
    assert opened.run("document.querySelectorAll('img').length") == 0
    assert opened.run("document.querySelectorAll('script').length") == 2
    assert opened.run("document.title") == "alan 2.1.0"
    assert html.read_text().count("</script") == 2


def test_the_policy_forbids_what_the_page_does_not_do(page: Page, html: Path) -> None:
    page.open(html)
    page.run("void (window.added = document.createElement('script'))")
    page.run("window.added.textContent = 'window.taken = 1'; void document.body.append(window.added)")
    assert page.run("window.taken === undefined") is True
    assert page.run("fetch('https://example.com/').then(() => 'sent', () => 'refused')") == "refused"
    assert any("Content Security Policy" in complaint for complaint in page.complaints)
    page.complaints.clear()


def test_what_changed_is_on_it_when_there_are_two(page: Page, capsule: Path, tmp_path: Path) -> None:
    other = build(tmp_path / "other", version="2.2.0", demo="2.0", changed={"main.py": "print('bye')\n"})
    place = tmp_path / "changes.html"
    assert capsbuild("report", capsule, other, "--html", place).status == 0
    page.complaints.clear()
    page.open(place)
    assert page.run("document.getElementById('changes').hidden") is False
    summaries = page.run("[...document.querySelectorAll('summary')].map((e) => e.textContent)")
    assert [summary[:18] for summary in summaries] == ["demo-lib 1.0 → 2.0", "application2 chang"]
    page.click("[...document.querySelectorAll('summary')][1]")
    page.run("new Promise((done) => setTimeout(done, 50))")
    assert page.run("[...document.querySelectorAll('details[open] li')].map((e) => e.textContent)") == [
        "capsule.yml content +0 B",
        "main.py content −2 B",
    ]
    assert 'version: "2.1.0" → "2.2.0"' in page.run("document.getElementById('keys').textContent")
    assert page.run("document.querySelectorAll('#map .m2').length") > 0
    assert page.complaints == []


def test_twenty_thousand_files_are_no_burden(page: Page, tmp_path: Path) -> None:
    files = {f"pack{number % 150}/part{number % 7}/f{number}.py": "x" * (number % 900) for number in range(20_000)}
    write(
        tmp_path / "app", {"capsule.yml": "name: many\nversion: 1.0.0\nentrypoint: run.sh\n", "run.sh": "#!/bin/sh\n"}
    )
    write(tmp_path / "app", dict(files))
    assert capsbuild("--from-dir", tmp_path / "app", "--output", tmp_path / "many.tar.gz", "--quiet").status == 0
    assert capsbuild("report", tmp_path / "many.tar.gz", "--html", tmp_path / "many.html").status == 0
    page.complaints.clear()
    page.open(tmp_path / "many.html")
    assert page.run("document.getElementById('count').textContent") == "20,002 of 20,002"
    assert page.run("document.querySelectorAll('#map *').length") < 15_000
    assert page.run("document.querySelectorAll('#rows tr').length") == 200
    page.click("document.getElementById('more')")
    assert page.run("document.querySelectorAll('#rows tr').length") == 400
    assert page.run("performance.timing.loadEventEnd - performance.timing.navigationStart") < 20_000
    assert page.complaints == []


def test_the_page_is_there_whole_or_not_at_all(capsule: Path, tmp_path: Path) -> None:
    place = tmp_path / "out.html"
    place.write_text("older")
    damaged = tmp_path / "damaged.tar.gz"
    damaged.write_bytes(capsule.read_bytes()[:-100])
    assert capsbuild("report", damaged, "--html", place).status == 4
    assert (place.read_text(), sorted(path.name for path in tmp_path.iterdir())) == (
        "older",
        ["damaged.tar.gz", "out.html"],
    )
    assert capsbuild("report", capsule, "--html", tmp_path).status == 2
    assert capsbuild("report", capsule, "--html", tmp_path / "none" / "out.html").status == 2
    assert capsbuild("report", damaged, "--html", damaged).status == 2
    assert damaged.read_bytes() == capsule.read_bytes()[:-100]
