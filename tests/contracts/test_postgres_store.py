"""The shared store keeps the promises of stores, on a real PostgreSQL."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.contracts.postgres_server import PASSWORD, QUOTED, Server, running_server
from tidemill.backends.locks.postgres import PostgresLocks
from tidemill.backends.stores.postgres import PostgresStore
from tidemill.base.errors import BackendError, ConflictError, UsageError
from tidemill.base.ids import JobName
from tidemill.cli.main import run_command_line
from tidemill.testing.stores import StoreContract, created

pytestmark = pytest.mark.needs_postgres
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as found:
        yield found


@pytest.fixture
def url(server: Server) -> str:
    """An empty database."""
    name = f"t{next(NUMBERS)}"
    with psycopg.connect(server.url(), autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")
    return server.url(name)


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    with closing(PostgresStore(url)) as found:
        yield found


class TestPostgresStore(StoreContract):
    """All of them."""


def test_many_writers_at_once_lose_nothing(url: str) -> None:
    def write(index: int) -> None:
        with closing(PostgresStore(url)) as store:
            for number in range(20):
                store.append([created(f"{index}_{number}")])

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(PostgresStore(url)) as store:
        assert len(store.jobs()) == 80


def test_a_server_that_restarts_between_two_writes_is_found_again(server: Server, store: PostgresStore) -> None:
    store.append([created("before")])
    server.restart()
    store.append([created("after")])
    assert [j.name for j in store.jobs()] == ["after", "before"]


def test_a_connection_lost_within_a_transaction_leaves_nothing_and_is_said(
    server: Server, store: PostgresStore
) -> None:
    def half() -> None:
        with store.exclusive():
            store.put("c", "k", {})
            server.restart()
            store.put("c", "l", {})

    with pytest.raises(BackendError, match=r"The database `postgresql://127\.0\.0\.1") as caught:
        half()
    assert "TIDEMILL_STORE" in caught.value.hint
    assert store.documents("c") == {}


def test_a_store_of_a_newer_tidemill_is_refused(url: str) -> None:
    PostgresStore(url).close()
    with psycopg.connect(url) as db:
        db.execute("UPDATE tidemill_schema SET version = 99")
    with pytest.raises(BackendError, match="newer Tidemill"):
        PostgresStore(url)


def test_a_wrong_password_is_said_and_never_shown(server: Server) -> None:
    with pytest.raises(BackendError, match="password authentication failed") as caught:
        PostgresStore(server.url(password="not-this-one"))
    assert "not-this-one" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("rest", ["u:hu@sh@h/d", "u:hu/sh@h/d", "u:hu%sh@h/d", "u:hu#sh@h/d"])
def test_an_address_that_is_none_is_not_repeated(rest: str) -> None:
    with pytest.raises(UsageError, match="not an address of PostgreSQL") as caught:
        PostgresStore(f"postgresql://{rest}")
    assert "hu" not in str(caught.value)


def test_a_job_is_driven_once_on_all_machines(url: str) -> None:
    job = JobName("j")
    with closing(PostgresLocks(url)) as one, closing(PostgresLocks(url)) as two:
        with one.job(job):
            assert one.is_driven(job)
            assert two.is_driven(job)
            with pytest.raises(ConflictError), two.job(job):
                pass
        assert not two.is_driven(job)
        with two.job(job):
            assert one.is_driven(job)


def test_locks_survive_a_restart_of_the_server(server: Server, url: str) -> None:
    job = JobName("j")
    with closing(PostgresLocks(url)) as one, closing(PostgresLocks(url)) as two:
        with one.job(job), one.step("ab" * 32, lambda: False):
            server.restart()
            with one.step("cd" * 32, lambda: False), pytest.raises(ConflictError), two.job(job):
                pass
            with pytest.raises(ConflictError), two.step("ab" * 32, lambda: True):
                pass
        with two.job(job), two.step("ab" * 32, lambda: True):
            pass


def test_a_job_that_somebody_took_over_meanwhile_ends_here(server: Server, url: str) -> None:
    job = JobName("j")
    with closing(PostgresLocks(url)) as one, closing(PostgresLocks(url)) as two, one.job(job):
        server.restart()
        with two.job(job), pytest.raises(ConflictError), one.step("ab" * 32, lambda: False):
            pass


def test_a_step_is_waited_for_and_waiting_can_be_given_up(url: str) -> None:
    with closing(PostgresLocks(url)) as one, closing(PostgresLocks(url)) as two:
        with one.step("ab" * 32, lambda: False):
            with pytest.raises(ConflictError), two.step("ab" * 32, lambda: True):
                pass
            with two.step("cd" * 32, lambda: True):
                pass
        with two.step("ab" * 32, lambda: True):
            pass


def test_a_run_records_in_the_database_and_the_next_one_reuses(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEMILL_STORE", url)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidemill.yaml").write_text("name: shared\nenvironments: {some: {python: host}}\n")
    (tmp_path / "job.yml").write_text(
        "$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json\n"
        "command: echo hello > ${{outputs.o}}/x\noutputs: {o: {type: uri_folder}}\n"
        "environment: azureml:some@latest\ncompute: azureml:cpu\n"
    )
    assert run_command_line(["run", "job.yml"]) == 0, capsys.readouterr()
    assert run_command_line(["run", "job.yml"]) == 0
    said = capsys.readouterr()
    assert "reused from" in said.out + said.err
    assert PASSWORD not in said.out + said.err
    assert QUOTED not in said.out + said.err
    assert not (tmp_path / ".tidemill" / "tidemill.db").exists()
    with closing(PostgresStore(url)) as store:
        assert [j.status for j in store.jobs()] == ["Completed", "Completed"]
