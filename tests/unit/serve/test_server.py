"""The server as a client sees it, by its ASGI door, on real models."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tidemill.base.errors import FailedError, UsageError
from tidemill.serve.engine import load_engine
from tidemill.serve.server import InferenceServer
from tidemill.serve.settings import ServerSettings

pytestmark = pytest.mark.filterwarnings("ignore")


class Client:
    """Calls an ASGI application directly."""

    def __init__(self, app: InferenceServer) -> None:
        self.app = app

    def call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        path, _, query = path.partition("?")
        given = {"host": "127.0.0.1:1", **(headers or {})}
        scope = {
            "type": "http", "method": method, "path": path, "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in given.items()],
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        return sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, sent[1]["body"]

    def post(self, path: str, value: Any, kind: str = "application/json") -> tuple[int, Any]:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        status, _, answer = self.call("POST", path, raw, {"content-type": kind})
        return status, json.loads(answer)


def server(path: Path, **settings: Any) -> Client:
    engine = load_engine(path, name="m", version="3", deployment="blue", allow_pickle=True)
    return Client(InferenceServer(engine, None, ServerSettings(**settings)))


@pytest.fixture(scope="module")
def digits(digits_model: Path) -> Client:
    return server(digits_model.parent)


@pytest.fixture(scope="module")
def table(table_model: Path) -> Client:
    return server(table_model)


@pytest.fixture(scope="module")
def golden(digits_model: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((digits_model / "golden.json").read_text())
    return found


def test_a_digit_as_pixels_is_recognised_with_its_class_name_and_version(
    digits: Client, golden: dict[str, Any]
) -> None:
    status, answer = digits.post("/predict", golden["inputs"][3])
    assert status == 200
    assert answer["prediction"] == golden["predictions"][3]
    assert (
        answer["probabilities"][answer["prediction"]] == answer["probability"] == max(answer["probabilities"].values())
    )
    assert answer["version"] == "3"


def test_many_digits_are_answered_in_order(digits: Client, golden: dict[str, Any]) -> None:
    status, answer = digits.post("/predict", golden["inputs"])
    assert status == 200
    assert [a["prediction"] for a in answer["predictions"]] == golden["predictions"]


def test_rows_of_pixels_and_a_bare_list_mean_the_same(digits: Client, golden: dict[str, Any]) -> None:
    flat = golden["inputs"][0]["pixels"]
    rows = [flat[i : i + 8] for i in range(0, 64, 8)]
    assert (
        digits.post("/predict", {"pixels": rows})
        == digits.post("/predict", flat)
        == digits.post("/predict", {"pixels": flat})
    )


@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=XX"])
def test_a_picture_with_alpha_is_prepared_as_training_did(digits: Client, golden: dict[str, Any], kind: str) -> None:
    grey = np.array(golden["inputs"][5]["pixels"], dtype=np.uint8).reshape(8, 8)
    rgba = np.dstack([np.full((8, 8, 3), 255, np.uint8), grey])
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    body = buffer.getvalue()
    if kind.startswith("multipart"):
        body = (
            b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
            + body
            + b"\r\n--XX--\r\n"
        )
    status, answer = digits.post("/predict", body, kind)
    assert (status, answer["prediction"]) == (200, golden["predictions"][5])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"pixels": [0] * 63}, "pixels"),
        ({"pixels": [0] * 63 + [256]}, "pixels"),
        ({"pixels": [0] * 63 + ["x"]}, "pixels"),
        ({"pixel": [0] * 64}, "pixels"),
        ({"image": "%%%"}, "image"),
        (b'{"pixels": [NaN' + b",0" * 63 + b"]}", "pixels"),
    ],
)
def test_a_wrong_picture_gets_422_with_the_field_named(digits: Client, body: Any, field: str) -> None:
    status, answer = digits.post("/predict", body)
    assert status == 422
    assert answer["detail"][0]["loc"][-1] == field


def test_columns_may_come_in_any_order(table: Client, table_model: Path) -> None:
    kept = json.loads((table_model / "golden.json").read_text())
    backwards = dict(reversed(kept["inputs"][0].items()))
    assert table.post("/predict", backwards)[1]["prediction"] == kept["predictions"][0]
    frame = {"columns": list(backwards), "data": [list(backwards.values())]}
    assert table.post("/predict", {"input_data": frame})[1]["predictions"][0]["prediction"] == kept["predictions"][0]
    assert table.post("/score", {"input_data": frame}) == (200, [kept["predictions"][0]])


def test_a_value_outside_training_is_answered_and_reported(table: Client, table_model: Path) -> None:
    record = json.loads((table_model / "golden.json").read_text())["inputs"][0]
    status, answer = table.post("/predict", record | {"feature_2": 1e6})
    assert status == 200
    assert "feature_2" in answer["warnings"][0]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"feature_9": 1}, "feature_9"), ({"feature_2": "high"}, "feature_2"), ({"feature_2": None}, "feature_2")],
)
def test_a_wrong_record_gets_422_with_the_column_named(
    table: Client, table_model: Path, change: dict[str, Any], field: str
) -> None:
    record = json.loads((table_model / "golden.json").read_text())["inputs"][0]
    status, answer = table.post("/predict", record | change)
    assert (status, answer["detail"][0]["loc"][-1]) == (422, field)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda s: (
            st.lists(s)
            | st.dictionaries(
                st.sampled_from(["pixels", "image", "inputs", "columns", "data", "feature_1", "instances"]) | st.text(),
                s,
            )
        ),
    )
    | st.binary()
)
def test_no_body_makes_the_server_fail(digits: Client, table: Client, body: Any) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    for client in (digits, table):
        status, _, _ = client.call("POST", "/predict", raw, {"content-type": "application/json"})
        assert status in {200, 413, 422}


def test_a_body_that_is_too_large_gets_413(digits_model: Path) -> None:
    assert server(digits_model, max_body=100).post("/predict", b"x" * 101)[0] == 413


def test_a_foreign_host_header_is_refused_on_loopback(digits: Client) -> None:
    assert digits.call("GET", "/version", headers={"host": "evil.example"})[0] == 421


def test_without_the_token_nothing_but_health_answers(digits_model: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("first\nsecond\n")
    client = server(digits_model, tokens=tmp_path / "tokens")
    assert client.call("GET", "/version")[0] == 401
    assert client.call("GET", "/version", headers={"authorization": "Bearer wrong"})[0] == 401
    assert client.call("GET", "/version", headers={"authorization": "Bearer second"})[0] == 200
    assert client.call("GET", "/healthz")[0] == 200
    status, headers, _ = client.call(
        "GET", "/?token=first", headers={"accept": "text/html,*/*", "host": "127.0.0.1:81"}
    )
    name, _, rest = headers["set-cookie"].partition("=")
    assert (status, name, "HttpOnly" in rest) == (200, "tidemill-token-81", True)
    cookie = {"cookie": "tidemill-token-80=of-another-server; tidemill-token-81=first"}
    assert client.call("GET", "/version", headers=cookie)[0] == 200
    assert "set-cookie" not in client.call("GET", "/", headers={**cookie, "accept": "text/html"})[1]


def test_a_browser_without_a_token_gets_a_field_for_it_and_a_program_words(digits_model: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("first\n")
    client = server(digits_model, tokens=tmp_path / "tokens")
    status, headers, body = client.call("GET", "/", headers={"accept": "text/html"})
    assert (status, headers["content-type"], b'type="password"' in body) == (401, "text/html; charset=utf-8", True)
    for kind in ("script", "style"):
        (content,) = re.findall(f"<{kind}>(.*?)</{kind}>".encode(), body, re.DOTALL)
        known = base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert f"{kind}-src 'sha256-{known}'" in headers["content-security-policy"]
    assert client.call("POST", "/predict", b"{}", {"accept": "text/html"})[1]["content-type"] == "application/json"
    assert json.loads(client.call("GET", "/version")[2])["detail"].startswith("A token is needed")


def test_a_page_says_that_nothing_but_its_own_files_may_be_loaded(digits: Client) -> None:
    _, headers, body = digits.call("GET", "/")
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in headers["content-security-policy"]
    assert not re.search(rb"<script>|\son[a-z]+=|style=", body)
    scripts = {f"/{n.decode()}" for n in re.findall(rb'(?:src|href)="(\w+\.(?:js|css))"', body)}
    for name in list(scripts):
        scripts |= {f"/{n.decode()}" for n in re.findall(rb'from "\./(\w+\.js)"', digits.call("GET", name)[2])}
    assert len(scripts) > 5
    assert {digits.call("GET", name)[0] for name in scripts} == {200}


def test_a_folder_of_keys_as_a_mounted_secret_is_read_anew_when_it_changes(digits_model: Path, tmp_path: Path) -> None:
    def mount(name: str, keys: dict[str, str]) -> None:
        """As the kubelet does it: another hidden folder, to which one link is turned."""
        (tmp_path / name).mkdir()
        for key, text in keys.items():
            (tmp_path / name / key).write_text(text)
        (tmp_path / "..new").symlink_to(name)
        (tmp_path / "..new").rename(tmp_path / "..data")

    mount("..1", {"primaryKey": "first", "secondaryKey": "second"})
    for key in ("primaryKey", "secondaryKey"):
        (tmp_path / key).symlink_to(f"..data/{key}")
    client = server(digits_model, tokens=tmp_path)
    assert [client.call("GET", "/version", headers={"authorization": f"Bearer {k}"})[0] for k in ("first", "second", "third", "")] == [200, 200, 401, 401]  # fmt: skip
    mount("..2", {"primaryKey": "third", "secondaryKey": "first"})
    assert [client.call("GET", "/version", headers={"authorization": f"Bearer {k}"})[0] for k in ("first", "second", "third")] == [200, 401, 200]  # fmt: skip


def test_a_model_that_answers_otherwise_than_at_training_is_not_ready(digits_model: Path, tmp_path: Path) -> None:
    changed = tmp_path / "model"
    changed.mkdir()
    for file in digits_model.iterdir():
        (changed / file.name).write_bytes(file.read_bytes())
    kept = json.loads((changed / "golden.json").read_text())
    kept["predictions"][0] = "digit 9" if kept["predictions"][0] != "digit 9" else "digit 1"
    (changed / "golden.json").write_text(json.dumps(kept))
    status, _, body = server(changed).call("GET", "/readyz")
    assert status == 503
    assert b"golden row 0" in body


def test_a_pickle_nobody_allowed_is_refused(digits_model: Path) -> None:
    with pytest.raises(UsageError, match="pickle"):
        load_engine(digits_model, name="m", version="1", deployment="", allow_pickle=False)


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/page.js", "/page.css", "/openapi.json", "/metrics", "/version", "/readyz", "/healthz"]
)
def test_every_page_answers_and_asks_no_other_host(digits: Client, path: str) -> None:
    status, _, body = digits.call("GET", path)
    assert status == 200
    assert b"https://" not in body


def test_the_wrong_method_and_the_wrong_path_are_told_apart(digits: Client) -> None:
    status, headers, _ = digits.call("GET", "/predict")
    assert (status, headers["allow"]) == (405, "POST")
    assert digits.call("GET", "/nothing")[0] == 404


NUMBERS = (
    st.floats(allow_nan=True, allow_infinity=True) | st.integers() | st.sampled_from(["1", "x", None, True, [], {}])
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(cells=st.lists(NUMBERS, min_size=6, max_size=6), shuffled=st.permutations(range(6)))
def test_records_read_in_bulk_and_one_by_one_are_the_same(table: Client, cells: list[Any], shuffled: list[int]) -> None:
    names = [f"feature_{i}" for i in range(6)]
    record = {names[i]: cells[i] for i in shuffled}
    status, answer = table.post("/predict", record)
    assert status in {200, 422}
    many_status, many = table.post("/predict", [record, record])
    assert many_status == status
    if status == 200:
        both = many["predictions"]
        assert both[0] == both[1] == {k: v for k, v in answer.items() if k != "version"}


def test_ids_of_requests_come_back_and_too_long_ones_are_refused(digits: Client) -> None:
    _, headers, _ = digits.call("GET", "/version", headers={"x-request-id": "mine"})
    assert (headers["x-request-id"], headers["x-ms-request-id"]) == ("mine", "mine")
    assert digits.call("GET", "/version", headers={"x-request-id": "m" * 101})[0] == 431


def test_metrics_count_rows_predictions_and_columns_out_of_range(table_model: Path) -> None:
    client = server(table_model)
    record = json.loads((table_model / "golden.json").read_text())["inputs"][0]
    client.post("/predict", record | {"feature_2": 1e6})
    text = client.call("GET", "/metrics")[2].decode()
    assert 'tidemill_out_of_range_total{column="feature_2",version="3"} 1.0' in text
    assert 'tidemill_rows_total{version="3"} 1.0' in text


@pytest.mark.parametrize(
    ("raw", "words", "hint"),
    [
        (
            b"cof_another_project\nModel\n.",
            "ModuleNotFoundError: No module named 'of_another_project'",
            "`of_another_project`",
        ),
        (b"cbuiltins\nnothing_here\n.", "AttributeError: ", "The log has the traceback"),
        (b"cut off", "UnpicklingError: ", "The log has the traceback"),
        (b"csys\nexit\n(I3\ntR.", "it called sys.exit(3)", "The log has the traceback"),
    ],
    ids=["module", "class", "bytes", "exit"],
)
def test_a_model_that_cannot_be_loaded_is_an_error_that_says_why(
    digits_model: Path, tmp_path: Path, raw: bytes, words: str, hint: str
) -> None:
    model = Path(shutil.copytree(digits_model, tmp_path / "other"))
    (model / "model.pkl").write_bytes(raw)
    with pytest.raises(FailedError) as caught:
        load_engine(model, name="m", version="1", deployment="", allow_pickle=True, soon=True)
    assert f"The model `m` could not start: {words}" in caught.value.message
    assert hint in (caught.value.hint or "")
