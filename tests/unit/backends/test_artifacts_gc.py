"""Collecting garbage keeps what is needed, single files too."""

from __future__ import annotations

import os
import threading
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


def test_what_a_run_under_way_keeps_is_spared_and_goes_when_the_run_is_over(tmp_path: Path) -> None:
    store = FolderArtifacts(tmp_path / "store")
    collector = FolderArtifacts(tmp_path / "store")
    (tmp_path / "a.txt").write_text("kept by a run")
    with store.in_use():
        ref = store.keep(tmp_path / "a.txt").ref
        found = collector.collect_garbage([], spare_since=collector.busy_since())
        assert (found.objects, found.spared, found.spared_bytes) == (0, 1, 13)
        assert store.is_whole(ref)
    since = collector.busy_since()
    os.utime(next((tmp_path / "store" / "trees").glob("*/*")), (since - 5, since - 5))
    assert collector.collect_garbage([], spare_since=since).objects == 1
    assert not store.is_whole(ref)


def test_what_a_run_looked_at_is_spared_though_it_is_old(tmp_path: Path) -> None:
    store = FolderArtifacts(tmp_path / "store")
    (tmp_path / "a.txt").write_text("of last week")
    ref = store.keep(tmp_path / "a.txt").ref
    os.utime(next((tmp_path / "store" / "trees").glob("*/*")), (1e9, 1e9))
    with store.in_use():
        assert store.is_whole(ref)
        assert FolderArtifacts(tmp_path / "store").collect_garbage([], spare_since=store.busy_since()).objects == 0
        store.place(ref, tmp_path / "here.txt")


def test_keeping_and_collecting_at_once_loses_nothing(tmp_path: Path) -> None:
    store, collector = FolderArtifacts(tmp_path / "store"), FolderArtifacts(tmp_path / "store")
    over = threading.Event()

    def collect() -> None:
        while not over.is_set():
            collector.collect_garbage([], spare_since=collector.busy_since())

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        with store.in_use():
            for number in range(30):
                folder = tmp_path / f"f{number}"
                folder.mkdir()
                for name in range(20):
                    (folder / str(name)).write_text(f"{name % 5} {number % 7}")
                ref = store.keep(folder).ref
                store.place(ref, tmp_path / f"placed{number}")
                assert len(list((tmp_path / f"placed{number}").iterdir())) == 20
    finally:
        over.set()
        thread.join()
