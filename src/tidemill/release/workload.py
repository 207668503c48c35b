"""One version behind an endpoint in the terms of a cluster, and everything about it that would not work there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidemill.base.errors import UsageError
from tidemill.release.labels import DEPLOYMENT_LABEL, ENDPOINT_LABEL, MODEL_ANNOTATION, frontend_name
from tidemill.release.recording import Recording
from tidemill.release.routes import Door, find_route_problems
from tidemill.spec.cluster_values import cpu_problem, memory_problem, read_quantity, unresolved, variable_problems

NODE_PORTS = range(30000, 32768)
_DNS = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Workload:
    """One version behind an endpoint, in the terms of a cluster."""

    endpoint: str
    deployment: str
    namespace: str
    image: str
    port: int = 8080
    replicas: int = 1
    max_replicas: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    cpu: str = "100m"
    memory: str = "256Mi"
    memory_limit: str = "1Gi"
    cpu_limit: str = ""
    devices: Mapping[str, str] = field(default_factory=dict)
    probes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    busy_percent: int = 70
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    pull_secret: str = ""
    host: str = ""
    route: str = "service"
    ingress_class: str = ""
    gateway: str = ""
    proxy_namespace: str = ""
    node_port: int = 0
    start_timeout_s: int = 60
    token_secret: str = ""
    model_image: str = ""
    frontend_image: str = ""
    frontend_port: int = 8080
    frontend_replicas: int = 0
    env_from: tuple[Mapping[str, str], ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    priority_class: str = ""
    tls: str = ""
    route_annotations: Mapping[str, str] = field(default_factory=dict)
    recording: Recording | None = None

    @property
    def name(self) -> str:
        """Name of the Deployment: endpoint and version, so that two versions stand side by side."""
        return f"{self.endpoint}-{self.deployment}"

    @property
    def is_autoscaled(self) -> bool:
        """Whether an autoscaler decides how many pods there are."""
        return self.max_replicas > self.replicas

    @property
    def selector(self) -> dict[str, str]:
        """The labels only this version's pods carry."""
        return {ENDPOINT_LABEL: self.endpoint, DEPLOYMENT_LABEL: self.deployment}

    @property
    def door(self) -> Door:
        """Where requests from outside come in."""
        service = self.frontend_name if self.frontend_image else self.endpoint
        return Door(
            self.endpoint,
            self.namespace,
            service,
            self.host,
            self.ingress_class,
            self.gateway,
            self.tls,
            self.route_annotations,
        )

    @property
    def frontend_name(self) -> str:
        """Of all objects of the frontend."""
        return frontend_name(self.endpoint)

    @property
    def frontend_pods(self) -> int:
        """How many the frontend has: as many as the endpoint unless told."""
        return self.frontend_replicas or self.replicas

    @property
    def version(self) -> str:
        """Of the model, as the annotations tell it."""
        return self.annotations.get(MODEL_ANNOTATION, "").rpartition(":")[2]


def check_workload(workload: Workload) -> None:
    """Refuse what a cluster would refuse late, or worse, accept: `UsageError` with every problem at once."""
    problems = find_problems(workload)
    if problems:
        raise UsageError("This cannot be deployed: " + "; ".join(problems), hint="Nothing was sent to the cluster.")


def find_problems(workload: Workload) -> list[str]:
    """Everything about a workload that would not work, in words."""
    problems = [] if workload.namespace else ["there is no namespace"]
    problems += [
        f"`{value}` cannot be a {what} (lower-case letters, digits and `-`, at most 63)"
        for what, value in (
            ("endpoint name", workload.endpoint),
            ("deployment name", workload.name),
            ("namespace", workload.namespace),
        )
        if value and not _DNS.match(value)
    ]
    texts = {"image": workload.image, "namespace": workload.namespace, "host": workload.host}
    problems += [f"`{key}` still holds `{left}`" for key, text in texts.items() if (left := unresolved(text))]
    problems += [words for _, words in variable_problems(workload.environment)]
    problems += _resource_problems(workload)
    if not _DIGEST.search(workload.image):
        moving = (
            "`:latest`, which means another image tomorrow"
            if workload.image.endswith(":latest")
            else "a tag or nothing"
        )
        problems.append(f"the image `{workload.image}` is not named by digest but by {moving}")
    if workload.model_image and not _DIGEST.search(workload.model_image):
        problems.append(f"the model's image `{workload.model_image}` is not named by digest")
    if workload.frontend_image and not _DIGEST.search(workload.frontend_image):
        problems.append(f"the frontend's image `{workload.frontend_image}` is not named by digest")
    problems += _port_problems(workload)
    problems += workload.recording.problems() if workload.recording else []
    problems += find_route_problems(workload.route, workload.door, frontend=bool(workload.frontend_image))
    if workload.max_replicas and workload.max_replicas < workload.replicas:
        problems.append(f"at most {workload.max_replicas} replicas, but {workload.replicas} asked for")
    return problems


def _resource_problems(workload: Workload) -> list[str]:
    """Amounts that are none, or of which more is asked for than allowed."""
    memory = {"memory": workload.memory, "memory_limit": workload.memory_limit}
    cpu = {"cpu": workload.cpu, **({"cpu_limit": workload.cpu_limit} if workload.cpu_limit else {})}
    problems = [words for text in memory.values() if (words := memory_problem(text))]
    problems += [words for text in cpu.values() if (words := cpu_problem(text))]
    for name, given in (("memory", list(memory.values())), ("cpu", list(cpu.values()))):
        asked, most = (read_quantity(text) for text in (given[0], given[-1]))
        if asked is not None and most is not None and asked > most:
            problems.append(f"{given[0]} of {name} asked for, but at most {given[-1]} allowed")
    return list(dict.fromkeys(problems))


def _port_problems(workload: Workload) -> list[str]:
    """Ports that no request would arrive at."""
    problems = []
    if workload.node_port and workload.node_port not in NODE_PORTS:
        problems.append(f"the node port {workload.node_port} is outside {NODE_PORTS.start}-{NODE_PORTS.stop - 1}")
    for name in ("PORT", "AZUREML_HTTP_PORT"):
        told = workload.environment.get(name)
        if told is not None and told != str(workload.port):
            problems.append(f"`{name}={told}`, but the server's port in the image is {workload.port}")
    return problems


def write_range(workload: Workload) -> str:
    """Least and most pods, as a Deployment's annotation keeps them."""
    return f"{workload.replicas}-{workload.max_replicas}" if workload.is_autoscaled else str(workload.replicas)


def read_range(text: str) -> tuple[int, int]:
    """Least and most of a Deployment's annotation: `2-5`, or `2` for both."""
    least, _, most = text.partition("-")
    return int(least), int(most or least)
