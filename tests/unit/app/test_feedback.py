"""Feedback from the command line: kept beside what was recorded, joined into one table."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest

from tidemill.app.releases import record_release
from tidemill.app.settings import read_settings
from tidemill.app.wiring import App, open_app
from tidemill.app.workloads import workload_record
from tidemill.base.errors import BackendError
from tidemill.cli.main import run_command_line
from tidemill.release.recording import Recording
from tidemill.release.workload import Workload
from tidemill.serve.capture import Capture, CaptureRules
from tidemill.serve.shipping import Shipper

PROJECT = "name: churn\nstages: {production: {target: kubernetes, namespace: ml, registry: r}}\n"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    capture = Capture(CaptureRules(tmp_path / "kept"), "m", "3")
    capture.start()
    for name in ("one", "two"):
        capture.record(name, b'{"a": 1}', b'{"prediction": "no"}', 0.001)
    capture.close()
    return tmp_path / "kept"


def test_one_truth_and_a_file_of_truths_are_joined_to_what_was_recorded(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "truth.csv").write_text("request_id,truth\ntwo,no\n")
    out = tmp_path / "joined.csv"
    argv = ["--dir", str(recorded), "--request-id", "one", "--truth", "yes", "--join", str(out)]
    assert run_command_line(["feedback", str(tmp_path / "truth.csv"), *argv]) == 0
    said = capsys.readouterr().out
    assert "kept: 2" in said
    assert "2 rows, the truth of 2 is known" in said
    with out.open() as file:
        assert {(r["request_id"], r["truth"]) for r in csv.DictReader(file)} == {("one", "yes"), ("two", "no")}


def test_a_spreadsheet_s_csv_is_read_and_truths_of_no_request_are_said(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "truth.csv"
    file.write_bytes('\ufeffRequest_ID;Truth\r\none;"left; on\r\nMonday"\r\nnobody;yes\r\n'.encode())
    out = tmp_path / "joined.parquet"
    assert run_command_line(["feedback", str(file), "--dir", str(recorded), "--join", str(out)]) == 0
    said = capsys.readouterr()
    assert "2 rows, the truth of 1 is known" in said.out
    assert "1 of the truths name no request that is recorded here, the first `nobody`" in said.err
    assert "left; on\nMonday" in pd.read_parquet(out)["truth"].tolist()
    assert sorted(pd.read_parquet(recorded / "feedback")["request_id"]) == ["nobody", "one"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("request_id,label\none,yes\n", "record 1 has no `truth`"),
        ("request_id,truth\none,\n", "record 1 has no `truth`"),
        ("", "holds no record"),
        ("request_id,truth\none,s\udce9\n", "is not UTF-8"),
    ],
)
def test_a_file_without_what_is_needed_is_refused_with_the_record_named(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    (tmp_path / "truth.csv").write_text(text, errors="surrogateescape")
    assert run_command_line(["feedback", str(tmp_path / "truth.csv"), "--dir", str(recorded)]) == 2
    assert words in capsys.readouterr().err


def test_pods_keep_a_truth_by_way_of_the_cluster_and_their_records_are_read_where_they_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two joins: the second brings only what is new."""
    asked: list[tuple[Any, ...]] = []
    released = {
        "stage": "production", "endpoint": "churn", "deployment": "blue-3", "url": "", "model": "churn", "version": "3",
        "workload": workload_record(
            Workload("churn", "blue-3", "ml", "i@sha256:" + "0" * 64, recording=Recording("memory://kept/churn"))
        ),
    }  # fmt: skip

    class Cluster:
        def key_headers(self, workload: Workload) -> dict[str, str]:
            return {"x-key": workload.endpoint}

        def request(self, *place: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
            assert headers["x-key"] == "churn"
            asked.append((*place, json.loads(body)))
            return 202, b'{"kept":1}'

    monkeypatch.setattr(App, "kubernetes", lambda _self, _context="": Cluster())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidemill.yaml").write_text(PROJECT)
    with open_app(read_settings()) as app:
        record_release(app, released)
    store = fsspec.filesystem("memory")
    for number in (1, 2):
        capture = Capture(CaptureRules(tmp_path / "buffer"), "churn", "3")
        capture.shipper = Shipper(tmp_path / "buffer", "memory://kept/churn", {})
        capture.start()
        capture.record(f"asked-{number}", b'{"a": 1}', b'{"prediction": "no"}', 0.001)
        capture.close()
        argv = ["feedback", "--request-id", "asked-1", "--truth", "yes", "--join", "joined.csv"]
        assert run_command_line([*argv, *(["--stage", "production"] if number == 2 else [])]) == 0
        said = capsys.readouterr()
        assert f"joined.csv: {number} row" in said.out
        assert "(1 new files)" in said.err
    assert asked[0] == ("ml", "churn", "/feedback", [{"request_id": "asked-1", "truth": "yes"}])

    argv = ["feedback", "--dir", "memory://kept/churn", "--request-id", "asked-2", "--truth", "no"]
    assert run_command_line([*argv, "--join", "joined.csv"]) == 0
    assert "joined.csv: 2 rows, the truth of 1 is known" in capsys.readouterr().out
    store.rm("/kept", recursive=True)


def release(recording: Recording | None) -> None:
    workload = Workload("churn", "blue-3", "ml", "i@sha256:" + "0" * 64, recording=recording)
    about = {"stage": "production", "endpoint": "churn", "deployment": "blue-3"}
    with open_app(read_settings()) as app:
        record_release(app, {**about, "workload": workload_record(workload)})


def test_records_on_a_claim_are_read_through_a_pod(
    tmp_path: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Cluster:
        allowed = True

        def bring(self, workload: Workload, folder: str, into: Path) -> None:
            if not self.allowed:
                raise BackendError("HTTP 403: pods/exec is forbidden")
            assert (workload.name, folder) == ("churn-blue-3", "/records/serving/churn")
            shutil.copytree(recorded, into, dirs_exist_ok=True)

    monkeypatch.setattr(App, "kubernetes", lambda _self, _context="": Cluster())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidemill.yaml").write_text(PROJECT)
    release(Recording("serving/churn", claim="kept"))
    assert run_command_line(["feedback", "--stage", "production", "--join", "joined.csv"]) == 0
    assert "joined.csv: 2 rows" in capsys.readouterr().out
    monkeypatch.setattr(Cluster, "allowed", False)
    assert run_command_line(["feedback", "--stage", "production", "--join", "joined.csv"]) != 0
    said = capsys.readouterr().err
    assert "pods/exec is forbidden" in said
    assert "--dir FOLDER" in said


def test_pods_that_record_nothing_and_stages_that_are_not_there_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidemill.yaml").write_text(PROJECT)
    release(None)
    assert run_command_line(["feedback", "--stage", "production", "--join", "joined.csv"]) == 2
    assert "`capture:` to the stage" in capsys.readouterr().err
    assert run_command_line(["feedback", "--stage", "produktion", "--join", "joined.csv"]) != 0
    assert "production" in capsys.readouterr().err


def test_where_nothing_records_the_way_to_a_folder_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEMILL_HOME", str(tmp_path / "home"))
    assert run_command_line(["feedback", "--join", str(tmp_path / "joined.csv")]) == 2
    said = capsys.readouterr().err
    assert "No endpoint and no stage of this project records" in said
    assert "--dir FOLDER" in said
