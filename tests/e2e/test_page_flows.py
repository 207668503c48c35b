"""What people do with a model's page beyond one prediction: tokens, copied commands, tables as they come, reloads, other versions, no server."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.e2e.test_pages import open_page, prediction
from tests.unit.serve.conftest import COLUMNS, digits_model, save, table_model
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.needs_browser, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
__all__ = ["digits_model", "table_model"]
PATIENCE_MS = 120_000
Serve = Callable[..., str]


@pytest.fixture(autouse=True)
def closing(browser: Any, serve: Serve) -> Iterator[None]:
    """A page left open goes on asking its server for as long as the browser runs; servers end after their pages."""
    del serve
    yield
    for context in browser.contexts:
        context.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers; each ends with the test."""
    running: dict[str, subprocess.Popen[bytes]] = {}

    def start(model: Path, *options: str, port: int = 0) -> str:
        argv = [sys.executable, "-m", "tidemill.serve", "--model", str(model), "--allow-pickle", "--port", str(port)]
        process = subprocess.Popen([*argv, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        url = process.stdout.readline().decode().split()[1]
        running[url] = process
        return url

    def stop(url: str) -> None:
        process = running.pop(url)
        process.terminate()
        process.communicate(timeout=PATIENCE_S)

    start.stop = stop  # type: ignore[attr-defined]
    yield start
    for url in list(running):
        stop(url)


def copied(page: Any, button: str) -> str:
    page.evaluate("navigator.clipboard.writeText('')")
    page.click(button)
    page.wait_for_selector("#done:has-text('Copied')")
    return str(page.evaluate("navigator.clipboard.readText()"))


def shell(command: str, **more: Any) -> Any:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=120, **more)
    return json.loads(done.stdout.removeprefix("Token: "))


def allowed(browser: Any) -> Any:
    return browser.new_context(
        permissions=["clipboard-read", "clipboard-write"], viewport={"width": 1000, "height": 800}
    )


def opened(context: Any, url: str) -> Any:
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.complaints = []
    page.on("console", lambda m: page.complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: page.complaints.append(str(e)))
    page.goto(url)
    return page


@pytest.fixture
def worded(tmp_path: Path) -> Path:
    """A model of words, whole numbers and truths, with columns named as parts of a browser's own form."""
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = pd.DataFrame({"length": ["a", "b'c", "d"] * 20, "elements": range(60), "hidden": [True, False, True] * 20})
    words = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["length"]), remainder="passthrough")
    model = make_pipeline(words, LogisticRegression(max_iter=500)).fit(frame, [0, 1, 1] * 20)
    columns = [
        {"name": "length", "type": "string", "values": ["a", "b'c", "d"]},
        {"name": "elements", "type": "long", "min": 0, "max": 59},
        {"name": "hidden", "type": "boolean"},
    ]
    metadata = {"classes": ["=no", "it's “yes”"], "task": "classification", "columns": columns}
    return save(tmp_path / "worded", model, metadata, {})


def test_copied_commands_work_in_a_shell_whatever_stands_in_the_form(browser: Any, serve: Serve, worded: Path) -> None:
    context = allowed(browser)
    page = opened(context, serve(worded))
    page.get_by_label("length").select_option("b'c")
    page.get_by_label("hidden").select_option("true")
    page.click("#go")
    shown = prediction(page)
    assert shell(copied(page, "#curl"))["prediction"] == shown
    program = copied(page, "#python")
    assert shown in subprocess.check_output([sys.executable, "-c", program], text=True)
    assert page.complaints == []
    context.close()


def test_a_picture_is_copied_as_a_command_too(browser: Any, serve: Serve, digits_model: Path, tmp_path: Path) -> None:
    context = allowed(browser)
    page = opened(context, serve(digits_model))
    box = page.locator("#canvas").bounding_box()
    page.mouse.move(box["x"] + 150, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 270, steps=5)
    page.mouse.up()
    assert shell(copied(page, "#curl"))["prediction"] == prediction(page)
    page.click("#clear")
    assert page.locator("#copies").is_hidden()
    Image.new("L", (50, 60), 90).save(tmp_path / "some.png")
    page.set_input_files("#picture", tmp_path / "some.png")
    shown = prediction(page)
    assert shell(copied(page, "#curl"))["prediction"] == shown
    assert page.complaints == []
    context.close()


def test_arrow_keys_draw(browser: Any, serve: Serve, digits_model: Path) -> None:
    page, _ = open_page(browser, serve(digits_model))
    page.focus("#canvas")
    for key in (*["ArrowUp"] * 6, *["Shift+ArrowDown"] * 12):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    assert prediction(page).startswith("digit ")


