"""Which files are a step's code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidemill.base.errors import FailedError
from tidemill.base.ignore import make_ignore
from tidemill.run.snapshot import list_code, take_snapshot


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def names(root: Path) -> list[str]:
    return [relative for relative, _ in list_code(root)]


def test_an_amlignore_wins_over_a_gitignore(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "b.csv", "c.txt")
    (tmp_path / ".gitignore").write_text("*.txt\n")
    assert names(tmp_path) == [".gitignore", "a.py", "b.csv"]
    (tmp_path / ".amlignore").write_text("*.csv\n")
    assert names(tmp_path) == [".amlignore", ".gitignore", "a.py", "c.txt"]


def test_caches_environments_and_secrets_are_never_code(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "__pycache__/a.pyc", ".git/x", ".tidemill/x", "venv/pyvenv.cfg", "venv/lib/x.py", ".env")
    assert names(tmp_path) == ["a.py"]


def test_gitignore_rules() -> None:
    ignored = make_ignore(["*.pyc", "/data/*", "!/data/keep.csv", "build/", "docs/**/x", "# note", "", "[ab].txt"])
    assert ignored("deep/down/m.pyc", False)
    assert ignored("data/big.csv", False)
    assert not ignored("data/keep.csv", False)
    assert ignored("build", True)
    assert not ignored("build", False)
    assert ignored("docs/one/two/x", False)
    assert ignored("a.txt", False)
    assert not ignored("c.txt", False)


def test_a_snapshot_is_a_copy_with_the_executable_bit(tmp_path: Path) -> None:
    code, target = tmp_path / "src", tmp_path / "cwd"
    write(code, "run.sh", "pkg/m.py")
    (code / "run.sh").chmod(0o755)
    target.mkdir()
    take_snapshot(code).copy_to(target)
    assert (target / "pkg" / "m.py").read_text() == "pkg/m.py"
    assert (target / "run.sh").stat().st_mode & 0o100
    (target / "run.sh").write_text("changed")
    assert (code / "run.sh").read_text() == "run.sh"


def test_one_file_is_code_and_includes_are_merged_below_their_name(tmp_path: Path) -> None:
    write(tmp_path, "one.py", "shared/util.py")
    snapshot = take_snapshot(tmp_path / "one.py", [tmp_path / "shared"])
    assert [e.path for e in snapshot.entries] == ["one.py", "shared/util.py"]


def test_a_link_in_a_circle_is_named_unless_it_is_ignored(tmp_path: Path) -> None:
    write(tmp_path, "a/x.py")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    with pytest.raises(FailedError, match="a/loop` leads to a folder that it lies in"):
        names(tmp_path)
    (tmp_path / ".amlignore").write_text("loop\n.amlignore\n")
    assert names(tmp_path) == ["a/x.py"]


def test_a_link_to_nowhere_is_named_but_not_an_editors_lock(tmp_path: Path) -> None:
    write(tmp_path, "x.py")
    (tmp_path / ".#x.py").symlink_to("somebody@somewhere.4711")
    assert names(tmp_path) == ["x.py"]
    (tmp_path / "gone.py").symlink_to("nothing.py")
    with pytest.raises(FailedError, match=r"gone\.py` leads to `nothing\.py`, where nothing is"):
        names(tmp_path)
    (tmp_path / "gone.py").unlink()
    (tmp_path / "self").symlink_to("self")
    with pytest.raises(FailedError, match="self` leads to `self`"):
        names(tmp_path)


def test_pipes_and_sockets_are_no_code(tmp_path: Path) -> None:
    write(tmp_path, "x.py")
    os.mkfifo(tmp_path / "pipe")
    assert names(tmp_path) == ["x.py"]
