"""The page of a table's model in a real browser: keyboard, CSV, dark mode, what is wrong and what went well."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_pages import open_page, prediction
from tests.unit.serve.conftest import COLUMNS, table_model
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.needs_browser, pytest.mark.timeout(600)]
__all__ = ["table_model"]


@pytest.fixture
def url(table_model: Path) -> Iterator[str]:
    argv = [sys.executable, "-m", "tidemill.serve", "--model", str(table_model), "--allow-pickle", "--port", "0"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    yield process.stdout.readline().decode().split()[1]
    process.terminate()
    process.communicate(timeout=PATIENCE_S)


def colour(page: Any, selector: str) -> str:
    return str(page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).color"))


def upload(page: Any, file: Path, rows: list[list[object]]) -> None:
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([COLUMNS, *rows])
    page.set_input_files("#csv", file)


def test_a_csv_file_comes_back_with_predictions_and_success_is_not_shown_as_an_error(
    browser: Any, url: str, tmp_path: Path
) -> None:
    page, _ = open_page(browser, url)
    with page.expect_download() as download:
        upload(page, tmp_path / "rows.csv", [[i / 1000] * 6 for i in range(4500)])
    with Path(download.value.path()).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4500
    assert {r["prediction"] for r in rows} <= {"no", "yes"}
    page.wait_for_selector("#done:has-text('4500 rows predicted')")
    assert page.locator("#error").text_content() == ""
    assert colour(page, "#done") != colour(page, "#error")
    upload(page, tmp_path / "rows.csv", [[1] * 5 + ["x"]])
    page.wait_for_selector("#error:has-text('Row 1, column “feature_5”, which says “x”')")
    assert page.locator("#done").text_content() == ""
    page.screenshot(path=tmp_path / "csv.png")


def test_the_form_is_used_by_keyboard_alone_and_earlier_tries_stay_visible(browser: Any, url: str) -> None:
    page, _ = open_page(browser, url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.labels[0].textContent") == "feature_0"
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    assert prediction(page) in {"no", "yes"}
    for _ in range(6):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "go"
    page.keyboard.press("Enter")
    page.wait_for_selector("#history li:nth-child(2)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_the_ground_in_light_and_dark(browser: Any, url: str, scheme: str, tmp_path: Path) -> None:
    page, _ = open_page(browser, url)
    page.emulate_media(color_scheme=scheme)
    page.click("#go")
    prediction(page)
    page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert contrast(ground, colour(page, "body")) > 7
    assert contrast(ground, colour(page, "#about")) > 4.5


def contrast(one: str, other: str) -> float:
    """As WCAG reckons it."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(rgb: str) -> float:
    parts = [int(p) / 255 for p in rgb[rgb.index("(") + 1 : -1].split(",")[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
