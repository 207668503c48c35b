"""The probes a deployment's document asks for, as a pod has them; what no pod can do is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tidemill.base.errors import UsageError
from tidemill.release.package import PORT
from tidemill.spec.deployment import OnlineDeployment, Probe

OWN_PATHS = {"startup": "/readyz", "readiness": "/readyz", "liveness": "/healthz"}


def pod_probes(document: OnlineDeployment) -> Mapping[str, Mapping[str, int]]:
    """Kind of probe → its numbers in a pod's words; only what the document says. `UsageError` with all that cannot be."""
    asked = {
        "startup": document.startup_probe,
        "readiness": document.readiness_probe,
        "liveness": document.liveness_probe,
    }
    problems = [p for kind, probe in asked.items() if probe is not None for p in _problems(kind, probe)]
    if problems:
        raise UsageError(
            "These probes cannot be a pod's: " + "; ".join(problems),
            hint="Leave out method, scheme, path and port: the server answers at /readyz and /healthz. Nothing was sent to the cluster.",
        )
    return {kind: _numbers(probe) for kind, probe in asked.items() if probe is not None and _numbers(probe)}


def _numbers(probe: Probe) -> dict[str, int]:
    given = {
        "initialDelaySeconds": probe.initial_delay,
        "periodSeconds": probe.period,
        "timeoutSeconds": probe.timeout,
        "successThreshold": probe.success_threshold,
        "failureThreshold": probe.failure_threshold,
    }
    return {name: value for name, value in given.items() if value is not None}


def _problems(kind: str, probe: Probe) -> Iterator[str]:
    name = f"{kind}_probe"
    if kind != "readiness" and (probe.success_threshold or 1) != 1:
        yield f"`{name}`: success_threshold must be 1, as Kubernetes has it"
    if probe.path not in {None, OWN_PATHS[kind]}:
        yield f"`{name}`: the server answers at {OWN_PATHS[kind]}, not at {probe.path}"
    if probe.port not in {None, PORT}:
        yield f"`{name}`: the server listens on {PORT}, not {probe.port}"
    if (probe.scheme or "http").casefold() != "http":
        yield f"`{name}`: the server speaks http, not {probe.scheme}"
    if (probe.method or "get").casefold() != "get":
        yield f"`{name}`: Kubernetes asks by GET, not {probe.method}"
