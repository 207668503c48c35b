"""Azure's scoring scripts; tests/peers asks Microsoft's own server the same questions."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.base.errors import FailedError, UsageError
from tidemill.serve.http import Request
from tidemill.serve.options import parse
from tidemill.serve.scoring import ScoringScript
from tidemill.serve.script import load_scoring_script
from tidemill.serve.server import InferenceServer
from tidemill.serve.settings import ServerSettings
from tidemill.serve.swagger import swagger_answer

RAW = """
import json
def init():
    global factor
    factor = 2
def run(raw_data):
    if raw_data == "boom":
        raise RuntimeError("secret detail")
    if raw_data == "none":
        return None
    return {"got": raw_data, "twice": len(raw_data) * factor}
"""
RAWHTTP = """
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse
def init(): pass
@rawhttp
def run(request):
    assert isinstance(request, AMLRequest)
    if request.method == "GET":
        return AMLResponse(request.args["name"], 200)
    return AMLResponse(request.get_data()[::-1], 201, {"X-Own": request.headers["X-Given"]})
"""
TIMED = """
import functools
def timed(function):
    @functools.wraps(function)
    def inner(*args, **kwargs): return function(*args, **kwargs)
    return inner
def init(): pass
@timed
def run(raw_data): return raw_data
"""
DECORATED = """
from inference_schema import schema_util
def init(): pass
@schema_util.schema
def run(data, factor=3): return [v * factor for v in data]
"""
# what Microsoft's package tells of a function, in as few lines as it takes
SCHEMA_UTIL = """
import functools
KNOWN = set()
def schema(function):
    @functools.wraps(function)
    def inner(*args, **kwargs): return function(*args, **kwargs)
    KNOWN.add(inner)
    return inner
def is_schema_decorated(function): return function in KNOWN
def get_input_schema(function): return {"type": "object", "properties": {"data": {"type": "array"}}}
def get_output_schema(function): return {"type": "array"}
def get_supported_versions(function): return ["3.0", "3.1"]
"""
FORM = (
    b'--B\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n12345\r\n'
)
FORM += b'--B\r\nContent-Disposition: form-data; name="who"\r\n\r\nAda\r\n--B--\r\n'


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A script changes what is imported, from where, and the environment of its process."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("AZUREML_MODEL_DIR", "AML_APP_ROOT", "AZUREML_ENTRY_SCRIPT"):
        monkeypatch.setenv(name, "before")
        monkeypatch.delenv(name)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {"azureml", "azureml_inference_server_http", "inference_schema", "helper"}:
            del sys.modules[name]


def script(folder: Path, text: str, name: str = "score.py") -> ScoringScript:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return load_scoring_script(folder, name, None, name="m", version="1")


def decorated(folder: Path) -> ScoringScript:
    (folder / "inference_schema").mkdir()
    (folder / "inference_schema" / "__init__.py").touch()
    (folder / "inference_schema" / "schema_util.py").write_text(SCHEMA_UTIL)
    return script(folder, DECORATED)


def ask(
    loaded: ScoringScript, body: bytes, method: str = "POST", query: str = "", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    given = {
        b"content-type": b"application/json",
        **{k.replace("_", "-").encode(): v.encode() for k, v in headers.items()},
    }
    response = loaded.run(Request(method, "/score", given, query, body))
    return response.status, {k.decode(): v.decode() for k, v in response.headers}, response.body


def test_run_gets_the_raw_body_as_text(tmp_path: Path) -> None:
    status, headers, body = ask(script(tmp_path, RAW), b"abc")
    assert (status, json.loads(body)) == (200, {"got": "abc", "twice": 6})
    assert headers["x-ms-run-function-failed"] == "False"
    assert float(headers["x-ms-run-fn-exec-ms"]) >= 0


def test_a_script_that_raises_is_a_500_that_says_so_without_details(tmp_path: Path) -> None:
    status, headers, body = ask(script(tmp_path, RAW), b"boom")
    assert (status, headers["x-ms-run-function-failed"]) == (500, "True")
    assert b"secret" not in body


def test_rawhttp_scripts_work_without_microsofts_packages(tmp_path: Path) -> None:
    loaded = script(tmp_path, RAWHTTP)
    status, headers, body = ask(loaded, b"\xffab", x_given="yes")
    assert (status, headers["x-own"], body) == (201, "yes", b"ba\xff")
    assert ask(loaded, b"", "GET", "name=Ada")[2] == b"Ada"


def test_decorated_scripts_get_their_arguments_by_name(tmp_path: Path) -> None:
    loaded = decorated(tmp_path)
    assert json.loads(ask(loaded, b'{"data": [1, 2]}')[2]) == [3, 6]
    assert ask(loaded, b'{"factor": 2}')[0] == 400
    assert ask(loaded, b"[1]")[0] == 400
    assert ask(loaded, b"{}", content_type="text/plain")[0] == 415


def test_another_decorator_changes_nothing_of_what_run_is_given(tmp_path: Path) -> None:
    assert json.loads(ask(script(tmp_path, TIMED), b"as it came", content_type="text/plain")[2]) == "as it came"


def test_what_azures_package_is_installed_makes_no_difference(tmp_path: Path) -> None:
    for name in ("azureml", "azureml_inference_server_http"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "azureml_inference_server_http" / "api").mkdir()
    (tmp_path / "azureml_inference_server_http" / "api" / "aml_request.py").write_text("import no_flask_here\n")
    sys.path.insert(0, str(tmp_path))
    assert ask(script(tmp_path, RAWHTTP), b"", "GET", "name=Ada")[2] == b"Ada"
    newer = RAWHTTP.replace("azureml.contrib.services", "azureml_inference_server_http.api")
    assert ask(script(tmp_path, newer), b"", "GET", "name=Ada")[2] == b"Ada"


ASKS = """
from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse
def init(): pass
@rawhttp
def run(request):
    return {ANSWER}
