"""A folder's files, links followed; what is no file is named."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tidemill.base.errors import FailedError
from tidemill.base.hashing import digest_file, hash_files, hash_folder, list_files


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / "sub" / "x").write_text("x")
    (tmp_path / "e").mkdir()
    (tmp_path / "d" / "also").symlink_to("sub")
    (tmp_path / "d" / "y").symlink_to("sub/x")
    (tmp_path / "d" / "e").symlink_to("../e")
    assert [p.relative_to(tmp_path).as_posix() for p in list_files(tmp_path / "d")] == ["d/also/x", "d/sub/x", "d/y"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (".", "loop` leads to a folder that it lies in"),
        ("loop", "loop` leads to `loop`, where nothing is"),
        ("nothing", "loop` leads to `nothing`, where nothing is"),
        ("/dev/null", "loop` is a device"),
    ],
)
def test_a_link_that_leads_to_no_file_is_named(tmp_path: Path, target: str, message: str) -> None:
    (tmp_path / "loop").symlink_to(target)
    with pytest.raises(FailedError, match=message):
        hash_folder(tmp_path)


def test_links_that_lead_to_each_other_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "to_b").symlink_to("../b")
    (tmp_path / "b" / "to_a").symlink_to("../a")
    with pytest.raises(FailedError, match="so there is no end to it"):
        hash_folder(tmp_path)


def test_pipes_and_sockets_are_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FailedError, match="pipe` is a named pipe"):
        hash_folder(tmp_path)
    with pytest.raises(FailedError, match="pipe` is a named pipe"):
        hash_files([tmp_path / "pipe"])
    (tmp_path / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        with pytest.raises(FailedError, match="s` is a socket"):
            hash_folder(tmp_path)


def test_reading_large_files_can_be_given_up(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 26)
    whole = digest_file(tmp_path / "large")
    assert digest_file(tmp_path / "large", lambda: False) == whole
    asked = iter([False, False, True])
    with pytest.raises(FailedError, match="Canceled while"):
        hash_folder(tmp_path, give_up=lambda: next(asked))
