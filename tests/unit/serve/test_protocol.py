"""Connections as bad clients and careful ones use them: halves closed, heads without end, silence."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
import uvicorn
import uvloop
from uvicorn.server import ServerState

from tests.waiting import PATIENCE_S
from tidemill.serve.protocol import BODY_S, HEAD_S, LINGER_S, GatheringProtocol, PatientProtocol

Story = Callable[[asyncio.StreamReader, asyncio.StreamWriter, ServerState], Awaitable[bytes]]
POST = b"POST / HTTP/1.1\r\nhost: x\r\n"
LENGTH = b"content-length: 4\r\n\r\n"


async def echo(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if message["type"] == "http.disconnect":
        return
    await asyncio.sleep(0.05)
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


async def fail(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    await refuse(scope, receive, send)
    raise ValueError("after the answer")


async def refuse(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"large"})


def tell(
    story: Story, protocol: type[GatheringProtocol] = PatientProtocol, application: Any = echo, *, fast: bool = False
) -> bytes:
    """What a client read from a server that echoes."""

    troubles: list[dict[str, Any]] = []

    async def run() -> bytes:
        asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
        config = uvicorn.Config(application, http=protocol, log_config=None, lifespan="off")
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await story(reader, writer, state)
        finally:
            writer.close()
            server.close()
            await asyncio.sleep(0)

    found: bytes = uvloop.run(run()) if fast else asyncio.run(run())
    assert not troubles
    return found


def look(state: ServerState, seconds: int) -> bool:
    """Whether the one connection stays."""
    (connection,) = state.connections
    assert isinstance(connection, GatheringProtocol)
    connection.look(seconds)
    return not connection.transport.is_closing()


def test_who_closes_the_half_he_spoke_with_still_gets_every_answer() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState) -> bytes:
        del state
        writer.write((POST + LENGTH + b"spam") * 3)
        writer.write_eof()
        return await reader.read()

    assert tell(story).count(b"spam") == 3


def test_an_answer_that_is_made_reaches_who_hung_up_on_an_application() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState) -> bytes:
        writer.write(POST + LENGTH + b"spam")
        while not state.total_requests:  # noqa: ASYNC110 - at the very turn in which the answer is made
            await asyncio.sleep(0)
        writer.write_eof()
        return await reader.read()

    assert b"spam" in tell(story, GatheringProtocol)


def test_half_a_request_ends_with_its_connection() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState) -> bytes:
        del state
        writer.write(POST + LENGTH + b"sp")
        writer.write_eof()
        return await reader.read()

    assert tell(story) == b""


def test_a_head_without_end_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState) -> bytes:
        del state
        for _ in range(9):
            writer.write(b"GET / HTTP/1.1\r\nx: " if _ == 0 else b"a" * 8192)
            await asyncio.sleep(0.01)
        return await reader.read()

    assert tell(story).startswith(b"HTTP/1.1 431 ")
    assert "127.0.0.1: A head has at most 65,536 bytes; hung up" in caplog.text


@pytest.mark.parametrize(
    ("said", "patience_s", "words"),
    [
        (b"", HEAD_S, b""),
        (POST, HEAD_S, b"HTTP/1.1 408 Request Timeout"),
        (POST + LENGTH + b"sp", BODY_S, b"HTTP/1.1 408 Request Timeout"),
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_who_falls_silent_is_hung_up_on_after_a_while(said: bytes, patience_s: int, words: bytes) -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState) -> bytes:
        writer.write(said)
        await asyncio.sleep(0.1)
        for _ in range(patience_s - 1):
            assert look(state, 1)
        assert not look(state, 1)
        return await reader.read()

    assert tell(story)[: len(words)] == words


def test_a_slow_body_that_comes_and_a_connection_that_is_kept_are_left_alone() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState) -> bytes:
        writer.write(POST + b"content-length: 8192\r\n\r\n")
        for _ in range(8):
            writer.write(b"a" * 1024)
            await asyncio.sleep(0.02)
            look(state, BODY_S - 1)
        answer = await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(8192)
        look(state, 10 * BODY_S)
        writer.write(POST + LENGTH + b"spam")
        return answer[:15] + await reader.readuntil(b"spam")

    assert tell(story).count(b"HTTP/1.1 200 OK") == 2


def test_who_is_refused_before_all_of_a_body_was_sent_can_send_the_rest_and_read_why() -> None:
    def send_all(port: int) -> bytes:
        """As most clients do: they read when they have sent everything."""
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(POST + b"connection: close\r\ncontent-length: 1000000\r\n\r\n")
            for _ in range(10):
                time.sleep(0.01)  # a system tells of a connection that was reset at the next call
                client.sendall(b"a" * 100_000)
            client.settimeout(LINGER_S / 2)
            return b"".join(iter(lambda: client.recv(1000), b""))  # to the end, which comes at once

    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState) -> bytes:
        del reader
        found = await asyncio.to_thread(send_all, writer.get_extra_info("peername")[1])
        while len(state.connections) > 1:  # noqa: ASYNC110 - the client's own one stays
            await asyncio.sleep(0.01)
        return found

    answer = tell(story, application=refuse)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b"large")


def test_who_is_refused_and_never_stops_sending_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.serve.protocol.LINGER_S", 0.2)

    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState) -> bytes:
        writer.write(POST + b"connection: close\r\ncontent-length: 1000000\r\n\r\n")
        found = await reader.readuntil(b"large")
        while state.connections:
            writer.write(b"a")
            await asyncio.sleep(0.01)
        return found

    assert b"413" in tell(story, application=refuse)


def test_an_answer_nobody_is_left_to_read_is_no_trouble() -> None:
    states: list[ServerState] = []

    async def answer_late(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        (connection,) = states[0].connections
        assert isinstance(connection, GatheringProtocol)
        connection.transport.abort()  # in the very turn in which the answer is made
        await refuse(scope, receive, send)

    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState) -> bytes:
        states.append(state)
        writer.write(POST + LENGTH + b"spam")
        return await reader.read()

    assert tell(story, application=answer_late, fast=True) == b""


@pytest.mark.parametrize("fast", [False, True], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("end", ["write_eof", "abort"])
def test_who_goes_away_in_the_middle_of_a_request_leaves_no_trouble(fast: bool, end: str) -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState) -> bytes:
        del reader
        writer.write(POST + LENGTH + b"sp")
        await asyncio.sleep(0.05)
        getattr(writer.transport, end)()
        while state.connections:  # noqa: ASYNC110 - it ends with its client
            await asyncio.sleep(0.01)
        return b""

    assert tell(story, fast=fast) == b""


@pytest.mark.parametrize("fast", [False, True], ids=["asyncio", "uvloop"])
def test_nothing_is_written_to_a_connection_that_lingers(fast: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState) -> bytes:
        writer.write(POST + LENGTH + b"spam" + POST + LENGTH + b"sp")
        while state.total_requests < 2:  # noqa: ASYNC110 - the second is answered although the first ended the connection
            await asyncio.sleep(0.01)
        found = await reader.read()
        writer.close()
        return found

    assert tell(story, application=fail, fast=fast).count(b"large") == 1
    assert "after the answer" in caplog.text
