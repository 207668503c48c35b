"""Artifacts by content, shared by links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidemill.backends.artifacts.folder import FolderArtifacts
from tidemill.base.errors import FailedError


@pytest.fixture
def artifacts(tmp_path: Path) -> FolderArtifacts:
    return FolderArtifacts(tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "out"
    (root / "sub").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a.txt").write_text("a")
    (root / "sub" / "b.txt").write_text("b")
    return root


def tree(root: Path) -> dict[str, str]:
    return {p.relative_to(root).as_posix(): p.read_text() if p.is_file() else "/" for p in sorted(root.rglob("*"))}


def test_a_folder_comes_back_whole_with_its_empty_folders(
    artifacts: FolderArtifacts, folder: Path, tmp_path: Path
) -> None:
    kept = artifacts.keep(folder)
    assert (kept.file_count, kept.size_bytes) == (2, 2)
    artifacts.place(kept.ref, tmp_path / "again")
    assert tree(tmp_path / "again") == {"a.txt": "a", "empty": "/", "sub": "/", "sub/b.txt": "b"}


def test_nothing_is_copied_and_what_is_kept_is_read_only(
    artifacts: FolderArtifacts, folder: Path, tmp_path: Path
) -> None:
    kept = artifacts.keep(folder)
    artifacts.place(kept.ref, tmp_path / "again")
    one, two = (folder / "a.txt").stat(), (tmp_path / "again" / "a.txt").stat()
    assert one.st_ino == two.st_ino
    assert one.st_mode & 0o222 == 0


def test_the_same_bytes_are_kept_once(artifacts: FolderArtifacts, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("same")
    assert artifacts.keep(tmp_path / "one").ref == artifacts.keep(tmp_path / "two").ref
    assert (tmp_path / "one" / "x").stat().st_ino == (tmp_path / "two" / "x").stat().st_ino


def test_the_users_files_can_be_kept_without_touching_them(artifacts: FolderArtifacts, folder: Path) -> None:
    before = (folder / "a.txt").stat()
    artifacts.keep(folder, copy=True)
    after = (folder / "a.txt").stat()
    assert (after.st_nlink, after.st_mode, after.st_mtime_ns) == (1, before.st_mode, before.st_mtime_ns)


def test_a_linked_file_is_kept_by_its_bytes(artifacts: FolderArtifacts, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "mine")
    os.link(tmp_path / "mine", tmp_path / "out" / "hard")
    kept = artifacts.keep(tmp_path / "out")
    assert (tmp_path / "mine").stat().st_mode & 0o200
    artifacts.place(kept.ref, tmp_path / "again")
    assert tree(tmp_path / "again") == {"hard": "mine", "link": "mine"}


def test_damage_is_seen_and_the_damaged_part_dropped(artifacts: FolderArtifacts, folder: Path, tmp_path: Path) -> None:
    ref = artifacts.keep(folder).ref
    victim = folder / "a.txt"
    victim.chmod(0o644)
    victim.write_text("X")
    fresh = FolderArtifacts(tmp_path / "store")
    assert not fresh.is_whole(ref)
    with pytest.raises(KeyError):
        fresh.place(ref, tmp_path / "again")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.txt").write_text("a")
    fresh.keep(tmp_path / "new")
    assert fresh.is_whole(ref)


def test_a_touch_is_no_damage(artifacts: FolderArtifacts, folder: Path) -> None:
    ref = artifacts.keep(folder).ref
    os.utime(folder / "a.txt")
    assert artifacts.is_whole(ref)


def test_a_file_is_an_artifact_too(artifacts: FolderArtifacts, folder: Path, tmp_path: Path) -> None:
    ref = artifacts.keep(folder / "a.txt").ref
    assert ref.startswith("file:")
    artifacts.place(ref, tmp_path / "deep" / "name.txt")
    assert (tmp_path / "deep" / "name.txt").read_text() == "a"


def test_a_writable_placement_is_a_copy(artifacts: FolderArtifacts, folder: Path, tmp_path: Path) -> None:
    ref = artifacts.keep(folder).ref
    artifacts.place(ref, tmp_path / "again", writable=True)
    (tmp_path / "again" / "a.txt").write_text("mine now")
    assert artifacts.is_whole(ref)


def test_a_remembered_list_is_not_taken_for_bytes(artifacts: FolderArtifacts, folder: Path) -> None:
    entries = artifacts.entries(artifacts.keep(folder).ref)
    assert entries is not None
    other = FolderArtifacts(folder.parent / "elsewhere")
    ref = other.remember(entries)
    assert other.entries(ref) == entries
    assert not other.is_whole(ref)


def test_an_executable_stays_one(artifacts: FolderArtifacts, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "out" / "run.sh").chmod(0o755)
    artifacts.place(artifacts.keep(tmp_path / "out").ref, tmp_path / "again")
    assert (tmp_path / "again" / "run.sh").stat().st_mode & 0o100


def test_many_files_are_hashed_in_parallel_to_the_same_result(artifacts: FolderArtifacts, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for number in range(101):
        (tmp_path / "out" / f"{number}.txt").write_text(str(number))
    kept = artifacts.keep(tmp_path / "out")
    artifacts.place(kept.ref, tmp_path / "again")
    assert tree(tmp_path / "again") == {f"{n}.txt": str(n) for n in range(101)}


def test_garbage_is_what_nothing_points_at(artifacts: FolderArtifacts, folder: Path, tmp_path: Path) -> None:
    ref = artifacts.keep(folder).ref
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "big").write_text("x" * 1000)
    artifacts.keep(tmp_path / "other")
    planned = artifacts.collect_garbage({ref}, dry_run=True)
    assert (planned.objects, planned.size_bytes) == (1, 1000)
    assert artifacts.collect_garbage({ref}) == planned
    assert artifacts.is_whole(ref)
    assert artifacts.collect_garbage({ref}).objects == 0


@pytest.mark.parametrize(
    ("target", "said"), [("nothing", "where nothing is"), (".", "no end"), ("/dev/null", "device")]
)
def test_a_link_that_leads_to_no_file_is_not_dropped_in_silence(
    artifacts: FolderArtifacts, tmp_path: Path, target: str, said: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(target)
    with pytest.raises(FailedError, match=said):
        artifacts.keep(tmp_path / "out")
