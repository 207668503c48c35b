"""The inference server beside what people use instead, in one run: `python benchmarks/serving.py [--seconds 3] [--models linear] [--servers tidemill,fastapi]`.

Same models (scaler and logistic regression, SVC, random forest on 37 columns; a small Keras CNN on 28 x 28), one worker each, 1, 16 and 64
connections: requests a second, p50, p99, resident memory, seconds from the first start and from a second one to the first answer, processor time a request at 64 connections
(which says most on a busy machine), and how many times the best peer.
Every server's answer is compared with the model's own before it is measured. Peers that are not in this environment are
looked for in environments below ~/.cache/tidemill-bench (made with `--install`); one that cannot be had is reported.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess  # noqa: TID251 - measures whole processes
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from serving_models import Asked, train, train_cnn
from serving_peers import Server, cnn_servers, install, servers

CONNECTIONS = (1, 16, 64)
WARM_S = 0.5
SOURCE = str(Path(__file__).parents[1] / "src")  # ours runs in the model's environment, too


def log_of(server: Server, folder: Path) -> Path:
    """Beside the folder: that is the model, and a model with another file is another model."""
    return folder.with_name(f"{folder.name}-{server.name}.log")


@contextmanager
def started(server: Server, folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The server's port and process; everything it started is ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    env = {**os.environ, "PATH": path, "MODEL_FILE": str(folder / "model.pkl"), "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT": "60", "WEB_CONCURRENCY": "1", "WORKER_COUNT": "1", "AZUREML_APP_ROOT": str(folder), "PYTHONPATH": SOURCE}  # fmt: skip
    log = log_of(server, folder).open("wb")
    process = subprocess.Popen(
        server.argv(folder, port), cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield port, process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 15)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
        log.close()


def first_answer(port: int, path: str, body: bytes, process: subprocess.Popen[bytes]) -> bytes:
    """The first answer, asked for until it comes."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"content-type": "application/json"})
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return bytes(answer.read())
        except OSError:
            time.sleep(0.01)
    raise RuntimeError("no answer within 90 s" if process.poll() is None else f"it ended with {process.returncode}")


def settled(port: int, limit_s: float = 120.0) -> None:
    """Ours answers by the model's own library first, and by another process as soon as that has converted the model."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/version", timeout=30) as got,
        ):
            told = json.loads(got.read())
            if told["path"].startswith("onnxruntime") or told["slow_reason"] not in {"", "it is not made yet"}:
                time.sleep(1.0)  # the one before it is ending
                return
        time.sleep(0.1)


class Connection(asyncio.Protocol):
    """Asks again as soon as it is answered."""

    done = False

    def __init__(self, port: int, raw: bytes, latencies: list[float], failures: list[bytes]) -> None:
        self.port, self.raw, self.latencies, self.failures = port, raw, latencies, failures
        self.buffer, self.began = b"", 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """A server that answers once a connection is asked over a new one."""
        del exc
        if not self.done:
            self.buffer = b""
            self.again = asyncio.get_running_loop().create_task(self.reconnect())

    async def reconnect(self) -> None:
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self.port)

    def ask(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.raw)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        _, _, length = head.lower().partition(b"content-length:")
        if length and len(rest) < int(length.split(b"\r\n", 1)[0]):
            return
        if not length and not rest.endswith(b"0\r\n\r\n"):
            return
        self.latencies.append(time.perf_counter() - self.began)
        if b" 200 " not in head[:16]:
            self.failures.append(head[:60])
        self.buffer = b""
        if b"connection: close" not in head.lower():
            self.ask()


async def load(port: int, raw: bytes, connections: int, seconds: float) -> tuple[float, float, float]:
    """Requests a second, p50 and p99 in milliseconds."""
    latencies: list[float] = []
    failures: list[bytes] = []
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Connection(port, raw, latencies, failures), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.sleep(WARM_S)
    latencies.clear()
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    took, kept = time.perf_counter() - began, np.array(latencies)
    for _, connection in made:
        connection.done = True
        connection.transport.abort()
    if failures:
        raise RuntimeError(f"{len(failures)} answers were not 200: {failures[0]!r}")
    if not kept.size:
        return 0.0, float("inf"), float("inf")
    return len(kept) / took, float(np.percentile(kept, 50)) * 1000, float(np.percentile(kept, 99)) * 1000


def family(pid: int) -> list[Path]:
    """A process and its descendants, below /proc; some give their children sessions of their own."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return [Path("/proc") / str(n) for n in found]


