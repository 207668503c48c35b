"""Feedback from the command line: kept beside what was recorded, joined into one table."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tidemill.cli.main import run_command_line
from tidemill.serve.capture import Capture, CaptureRules


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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("request_id,label\none,yes\n", "record 1 has no `truth`"),
        ("request_id,truth\none,\n", "record 1 has no `truth`"),
    ],
)
def test_a_file_without_what_is_needed_is_refused_with_the_record_named(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    (tmp_path / "truth.csv").write_text(text)
    assert run_command_line(["feedback", str(tmp_path / "truth.csv"), "--dir", str(recorded)]) == 2
    assert words in capsys.readouterr().err
