"""What of the project goes into an endpoint besides the model, so that a later `up` sees when it is to be other than it is."""

from __future__ import annotations

from collections.abc import Mapping

from tidemill.app.deploy import document_folder, load_documents, serving_environment
from tidemill.app.project import Project
from tidemill.app.serving import limit_arguments, scoring_code
from tidemill.app.wiring import App
from tidemill.base.hashing import digest_tree
from tidemill.run.snapshot import take_snapshot
from tidemill.spec.deployment import OnlineDeployment
from tidemill.spec.project import Stage


def describe_server(app: App, project: Project) -> tuple[str, ...]:
    """What of the deployment's document goes into the image: limits, the environment's packages, the scoring code's bytes."""
    document = load_documents(project)[1] or OnlineDeployment()
    folder = document_folder(project)
    about = limit_arguments(document, instances=1)
    if document.environment is not None:
        found = serving_environment(app, document, folder)
        about.append(app.environments().key(found) if found is not None else str(document.environment))
    code = scoring_code(folder, document)
    if code is not None:
        about += [code.script, digest_tree(take_snapshot(code.folder).entries)]
    return tuple(about)


def server_variables(document: OnlineDeployment, stage: Stage) -> Mapping[str, str]:
    """The environment variables of a server; the stage has the last word."""
    given = {**(document.environment_variables or {}), **(stage.environment_variables or {})}
    return {key: str(value) for key, value in given.items()}
