"""What is recorded, where, and what is not."""

from __future__ import annotations

import csv
import errno
import json
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pyarrow.parquet
import pytest

from tests.waiting import PATIENCE_S, until
from tidemill.base.errors import UsageError
from tidemill.serve.capture import WAITING_BYTES, Capture, CaptureRules, open_capture
from tidemill.serve.options import parse
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
    capture = captured(tmp_path, rate=0.0)
    assert not any(capture.wants() for _ in range(100))
    capture.close()


def test_beyond_the_bound_records_are_dropped_and_counted(tmp_path: Path) -> None:
    capture = captured(tmp_path, max_bytes=1)
    capture.record("id-1", b"{}", b"{}", 0)
    capture.close()
    late = captured(tmp_path, max_bytes=1)
    late.record("id-2", b"{}", b"{}", 0)
    late.close()
    assert late.dropped == 1
    assert [r["request_id"] for r in lines(tmp_path)] == ["id-1"]


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
    monkeypatch.setattr("tidemill.serve.finishing.find_spec", lambda _: None)
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
    capture.feedback([{"request_id": "one", "truth": "maybe"}], 9)
    capture.feedback([{"request_id": "one", "truth": "yes"}], 9)
    capture.feedback([{"request_id": "many", "truth": ["no", "no", "no"]}], 9)
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


def test_a_folder_is_one_table_for_pandas_whatever_was_recorded_and_while_it_grows(tmp_path: Path) -> None:
    first = captured(tmp_path, headers=frozenset({"x-user"}))
    first.record("one", b'{"a": 1}', b'{"prediction": "no"}', 0.002, {b"x-user": b"ann"})
    first.close()
    second = Capture(CaptureRules(tmp_path, parts=frozenset({"response"})), "digits", "4.0-rc")
    second.start()
    second.record("two", b'{"a": 1}', b'{"prediction": "no"}', 0.002)
    second.close()
    growing = captured(tmp_path)
    growing.record("three", b'{"a": 1}', b'{"prediction": "no"}', 0.002)
    until(lambda: list(tmp_path.rglob(".*.jsonl")))
    table = pd.read_parquet(tmp_path / "requests")
    growing.close()
    assert sorted(table["request_id"]) == ["one", "two"]
    assert sorted(table["version"].astype(str)) == ["3", "4.0-rc"]
    files = sorted((tmp_path / "requests").rglob("*.parquet"))
    assert len(files) == 3
    assert {str(pyarrow.parquet.read_schema(f)) for f in files} == {str(pyarrow.parquet.read_schema(files[0]))}
    assert {r["version"] for r in lines(tmp_path)} == {"3", "4.0-rc"}


