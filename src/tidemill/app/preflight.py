"""What of the stages cannot be deployed, said before anything runs: before training, gates and approvals."""

from __future__ import annotations

from collections.abc import Mapping

from tidemill.app.deploy import endpoint_name, load_documents
from tidemill.app.project import Project
from tidemill.app.workloads import plain_workload
from tidemill.base.errors import UsageError
from tidemill.release.workload import find_problems
from tidemill.spec.project import Stage


def require_deployable(project: Project, stages: Mapping[str, Stage]) -> None:
    """`UsageError` with every problem of every stage; the documents they name are read and checked by this, too."""
    base, document, _ = load_documents(project)
    problems = []
    for name, stage in stages.items():
        if stage.target == "kubernetes":
            colour = document.name if document and document.name else "blue"
            endpoint = endpoint_name(base, name, {name: stage})
            workload = plain_workload(project, stage, endpoint=endpoint, deployment=f"{colour}-1")
            problems += [f"  {name}: {words}" for words in find_problems(workload)]
    if problems:
        raise UsageError(
            "These stages cannot be deployed:\n" + "\n".join(problems), hint="Nothing was run or sent to the cluster."
        )
