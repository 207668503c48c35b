"""How fast a version answers, measured before it is deployed: its own server, its own sample, one request at a time."""

from __future__ import annotations

import http.client
import json
import os
import socket
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tidemill.app.candidate import Candidate
from tidemill.app.conversions import prepare_conversion
from tidemill.app.deploy import document_folder, load_documents, make_wish, sample_of, serving_environment
from tidemill.app.wiring import App
from tidemill.base import proc
from tidemill.base.clock import Clock, SystemClock
from tidemill.base.errors import FailedError, UsageError

COLLECTION = "latency"
START_S, ANSWER_S = 120.0, 30.0
WARM_UP, REQUESTS = 20, 200
POLL_S = 0.05
OK = 200


def measure_latency(app: App, candidate: Candidate) -> Mapping[str, float]:
    """`p50_ms`, `p95_ms`, `p99_ms` and `max_ms` of 200 requests to the version's own server on this machine.

    Measured once for each model digest. `UsageError` without a sample to send; `FailedError` when the server does not
    start or answers anything but 200.
    """
    digest = candidate.version.digest
    known = app.store.documents(COLLECTION).get(digest)
    if known is not None:
        return {k: float(v) for k, v in known.items()}
    if app.project is None:
        raise UsageError("Latency is measured for a project", hint="Write a tidemill.yaml.")
    sample = sample_of(app.project, candidate)
    if sample is None:
        raise UsageError(
            "A gate speaks of latency, and there is no request to send",
            hint="Name one in tidemill.yaml: `sample_request: FILE`, or keep a golden.json with the model.",
        )
    _, document, _ = load_documents(app.project)
    where = document_folder(app.project)
    environment = serving_environment(app, document, where) or candidate.environment
    wish = make_wish(app, where, candidate.version, environment, document, None)
    prepare_conversion(app, candidate.version, wish["argv"], wish["env"])
    with tempfile.TemporaryDirectory(prefix="tidemill-latency-") as folder:
        found = _measure(wish["argv"], {**os.environ, **wish["env"]}, Path(folder), sample, SystemClock())
    app.store.put(COLLECTION, digest, dict(found))
    return found


def _measure(argv: list[str], env: Mapping[str, str], folder: Path, sample: bytes, clock: Clock) -> Mapping[str, float]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "server.log"
    child = proc.start_child([a.replace("{port}", str(port)) for a in argv], cwd=folder, env=env, log=log)
    try:
        _wait_ready(child, port, log, clock)
        return summarise(_ask(port, sample, clock))
    finally:
        proc.stop_group(child.pid)
        child.wait()


def _wait_ready(child: proc.Popen[bytes], port: int, log: Path, clock: Clock) -> None:
    deadline = clock.monotonic() + START_S
    while clock.monotonic() < deadline and child.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == OK:
                return
        except OSError:
            pass  # it does not listen yet
        finally:
            connection.close()
        clock.sleep(POLL_S)
    words = log.read_text(encoding="utf-8", errors="replace")[-1500:] if log.exists() else ""
    raise FailedError(f"Latency cannot be measured: the server did not become ready\n{words}")


def _ask(port: int, sample: bytes, clock: Clock) -> list[float]:
    """Milliseconds of each request after the warm-up, over one kept connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    taken = []
    try:
        for _ in range(WARM_UP + REQUESTS):
            started = clock.monotonic()
            connection.request("POST", "/score", sample, {"content-type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != OK:
                raise FailedError(
                    f"Latency cannot be measured: /score answered HTTP {answer.status}: {json.dumps(body[:300].decode(errors='replace'))}"
                )
            taken.append((clock.monotonic() - started) * 1000)
    except (OSError, http.client.HTTPException) as exc:
        raise FailedError(f"Latency cannot be measured: /score did not answer: {exc}") from exc
    finally:
        connection.close()
    return taken[WARM_UP:]


def summarise(taken_ms: list[float]) -> Mapping[str, float]:
    """Quantiles in milliseconds (inclusive method, as NumPy's default)."""
    cuts = statistics.quantiles(taken_ms, n=100, method="inclusive")
    return {
        "p50_ms": round(cuts[49], 3),
        "p95_ms": round(cuts[94], 3),
        "p99_ms": round(cuts[98], 3),
        "max_ms": round(max(taken_ms), 3),
    }
