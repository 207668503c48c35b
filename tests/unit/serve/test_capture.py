"""What is recorded, where, and what is not."""

from __future__ import annotations

import json
from pathlib import Path

from tidemill.serve.capture import Capture, CaptureRules, masked


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for file in sorted(folder.rglob("*.jsonl")) for line in file.read_text().splitlines()]


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
    day = str(kept["at"])[:10].replace("-", "/")
    assert list((tmp_path / "3" / day).glob("*.jsonl"))


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
