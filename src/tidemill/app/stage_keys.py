"""The keys of an endpoint wherever it is: on this machine, or in the Secret of a stage on a cluster."""

from __future__ import annotations

from collections.abc import Mapping

from tidemill.app.deploy import load_documents
from tidemill.app.endpoints import credentials
from tidemill.app.project import Project
from tidemill.app.wiring import App
from tidemill.base.errors import UsageError
from tidemill.base.suggest import did_you_mean


def endpoint_keys(app: App, name: str, stage: str | None, *, renew: str = "") -> dict[str, str]:
    """The two keys in az's words. Without `stage` a local endpoint of that name comes first, then the one stage that has it on a cluster."""
    there = _on_clusters(app.project, name) if app.project is not None else {}
    local = bool(app.target.desired(name))
    if stage is not None and stage not in there:
        known = app.project.document.stages if app.project is not None else {}
        if known.get(stage) is not None and known[stage].target == "local":
            return credentials(app, name, renew=renew)
        raise UsageError(f"No stage `{stage}` has `{name}` on a cluster", hint=did_you_mean(stage, there))
    if stage is None and (local or not there):
        return credentials(app, name, renew=renew)
    if stage is None and len(there) > 1:
        raise UsageError(f"Several stages have `{name}`: {', '.join(there)}", hint="Say which: --stage NAME")
    context, namespace = there[stage] if stage is not None else next(iter(there.values()))
    first, second = app.kubernetes(context).keys(namespace, name, renew=renew)
    return {"primaryKey": first, "secondaryKey": second}


def _on_clusters(project: Project, name: str) -> Mapping[str, tuple[str, str]]:
    """The stages that deploy the endpoint to a cluster, with its context and namespace."""
    if load_documents(project)[0] != name:
        return {}
    stages = {n: s for n, s in project.document.stages.items() if s.target == "kubernetes"}
    return {n: (s.context or "", s.namespace or "") for n, s in stages.items()}
