"""What one hop through a local endpoint's router costs: requests/s and latency, straight to a bare server and through the router."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlparse

from tidemill.backends.targets.local import open_target

REQUESTS = 8000
CONNECTIONS = (1, 16, 64)
BODY = b'{"data": [[1, 2, 3, 4]]}' * 8
SERVER = """
import asyncio, sys
ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: 2\\r\\n\\r\\n{}"
class Bare(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(ANSWER)
async def main():
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""


class Client(asyncio.Protocol):
    """One connection that sends its next request when it has its answer."""

    def __init__(self, request: bytes, left: list[int], took: list[float]) -> None:
        self._request = request
        self._left = left
        self._took = took
        self._began = 0.0
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        """One answer."""
        if not data.startswith(b"HTTP/1.1 200"):
            self.ended.set_exception(RuntimeError(data[:200].decode()))
            return
        self._took.append(time.perf_counter() - self._began)
        self._next()

    def _next(self) -> None:
        if self._left[0] <= 0:
            self._transport.close()
            self.ended.set_result(None)
            return
        self._left[0] -= 1
        self._began = time.perf_counter()
        self._transport.write(self._request)


async def measure(port: int, connections: int) -> str:
    """Send all requests and say how it went."""
    head = "POST /score HTTP/1.1\r\nhost: 127.0.0.1:{}\r\ncontent-type: application/json\r\naccept: */*\r\ncontent-length: {}\r\n\r\n"
    request = head.format(port, len(BODY)).encode() + BODY
    left, took, clients = [REQUESTS], list[float](), list[Client]()
    began = time.perf_counter()
    for _ in range(connections):
        client = Client(request, left, took)
        clients.append(client)
        await asyncio.get_running_loop().create_connection(lambda client=client: client, "127.0.0.1", port)
    await asyncio.gather(*(c.ended for c in clients))
    seconds = time.perf_counter() - began
    took.sort()
    p50, p99 = took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3
    return f"{REQUESTS / seconds:8.0f} requests/s   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms"


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "server.py"
        script.write_text(SERVER)
        target = open_target(Path(folder))
        blue = {"argv": [sys.executable, str(script), "{port}"], "cwd": folder}
        wish = {"host": "127.0.0.1", "port": 0, "deployments": {"blue": blue}, "traffic": {"blue": 100}}
        target.put("bench", wish)
        try:
            ports = {
                "bare server": target.wait_healthy("bench", "blue", timeout_s=20)["port"],
                "through the router": urlparse(target.observe("bench")["url"]).port or 0,
            }
            for connections in CONNECTIONS:
                for name, port in ports.items():
                    print(f"{connections:3} connections  {name:20} {asyncio.run(measure(port, connections))}")
        finally:
            target.delete("bench")


if __name__ == "__main__":
    main()
