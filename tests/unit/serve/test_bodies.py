"""Bodies that unfold: bounded before anything is unfolded, and what they claim of themselves is checked."""

from __future__ import annotations

import gzip
import io
import json
import resource
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.unit.serve.test_openapi import ARROW, NPY, arrow
from tests.unit.serve.test_server import Client, server
from tidemill.serve.arrow import read_arrow
from tidemill.serve.forms import read_form
from tidemill.serve.http import Request, read_files
from tidemill.serve.problems import RequestProblem

pytestmark = pytest.mark.filterwarnings("ignore")
LIMIT, HUGE = 1 << 20, 1 << 29
ROOM_KB = 150_000
BOMBS = (
    "gzip", "zstd", "zstd in gzip", "nulls", "bits", "runs", "words", "empty lists", "no bytes", "empty texts", "empty rows",
    "far too large", "an archive",
)  # fmt: skip


@pytest.fixture(scope="module")
def table(table_model: Path) -> Client:
    return server(table_model, max_body=LIMIT)


@pytest.fixture(scope="module")
def records(table_model: Path) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads((table_model / "golden.json").read_text())["inputs"]
    return found


def packed(batch: pa.Table, codec: str) -> bytes:
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, batch.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as stream:
        stream.write_table(batch)
    return buffer.getvalue()


