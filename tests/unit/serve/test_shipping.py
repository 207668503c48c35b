"""Records that are kept elsewhere: they leave the buffer, survive a store that is away and a server that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.serve.s3_store import storing
from tests.unit.serve.test_operation import running, score
from tests.waiting import PATIENCE_S, until
from tidemill.backends.data.remote import RemoteStore
from tidemill.base.errors import UsageError
from tidemill.serve import shipping
from tidemill.serve.capture import Capture, CaptureRules, open_capture
from tidemill.serve.metrics import Metrics
from tidemill.serve.options import parse
from tidemill.serve.records import join, read_records
from tidemill.serve.shipping import Shipper


def recording(buffer: Path, to: Path | str, **rules: object) -> Capture:
    capture = Capture(
        CaptureRules(buffer, **rules),  # type: ignore[arg-type]
        "churn",
        "3",
        shipper=Shipper(buffer, str(to), {}),
    )
    capture.start()
    return capture


def left(buffer: Path) -> list[Path]:
    return [p for p in buffer.rglob("*") if p.is_file()]


def test_what_is_recorded_leaves_the_buffer_for_partitions_by_version_and_date(tmp_path: Path) -> None:
    capture = recording(tmp_path / "buffer", tmp_path / "kept")
    capture.record("one", b'{"a": 1}', b'{"prediction": "no"}', 0.001)
    capture.feedback([{"request_id": "one", "truth": "yes"}], 9)
    capture.close()
    (file,) = (tmp_path / "kept" / "requests").rglob("*.parquet")
    assert [p.partition("=")[0] for p in file.parent.relative_to(tmp_path / "kept").parts] == [
        "requests",
        "version",
        "date",
    ]
    assert [(r["a"], r["prediction"], r["truth"]) for r in join(tmp_path / "kept")] == [(1, "no", "yes")]
    assert left(tmp_path / "buffer") == []


def test_the_first_records_leave_at_once_so_that_a_bad_address_is_known_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.serve.capture.FIRST_S", 0.05)
    capture = recording(tmp_path / "buffer", tmp_path / "kept")
    capture.record("one", b"{}", b"{}", 0)
    until(lambda: len(list(read_records(tmp_path / "kept", "requests"))) == 1)
    capture.close()


def test_partitions_are_as_long_as_the_rolling_rate_says(tmp_path: Path) -> None:
    at = "2026-11-21T03:30:27.016904Z"
    said = {r: CaptureRules(tmp_path, rolling=r).partition(at) for r in ("day", "hour", "minute")}
    assert said == {
        "day": "date=2026-11-21",
        "hour": "date=2026-11-21/hour=03",
        "minute": "date=2026-11-21/hour=03/minute=30",
    }
    assert CaptureRules(tmp_path, rolling="minute").old_s == 60


def test_a_store_that_is_away_costs_nothing_but_room_and_gets_all_of_it_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tidemill.serve.capture.FIRST_S", 0.01)
    monkeypatch.setattr(shipping, "SHORTEST_PAUSE_S", 0.01)
    (tmp_path / "kept").write_text("not a folder yet")
    capture = recording(tmp_path / "buffer", tmp_path / "kept", max_bytes=40_000)
    shipper, metrics = capture.shipper, Metrics("3")
    assert shipper is not None
    capture.record("one", b"{}", b"{}", 0)
    until(lambda: shipper.failures > 2)
    metrics.capture = capture
    assert "tidemill_capture_waiting_files 1.0" in metrics.text()
    recorded = 1
    while capture.dropped <= 20:
        capture.record("many", b'"' + os.urandom(2000).hex().encode() + b'"', b"{}", 0)
        recorded += 1
        time.sleep(0.001)
    (tmp_path / "kept").unlink()
    until(lambda: shipper.failures == 0)
    capture.close()
    kept = list(read_records(tmp_path / "kept", "requests"))
    assert len(kept) == recorded - capture.dropped
    assert left(tmp_path / "buffer") == []
    assert len([r for r in caplog.records if "do not reach" in r.message]) == 1, "said once, not at each attempt"


def test_what_cannot_leave_before_the_end_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shipping, "CLOSE_S", 0.5)
    (tmp_path / "kept").write_text("never a folder")
    capture = recording(tmp_path / "buffer", tmp_path / "kept")
    capture.record("one", b"{}", b"{}", 0)
    capture.close()
    assert "1 files of records were not sent" in caplog.text
    assert len(left(tmp_path / "buffer")) == 1, "they are still there for a container that starts again in the same pod"


KILLED = """
import sys, time
from pathlib import Path
from tidemill.serve.capture import Capture, CaptureRules
capture = Capture(CaptureRules(Path(sys.argv[1])), "churn", "3")
capture.start()
capture.record("before", b"{}", b"{}", 0)
while not list(Path(sys.argv[1]).rglob("*.jsonl")) or not next(Path(sys.argv[1]).rglob("*.jsonl")).stat().st_size:
    time.sleep(0.01)
