"""What of the project goes into an endpoint besides the model, so that a later `up` sees when it is to be other than it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tidemill.app.deploy import document_folder, load_documents, scoring_digest, serving_environment
from tidemill.app.project import Project
from tidemill.app.recording import HINT, capture_arguments, pod_recording
from tidemill.app.serving import limit_arguments
from tidemill.app.wiring import App
from tidemill.base.errors import UsageError
from tidemill.release.recording import Recording
from tidemill.spec.deployment import OnlineDeployment
from tidemill.spec.project import Stage

ELSEWHERE = "/tmp/captured"  # noqa: S108 - inside a container of one server


def describe_server(app: App, project: Project) -> tuple[str, ...]:
    """What of the deployment's document goes into the image: limits, the environment's packages, the scoring code's bytes."""
    document = load_documents(project)[1] or OnlineDeployment()
    folder = document_folder(project)
    about = limit_arguments(document, instances=1)
    if document.environment is not None:
        found = serving_environment(app, document, folder)
        about.append(app.environments().key(found) if found is not None else str(document.environment))
    code = scoring_digest(project)
    return tuple([*about, code] if code else about)


def server_variables(document: OnlineDeployment, stage: Stage) -> Mapping[str, str]:
    """The environment variables of a server; the stage has the last word."""
    given = {**(document.environment_variables or {}), **(stage.environment_variables or {})}
    return {key: str(value) for key, value in given.items()}


def stage_recording(project: Project, document: OnlineDeployment, stage: Stage) -> Recording | None:
    """How the stage's servers record, where they are not on this machine; `UsageError` when nothing says where to."""
    endpoint = load_documents(project)[0]
    recording = pod_recording(document, stage, endpoint, project.document.datastores)
    if recording is not None and stage.target != "kubernetes" and (recording.claim or recording.secret):
        raise UsageError(
            f"`capture` of a stage on {stage.target} has no `claim` and no `secret`",
            hint="Say `to`; the variables that let the server in are for `environment_variables`, or the service's own secrets.",
        )
    return recording


def elsewhere_variables(project: Project, stage: Stage) -> Mapping[str, str]:
    """The environment variables of a server on somebody else's service, how it records among them."""
    document = load_documents(project)[1] or OnlineDeployment()
    recording = stage_recording(project, document, stage)
    said = recording.variables(ELSEWHERE) if recording is not None else {}
    return {**said, **server_variables(document, stage)}


def check_recording(project: Project, stages: Mapping[str, Stage]) -> None:
    """Before anything is run or built: `UsageError` naming the stage that would record and cannot."""
    document = load_documents(project)[1]
    for name, stage in stages.items():
        try:
            if stage.target == "local":
                capture_arguments(Path(), document, stage)
                continue
            recording = stage_recording(project, document or OnlineDeployment(), stage)
        except UsageError as exc:
            raise UsageError(f"Stage {name}: {exc.message}", hint=exc.hint) from exc
        problems = recording.problems() if recording is not None else []
        if problems:
            raise UsageError(f"Stage {name} cannot record: {'; '.join(problems)}", hint=HINT)
