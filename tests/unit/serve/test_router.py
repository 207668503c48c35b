"""The router alone, on real sockets: what it lets through, what it changes, what it refuses."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S
from tidemill.serve.router import Backend, Router
from tidemill.serve.router_http import HEAD_LIMIT, BadMessage, parse_head

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Ask = Callable[[bytes], Awaitable[bytes]]


def answering(body: bytes, seen: list[bytes] | None = None) -> Handler:
    """A server that answers every request with `body`, and keeps what it got."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(1 << 16):
            if seen is not None:
                seen.append(head)
            writer.write(
                b"HTTP/1.1 200 OK\r\nx-ms-request-id: id-1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
            )
        writer.close()

    return handle


def saying(*pieces: bytes) -> Handler:
    """A server that writes these bytes for its first request and hangs up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.close()

    return handle


async def routed(router: Router, servers: dict[str, Handler], story: Callable[[Ask], Awaitable[None]]) -> None:
    """Start the servers and the router, tell the story, stop everything."""
    opened = [await asyncio.start_server(handler, "127.0.0.1", 0) for handler in servers.values()]
    for name, server in zip(servers, opened, strict=True):
        backend = router.backends.setdefault(name, Backend(name, weight=100))
        backend.port, backend.ready = server.sockets[0].getsockname()[1], True
    front = await asyncio.start_server(router.serve, "127.0.0.1", 0, limit=HEAD_LIMIT)
    opened.append(front)

    async def ask(request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*front.sockets[0].getsockname()[:2])
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()
        return answer

    await story(ask)
    for server in opened:
        server.close()
    await router.clients.hang_up()
    for backend in list(router.backends.values()):
        await router.forget(backend)
    await asyncio.sleep(0.01)


def get(path: str = "/", *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "host: localhost:80", "connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def post(body: bytes, *headers: str) -> bytes:
    lines = ["POST /score HTTP/1.1", "host: localhost", "connection: close", f"content-length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def test_an_answer_names_its_deployment_and_keeps_the_servers_headers() -> None:
    async def story(ask: Ask) -> None:
        answer = await ask(post(b"{}"))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"azureml-model-deployment: blue\r\n" in answer
        assert b"x-ms-request-id: id-1\r\n" in answer
        assert answer.endswith(b"\r\n\r\nhello")

    asyncio.run(routed(Router(), {"blue": answering(b"hello")}, story))


def test_a_chunked_request_reaches_the_server_with_one_length_and_the_servers_own_host() -> None:
    seen: list[bytes] = []

    async def story(ask: Ask) -> None:
        head = b"POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n"
        assert b"200 OK" in await ask(head + b"expect: 100-continue\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
        (request,) = seen
        assert b"content-length: 5\r\n" in request
        assert request.endswith(b"\r\n\r\nabcde")
        assert b"host: 127.0.0.1:" in request
        assert b"chunked" not in request
        assert b"expect" not in request

    asyncio.run(routed(Router(), {"blue": answering(b"ok", seen)}, story))


def test_pieces_of_a_streamed_answer_arrive_as_they_are_made() -> None:
    async def story(ask: Ask) -> None:
        answer = await ask(get())
        assert b"transfer-encoding: chunked" in answer
        assert answer.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")

    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    asyncio.run(routed(Router(), {"blue": saying(head, b"3\r\none\r\n", b"3\r\ntwo\r\n0\r\n\r\n")}, story))


def test_a_large_answer_and_one_without_a_length_arrive_whole() -> None:
    large = b"x" * (3 << 20)

    async def story(ask: Ask) -> None:
        assert (await ask(get())).partition(b"\r\n\r\n")[2] == large
        answer = await ask(get("/", "azureml-model-deployment: green"))
        assert b"content-length: 5\r\n" in answer
        assert answer.endswith(b"hello")

    big = saying(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(large), large)
    router = Router()
    router.backends["green"] = Backend("green")
    asyncio.run(routed(router, {"blue": big, "green": saying(b"HTTP/1.0 200 OK\r\n\r\nhello")}, story))


def test_interim_answers_are_for_the_router_only() -> None:
    async def story(ask: Ask) -> None:
        assert (await ask(get())).startswith(b"HTTP/1.1 204 No Content")

    asyncio.run(
        routed(Router(), {"blue": saying(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n")}, story)
    )


def test_a_request_whose_server_dies_is_answered_by_another() -> None:
    async def story(ask: Ask) -> None:
        for _ in range(4):
            assert b"azureml-model-deployment: green" in await ask(post(b"{}"))

    router = Router()
    router.backends["blue"] = Backend("blue", weight=99)
    router.backends["green"] = Backend("green", weight=1)
    asyncio.run(routed(router, {"blue": saying(), "green": answering(b"ok")}, story))
    assert router.backends == {}


def test_a_request_that_ends_every_server_is_answered_with_502_and_the_rest_is_spared() -> None:
    async def story(ask: Ask) -> None:
        assert (await ask(post(b"{}"))).startswith(b"HTTP/1.1 502 ")
        assert (await ask(post(b"{}"))).startswith(b"HTTP/1.1 200 ")

    asyncio.run(routed(Router(), {"a": saying(), "b": saying(), "c": answering(b"ok")}, story))


def test_a_request_waits_for_a_version_that_served_before_and_is_being_started_again() -> None:
    router = Router()

    async def story(ask: Ask) -> None:
        backend = router.backends["blue"]
        backend.ready, backend.was_ready = False, True
        asyncio.get_running_loop().call_later(0.1, setattr, backend, "ready", True)
        assert b"200 OK" in await ask(post(b"{}"))

    asyncio.run(routed(router, {"blue": answering(b"ok")}, story))


def test_nothing_ready_is_503_with_retry_after_at_once() -> None:
    async def story(ask: Ask) -> None:
        answer = await ask(get())
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer

    router = Router()
    router.backends["blue"] = Backend("blue", weight=100)
    asyncio.run(routed(router, {}, story))


def test_a_mirror_gets_a_copy_and_its_answer_goes_nowhere() -> None:
    seen: list[bytes] = []

    async def story(ask: Ask) -> None:
        answers = [await ask(post(b"{}")) for _ in range(10)]
        assert all(a.endswith(b"real") for a in answers)

    router = Router()
    router.backends["shadow"] = Backend("shadow", mirror=50)
    asyncio.run(routed(router, {"blue": answering(b"real"), "shadow": answering(b"copy", seen)}, story))
    assert len(seen) == 5


def test_the_same_sticky_key_meets_the_same_version_and_keys_spread_by_weight() -> None:
    router = Router()
    router.backends = {"a": Backend("a", ready=True, weight=80), "b": Backend("b", ready=True, weight=20)}
    first = {key: chosen(router, b"%d" % key) for key in range(1000)}
    assert first == {key: chosen(router, b"%d" % key) for key in range(1000)}
    assert 750 < Counter(first.values())["a"] < 850


def chosen(router: Router, key: bytes) -> str:
    backend = router.choose(b"", key)
    assert backend is not None
    return backend.name


def test_a_page_elsewhere_cannot_reach_a_loopback_endpoint_by_a_rebound_name() -> None:
    async def story(ask: Ask) -> None:
        assert (await ask(get().replace(b"localhost", b"evil.example"))).startswith(b"HTTP/1.1 421 ")
        router.guard_host = False
        assert b"200 OK" in await ask(get().replace(b"localhost", b"evil.example"))

    router = Router()
    asyncio.run(routed(router, {"blue": answering(b"ok")}, story))


def test_keys_can_be_exchanged_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("old\nother\n")
    router = Router()
    router.keys.path = path

    async def story(ask: Ask) -> None:
        assert (await ask(get())).startswith(b"HTTP/1.1 401 ")
        assert b"200 OK" in await ask(get("/readyz"))
        assert b"200 OK" in await ask(get("/", "authorization: Bearer other"))
        assert b"200 OK" in await ask(get("/?a=b&token=old"))
        assert b"200 OK" in await ask(get("/", "cookie: x=y; tidemill-token=old"))
        assert b"200 OK" in await ask(get("/", "cookie: tidemill-token-80=of-another; tidemill-token-81=old"))
        asked = await ask(get("/", "accept: text/html"))
        assert (asked[:12], b'type="password"' in asked) == (b"HTTP/1.1 401", True)
        path.write_text("new\n")
        router.keys._look_at = 0
        assert (await ask(get("/", "authorization: Bearer old"))).startswith(b"HTTP/1.1 401 ")
        assert b"200 OK" in await ask(get("/", "authorization: Bearer new"))
        path.unlink()
        router.keys._look_at = 0
        assert (await ask(get("/", "authorization: Bearer new"))).startswith(b"HTTP/1.1 401 ")

    asyncio.run(routed(router, {"blue": answering(b"ok")}, story))


def test_the_state_counts_answers_errors_and_latency() -> None:
    router = Router()
    router.describe = lambda: {"numbers": {n: b.numbers() for n, b in router.backends.items()}}

    async def story(ask: Ask) -> None:
        await ask(get())
        numbers = json.loads((await ask(get("/_tidemill/state"))).partition(b"\r\n\r\n")[2])["numbers"]["blue"]
        assert (numbers["answered"], numbers["errors"], numbers["inside"]) == (1, 1, 0)
        assert numbers["latency_ms"]["p99"] > 0

    broken = saying(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n")
    asyncio.run(routed(router, {"blue": broken}, story))


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nname : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\na: b\nc: d\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / x HTTP/1.1\r\n\r\n",
    ],
)
def test_what_two_readers_could_understand_differently_is_refused(head: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_head(head)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * (HEAD_LIMIT + 10) + b"\r\n\r\n", b"431"),
    ],
)
def test_what_a_client_does_wrong_is_said_to_it(request_bytes: bytes, status: bytes) -> None:
    async def story(ask: Ask) -> None:
        assert (await ask(request_bytes)).startswith(b"HTTP/1.1 " + status)

    asyncio.run(routed(Router(), {"blue": answering(b"ok")}, story))
