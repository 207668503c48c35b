"""Azure's scoring scripts, asked request by request: Microsoft's own inference server beside ours, each a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.waiting import PATIENCE_S

THEIRS = Path(os.environ.get("TIDEMILL_PEER_PYTHON", "/nonexistent/python")).parent
pytestmark = [
    pytest.mark.needs_peer,
    pytest.mark.skipif(not (THEIRS / "azmlinfsrv").exists(), reason="azmlinfsrv is not beside TIDEMILL_PEER_PYTHON"),
]
Question = tuple[str, str, bytes | None, dict[str, str]]
Reply = tuple[int, dict[str, str], object]
JSON = {"content-type": "application/json"}
FORM = b'--B\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n12345\r\n--B--\r\n'
RAW = """
import functools
def init():
    global factor
    factor = 2
def noted(function):
    @functools.wraps(function)
    def inner(*args, **kwargs): return function(*args, **kwargs)
    return inner
@noted
def run(raw_data):
    if raw_data == "boom": raise RuntimeError("secret detail")
    return {"": {"empty": True}, "none": None, "nan": [float("nan")], "set": {1}, "bytes": b"1"}.get(raw_data, raw_data * factor)
"""
HEADERS = """
def init(): pass
def run(data, request_headers):
    return {k: v for k, v in request_headers.items() if k.lower().startswith(("x-", "content-t"))}
"""
SCHEMA = """
import numpy as np, pandas as pd
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema
def init(): pass
@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]])))
@input_schema("frame", PandasParameterType(pd.DataFrame({"a": [1], "b": ["x"]})))
@input_schema("method", StandardPythonParameterType("sum"))
@output_schema(NumpyParameterType(np.array([1.0])))
def run(data, frame, method="sum"):
    return [getattr(data, method)(axis=1).tolist(), list(frame.columns), len(frame)]
"""
RAWHTTP = """
from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse
def init(): pass
@rawhttp
def run(request):
    if request.method == "OPTIONS":
        answer = AMLResponse("", 200)
        answer.headers["Allow"] = "OPTIONS, GET, POST"
        return answer
    how = request.args.get("how")
    if how == "files":
        file = request.files["image"]
        return AMLResponse({"name": file.filename, "type": file.content_type, "size": len(file.read())}, 200, json_str=True)
    if how == "form": return {"form": request.form.to_dict(), "all": request.values.getlist("a")}
    if how == "json": return {"json": request.get_json(), "is": request.is_json}
    if how == "silent": return {"json": request.get_json(silent=True)}
    if how == "bytes": return AMLResponse(request.get_data(False)[::-1], 201, {"Content-Type": "text/csv"})
    if how == "fail": return AMLResponse("failed", 503)
    if how == "flag": return AMLResponse(None, 200, run_function_failed=True)
    return {"path": request.full_path, "own": request.headers["x-own"], "cookies": dict(request.cookies), "kind": request.mimetype}
