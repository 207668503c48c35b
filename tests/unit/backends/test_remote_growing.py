"""Files of lines that grow on another machine are had here as far as they are whole."""

from __future__ import annotations

from pathlib import Path

from tidemill.backends.executors.remote import cut_to_lines
from tidemill.backends.executors.remote_worker import Worker


def test_a_line_that_was_torn_here_is_cut_off_and_fetched_again(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    assert cut_to_lines(here) == 0
    here.write_bytes(b"one\ntw")
    there.write_bytes("one\ntwö\nthr".encode())
    known = cut_to_lines(here)
    assert (known, here.read_bytes()) == (4, b"one\n")
    assert Worker().read_on(str(there), known) == "twö\n".encode()
    assert Worker().read_on(str(tmp_path / "none"), 0) == b""
