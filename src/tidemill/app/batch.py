"""Batch endpoints in az's words: a deployment is a job waiting for data, `invoke` runs it here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidemill.app import declared
from tidemill.app.batch_job import JOB_DEFINITION, make_job
from tidemill.app.batch_wishes import Invocation, find_repeated, job_again, require_input, with_wishes
from tidemill.app.run import RunRequest, choose_name, run_job
from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import Location, NotFoundError, SpecError, UsageError
from tidemill.base.files import write_atomic
from tidemill.base.findings import has_errors
from tidemill.base.ids import JobName, make_job_name
from tidemill.base.suggest import did_you_mean
from tidemill.run.ports import RunObserver
from tidemill.run.result import JobResult
from tidemill.spec.check import check_loaded
from tidemill.spec.deployment import BatchDeployment
from tidemill.spec.kinds import Kind
from tidemill.spec.load import load_valid
from tidemill.spec.overrides import Override, parse_override
from tidemill.spec.repository import scan

ENDPOINT, DEPLOYMENT = "batch-endpoint", "batch-deployment"
HIDDEN = ("job", "source", "overrides", "$schema")


def create_deployment(
    app: App,
    file: Path,
    overrides: Sequence[Override],
    *,
    name: str | None,
    endpoint: str | None,
    set_default: bool,
) -> dict[str, Any]:
    """Keep a deployment behind an endpoint that exists; its files stay where they are."""
    loaded = load_valid(file, overrides=overrides, expect=(Kind.BATCH_DEPLOYMENT,))
    findings = check_loaded(loaded, lambda: scan(file.absolute().parent))
    if has_errors(findings):
        raise SpecError(f"{file} is not valid", findings=findings, hint="Nothing was kept.")
    document: BatchDeployment = loaded.document
    chosen, where = name or document.name, endpoint or document.endpoint_name
    if not chosen or not where:
        what = "a name" if not chosen else "an endpoint"
        raise UsageError(f"The deployment in {file} needs {what}", hint="Give it in the document, or by an option.")
    shown = declared.show(app, ENDPOINT, where)
    row = {
        **loaded.data,
        "name": chosen,
        "endpoint_name": where,
        "provisioning_state": "Succeeded",
        "created_at": iso(SystemClock().now()),
        "job": _job_of(app, document, file.absolute().parent, where, chosen),
        "source": str(file.absolute()),
        "overrides": [o.text for o in overrides],
    }
    app.store.put(DEPLOYMENT, f"{where}/{chosen}", row)
    if set_default or not (shown.get("defaults") or {}).get("deployment_name"):
        app.store.put(ENDPOINT, where, {**shown, "defaults": {"deployment_name": chosen}})
    return show_deployment(app, where, chosen)


def _job_of(app: App, document: BatchDeployment, folder: Path, endpoint: str, name: str) -> dict[str, Any]:
    """What the deployment runs; `NotFoundError` for a job it is to repeat that is not there."""
    job = make_job(document, folder, endpoint, name)
    if JOB_DEFINITION in job:
        find_repeated(app, job[JOB_DEFINITION])
    return job


def show_deployment(app: App, endpoint: str, name: str) -> dict[str, Any]:
    """One deployment; `NotFoundError` with a suggestion."""
    found = app.store.get(DEPLOYMENT, f"{endpoint}/{name}")
    if found is None:
        known = [d["name"] for d in list_deployments(app, endpoint)]
        raise NotFoundError(
            f"`{endpoint}` has no batch deployment `{name}`",
            hint=did_you_mean(name, known) or "Create it: tidemill batch-deployment create -f FILE",
        )
    return _shown(found)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in HIDDEN}


def update_deployment(
    app: App, endpoint: str, name: str, overrides: Sequence[Override], *, set_default: bool
) -> dict[str, Any]:
    """Keep a deployment anew, by its document and all that was set since."""
    show_deployment(app, endpoint, name)
    row = app.store.get(DEPLOYMENT, f"{endpoint}/{name}") or {}
    if not row.get("source") or not Path(row["source"]).exists():
        raise UsageError(f"The document of `{name}` is not there any more", hint="Give one: -f FILE")
    changes = [*(parse_override(o) for o in row["overrides"]), *overrides]
    return create_deployment(app, Path(row["source"]), changes, name=name, endpoint=endpoint, set_default=set_default)


def list_deployments(app: App, endpoint: str) -> list[dict[str, Any]]:
    """Every deployment behind an endpoint."""
    declared.show(app, ENDPOINT, endpoint)
    rows = app.store.documents(DEPLOYMENT)
    return [_shown(d) for d in rows.values() if d.get("endpoint_name") == endpoint]


def delete_deployment(app: App, endpoint: str, name: str) -> None:
    """Forget a deployment."""
    show_deployment(app, endpoint, name)
    app.store.delete(DEPLOYMENT, f"{endpoint}/{name}")
    shown = declared.show(app, ENDPOINT, endpoint)
    if (shown.get("defaults") or {}).get("deployment_name") == name:
        app.store.put(ENDPOINT, endpoint, {k: v for k, v in shown.items() if k != "defaults"})


def delete_endpoint(app: App, name: str) -> None:
    """Forget an endpoint and what is behind it."""
    for found in list_deployments(app, name):
        app.store.delete(DEPLOYMENT, f"{name}/{found['name']}")
    declared.delete(app, ENDPOINT, name)


def list_endpoint_jobs(app: App, endpoint: str, deployment: str | None = None) -> list[dict[str, Any]]:
    """Jobs an endpoint has started, newest first."""
    declared.show(app, ENDPOINT, endpoint)
    return [
        {"name": j.name, "status": j.status, "display_name": j.display_name, "tags": dict(j.tags)}
        for j in app.store.jobs()
        if j.tags.get("endpoint_name") == endpoint and deployment in {None, j.tags.get("deployment_name")}
    ]


def invoke(app: App, endpoint: str, wish: Invocation, observers: Sequence[RunObserver] = ()) -> JobResult:
    """Run the deployment's job over the data given, to its end."""
    deployment = _choose(app, endpoint, wish.deployment)
    row = app.store.get(DEPLOYMENT, f"{endpoint}/{deployment}")
    if row is None or "job" not in row:
        show_deployment(app, endpoint, deployment)
        raise UsageError(f"`{deployment}` was kept by an older version", hint="Create it again.")
    name = choose_name(app, JobName(wish.job_name) if wish.job_name else make_job_name())
    if JOB_DEFINITION in row["job"]:
        return run_job(app, job_again(app, row["job"], wish, name), observers)
    require_input(wish.input)
    job = with_wishes(dict(row["job"]), wish)
    file = app.home / "batch" / f"{name}.yml"
    write_atomic(file, json.dumps(job, indent=1))
    try:
        return run_job(app, RunRequest(file, name=name), observers)
    except SpecError as exc:  # the file is made here and gone again: what is wrong is what was asked for
        found = [replace(f, at=Location(f"invocation of {endpoint}: {f.path}")) for f in exc.findings]
        raise SpecError(f"`{endpoint}` cannot be invoked so", findings=found, hint="Nothing was run.") from exc
    finally:
        if app.store.job(name) is None:  # a job that began needs its document to be taken up again
            file.unlink()


def _choose(app: App, endpoint: str, wished: str | None) -> str:
    """The deployment asked for, the default one, or the only one."""
    shown = declared.show(app, ENDPOINT, endpoint)
    if wished:
        return wished
    default = (shown.get("defaults") or {}).get("deployment_name")
    known = [d["name"] for d in list_deployments(app, endpoint)]
    if default in known:
        return str(default)
    if len(known) != 1:
        hint = f"--deployment-name one of: {', '.join(known)}" if known else "batch-deployment create -f FILE"
        raise UsageError(f"`{endpoint}` has no default deployment", hint=hint)
    return str(known[0])