def npy_head(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def post(client: Client, body: bytes, kind: str, encoding: str = "") -> tuple[int, Any]:
    headers = {"content-type": kind, **({"content-encoding": encoding} if encoding else {})}
    status, _, answer = client.call("POST", "/predict", body, headers)
    return status, json.loads(answer)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_packed_arrow_table_is_answered_as_the_unpacked_one(
    table: Client, records: list[dict[str, float]], codec: str
) -> None:
    rows = pa.Table.from_pylist(records * 20)
    assert post(table, packed(rows, codec), ARROW) == post(table, arrow(rows), ARROW)
    assert post(table, packed(rows, codec), ARROW)[0] == 200


def test_a_dictionary_column_holds_its_values(table: Client, records: list[dict[str, float]]) -> None:
    rows = pa.Table.from_pylist(records)
    coded = pa.table({n: rows[n].dictionary_encode() for n in rows.column_names})
    assert post(table, arrow(coded), ARROW) == post(table, arrow(rows), ARROW)


@pytest.mark.parametrize("name", ["gzip", "deflate", "identity"])
def test_a_body_packed_for_the_way_is_unpacked(table: Client, records: list[dict[str, float]], name: str) -> None:
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[name]
    body = json.dumps(records).encode()
    assert post(table, pack(body), "application/json", name) == post(table, body, "application/json")


@cache
def bombs() -> dict[str, tuple[bytes, str, str, int]]:
    zeros = bytes(HUGE // 16)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    gzipped = b"".join(packer.compress(zeros) for _ in range(16)) + packer.flush()
    doubles = pa.table({"feature_0": pa.array(np.zeros(HUGE // 64))})
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int8)), pa.array(["x" * 500_000]))
    head = "{'descr': '%s', 'fortran_order': False, 'shape': (%s,)}\n"
    return {
        "gzip": (gzipped, "application/json", "gzip", 413),
        "zstd": (packed(doubles, "zstd"), ARROW, "", 413),
        "zstd in gzip": (gzip.compress(packed(doubles, "zstd")), ARROW, "gzip", 413),
        "nulls": (arrow(pa.table({"feature_0": pa.nulls(HUGE)})), ARROW, "", 422),
        "bits": (packed(pa.table({"feature_0": pa.array(np.zeros(HUGE // 64, bool))}), "zstd"), ARROW, "", 413),
        "runs": (arrow(pa.table({"feature_0": pa.RunEndEncodedArray.from_arrays([HUGE], [1.0])})), ARROW, "", 422),
        "words": (arrow(pa.table({"feature_0": long})), ARROW, "", 422),
        "empty lists": (
            arrow(pa.table({"feature_0": pa.FixedSizeListArray.from_arrays(pa.array([], pa.int8()), 1)})), ARROW, "", 422
        ),
        "no bytes": (npy_head(head % ("|V0", HUGE)), NPY, "", 422),
        "empty texts": (npy_head(head % ("<U0", HUGE)), NPY, "", 422),
        "empty rows": (npy_head(head % ("<f8", f"{HUGE}, 0")), NPY, "", 422),
        "far too large": (npy_head(head % ("<f8", 1 << 60)) + bytes(80), NPY, "", 422),
        "an archive": (b"PK\x05\x06" + bytes(18), NPY, "", 422),
    }  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_unfolds(table: Client, name: str) -> None:
    body, kind, encoding, wanted = bombs()[name]
    assert len(body) < 2 * LIMIT
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status, answer = post(table, body, kind, encoding)
    assert (status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < ROOM_KB) == (wanted, True), answer


@pytest.mark.parametrize(("name", "status"), [("br", 415), ("gzip, gzip", 415), ("gzip", 422), ("deflate", 422)])
def test_another_encoding_is_415_and_a_wrong_one_422(table: Client, name: str, status: int) -> None:
    found, answer = post(table, b"{}", "application/json", name)
    assert (found, answer["detail"][0]["loc"]) == (status, ["header", "content-encoding"])


HEADS = (
    "(8, '''", "S\x92", "(" * 900, "{'descr': (), 'fortran_order': False, 'shape': (1,)}", "{1: 2}", "{'shape': 1", "{[]: 1}",
)  # fmt: skip


@pytest.mark.parametrize("head", HEADS)
def test_a_head_no_array_has_is_422(table: Client, head: str) -> None:
    raw = head.encode("latin-1")
    assert post(table, b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw, NPY)[0] == 422


def test_lists_whose_offsets_lead_elsewhere_are_refused(table: Client) -> None:
    offsets = pa.py_buffer(np.array([0, 100_000, 3], np.int32).tobytes())
    child = pa.array([1.0, 2.0, 3.0])
    lists = pa.ListArray.from_buffers(pa.list_(pa.float64()), 2, [None, offsets], children=[child])
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, pa.schema({"feature_0": lists.type})) as stream:
        stream.write_batch(pa.record_batch([lists], ["feature_0"]))
    assert post(table, buffer.getvalue(), ARROW)[0] == 422


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), codec=st.sampled_from(["lz4", "zstd"]))
def test_a_stream_with_changed_bytes_is_answered_or_refused(
    table: Client, records: list[dict[str, float]], data: st.DataObject, codec: str
) -> None:
    body = bytearray(packed(pa.Table.from_pylist(records * 3), codec))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert post(table, bytes(body), ARROW)[0] in {200, 413, 422}


def test_a_picture_that_would_run_another_program_is_none(digits_model: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "EPS")
    assert post(server(digits_model), buffer.getvalue(), "image/eps")[0] == 422


ASK = """
import asyncio, sys, threading
from tidemill.serve.options import parse
from tidemill.serve.process import build

async def ask(body, kind):
    sent = []
    async def receive():
        return {"type": "http.request", "body": body}
    async def send(message):
        sent.append(message)
    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "client": None}
    await app({**scope, "headers": [(b"content-type", kind.encode())]}, receive, send)
    return sent[0]["status"]
"""
FIRST_ARROW = """
places = []

class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "pyarrow":
            places.append(threading.current_thread() is threading.main_thread())

app = build(parse(["--model", sys.argv[1], "--allow-pickle"]))
sys.meta_path.insert(0, Look())
print(asyncio.run(ask(sys.stdin.buffer.read(), sys.argv[2])), places)
"""


def test_the_first_large_table_imports_pyarrow_where_no_other_request_can_see_half_of_it(
    table_model: Path, records: list[dict[str, float]]
) -> None:
    body = arrow(pa.Table.from_pylist(records * 100))
    words = [sys.executable, "-c", ASK + FIRST_ARROW, str(table_model), ARROW]
    done = subprocess.run(words, input=body, capture_output=True, check=True)
    assert done.stdout == b"200 [True]\n"


IN_TURN = """
from tidemill.serve.batching import Batcher

predicting, places, go = [], [], threading.Event()

class Look:
    def find_spec(self, name, path=None, target=None):
        if name in {"pyarrow", "pandas"}:
            places.append((name, bool(predicting)))

def slow(rows):
    predicting.append(1)
    go.wait(60)
    found = app._engine.predictor.predict(rows)
    predicting.clear()
    return found

async def main(body):
    asked = [asyncio.create_task(ask(sys.argv[3].encode(), "application/json"))]
    while not predicting:
        await asyncio.sleep(0.01)
    sys.meta_path.insert(0, Look())
    asked.append(asyncio.create_task(ask(body, sys.argv[2])))
    await asyncio.sleep(0.1)
    go.set()
    return await asyncio.gather(*asked)

app = build(parse(["--model", sys.argv[1], "--allow-pickle"]))
app._engine.row_s = 1.0  # which is called in a thread
app._batcher = Batcher(slow, lambda _: None, gather=False)
print(asyncio.run(main(sys.stdin.buffer.read())), places)
"""


def test_what_arrow_needs_is_not_imported_beside_a_call_of_the_model_and_times_do_not_bring_pandas(
    table_model: Path, records: list[dict[str, float]]
) -> None:
    rows = pa.Table.from_pylist(records)
    times = pa.array([1] * len(records), pa.timestamp("ns"))
    with_times = rows.append_column("at", times).append_column("coded", times.dictionary_encode())
    for body, status in ((arrow(rows), 200), (arrow(with_times), 422)):
        words = [sys.executable, "-c", ASK + IN_TURN, str(table_model), ARROW, json.dumps(records[0])]
        done = subprocess.run(words, input=body, capture_output=True, check=True)
        assert done.stdout.decode() == f"[200, {status}] [('pyarrow', False)]\n"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (pa.timestamp("ns"), "1970-01-01 00:00:01"),
        (pa.timestamp("ns", "UTC"), "1970-01-01 00:00:01+00:00"),
        (pa.duration("ns"), "0:00:01"),
        (pa.time64("ns"), "00:00:01"),
    ],
    ids=str,
)
def test_times_of_an_arrow_table_are_those_of_python(kind: pa.DataType, said: str) -> None:
    found = read_arrow(arrow(pa.table({"at": pa.array([1_000_000_001, None], kind)})), LIMIT)
    assert [str(row[0]) for row in found["data"]] == [said, "None"]


def test_lists_of_times_are_no_rows() -> None:
    with pytest.raises(RequestProblem, match="is not read here"):
        read_arrow(arrow(pa.table({"at": pa.array([[1]], pa.list_(pa.timestamp("ns")))})), LIMIT)


def test_large_files_of_a_form_need_no_disk(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    content = bytes(3 << 20)
    form = b'--B\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n' + content + b"\r\n--B--\r\n"
    kind = "multipart/form-data; boundary=B"
    with caplog.at_level("INFO"):
        assert read_files(Request("POST", "/predict", {b"content-type": kind.encode()}, "", form)) == [content]
        assert read_form(kind, form)[1]["f"].read() == content
    assert not caplog.records