def test_a_token_is_asked_for_kept_for_the_tab_and_put_into_copied_commands(
    browser: Any, serve: Serve, table_model: Path, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("s3cret-1\n")
    url = serve(table_model, "--token-file", str(tokens))
    context = allowed(browser)
    page = opened(context, url)
    page.fill("input[type=password]", "wrong")
    page.click("button")
    page.wait_for_selector("[role=alert]:has-text('not accepted')")
    page.fill("input[type=password]", "s3cret-1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#about:not(:empty)")
    assert "s3cret" not in page.url
    page.click("#go")
    shown = prediction(page)
    assert shell(copied(page, "#curl"))["prediction"] == shown
    page.reload()
    page.wait_for_selector("#about:not(:empty)")
    other = opened(context, url)
    other.click("#go")
    assert prediction(other) == shown
    command = copied(other, "#curl")
    assert "s3cret" not in command
    assert shell(command, input="s3cret-1\n")["prediction"] == shown
    for name in ("version", "metrics"):
        assert context.request.get(f"{url}/{name}").status == 200
    page.get_by_label("feature_3").fill("0.25")
    tokens.write_text("s3cret-2\n")
    page.click("#go")
    page.wait_for_selector("input[type=password]")
    page.fill("input[type=password]", "s3cret-2")
    page.keyboard.press("Enter")
    page.wait_for_selector("#about:not(:empty)")
    assert page.get_by_label("feature_3").input_value() == "0.25"
    context.close()


def test_a_link_with_a_token_lets_in_and_the_token_leaves_the_address(
    browser: Any, serve: Serve, table_model: Path, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("s3cret-1\n")
    one, two = (serve(table_model, "--token-file", str(tokens)) for _ in range(2))
    context = allowed(browser)
    pages = [opened(context, f"{url}/?token=s3cret-1") for url in (one, two)]
    for page in pages:
        page.wait_for_selector("#about:not(:empty)")
        assert "s3cret" not in page.url
        page.click("#go")
        assert shell(copied(page, "#curl"))["prediction"] == prediction(page)
    assert len({c["name"] for c in context.cookies()}) == 2, "servers on two ports of a host do not take each other's"
    context.close()


def download(page: Any, file: Path) -> str:
    with page.expect_download() as found:
        page.set_input_files("#csv", file)
    return Path(found.value.path()).read_text(encoding="utf-8")


def test_tables_come_as_people_have_them(browser: Any, serve: Serve, worded: Path, tmp_path: Path) -> None:
    page = opened(browser.new_context(), serve(worded))
    page.wait_for_selector("#about:not(:empty)")
    file = tmp_path / "rows.csv"
    file.write_bytes(
        '\ufeffHidden;Length;note;ELEMENTS\r\nTRUE;"d";"a ""b""; c\nd";3\r\nfalse;b\'c;=1+1;4\r\n'.encode()
    )
    text = download(page, file)
    assert text.startswith("\ufeffHidden;")
    rows = list(csv.DictReader(text[1:].splitlines(keepends=True), delimiter=";"))
    assert [r["note"] for r in rows] == ['a "b"; c\r\nd' if "\r\nd" in text else 'a "b"; c\nd', "'=1+1"]
    assert all(r["prediction"] in {"'=no", "it's “yes”"} and r["version"] == "1" for r in rows)
    file.write_text("length\telements\thidden\n\nd\t99\t1\n")
    rows = list(csv.DictReader(download(page, file).splitlines(), delimiter="\t"))
    assert "above what training saw" in rows[0]["warnings"]
    assert "outside what training saw" in page.inner_text("#done")
    file.write_text("elements,other\n1,2\n")
    page.set_input_files("#csv", file)
    page.wait_for_selector("#error:has-text('no column “length”, “hidden”')")
    file.write_text("length,elements,hidden\na,1,true\na,,true\n")
    page.set_input_files("#csv", file)
    page.wait_for_selector("#error:has-text('Row 2, column “elements”')")
    assert page.complaints == [
        "Failed to load resource: the server responded with a status of 422 (Unprocessable Entity)"
    ]


def test_decimal_commas_of_a_semicolon_table_are_numbers(
    browser: Any, serve: Serve, table_model: Path, tmp_path: Path
) -> None:
    page, _ = open_page(browser, serve(table_model))
    file = tmp_path / "rows.csv"
    file.write_text(";".join(COLUMNS) + "\n" + ";".join(["1,5"] * 6) + "\n")
    with_commas = next(csv.DictReader(download(page, file).splitlines(), delimiter=";"))
    file.write_text(",".join(COLUMNS) + "\n" + ",".join(["1.5"] * 6) + "\n")
    with_points = next(csv.DictReader(download(page, file).splitlines()))
    assert with_commas["probability"].replace(",", ".") == with_points["probability"]


def test_fifty_thousand_rows_come_back(browser: Any, serve: Serve, table_model: Path, tmp_path: Path) -> None:
    page, _ = open_page(browser, serve(table_model))
    page.set_default_timeout(60_000)
    file = tmp_path / "rows.csv"
    file.write_text("\n".join([",".join(COLUMNS), *(",".join([str(i / 50_000)] * 6) for i in range(50_000))]))
    assert len(download(page, file).splitlines()) == 50_001


def test_what_was_entered_and_answered_survives_reload_and_the_back_button(
    browser: Any, serve: Serve, table_model: Path
) -> None:
    page, _ = open_page(browser, serve(table_model))
    page.get_by_label("feature_1").fill("0.75")
    page.click("#go")
    shown = prediction(page)
    page.get_by_label("feature_1").fill("-3")
    page.click("text=API")
    page.wait_for_selector("h2:has-text('POST /predict')")
    page.go_back()
    page.wait_for_selector("#history button")
    assert page.get_by_label("feature_1").input_value() == "-3"
    page.reload()
    page.click("#history button")
    assert prediction(page) == shown
    assert page.get_by_label("feature_1").input_value() == "0.75"


def test_a_server_that_is_gone_is_said_and_another_version_shows_itself(
    browser: Any, serve: Serve, table_model: Path
) -> None:
    url = serve(table_model)
    page, _ = open_page(browser, url)
    page.click("#go")
    prediction(page)
    serve.stop(url)  # type: ignore[attr-defined]
    page.get_by_label("feature_1").fill("0.75")
    page.click("#go")
    page.wait_for_selector("#error:has-text('does not answer')")
    assert page.get_by_label("feature_1").input_value() == "0.75"
    serve(table_model, "--version", "2", port=int(url.rpartition(":")[2]))
    page.click("#go")
    page.wait_for_selector("#about:has-text('version 2')")
    assert page.locator("#error").text_content() == ""
    assert "version 2" in page.inner_text("#who")


def test_nothing_is_wider_than_a_phone_and_long_names_are_read_whole(
    browser: Any, serve: Serve, worded: Path, tmp_path: Path
) -> None:
    page = opened(browser.new_context(viewport={"width": 360, "height": 700}, has_touch=True), serve(worded))
    page.tap("#go")
    prediction(page)
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    wide = page.evaluate("[...document.querySelectorAll('.bar span')].some((s) => s.scrollWidth > s.clientWidth + 1)")
    assert not wide


def test_a_model_without_columns_is_asked_in_json(browser: Any, serve: Serve, tmp_path: Path) -> None:
    import numpy as np
    from sklearn.linear_model import LinearRegression

    data = np.random.default_rng(0).random((50, 3))
    model = save(tmp_path / "m", LinearRegression().fit(data, data @ [1e6, 2, 3] + 0.125), {"task": "regression"}, {})
    page = opened(browser.new_context(), serve(model))
    page.click("#go")
    assert prediction(page) == "0.125"
    page.fill("textarea", '{"inputs": [[1, 0, 0], [0, 0, 0]]}')
    page.click("#go")
    page.wait_for_selector("#answer:has-text('·')")
    page.fill("textarea", '{"inputs": [[1, 0')
    page.click("#go")
    page.wait_for_selector("#error:has-text('not JSON')")


class Judge:
    """Says how old a contract is; what it was not told counts as new."""

    classes_ = (0, 1)

    def predict(self, frame: Any) -> Any:
        return [
            int(since.year < 2020 and note != "keep") for since, note in zip(frame["since"], frame["note"], strict=True)
        ]


def test_moments_truths_and_columns_that_may_be_left_empty(
    browser: Any, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cloudpickle

    monkeypatch.setattr("tests.unit.serve.conftest.pickle", cloudpickle)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    columns = [
        {"name": "since", "type": "datetime"},
        {"name": "note", "type": "string", "required": False},
        {"name": "paid", "type": "boolean"},
        {"name": "sum", "type": "double", "required": False},
    ]
    metadata = {"classes": ["new", "old"], "task": "classification", "columns": columns}
    page = opened(browser.new_context(), serve(save(tmp_path / "judge", Judge(), metadata, {})))
    page.get_by_label("since").fill("2019-05-06T07:08")
    page.get_by_label("paid").select_option("true")
    page.click("#go")
    assert prediction(page) == "old"
    page.get_by_label("note (optional)").fill("keep")
    page.click("#go")
    page.wait_for_selector("#answer:has-text('new')")
    page.get_by_label("since").fill("")
    page.click("#go")
    page.wait_for_selector("#error:has-text('since')")
    assert page.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
    file = tmp_path / "rows.csv"
    file.write_text("since,paid\n2019-01-01,1\n2024-01-01 10:00:00,FALSE\n")
    assert [r["prediction"] for r in csv.DictReader(download(page, file).splitlines())] == ["old", "new"]
