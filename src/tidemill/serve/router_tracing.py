"""A span around every request an endpoint passes on; the version that answers finds it as its parent."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tidemill.serve.router_http import Head
from tidemill.serve.spans import TRACEPARENT, TRACESTATE, read_context
from tidemill.serve.trace_settings import read_settings

if TYPE_CHECKING:
    from tidemill.serve.tracing import Tracer


class RouterTracing:
    """Spans of one endpoint. `deployments` of a span says who answered, and how many were asked for it."""

    def __init__(self, tracer: Tracer, endpoint: str) -> None:
        self._tracer = tracer
        self._endpoint = endpoint
        tracer.exporter.start()

    @contextmanager
    def request(self, head: Head) -> Iterator[None]:
        """The time of one request; its `traceparent` becomes ours before it is passed on."""
        given = [(key, line.partition(b":")[2].strip()) for key, line in head.lines if key in {TRACEPARENT, TRACESTATE}]
        path = head.target.partition(b"?")[0].decode("latin-1")
        span = self._tracer.begin(read_context(given), head.method.decode(), path, "")
        span.attributes["tidemill.endpoint"] = self._endpoint
        head.lines = [item for item in head.lines if item[0] != TRACEPARENT]
        head.lines.append((TRACEPARENT, TRACEPARENT + b": " + span.context.header()))
        error = ""
        try:
            yield
        except BaseException as exc:
            error = type(exc).__name__
            raise
        finally:
            if head.asked:
                span.attributes["tidemill.deployment"] = head.asked[-1]
                span.attributes["tidemill.attempts"] = len(head.asked)
            self._tracer.finish(span, head.answered, error)

    def numbers(self) -> dict[str, int]:
        """How many spans were sent and lost so far."""
        return self._tracer.exporter.numbers()

    async def close(self) -> None:
        """Send what is left."""
        await asyncio.to_thread(self._tracer.exporter.close)


def make_tracing(environ: Mapping[str, str], endpoint: str) -> RouterTracing | None:
    """`None` when nobody asks for traces: what sends them is not even loaded then. `ValueError` or `OSError` for bad certificates."""
    asked = read_settings(environ, endpoint)
    if asked is None:
        return None
    tracing: Any = importlib.import_module("tidemill.serve.tracing")
    prometheus: Any = importlib.import_module("prometheus_client")
    return RouterTracing(tracing.Tracer(asked, prometheus.CollectorRegistry()), endpoint)