"""


@pytest.mark.parametrize(
    ("answer", "body", "kind", "expected"),
    [
        ("[request.files['image'].read().decode(), request.files['image'].filename, request.form['who']]", FORM,
         "multipart/form-data; boundary=B", ["12345", "a.png", "Ada"]),
        ("[request.form.getlist('a'), request.form.to_dict(), request.values.get('n', type=int)]", b"a=1&a=2",
         "application/x-www-form-urlencoded", [["1", "2"], {"a": "1"}, 7]),
        ("[request.is_json, request.mimetype, request.json, request.content_length]", b'{"a": 1}',
         "application/json; charset=utf-8", [True, "application/json", {"a": 1}, 8]),
        ("[request.get_json(force=True), request.get_json(silent=True), request.is_json]", b"[1]", "text/plain",
         [[1], None, False]),
        ("[request.get_data(False, True), request.stream.read(2).decode()]", b"abc", "", ["abc", "ab"]),
        ("[request.cookies, dict(request.headers)['X-Own'], request.query_string.decode()]", b"", "",
         [{"c": "d"}, "y", "n=7"]),
    ],
    ids=["files", "fields", "json", "not json", "bytes", "headers"],
)  # fmt: skip
def test_a_raw_request_has_what_flasks_has(tmp_path: Path, answer: str, body: bytes, kind: str, expected: Any) -> None:
    loaded = script(tmp_path, ASKS.replace("{ANSWER}", answer))
    status, _, found = ask(loaded, body, query="n=7", content_type=kind, cookie="c=d", x_own="y")
    assert (status, json.loads(found)) == (200, expected)


def test_a_raw_script_is_asked_for_options_too_and_another_answers_them_empty(tmp_path: Path) -> None:
    loaded = script(tmp_path, ASKS.replace("{ANSWER}", "AMLResponse(request.method, 200, {'Allow': 'GET'})"))
    status, headers, body = ask(loaded, b"", "OPTIONS")
    assert (status, headers["allow"], body) == (200, "GET", b"OPTIONS")
    assert ask(script(tmp_path, RAW), b"", "OPTIONS")[::2] == (200, b"")


def test_request_headers_are_named_as_usual_and_found_in_any_case(tmp_path: Path) -> None:
    text = "def run(data, request_headers): return [dict(request_headers), request_headers['x-own']]\n"
    answer = json.loads(ask(script(tmp_path, text), b"1", x_own="y")[2])
    assert answer == [{"Content-Type": "application/json", "X-Own": "y"}, "y"]


def test_a_script_in_a_sub_folder_imports_from_the_folder_of_the_code(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("WORDS = 'from the top'\n")
    text = "import os\nimport helper\ndef run(data): return [helper.WORDS, os.environ['AZUREML_ENTRY_SCRIPT']]\n"
    loaded = script(tmp_path, text, "inner/score.py")
    assert json.loads(ask(loaded, b"1")[2]) == ["from the top", "inner/score.py"]


def test_a_run_that_exits_has_failed_on_that_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    status, headers, _ = ask(script(tmp_path, "import sys\ndef run(data): sys.exit(3)\n"), b"1")
    assert (status, headers["x-ms-run-function-failed"]) == (500, "True")
    assert "SystemExit: 3" in caplog.text


def test_an_answer_that_is_not_json_is_named_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    status, headers, _ = ask(script(tmp_path, "def run(data): return {1, 2}\n"), b"1")
    assert (status, headers["x-ms-run-function-failed"]) == (500, "False")
    assert "type set is not JSON" in caplog.text


def test_the_swagger_document_says_what_the_schema_was_told(tmp_path: Path) -> None:
    loaded = decorated(tmp_path)
    found = json.loads(swagger_answer(loaded, "3").body)
    assert found["components"]["schemas"]["ServiceInput"]["properties"] == {"data": {"type": "array"}}
    missing = swagger_answer(loaded, "2")
    assert missing.status == 404
    assert b"[3, 3.1]" in missing.body
    (tmp_path / "swagger.json").write_text('{"swagger": "2.0", "own": true}')
    assert json.loads(swagger_answer(loaded, "2").body)["own"]


def test_a_refusal_is_said_as_microsofts_server_says_it(tmp_path: Path) -> None:
    app = InferenceServer(None, script(tmp_path, RAW), ServerSettings(max_body=10))
    for method, path, body, status in (
        ("PUT", "/score", b"", 405),
        ("GET", "/x", b"", 404),
        ("POST", "/score", b"1" * 11, 413),
    ):
        found, headers, text = answer(app, method, path, body, {})
        assert (found, headers["x-ms-run-function-failed"]) == (status, "False")
        assert isinstance(json.loads(text)["message"], str)


@pytest.mark.parametrize("text", ["def init(): pass\n", "def run(): return 1\n"])
def test_a_script_that_cannot_be_asked_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        script(tmp_path, text)


def test_an_init_that_fails_says_which_script(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match=r"score\.py could not start: .*score.py:1: KeyError"):
        script(tmp_path, "def init(): {}['x']\ndef run(d): return d\n")


def test_an_init_that_exits_or_misses_a_module_says_so(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match=r"score.py:2: it called sys\.exit\(1\)"):
        script(tmp_path, "import sys\ndef init(): sys.exit(1)\ndef run(d): return d\n")
    with pytest.raises(FailedError) as told:
        script(tmp_path, "import nowhere_to_be_found\ndef run(d): return d\n")
    assert "`nowhere_to_be_found` beside the script" in told.value.hint


Reply = tuple[int, dict[str, str], bytes]


def answer(app: InferenceServer, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "method": method, "path": path, "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }  # fmt: skip
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    answered = {k.decode(): v.decode() for k, v in sent[0]["headers"]}  # type: ignore[attr-defined]
    return int(sent[0]["status"]), answered, bytes(sent[1]["body"])  # type: ignore[call-overload]


def test_the_variable_that_names_origins_on_azure_does_so_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMILL_CORS", raising=False)
    monkeypatch.setenv("AML_CORS_ORIGINS", "https://a.example")
    assert parse([]).cors == "https://a.example"
    monkeypatch.setenv("TIDEMILL_CORS", "https://b.example")
    assert parse([]).cors == "https://b.example"
