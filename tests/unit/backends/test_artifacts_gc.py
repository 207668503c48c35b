"""Collecting garbage keeps what is needed, single files too."""

from __future__ import annotations

from pathlib import Path

from tidemill.backends.artifacts.folder import FolderArtifacts


def test_a_needed_file_survives_and_what_nobody_needs_goes(tmp_path: Path) -> None:
    store = FolderArtifacts(tmp_path / "store")
    (tmp_path / "needed.txt").write_text("needed")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("in a needed folder")
    (tmp_path / "garbage.txt").write_text("garbage")
    needed, folder, garbage = (store.keep(tmp_path / n) for n in ("needed.txt", "folder", "garbage.txt"))
    found = store.collect_garbage([needed.ref, folder.ref])
    assert found.objects == 1
    assert store.is_whole(needed.ref)
    assert store.is_whole(folder.ref)
    assert not store.is_whole(garbage.ref)
