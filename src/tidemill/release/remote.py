"""What the targets of other people's services are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from tidemill.base.hashing import digest_value
from tidemill.spec.deployment import OnlineDeployment, Probe

MODEL_DIGEST = "tidemill-model-digest"
MODEL_VERSION = "tidemill-model-version"
IMAGE = "tidemill-image"
SETTINGS = "tidemill-settings"
SERVER = "tidemill-server"


@dataclass(frozen=True, slots=True)
class AzureDeployment:
    """One version behind an endpoint, in the workspace's terms: `limits` are its probes and request settings."""

    endpoint: str
    name: str
    image: str
    model: str
    instance_type: str
    instances: int
    environment: Mapping[str, str]
    tags: Mapping[str, str]
    limits: Mapping[str, Any] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """As a release keeps it: what a rollback puts back."""
        return asdict(self)


def read_azure(record: Mapping[str, Any]) -> AzureDeployment:
    """A kept deployment; fields that a later Tidemill knows are left out."""
    known = {f.name for f in fields(AzureDeployment)}
    return AzureDeployment(**{k: v for k, v in record.items() if k in known})


def settings_tags(wish: AzureDeployment, server: tuple[str, ...]) -> dict[str, str]:
    """By which a later `up` sees that more than the model is to be other than it is: one over all, one without the count.

    `server` is what of the project goes into the image.
    """
    how = [wish.instance_type, dict(wish.environment), dict(wish.limits), *server]
    return {SERVER: digest_value(how)[:16], SETTINGS: digest_value([wish.instances, *how])[:16]}


def azure_limits(document: OnlineDeployment) -> dict[str, Any]:
    """Probes and request settings of a document as the REST interface has them; what it leaves out is not there."""
    asked = document.request_settings
    limits = {
        "maxConcurrentRequestsPerInstance": asked.max_concurrent_requests_per_instance if asked else None,
        "requestTimeout": _milliseconds(asked.request_timeout_ms) if asked else None,
        "maxQueueWait": _milliseconds(asked.max_queue_wait_ms) if asked else None,
    }
    found = {
        "livenessProbe": _probe(document.liveness_probe),
        "readinessProbe": _probe(document.readiness_probe),
        "requestSettings": {k: v for k, v in limits.items() if v is not None},
    }
    return {k: v for k, v in found.items() if v}


def _probe(probe: Probe | None) -> dict[str, Any]:
    if probe is None:
        return {}
    times = {"initialDelay": probe.initial_delay, "period": probe.period, "timeout": probe.timeout}
    counts = {"successThreshold": probe.success_threshold, "failureThreshold": probe.failure_threshold}
    return {k: f"PT{v}S" for k, v in times.items() if v is not None} | {
        k: v for k, v in counts.items() if v is not None
    }


def _milliseconds(number: int | None) -> str | None:
    return None if number is None else f"PT{number / 1000:g}S"


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a commit: bytes, or a file here."""

    path: str
    source: Path | None = None
    content: bytes = b""

    @property
    def size(self) -> int:
        """In bytes."""
        return self.source.stat().st_size if self.source else len(self.content)

    def read(self) -> bytes:
        """All of it."""
        return self.source.read_bytes() if self.source else self.content
