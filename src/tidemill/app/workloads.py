"""A stage's wishes in a cluster's terms: one place for `up`, `rollback` and `render`, so that they mean the same objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidemill.app.project import Project
from tidemill.release.objects import Workload
from tidemill.spec.project import Stage


def stage_workload(
    project: Project, stage: Stage, endpoint: str, deployment: str, image: str, annotations: Mapping[str, str]
) -> Workload:
    """The version `deployment` of `endpoint` as the stage asks for it; not checked yet."""
    return Workload(
        endpoint=endpoint,
        deployment=deployment,
        namespace=project.document.name if stage.namespace is None else stage.namespace,
        image=image,
        replicas=stage.replicas,
        max_replicas=stage.max_replicas or 0,
        environment=dict(stage.environment_variables or {}),
        annotations=dict(annotations),
        pull_secret=stage.pull_secret or "",
        host=stage.ingress_host or "",
        node_port=stage.node_port or 0,
        frontend_image=stage.frontend_image or "",
        frontend_port=stage.frontend_port,
        start_timeout_s=int(stage.start_timeout_s),
        **_resources(stage),
    )


def with_model_image(workload: Workload, release: Mapping[str, Any]) -> Workload:
    """The release's model beside its server, where it was deployed so."""
    model = str(release.get("model_image") or "")
    return replace(workload, model_image=model, arguments=tuple(release.get("arguments") or ())) if model else workload


def describe_version(model: str, version: str, digest: str, job: str) -> dict[str, str]:
    """The annotations that tell what a Deployment serves."""
    return {
        "tidemill.dev/model": f"{model}:{version}",
        "tidemill.dev/model-digest": digest,
        "tidemill.dev/job": job,
    }


def _resources(stage: Stage) -> dict[str, Any]:
    given = {"cpu": stage.cpu, "memory": stage.memory, "memory_limit": stage.memory}
    return {k: v for k, v in given.items() if v}
