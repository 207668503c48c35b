"""Spans in OTLP's JSON: ids in hex, numbers of 64 bits as text, attributes with their type."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tidemill import __version__
from tidemill.serve.spans import INTERNAL, SERVER, Span, Stage, TraceContext
from tidemill.serve.trace_settings import TraceSettings

HAS_REMOTE, IS_REMOTE = 0x100, 0x200
FAILED = {"code": 2}
Value = str | int | float | bool


def resource_head(settings: TraceSettings) -> bytes:
    """The document up to its first span; it is the same for all batches."""
    about: dict[str, Value] = {
        **settings.resource,
        "telemetry.sdk.name": "tidemill",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": __version__,
        "process.pid": os.getpid(),
        "service.instance.id": settings.resource.get("service.instance.id") or secrets.token_hex(16),
    }
    resource = msgspec.json.encode({"attributes": list(_attributes(about))})
    scope = msgspec.json.encode({"name": "tidemill.serve", "version": __version__})
    return b'{"resourceSpans":[{"resource":%s,"scopeSpans":[{"scope":%s,"spans":[' % (resource, scope)


def as_otlp(span: Span, stages: Sequence[Stage]) -> Iterator[dict[str, Any]]:
    """The span and its parts in OTLP's JSON: ids in hex, 64-bit numbers as text."""
    shift = span.wall - span.began
    context, parent = span.context, span.parent
    remote = HAS_REMOTE | IS_REMOTE if parent else 0
    made = _document(context, span.name, SERVER, (span.began + shift, span.ended + shift), span.error)
    made |= {"flags": 1 | remote, "attributes": list(_attributes(span.attributes))}
    if parent:
        made |= {"parentSpanId": parent.span_id}
    yield made
    for stage in stages:
        own = TraceContext(context.trace_id, secrets.token_hex(8), sampled=True, state=context.state)
        yield {**_stage(own, stage, shift), "parentSpanId": context.span_id, "flags": 1 | HAS_REMOTE}


def _stage(context: TraceContext, stage: Stage, shift: int) -> dict[str, Any]:
    made = _document(context, stage.name, INTERNAL, (stage.began + shift, stage.ended + shift), stage.error)
    return made | ({"attributes": list(_attributes({"error.type": stage.error}))} if stage.error else {})


def _document(context: TraceContext, name: str, kind: int, times: tuple[int, int], error: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "traceId": context.trace_id, "spanId": context.span_id, "name": name, "kind": kind,
        "startTimeUnixNano": str(times[0]), "endTimeUnixNano": str(times[1]),
    }  # fmt: skip
    if context.state:
        made["traceState"] = context.state
    return made | ({"status": FAILED} if error else {})


def _attributes(values: Mapping[str, Value]) -> Iterator[dict[str, Any]]:
    for key, value in values.items():
        yield {"key": key, "value": _value(value)}


def _value(value: Value) -> dict[str, Value]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
