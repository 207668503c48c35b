"""Pages of other origins: none may ask unless named; one that is named may, with its token."""

from __future__ import annotations

import http.client
import sys
from pathlib import Path

import pytest

from tests.unit.serve.test_operation import SCRIPT, running
from tests.waiting import PATIENCE_S
from tidemill.backends.targets.local import open_target
from tidemill.base.errors import UsageError
from tidemill.serve.cors import read_origins

pytestmark = pytest.mark.filterwarnings("ignore")
PAGE = "https://page.example"
PREFLIGHT = {
    "origin": PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}


def ask(url: str, method: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE_S)
    try:
        connection.request(method, "/score", b"x" if method == "POST" else None, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {k.lower(): v for k, v in answer.getheaders() if k.lower().startswith("access-control")}
    finally:
        connection.close()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text(SCRIPT)
    return tmp_path / "code"


def test_no_page_is_let_in_unless_it_is_named(code: Path) -> None:
    with running(code) as (_, url):
        assert ask(url, "OPTIONS", PREFLIGHT)[1] == {}
        assert ask(url, "POST", {"origin": PAGE}) == (200, {})


def test_a_page_that_is_named_may_ask_with_its_token_and_others_may_not(code: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("key\n")
    with running(code, "--cors", f"{PAGE},http://localhost:3000", "--token-file", str(tmp_path / "tokens")) as (_, url):
        status, said = ask(url, "OPTIONS", PREFLIGHT)
        assert (status, said["access-control-allow-origin"]) == (204, PAGE)
        assert said["access-control-allow-headers"] == "authorization,content-type"
        assert "access-control-allow-credentials" not in said
        status, said = ask(url, "POST", {"origin": PAGE, "authorization": "Bearer key"})
        assert (status, said["access-control-allow-origin"]) == (200, PAGE)
        assert "x-request-id" in said["access-control-expose-headers"]
        assert ask(url, "POST", {"origin": PAGE})[0] == 401
        assert ask(url, "OPTIONS", PREFLIGHT | {"origin": "https://other.example"})[1] == {}
        assert ask(url, "POST", {"origin": "https://other.example", "authorization": "Bearer key"}) == (200, {})


@pytest.mark.parametrize("text", ["page.example", "https://page.example/", "https://page.example/a", "ftp://a", "null"])
def test_what_no_browser_calls_an_origin_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="is no origin"):
        read_origins(text)


def test_any_page_is_asked_for_in_one_sign() -> None:
    assert read_origins(" * ") == frozenset({b"*"})
    assert read_origins("") == frozenset()


def test_behind_an_endpoint_with_keys_a_page_that_is_named_may_ask_and_others_may_not(
    code: Path, tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text("key\n")
    argv = [sys.executable, "-m", "tidemill.serve", "--code", str(code), "--port", "{port}"]
    argv += ["--token-file", str(tmp_path / "tokens")]
    blue = {"argv": argv, "cwd": str(code), "env": {"TIDEMILL_CORS": PAGE}}
    asked = {"port": 0, "deployments": {"blue": blue}, "traffic": {"blue": 100}, "mirror_traffic": {}}
    target = open_target(tmp_path)
    try:
        target.put("e", {**asked, "tokens": str(tmp_path / "tokens")})
        target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
        url = target.observe("e")["url"]
        status, said = ask(url, "OPTIONS", PREFLIGHT)
        assert (status, said["access-control-allow-origin"]) == (204, PAGE)
        assert ask(url, "OPTIONS", PREFLIGHT | {"origin": "https://other.example"}) == (401, {})
        assert ask(url, "POST", {"origin": PAGE})[0] == 401
        status, said = ask(url, "POST", {"origin": PAGE, "authorization": "Bearer key"})
        assert (status, said["access-control-allow-origin"]) == (200, PAGE)
    finally:
        target.delete("e")
