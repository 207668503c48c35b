"""What OpenTelemetry's standard environment variables ask of a server; a value that makes no sense is named and its default taken."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from tidemill.serve.spans import TraceContext

LOG = logging.getLogger("tidemill.traces")
DEFAULT_ENDPOINT = "http://localhost:4318"
DEFAULT_SAMPLER = "parentbased_always_on"
SAMPLERS = ("always_on", "always_off", "traceidratio")
LOW = (1 << 64) - 1
Decide = Callable[[TraceContext | None, str], bool]


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Where traces go, how many, and how they are named; times in seconds, sizes in spans."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    resource: Mapping[str, str] = field(default_factory=dict)
    sampler: str = DEFAULT_SAMPLER
    ratio: float = 1.0
    timeout_s: float = 10.0
    delay_s: float = 5.0
    queue: int = 2048
    batch: int = 512
    gzip: bool = False
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""

    def decide(self, parent: TraceContext | None, trace: str) -> bool:
        """Whether a span is sent; by ratio as other languages' SDKs decide, so that all servers keep the same traces."""
        kind = self.sampler.removeprefix("parentbased_")
        if parent is not None and kind != self.sampler:
            return parent.sampled
        if kind == "traceidratio":
            return (int(trace, 16) & LOW) < round(self.ratio * (LOW + 1))
        return kind == "always_on"


def read_settings(environ: Mapping[str, str], service: str) -> TraceSettings | None:
    """`None` when no traces are asked for; `service` names the server where nobody else does."""
    read = _Reader(environ)
    url = _url(read)
    if read.text("SDK_DISABLED").lower() == "true" or not url:
        return None
    sampler = read.text("TRACES_SAMPLER", DEFAULT_SAMPLER).lower()
    if sampler.removeprefix("parentbased_") not in SAMPLERS:
        LOG.warning("OTEL_TRACES_SAMPLER=%s is not known here: %s is used", sampler, DEFAULT_SAMPLER)
        sampler = DEFAULT_SAMPLER
    compression = read.otlp("COMPRESSION", "none").lower()
    if compression not in {"none", "gzip"}:
        LOG.warning("OTEL_EXPORTER_OTLP_COMPRESSION=%s is not known here: nothing is compressed", compression)
    batch = int(read.number("BSP_MAX_EXPORT_BATCH_SIZE", 512, least=1))
    return TraceSettings(
        url=url,
        headers=_pairs(read.otlp("HEADERS"), "OTEL_EXPORTER_OTLP_HEADERS"),
        resource=_resource(read, service),
        sampler=sampler,
        ratio=read.number("TRACES_SAMPLER_ARG", 1.0, most=1.0),
        timeout_s=read.number("EXPORTER_OTLP_TRACES_TIMEOUT", read.number("EXPORTER_OTLP_TIMEOUT", 10_000, 1), 1)
        / 1000,
        delay_s=read.number("BSP_SCHEDULE_DELAY", 5000) / 1000,
        queue=max(batch, int(read.number("BSP_MAX_QUEUE_SIZE", 2048, least=1))),
        batch=batch,
        gzip=compression == "gzip",
        certificate=read.otlp("CERTIFICATE"),
        client_certificate=read.otlp("CLIENT_CERTIFICATE"),
        client_key=read.otlp("CLIENT_KEY"),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """The variables; an empty one counts as not set."""

    environ: Mapping[str, str]

    def text(self, name: str, default: str = "") -> str:
        return self.environ.get(f"OTEL_{name}", "").strip() or default

    def otlp(self, name: str, default: str = "") -> str:
        """The one for traces goes before the one for everything."""
        return self.text(f"EXPORTER_OTLP_TRACES_{name}") or self.text(f"EXPORTER_OTLP_{name}", default)

    def number(self, name: str, default: float, least: float = 0.0, most: float = 1e9) -> float:
        text = self.text(name)
        try:
            value = float(text or default)
        except ValueError:
            value = -1.0
        if least <= value <= most:
            return value
        LOG.warning("OTEL_%s=%s is no number from %g to %g: %g is used", name, text, least, most, default)
        return default


def _url(read: _Reader) -> str:
    """Where to send; empty when traces are not asked for or cannot be sent."""
    exporter = read.text("TRACES_EXPORTER").lower()
    if exporter not in {"", "otlp"}:
        if exporter != "none":
            LOG.warning("OTEL_TRACES_EXPORTER=%s is not known here, only otlp: no traces are sent", exporter)
        return ""
    base = read.text("EXPORTER_OTLP_ENDPOINT") or (DEFAULT_ENDPOINT if exporter else "")
    url = read.text("EXPORTER_OTLP_TRACES_ENDPOINT") or (f"{base.rstrip('/')}/v1/traces" if base else "")
    if not url:
        return ""
    if not _is_address(url):
        LOG.warning("%s is not an http or https address: no traces are sent", url)
        return ""
    protocol = read.otlp("PROTOCOL", "http/json")
    if protocol != "http/json":
        LOG.warning(
            "OTEL_EXPORTER_OTLP_PROTOCOL=%s: traces are sent as http/json, which collectors take on port 4318", protocol
        )
    return url


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def _pairs(text: str, variable: str) -> dict[str, str]:
    """`key=value,key2=value2`, percent-encoded; a secret is never part of the warning."""
    found = {}
    for i, item in enumerate(t for t in text.split(",") if t.strip()):
        name, equals, value = item.partition("=")
        if not equals or not name.strip() or not name.strip().isascii():
            LOG.warning("%s: item %d is not NAME=VALUE and is left out", variable, i + 1)
            continue
        found[unquote(name.strip())] = unquote(value.strip())
    return found


def _resource(read: _Reader, service: str) -> dict[str, str]:
    given = _pairs(read.text("RESOURCE_ATTRIBUTES"), "OTEL_RESOURCE_ATTRIBUTES")
    name = read.text("SERVICE_NAME") or given.get("service.name") or service
    return {**given, "service.name": name}
