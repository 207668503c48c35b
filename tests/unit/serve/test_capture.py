"""What is recorded, where, and what is not."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet
import pytest

from tidemill.serve.capture import WAITING_BYTES, Capture, CaptureRules, masked
from tidemill.serve.records import join, read_records, write_rows


def lines(folder: Path) -> list[dict[str, object]]:
    return list(read_records(folder, "requests"))


def captured(folder: Path, **rules: object) -> Capture:
    capture = Capture(CaptureRules(folder, **rules), "digits", "3")  # type: ignore[arg-type]
    capture.start()
    return capture


def test_a_request_lies_in_a_partition_by_version_and_date_with_its_id(tmp_path: Path) -> None:
    capture = captured(tmp_path)
    capture.record("id-1", b'{"a": 1}', b'{"prediction": "no"}', 0.002)
    capture.close()
    (kept,) = lines(tmp_path)
    assert (kept["request_id"], kept["request"], kept["response"]) == ("id-1", {"a": 1}, {"prediction": "no"})
    day = str(kept["at"])[:10]
    assert list((tmp_path / "requests" / "version=3" / f"date={day}").glob("*.parquet"))


def test_a_picture_is_recorded_as_its_size(tmp_path: Path) -> None:
    capture = captured(tmp_path)
    capture.record("id-1", b"\x89PNG...", b"{}", 0)
    capture.close()
    assert lines(tmp_path)[0]["request"] == {"size_bytes": 7}


def test_nothing_is_sampled_at_rate_zero(tmp_path: Path) -> None:
    assert not any(captured(tmp_path, rate=0.0).wants() for _ in range(100))


def test_beyond_the_bound_records_are_dropped_and_counted(tmp_path: Path) -> None:
    capture = captured(tmp_path, max_bytes=1)
    capture.record("id-1", b"{}", b"{}", 0)
    capture.close()
    late = captured(tmp_path, max_bytes=1)
    late.record("id-2", b"{}", b"{}", 0)
    late.close()
    assert late.dropped == 1
    assert [r["request_id"] for r in lines(tmp_path)] == ["id-1"]


def test_masked_columns_are_hidden_in_every_form_of_request() -> None:
    names = frozenset({"salary"})
    assert masked({"salary": 1, "age": 2}, names) == {"salary": "***", "age": 2}
    assert masked({"input_data": {"columns": ["age", "salary"], "data": [[2, 1]]}}, names) == {
        "input_data": {"columns": ["age", "salary"], "data": [[2, "***"]]}
    }
    assert masked([[2, 1]], names) == [["***", "***"]]


def test_a_mask_leaves_the_predictions_of_a_script_and_hides_what_has_the_name(tmp_path: Path) -> None:
    capture = captured(tmp_path, masked=frozenset({"salary"}))
    capture.record("listed", b"[[1, 2]]", b'["yes"]', 0)
    capture.record("named", b'{"salary": 1}', b'[{"salary": 7, "prediction": 8}]', 0)
    capture.close()
    assert [(r["request"], r["response"]) for r in lines(tmp_path)] == [
        ([["***", "***"]], ["yes"]),
        ({"salary": "***"}, [{"salary": "***", "prediction": 8}]),
    ]


def test_headers_that_are_named_are_kept_and_come_back_as_columns(tmp_path: Path) -> None:
    capture = captured(tmp_path, headers=frozenset({"x-user", "x-team"}), masked=frozenset({"x-team"}))
    capture.record(
        "one", b'{"a": 1}', b'{"prediction": "no"}', 0, {b"x-user": b"ann", b"x-team": b"red", b"cookie": b"c"}
    )
    capture.close()
    (row,) = join(tmp_path)
    assert {k: v for k, v in row.items() if k.startswith("header:")} == {"header:x-user": "ann", "header:x-team": "***"}


def test_bodies_that_wait_are_bounded_in_bytes(tmp_path: Path) -> None:
    idle = Capture(CaptureRules(tmp_path), "digits", "3")  # its writer was not started
    for _ in range(3):
        idle.record("id", b"x" * (WAITING_BYTES // 2), b"", 0)
    assert idle.dropped == 1


def test_only_the_side_that_was_asked_for_is_kept(tmp_path: Path) -> None:
    capture = captured(tmp_path, parts=frozenset({"response"}))
    capture.record("id-1", b'{"a": 1}', b'{"prediction": "no"}', 0)
    capture.close()
    (kept,) = lines(tmp_path)
    assert ("request" in kept, kept["response"]) == (False, {"prediction": "no"})


def test_without_pyarrow_and_after_a_crash_lines_of_json_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.serve.records._arrow", lambda _: None)
    capture = captured(tmp_path)
    capture.record("id-1", b'{"a": 1}', b"{}", 0)
    capture.close()
    (file,) = tmp_path.rglob("*.jsonl")
    with file.open("ab") as half:
        half.write(b'{"request_id": "cut o')
    assert [r["request_id"] for r in lines(tmp_path)] == ["id-1"]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """One record, three in columns, and feedback on both; one record nobody judged."""
    capture = captured(tmp_path / "kept")
    one = {"prediction": "no", "probability": 0.8, "version": "3"}
    capture.record("one", b'{"a": 1.5, "b": "x"}', json.dumps(one).encode(), 0.001)
    many = {"predictions": [{"prediction": p} for p in ("no", "yes", "no")]}
    frame = {"columns": ["b", "a"], "data": [["x", 1], ["y", 2], ["z", 3]]}
    capture.record("many", json.dumps(frame).encode(), json.dumps(many).encode(), 0.001)
    capture.record("scored", b"[[7, 8]]", b'["yes"]', 0.001)
    capture.feedback("one", "maybe")
    capture.feedback("one", "yes")
    capture.feedback("many", ["no", "no", "no"])
    capture.close()
    return tmp_path / "kept"


def test_truth_is_joined_to_every_row_by_the_request_s_id_and_the_last_word_counts(recorded: Path) -> None:
    rows = {(r["request_id"], r["row"]): r for r in join(recorded)}
    assert len(rows) == 5
    assert [rows["one", 0][k] for k in ("a", "b", "prediction", "probability", "truth")] == [
        1.5, "x", "no", 0.8, "yes",
    ]  # fmt: skip
    assert [rows["many", i]["a"] for i in range(3)] == [1, 2, 3]
    assert [rows["many", i]["truth"] for i in range(3)] == ["no", "no", "no"]
    assert (rows["scored", 0]["prediction"], rows["scored", 0]["truth"]) == ("yes", None)


def test_joined_rows_are_written_as_parquet_and_csv(recorded: Path, tmp_path: Path) -> None:
    rows = join(recorded)
    write_rows(rows, tmp_path / "rows.parquet")
    write_rows(rows, tmp_path / "rows.csv")
    table = pyarrow.parquet.read_table(tmp_path / "rows.parquet")
    assert table.num_rows == 5
    assert table.column("a").to_pylist() == [r.get("a") for r in rows]
    with (tmp_path / "rows.csv").open() as file:
        assert [r["prediction"] for r in csv.DictReader(file)] == [r["prediction"] for r in rows]
