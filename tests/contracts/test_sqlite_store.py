"""The embedded store keeps the promises of stores."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tidemill.backends.stores.sqlite import SqliteStore
from tidemill.base.errors import BackendError
from tidemill.testing.stores import StoreContract, created


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "tidemill.db")) as found:
        yield found


class TestSqliteStore(StoreContract):
    """All of them."""


def test_what_one_connection_wrote_another_reads(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "db")) as one, closing(SqliteStore(tmp_path / "db")) as two:
        one.append([created("j")])
        assert two.job("j") is not None


def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    stores = [SqliteStore(tmp_path / "db") for _ in range(4)]

    def write(index: int) -> None:
        for number in range(20):
            stores[index].append([created(f"{index}_{number}")])

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores[0].jobs()) == 80
    for store in stores:
        store.close()


def test_a_file_that_is_no_database_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("not a database, but long enough to be taken for a damaged one" * 20)
    with pytest.raises(BackendError, match="failed: file is not a database"):
        SqliteStore(tmp_path / "db")


@pytest.mark.parametrize("replaced", [False, True])
def test_a_database_that_was_taken_away_keeps_nothing_silently(tmp_path: Path, replaced: bool) -> None:
    with closing(SqliteStore(tmp_path / "db")) as store:
        store.append([created("j")])
        for path in tmp_path.glob("db*"):
            path.unlink()
        if replaced:
            SqliteStore(tmp_path / "db").close()
        with pytest.raises(BackendError, match="was removed or replaced"):
            store.append([created("k")])


def test_the_past_is_read_by_a_later_process(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "db")) as store:
        store.append([created("j")])
    with closing(SqliteStore(tmp_path / "db")) as store:
        assert [j.name for j in store.jobs()] == ["j"]
