"""Packages with known vulnerabilities, by a small server that speaks the database's API."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tidemill.app.audit import audit_packages
from tidemill.base.errors import BackendError, FailedError
from tidemill.spec.project import Stage

ID, ALIAS = "GHSA-6hrg-qmvc-2xh8", "CVE-2022-21797"
PINS = ("click==8.1.8", "jmespath==1.0.1")
ABOUT = {
    "id": ID,
    "summary": "Arbitrary code execution",
    "aliases": [ALIAS],
    "modified": "2024-01-01T00:00:00Z",
    "published": "2022-09-27T00:00:00Z",
    "affected": [
        {
            "package": {"name": "jmespath", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.0.0"}]}],
        }
    ],
}


class Database(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        known = [{"vulns": [{"id": ID, "modified": ABOUT["modified"]}]} if _is_bad(q) else {} for q in asked["queries"]]
        self.answer({"results": known})

    def do_GET(self) -> None:
        self.answer(ABOUT)

    def answer(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class says so
        pass


def _is_bad(query: dict[str, Any]) -> bool:
    return bool(query["package"]["name"] == "jmespath")


@pytest.fixture
def database() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Database)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def audit(pins: tuple[str, ...] = PINS, **stage: object) -> list[str]:
    said: list[str] = []
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    audit_packages(
        pins, f"{sys.version_info.major}.{sys.version_info.minor}", Stage.model_validate(stage), uv, said.append
    )
    return said


def test_nobody_is_asked_unless_the_stage_says_so() -> None:
    assert audit(audit_url="http://127.0.0.1:1/") == []


def test_a_vulnerable_package_stops_a_release_that_requires_an_audit(database: str) -> None:
    with pytest.raises(FailedError) as caught:
        audit(audit="required", audit_url=database)
    assert f"jmespath 1.0.1: {ID}, {ALIAS} (fixed in 9.0.0) Arbitrary code execution" in caught.value.message
    assert "click" not in caught.value.message


def test_one_that_was_accepted_stops_nothing_and_a_report_never_does(database: str) -> None:
    assert audit(audit="required", audit_ignore=[ALIAS], audit_url=database) == [
        "2 packages audited, no known vulnerabilities"
    ]
    (line,) = audit(audit="report", audit_url=database)
    assert line.startswith(f"vulnerable: jmespath 1.0.1: {ID}")


def test_a_database_that_is_away_stops_only_what_requires_it() -> None:
    (line,) = audit(audit="report", audit_url="http://127.0.0.1:1/")
    assert line.startswith("the packages were not audited: `uv audit` failed")
    with pytest.raises(BackendError, match="uv audit"):
        audit(audit="required", audit_url="http://127.0.0.1:1/")
