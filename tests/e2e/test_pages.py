"""The generated page of each example, driven in a real browser to a right prediction."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.needs_browser, pytest.mark.timeout(600)]

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A copy of an example, brought up; its URL and folder."""
    folder = tmp_path / request.param
    shutil.copytree(EXAMPLES / request.param, folder, ignore=shutil.ignore_patterns(".tidemill"))
    tidemill = [sys.executable, "-m", "tidemill", "-C", str(folder)]
    subprocess.run([sys.executable, str(folder / "data" / "make_data.py")], check=True, capture_output=True)
    done = subprocess.run([*tidemill, "up"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    status = json.loads(
        subprocess.run([*tidemill, "status", "-o", "json"], capture_output=True, text=True, check=True).stdout
    )
    yield status["endpoints"][0]["url"], folder
    subprocess.run([*tidemill, "down"], check=True, capture_output=True)


def open_page(browser: Any, url: str) -> tuple[Any, list[str]]:
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    foreign: list[str] = []
    page.on("request", lambda r: None if r.url.startswith((url, "data:", "blob:")) else foreign.append(r.url))
    page.goto(url)
    page.wait_for_selector("#about:not(:empty)")
    return page, foreign


def prediction(page: Any) -> str:
    page.wait_for_selector("#answer:not(.waiting)")
    return str(page.evaluate("document.getElementById('answer').firstChild.textContent"))


@pytest.mark.parametrize("served", ["digits"], indirect=True)
def test_a_drawn_digit_is_recognised(browser: Any, served: tuple[str, Path], tmp_path: Path) -> None:
    page, foreign = open_page(browser, served[0])
    box = page.locator("#canvas").bounding_box()
    centre = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    turn = [
        (centre[0] + 70 * math.sin(a / 20 * math.tau), centre[1] - 105 * math.cos(a / 20 * math.tau)) for a in range(21)
    ]
    page.mouse.move(*turn[0])
    page.mouse.down()
    for point in turn[1:]:
        page.mouse.move(*point)
    page.mouse.up()
    page.screenshot(path=tmp_path / "digits.png")
    assert prediction(page) == "0"
    assert page.locator("#history li").count() == 1
    assert foreign == []


@pytest.mark.parametrize("served", ["damage"], indirect=True)
def test_a_form_is_answered_and_a_csv_comes_back_with_predictions(
    browser: Any, served: tuple[str, Path], tmp_path: Path
) -> None:
    page, foreign = open_page(browser, served[0])
    assert page.locator("#form input").count() == 37
    page.click("#go")
    assert prediction(page) in {"no damage", "damage"}
    page.get_by_label("age", exact=True).fill("")
    page.click("#go")
    page.wait_for_selector("input.bad")
    assert "age" in page.inner_text("#error")
    with page.expect_download() as download:
        page.set_input_files("#csv", served[1] / "data" / "train_cleaned.csv")
    lines = Path(download.value.path()).read_text().splitlines()
    assert len(lines) == 2401
    assert lines[0].endswith("prediction,probability,version")
    page.screenshot(path=tmp_path / "damage.png")
    assert foreign == []


@pytest.mark.parametrize("served", ["animals"], indirect=True)
def test_a_chosen_picture_is_named(browser: Any, served: tuple[str, Path], tmp_path: Path) -> None:
    page, foreign = open_page(browser, served[0])
    page.set_input_files("#file", served[1] / "data" / "pandas" / "007.png")
    assert prediction(page) == "pandas"
    page.screenshot(path=tmp_path / "animals.png")
    assert foreign == []