def resident_mib(pid: int) -> float:
    """Memory of a process and its descendants."""
    total = 0
    for entry in family(pid):
        with contextlib.suppress(OSError):
            total += int((entry / "statm").read_text().split()[1])
    return total * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def cpu_s(pid: int) -> float:
    """Seconds of processor a process and its descendants have had: what others on the machine do changes little of it."""
    total = 0
    for entry in family(pid):
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def measure(server: Server, folder: Path, asked: Asked, seconds: float) -> dict[str, Any]:
    """Every figure of one server on one model."""
    if not server.python.exists():
        raise RuntimeError("not installed (`--install`)")
    body = asked.bodies[server.body]
    began = time.perf_counter()
    with started(server, folder) as (port, process):
        answer = first_answer(port, server.path, body, process)
        first = time.perf_counter() - began
        if server.name != "bare uvicorn" and not any(r.encode() in answer for r in asked.right):
            raise RuntimeError(f"wrong answer: {answer[:80]!r}")
        if server.name == "tidemill":
            settled(port)
        head = f"POST {server.path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        found = {str(n): uvloop.run(load(port, head.encode() + body, n, seconds)) for n in CONNECTIONS[:-1]}
        spent, most = cpu_s(process.pid), CONNECTIONS[-1]
        found[str(most)] = uvloop.run(load(port, head.encode() + body, most, seconds))
        # The load warms up for half a second, whose requests are not in the rate.
        cpu = (cpu_s(process.pid) - spent) / max(1.0, found[str(most)][0] * (seconds + WARM_S))
        figures = {"first": first, "mib": resident_mib(process.pid), "cpu": cpu * 1e6, **found}
    began = time.perf_counter()
    with started(server, folder) as (port, process):
        first_answer(port, server.path, body, process)
        return {**figures, "again": time.perf_counter() - began}


def report(model: str, results: dict[str, dict[str, Any]]) -> None:
    """A table and how many times the best peer."""
    print(f"\n{model}: requests/s, p50 ms, p99 ms at {', '.join(map(str, CONNECTIONS))} connections")
    print(
        f"{'':26}"
        + "".join(f"{f'c={n}':>25}" for n in CONNECTIONS)
        + f"{'MiB':>8}{'first s':>9}{'again':>7}{'CPU us':>8}"
    )
    for name, r in results.items():
        cells = "".join(f"{r[str(n)][0]:>10.0f}{r[str(n)][1]:>7.2f}{r[str(n)][2]:>8.2f}" for n in CONNECTIONS)
        print(f"{name:26}{cells}{r['mib']:>8.0f}{r['first']:>9.2f}{r['again']:>7.2f}{r['cpu']:>8.0f}")
    peers = [r for n, r in results.items() if n not in {"tidemill", "bare uvicorn"}]
    if "tidemill" in results and peers:
        best = {n: max(r[str(n)][0] for r in peers) for n in CONNECTIONS}
        ratios = ", ".join(f"{results['tidemill'][str(n)][0] / best[n]:.1f}x at {n}" for n in CONNECTIONS)
        cpu = min(r["cpu"] for r in peers) / results["tidemill"]["cpu"]
        print(f"tidemill against the best peer: {ratios}; {cpu:.1f}x by processor time a request")


def main() -> int:
    """Every model on every server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--models", default="linear,svc,forest,cnn")
    parser.add_argument("--servers", default="", help="only names that begin so, by comma")
    parser.add_argument("--install", action="store_true", help="install the peers first")
    options = parser.parse_args()
    if options.install:
        install()
    wanted = tuple(options.servers.split(","))
    for model in options.models.split(","):
        results: dict[str, dict[str, Any]] = {}
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / model
            asked = train_cnn(folder) if model == "cnn" else train(model, folder)
            offered = cnn_servers() if model == "cnn" else servers()
            for server in (s for s in offered if s.name.startswith(wanted)):
                try:
                    results[server.name] = measure(server, folder, asked, options.seconds)
                except (RuntimeError, OSError) as exc:
                    log = log_of(server, folder)
                    last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
                    print(f"{server.name} on {model}: {exc} {' '.join(last)[:200]}", flush=True)
        report(model, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