print("written", flush=True)
time.sleep(60)
"""


def test_records_of_a_server_that_was_killed_are_sent_by_the_next_and_those_of_a_living_one_are_not(
    tmp_path: Path,
) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "buffer")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"written\n"
        recording(tmp_path / "buffer", tmp_path / "kept").close()
        assert not (tmp_path / "kept").exists(), "its file is still growing"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(PATIENCE_S)
        child.stdout.close()
    recording(tmp_path / "buffer", tmp_path / "kept").close()
    assert [r["request_id"] for r in read_records(tmp_path / "kept", "requests")] == ["before"]
    assert left(tmp_path / "buffer") == []


def test_a_url_is_spoken_to_by_fsspec(tmp_path: Path) -> None:
    import fsspec

    capture = recording(tmp_path / "buffer", "memory://bucket/churn")
    capture.record("one", b"{}", b"{}", 0)
    capture.close()
    found = fsspec.filesystem("memory").find("/bucket/churn")
    assert [p.split("/")[3:5] for p in found] == [["requests", "version=3"]]
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def test_s3_takes_records_with_keys_that_may_only_write_and_later_when_it_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "SHORTEST_PAUSE_S", 0.05)
    monkeypatch.setattr("tidemill.serve.capture.FIRST_S", 0.01)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with storing() as store:
        capture = recording(tmp_path / "buffer", "s3://ml/kept/churn", rolling="hour")
        shipper = capture.shipper
        assert shipper is not None
        shipper.environ = store.environ
        store.away = True
        capture.record("one", b'{"a": 1}', b'{"prediction": "no"}', 0.001)
        until(lambda: shipper.failures > 0)
        store.away = False
        capture.close()
        (key,) = store.objects
        assert key.startswith("ml/kept/churn/requests/version=3/date=")
        assert store.objects[key][:4] == b"PAR1"
        assert {line.split()[0] for line in store.asked} == {"PUT"}, "nothing but writing was asked for"
        read = RemoteStore(tmp_path / "here", lambda: store.environ).mirror("s3://ml/kept/churn", lambda _: None)
        assert [(r["request_id"], r["a"]) for r in join(read)] == [("one", 1)]
    assert left(tmp_path / "buffer") == []


def test_a_pod_is_told_by_variables_and_an_option_has_the_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: Mapping[str, str] = {
        "DIR": str(tmp_path), "TO": "/records/churn", "RATE": "0.25", "MAX_BYTES": "1000", "MASK": "salary, age",
        "PARTS": "request", "ROLLING": "hour",
    }  # fmt: skip
    for name, value in said.items():
        monkeypatch.setenv(f"TIDEMILL_CAPTURE_{name}", value)
    capture = open_capture(parse(["--capture-rate", "0.5"]), "churn", "3")
    assert capture.rules == CaptureRules(
        tmp_path, 0.5, 1000, frozenset({"salary", "age"}), frozenset({"request"}), "hour"
    )
    assert capture.shipper is not None
    assert capture.shipper.to == "/records/churn"


def test_a_server_that_could_not_send_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "find_spec", lambda name: None if name == "s3fs" else True)
    options = parse(["--capture-dir", str(tmp_path), "--capture-to", "s3://bucket/churn"])
    with pytest.raises(UsageError, match="`s3fs` is not installed"):
        open_capture(options, "churn", "3")


def test_what_lets_into_the_store_is_not_among_the_variables_a_scoring_script_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text(
        "import os\ndef init(): global names; names = sorted(os.environ)\ndef run(raw_data): return names\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with storing() as store:
        for name, value in store.environ.items():
            monkeypatch.setenv(f"TIDEMILL_CAPTURE_SECRET_{name}", value)
        options = ["--capture-dir", str(tmp_path / "buffer"), "--capture-to", "s3://ml/kept"]
        with running(tmp_path / "code", *options) as (_, url):
            status, names = score(url, "{}")
        assert status == 200
        assert not [n for n in names if "SECRET" in n or n == "AWS_ACCESS_KEY_ID"]
        assert "AWS_DEFAULT_REGION" in names, "what is no secret is where the store's client looks for it"
        assert [key.split("/")[:3] for key in store.objects] == [["ml", "kept", "requests"]]
