"""Assets by name and version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tidemill.backends.artifacts.folder import FolderArtifacts
from tidemill.backends.stores.sqlite import SqliteStore
from tidemill.base.errors import ConflictError, FailedError, NotFoundError, UsageError
from tidemill.record.assets import AssetRequest, AssetStore


@pytest.fixture
def assets(tmp_path: Path) -> Iterator[AssetStore]:
    with closing(SqliteStore(tmp_path / "db")) as store:
        yield AssetStore(store, FolderArtifacts(tmp_path / "store"), tmp_path)


def data(tmp_path: Path, text: str, version: str | None = None) -> AssetRequest:
    folder = tmp_path / "cats"
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text(text)
    return AssetRequest("data", "cats", version, folder, "uri_folder")


def test_the_same_content_is_the_same_version_and_other_content_the_next(assets: AssetStore, tmp_path: Path) -> None:
    assert assets.register(data(tmp_path, "one")).version == "1"
    assert assets.register(data(tmp_path, "one")).version == "1"
    assert assets.register(data(tmp_path, "two")).version == "2"


def test_a_version_with_other_bytes_is_a_conflict(assets: AssetStore, tmp_path: Path) -> None:
    assets.register(data(tmp_path, "one", "7"))
    assets.register(data(tmp_path, "one", "7"))
    with pytest.raises(ConflictError, match="cats:7 exists with other content"):
        assets.register(data(tmp_path, "two", "7"))


def test_a_registered_version_keeps_its_bytes(assets: AssetStore, tmp_path: Path) -> None:
    row = assets.register(data(tmp_path, "one"))
    (tmp_path / "cats" / "a.txt").write_text("changed later")
    assert (Path(row.path) / "a.txt").read_text() == "one"


def test_latest_is_the_most_recently_created(assets: AssetStore, tmp_path: Path) -> None:
    assets.register(data(tmp_path, "one", "9"))
    assets.register(data(tmp_path, "two", "3"))
    found = assets.find("data", "cats", label="latest")
    assert found is not None
    assert found.version == "3"


def test_an_archived_version_is_not_listed_but_still_found_by_number(assets: AssetStore, tmp_path: Path) -> None:
    assets.register(data(tmp_path, "one"))
    assets.archive("data", "cats", "1")
    assert assets.list("data") == []
    assert assets.find("data", "cats") is None
    assert assets.get("data", "cats", "1").version == "1"


def test_what_is_not_there_is_said_with_what_is(assets: AssetStore, tmp_path: Path) -> None:
    assets.register(data(tmp_path, "one"))
    with pytest.raises(NotFoundError) as caught:
        assets.get("data", "cat", "1")
    assert caught.value.hint == "Did you mean `cats:1`?"


def test_bad_names_and_missing_paths_are_refused(assets: AssetStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        assets.register(AssetRequest("data", "no spaces", path=tmp_path))
    with pytest.raises(FailedError):
        assets.register(AssetRequest("data", "gone", path=tmp_path / "gone"))


def test_documents_are_versioned_by_their_content(assets: AssetStore, tmp_path: Path) -> None:
    body = {"command": "x"}
    one = assets.register(AssetRequest("component", "c", None, tmp_path / "c.yml", body=body))
    assert assets.register(AssetRequest("component", "c", None, tmp_path / "c.yml", body=body)).version == one.version
    changed = AssetRequest("component", "c", None, tmp_path / "c.yml", body={"command": "y"})
    assert assets.register(changed).version == "2"
