"""Where a server listens: the addresses it can have, and what it says of those it cannot."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.unit.serve.test_operation import SCRIPT, running, score
from tidemill.base.errors import BackendError
from tidemill.serve.sockets import bind, listen, share, written

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_server_of_several_processes_does_not_share_its_port_with_another_of_the_same_kind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = bind("127.0.0.1", 0, shared=True)
    assert first is not None
    own = share(first, 2)
    for each in own:
        each.listen()
    assert bind("127.0.0.1", first.getsockname()[1], shared=True) is None
    assert "Address already in use" in capsys.readouterr().err
    for each in (first, *own):
        each.close()


def test_of_two_servers_started_at_once_on_one_port_the_later_says_that_it_is_taken() -> None:
    first = bind("127.0.0.1", 0, shared=False)
    assert first is not None
    second = bind("127.0.0.1", first.getsockname()[1], shared=False)
    assert second is not None  # nobody listens yet: both load
    listen(first)
    with pytest.raises(BackendError, match="Address already in use"):
        listen(second)
    listen(first)  # a process that takes another's place
    first.close()
    second.close()


@pytest.mark.parametrize("host", ["192.0.2.7", "nosuch.invalid"])
def test_a_host_that_is_not_this_machine_is_told_apart_from_a_port_that_is_taken(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bind(host, 0, shared=False) is None
    said = capsys.readouterr().err
    assert "hint: --host takes an address or a name of this machine" in said


def test_an_address_of_the_new_kind_is_written_as_urls_write_it() -> None:
    assert [written(h) for h in ("::1", "[::1]", "127.0.0.1", "localhost")] == [
        "[::1]",
        "[::1]",
        "127.0.0.1",
        "localhost",
    ]


def has_new_kind() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_new_kind(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_the_url_a_server_prints_can_be_asked(tmp_path: Path, host: str) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text(SCRIPT)
    with running(tmp_path / "code", "--host", host) as (_, url):
        assert url.startswith("http://[::1]:")
        assert score(url, "x")[0] == 200
