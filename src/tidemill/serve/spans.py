"""Spans of one request: whose trace it belongs to, and what took how long inside."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from tidemill.serve.problems import RequestProblem

INTERNAL, SERVER = 1, 2  # kinds, as OTLP numbers them
SAMPLED = 1
SERVER_ERROR = 500
STATE_LIMIT = 512
TRACEPARENT, TRACESTATE = b"traceparent", b"tracestate"
TRACE_KEY = "tidemill.trace"  # where a scope holds the span of its request
_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NONE = b"0"
Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One place in a trace, as W3C Trace Context hands it from server to server."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""

    def header(self) -> bytes:
        """The value of `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}".encode()


def read_context(headers: Headers) -> TraceContext | None:
    """Whose child a request is; `None` without a `traceparent`, with several, or with one that is malformed."""
    parents = [value for name, value in headers if name == TRACEPARENT]
    found = _PARENT.fullmatch(parents[0].strip()) if len(parents) == 1 else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more) or not trace_id.strip(_NONE) or not span_id.strip(_NONE):
        return None
    state = b",".join(value.strip() for name, value in headers if name == TRACESTATE).decode("latin-1")
    kept = state if len(state) <= STATE_LIMIT else ""
    return TraceContext(trace_id.decode(), span_id.decode(), bool(int(flags, 16) & SAMPLED), kept)


def trace_id(scope: Mapping[str, Any]) -> str:
    """The trace a request belongs to, empty when it belongs to none."""
    span = scope.get(TRACE_KEY)
    if span is not None:
        return str(span.context.trace_id)
    context = read_context(scope["headers"])
    return context.trace_id if context else ""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a request, in nanoseconds of the performance counter."""

    name: str
    began: int
    ended: int
    error: str = ""


@dataclass(slots=True)
class Span:
    """One request inside a server; it is in nobody else's hands until it is finished."""

    context: TraceContext
    parent: TraceContext | None
    name: str
    attributes: dict[str, str | int | float | bool]
    wall: int = field(default_factory=time.time_ns)
    began: int = field(default_factory=time.perf_counter_ns)
    ended: int = 0
    error: str = ""
    stages: list[Stage] = field(default_factory=list)
    waiting_since: int = 0

    def wait(self) -> None:
        """From now on the request waits for its turn."""
        self.waiting_since = time.perf_counter_ns()

    def turn(self) -> None:
        """Its turn has come."""
        if self.waiting_since:
            self.stages.append(Stage("queue", self.waiting_since, time.perf_counter_ns()))
            self.waiting_since = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A part, from begin to end; it has failed when what was raised is the server's own fault."""
        began, error = time.perf_counter_ns(), ""
        try:
            yield
        except Exception as exc:
            error = "" if isinstance(exc, RequestProblem) and exc.status < SERVER_ERROR else type(exc).__name__
            raise
        finally:
            self.stages.append(Stage(name, began, time.perf_counter_ns(), error))


CURRENT: ContextVar[Span | None] = ContextVar("tidemill_span", default=None)


def new_context(parent: TraceContext | None, decide: Callable[[TraceContext | None, str], bool]) -> TraceContext:
    """A child of `parent`, or the root of a new trace."""
    trace = parent.trace_id if parent else secrets.token_hex(16)
    return TraceContext(trace, secrets.token_hex(8), decide(parent, trace), parent.state if parent else "")