"""
IDS = [{"x-ms-client-request-id": "c1"}, {"x-request-id": "r1"}, {"x-ms-request-id": "o1"}, {"TraceId": "t1"}]
BODIES = [b"abc", b"boom", b"none", b"nan", b"set", b"bytes", b"", b"\xff"]
CELLS = [{"a": 1, "b": "x"}]
SENT = [
    {"data": [[1, 2]], "frame": CELLS},
    {"data": [[1, 2]], "frame": CELLS, "method": "max"},
    {"data": [[1]]},
    {"data": "x", "frame": 1},
    [],
]
CASES: dict[str, tuple[str, list[Question]]] = {
    "raw": (RAW, [
        *[("POST", "/score", body, JSON) for body in BODIES], *[("POST", "/score", b"a", given) for given in IDS],
        ("GET", "/score?a=1&b=x&b=2", None, {}), ("OPTIONS", "/score", None, {}), ("GET", "/", None, {}),
    ]),
    "headers": (HEADERS, [("POST", "/score", b"1", {"X-Own": "a", "x-two": "b", **JSON})]),
    "schema": (SCHEMA, [
        *[("POST", "/score", json.dumps(body).encode(), JSON) for body in SENT], ("POST", "/score", b"", JSON),
        ("POST", "/score", b"{", JSON), ("POST", "/score", b"{}", {}), ("GET", "/swagger.json?version=9", None, {}),
        ("GET", "/score?data=[[1,2]]&frame=[%7B%22a%22:1,%22b%22:%22x%22%7D]", None, {}),
    ]),
    "rawhttp": (RAWHTTP, [
        ("OPTIONS", "/score", None, {}), ("GET", "/score?a=b", None, {"X-Own": "y", "Cookie": "c=d"}),
        ("POST", "/score?how=files", FORM, {"content-type": "multipart/form-data; boundary=B"}),
        ("POST", "/score?how=form&a=9", b"a=1&b=2&a=3", {"content-type": "application/x-www-form-urlencoded"}),
        *[("POST", f"/score?how={how}", b'{"a": 1}', JSON) for how in ("json", "silent", "bytes", "fail", "flag")],
        *[("POST", f"/score?how={how}", b"{", {}) for how in ("json", "silent", "bytes")],
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_answers_and_headers_are_those_of_microsofts_server(tmp_path: Path, name: str) -> None:
    text, questions = CASES[name]
    (tmp_path / "score.py").write_text(text)
    _install_schemas(tmp_path)
    ours = [sys.executable, "-m", "tidemill.serve", "--code", str(tmp_path), "--port", "{port}"]
    theirs = [str(THEIRS / "azmlinfsrv"), "--entry_script", "score.py", "--port", "{port}"]
    with ExitStack() as stack:
        here, there = (stack.enter_context(serving(argv, tmp_path)) for argv in (ours, theirs))
        for question in questions:
            assert ask(here, question) == ask(there, question), question


def test_the_swagger_documents_have_the_same_schemas(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(SCHEMA)
    _install_schemas(tmp_path)
    ours = [sys.executable, "-m", "tidemill.serve", "--code", str(tmp_path), "--port", "{port}"]
    theirs = [str(THEIRS / "azmlinfsrv"), "--entry_script", "score.py", "--port", "{port}"]
    with ExitStack() as stack:
        here, there = (stack.enter_context(serving(argv, tmp_path)) for argv in (ours, theirs))
        for version in ("", "?version=2", "?version=3", "?version=3.1"):
            question: Question = ("GET", f"/swagger.json{version}", None, {})
            found, expected = (_schemas(ask(port, question)[2]) for port in (here, there))
            assert found == expected


def _install_schemas(folder: Path) -> None:
    """What `inference_schema` is made of, beside the script, where both servers find it."""
    for name in ("inference_schema", "pytz", "dateutil"):
        for package in THEIRS.parent.glob(f"lib/*/site-packages/{name}"):
            shutil.copytree(package, folder / name)


def _schemas(document: object) -> tuple[object, ...]:
    assert isinstance(document, dict)
    parts = document.get("definitions") or document["components"]["schemas"]
    return parts["ServiceInput"], parts["ServiceOutput"], sorted(document["paths"]), document.get("openapi")


@contextmanager
def serving(argv: list[str], folder: Path) -> Iterator[int]:
    """A server on a port of its own, once it answers."""
    port = free_port()
    env = {**os.environ, "AML_APP_ROOT": str(folder), "WORKER_COUNT": "1"}
    command = [a.replace("{port}", str(port)) for a in argv]
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _is_open(port):
            assert process.poll() is None, f"{command[0]} ended"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def ask(port: int, question: Question) -> Reply:
    """What is the same of an answer wherever it comes from."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(*question)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    headers = {k.lower(): v for k, v in answer.getheaders()}
    names = (
        "x-ms-run-function-failed",
        "x-ms-client-request-id",
        "traceid",
        "allow",
        "x-request-id",
        "x-ms-request-id",
    )
    kept = {n: headers[n] for n in names if len(headers.get(n, "")) in range(1, 30)}
    if question[1] != "/":
        kept["content-type"] = headers["content-type"]
    try:
        return answer.status, kept, json.loads(body)
    except ValueError:
        return answer.status, kept, body
