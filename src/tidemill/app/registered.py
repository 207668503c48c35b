"""A version that is registered already, as gates see it: its metrics, and what the job that made it noticed."""

from __future__ import annotations

from tidemill.app.candidate import Candidate, serving_base
from tidemill.app.project import Project
from tidemill.app.serve import split_model
from tidemill.app.wiring import App
from tidemill.plan.graph import HOST_ENVIRONMENT
from tidemill.record.ports import ModelVersion
from tidemill.record.runs import get_job
from tidemill.run.folders import job_folder
from tidemill.run.result import JobResult, make_result
from tidemill.run.state import Status

LOOKED_AT = 200  # jobs, newest first
STEP_KEY = "key:"  # a version registered from an output names the step's key, which many jobs may share


def find_candidate(app: App, project: Project, named: str, *, started: bool = False) -> Candidate:
    """The version `NAME`, `NAME:VERSION` or `NAME@LABEL`; `NotFoundError` if there is none.

    What its job measured counts as far as that job is known here, and what was kept with the version has the last word.
    The environment is the project's only for one that is to be `started`: it takes a plan.
    """
    version = app.registry.get(*split_model(named))
    job = find_origin(app, version)
    metrics = {k: v for step in job.steps.values() for k, v in step.metrics.items()} if job is not None else {}
    return Candidate(
        version,
        job or JobResult("", Status.COMPLETED, "", None, None, {}, {}),
        ran=False,
        environment=serving_base(app, project) if started else HOST_ENVIRONMENT,
        metrics={**metrics, **version.metrics},
        findings=job.findings if job is not None else (),
    )


def find_origin(app: App, version: ModelVersion) -> JobResult | None:
    """The job a version came from; None when it came from elsewhere, or is forgotten."""
    made_by = version.job or ""
    if not made_by:
        return None
    if not made_by.startswith(STEP_KEY):
        return (
            make_result(get_job(app.store, made_by), job_folder(app.home, made_by)) if app.store.job(made_by) else None
        )
    for row in app.store.jobs(limit=LOOKED_AT):
        if row.status == Status.COMPLETED:
            view = get_job(app.store, row.name)
            step = view.steps.get(version.step or "")
            if step is not None and (step.key or "").startswith(made_by.removeprefix(STEP_KEY)):
                return make_result(view, job_folder(app.home, row.name))
    return None