def test_a_full_disk_costs_records_and_garbles_none(tmp_path: Path) -> None:
    code = """if True:
        import resource, sys
        from pathlib import Path
        from tidemill.serve.capture import Capture, CaptureRules
        capture = Capture(CaptureRules(Path(sys.argv[1])), "m", "1")
        capture.start()
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
        for i in range(100):
            capture.record(f"id-{i}", b'{"a": "' + b"x" * (i % 7) * 50 + b'"}', b"{}", 0)
        while capture._out_bytes < capture._in_bytes:
            pass
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        capture.record("last", b"{}", b"{}", 0)
        capture.close()
        print(capture.dropped)
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, timeout=50
    )
    kept = [str(r["request_id"]) for r in lines(tmp_path)]
    assert len(kept) + int(done.stdout) == 101
    assert kept[-1] == "last"
    assert len(set(kept)) == len(kept) > 5
    assert done.stderr.count("cannot be written") == 1, "it is said once"


def test_feedback_is_refused_where_the_disk_takes_no_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, lines: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    said = [{"request_id": "one", "truth": "yes"}]
    monkeypatch.setattr("tidemill.serve.capture.BROKEN_S", 60)
    capture = captured(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("tidemill.serve.capture._Segment.add", full)
        capture.record("one", b"{}", b"{}", 0)
        until(lambda: capture._broken_until > 0)
        assert not capture.feedback(said, 10)
    assert capture.dropped == 2
    capture._broken_until = 0.0  # a while later
    assert capture.feedback(said, 10)
    capture.close()
    assert [r["truth"] for r in read_records(tmp_path, "feedback")] == ["yes"]


def test_a_record_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    capture = captured(tmp_path, masked=frozenset({"b"}))
    capture.record("deep", b'{"a":' * 700 + b"1" + b"}" * 700, b"{}", 0)
    capture.record("id-2", b'{"a": 1}', b"{}", 0)
    capture.close()
    assert [r["request_id"] for r in lines(tmp_path)] == ["deep", "id-2"]


def test_the_bound_is_of_the_folder_whoever_fills_it_and_lifts_when_files_are_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.serve.capture.LOOK_S", 0.02)
    capture = captured(tmp_path, max_bytes=5000)
    other = tmp_path / "requests" / "version=3" / "of-another-process.parquet"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"x" * 6000)
    until(lambda: capture.written_bytes >= 6000)
    capture.record("too much", b"{}", b"{}", 0)
    other.unlink()
    until(lambda: capture.written_bytes < 5000)
    capture.record("fits", b"{}", b"{}", 0)
    capture.close()
    assert (capture.dropped, [r["request_id"] for r in lines(tmp_path)]) == (1, ["fits"])


def test_feedback_on_many_requests_is_kept_at_once_or_not_at_all(tmp_path: Path) -> None:
    capture = captured(tmp_path, masked=frozenset({"salary"}))
    many = [{"request_id": f"id-{i}", "truth": {"salary": i, "left": True}} for i in range(20_000)]
    assert capture.feedback(many, 900_000)
    assert not capture.feedback(many, WAITING_BYTES + 1)
    assert capture.feedback([], 2)
    capture.close()
    kept = list(read_records(tmp_path, "feedback"))
    assert (len(kept), capture.dropped) == (20_000, 20_000)
    assert kept[7]["truth"] == {"salary": "***", "left": True}


def test_requests_of_the_open_inference_protocol_are_joined_like_others(tmp_path: Path) -> None:
    capture = captured(tmp_path)
    tensors = [{"name": n, "shape": [2], "datatype": "FP64", "data": [1.5, i]} for i, n in enumerate("ab")]
    said = [
        {"name": "prediction", "datatype": "BYTES", "shape": [2], "data": ["no", "yes"]},
        {"name": "probabilities", "datatype": "FP64", "shape": [2, 2], "data": [0.9, 0.1, 0.3, 0.7]},
    ]
    capture.record("v2", json.dumps({"inputs": tensors}).encode(), json.dumps({"outputs": said}).encode(), 0)
    capture.close()
    rows = [{k: r[k] for k in ("a", "b", "prediction", "probability")} for r in join(tmp_path)]
    assert rows == [
        {"a": 1.5, "b": 1.5, "prediction": "no", "probability": 0.9},
        {"a": 0, "b": 1, "prediction": "yes", "probability": 0.7},
    ]


def test_a_server_that_could_not_record_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="Nothing can be recorded in"):
            open_capture(parse(["--capture-dir", str(folder)]), "m", "1")
    with pytest.raises(UsageError, match="names `cookie`"):
        open_capture(parse(["--capture-dir", str(tmp_path), "--capture-headers", "Cookie"]), "m", "1")
    for rate in ("2", "nan", "half"):
        with pytest.raises(SystemExit):
            parse(["--capture-rate", rate])
        assert f"{rate} is not a share from 0 to 1" in capsys.readouterr().err


def test_a_stop_that_cannot_wait_for_the_last_file_says_so_and_the_next_server_takes_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    written = threading.Event()

    def slow(lines: Path, kind: str, lock: int) -> Path:
        written.wait(PATIENCE_S)
        raise OSError("killed meanwhile")

    with monkeypatch.context() as patch:
        patch.setattr("tidemill.serve.capture.CLOSE_S", 0.05)
        patch.setattr("tidemill.serve.capture.finish", slow)
        others = set(threading.enumerate())
        capture = captured(tmp_path)
        own = {t for t in set(threading.enumerate()) - others if t.name in {"capture", "capture files"}}
        capture.record("one", b"{}", b"{}", 0)
        capture.close()
        assert "the next server here takes them up" in caplog.text
        written.set()
        for thread in own:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
    captured(tmp_path).close()
    assert [p.suffix for p in (tmp_path / "requests").rglob("*.*") if p.is_file()] == [".parquet"]
    assert [r["request_id"] for r in lines(tmp_path)] == ["one"]


def test_records_go_on_being_written_while_files_become_parquet_and_a_stop_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = threading.Event()

    def slow(lines: Path, kind: str, lock: int) -> Path:
        written.wait(PATIENCE_S)
        return lines

    monkeypatch.setattr("tidemill.serve.capture.FULL_BYTES", 1)  # each record fills a file
    monkeypatch.setattr("tidemill.serve.capture.CLOSE_S", 0.5)
    monkeypatch.setattr("tidemill.serve.capture.finish", slow)
    others = set(threading.enumerate())
    capture = captured(tmp_path)
    own = set(threading.enumerate()) - others
    try:
        for name in ("one", "two", "three"):
            capture.record(name, b"{}", b"{}", 0)
        capture.close()
        assert {r["request_id"] for r in lines(tmp_path)} == {"one", "two", "three"}
    finally:
        written.set()
        for thread in own:
            thread.join(PATIENCE_S)


ALONE = """
import sys
from pathlib import Path
from tidemill.serve.capture import Capture, CaptureRules
capture = Capture(CaptureRules(Path(sys.argv[1])), "digits", "3")
capture.start()
capture.record("one", b'{"a": 1}', b"{}", 0)
capture.close()
print(sorted({"pandas", "pyarrow"} & set(sys.modules)))
"""


def test_parquet_is_written_beside_the_server_since_scikit_learn_stumbles_over_a_pyarrow_half_imported(
    tmp_path: Path,
) -> None:
    done = subprocess.run([sys.executable, "-c", ALONE, str(tmp_path)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert [p.suffix for p in tmp_path.rglob("*.*")] == [".parquet"]


def test_records_that_cannot_become_parquet_stay_as_lines_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    capture = captured(tmp_path)
    capture.record("one", b"{}", b"{}", 0)
    until(lambda: any(tmp_path.rglob("*.jsonl")))
    (growing,) = tmp_path.rglob("*.jsonl")
    growing.with_name(f".{growing.stem.removeprefix('.')}.growing").mkdir()  # in the way
    capture.close()
    assert "stays as lines of JSON: the process that writes Parquet ended with 1" in caplog.text
    assert "Is a directory" in capfd.readouterr().err
    assert [r["request_id"] for r in lines(tmp_path)] == ["one"]
