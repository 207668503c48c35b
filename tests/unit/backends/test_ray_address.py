"""Where no Ray cluster answers, it is said at once, before Ray itself is asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tidemill.backends.executors.ray_address import EMPTY_SETTINGS, require_cluster
from tidemill.base.errors import BackendError


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The address of one who says `answer` to whoever comes first."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            line, _ = server.accept()
            with line:
                line.recv(100)
                line.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.fixture
def closed() -> Iterator[str]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and nobody listens
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.mark.parametrize("name", ["{}", "ray://{}"])
def test_an_address_where_nobody_listens_is_named(closed: str, name: str) -> None:
    with pytest.raises(BackendError, match=f"No Ray cluster answers at `{name.format(closed)}`: Connection refused"):
        require_cluster(name.format(closed))


def test_another_server_is_no_cluster() -> None:
    with (
        answering(b"HTTP/1.0 400 Bad Request\r\n\r\n") as address,
        pytest.raises(BackendError, match="is no Ray cluster"),
    ):
        require_cluster(address)


def test_one_that_speaks_as_a_cluster_does_is_left_to_ray() -> None:
    with answering(EMPTY_SETTINGS) as address:
        require_cluster(address)


def test_auto_does_not_wait_for_a_cluster_that_was_killed(
    closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    require_cluster("auto")  # none was started: Ray looks further
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(closed)
    with pytest.raises(BackendError, match=f"`{closed}`, where the last one of this machine was started"):
        require_cluster("auto")


def test_auto_means_what_ray_address_says(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", closed)
    with pytest.raises(BackendError, match="RAY_ADDRESS"):
        require_cluster("auto")
    require_cluster("")  # one is started here
