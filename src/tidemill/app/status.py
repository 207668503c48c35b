"""`status`: what there is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill.app.deploy import public_url
from tidemill.app.releases import holds, last_release, serving_release
from tidemill.app.wiring import App
from tidemill.base.errors import BackendError

HELD = ("stage", "version", "digest", "at", "by", "reason")


def status(app: App) -> dict[str, Any]:
    """Every endpoint with its deployments, what is held back, and the budget if there is one; the shape of `status -o json`."""
    rows = [_local(app, name) for name in app.target.endpoints()]
    budget = app.meter.as_json() if app.meter is not None else None
    held = [{k: row.get(k) for k in HELD} for row in holds(app)]
    return {
        "endpoints": rows + _clusters(app),
        **({"held": held} if held else {}),
        **({"budget": budget} if budget else {}),
    }


def _local(app: App, name: str) -> dict[str, Any]:
    desired, observed = app.target.desired(name), app.target.observe(name)
    deployments = observed.get("deployments", {})
    serving = max(deployments, key=lambda n: deployments[n].get("traffic", 0), default="")
    tokens = Path(desired["tokens"]) if desired.get("tokens") else None
    url = observed.get("url", "")
    return {
        "name": name,
        "url": public_url(url, tokens) if url else "",
        "stage": _stage_of(app, name),
        "target": "local",
        "state": observed["state"],
        "model": deployments.get(serving, {}).get("model", ""),
        "version": deployments.get(serving, {}).get("version", ""),
        "deployments": [_deployment(n, d) for n, d in deployments.items()],
    }


def _deployment(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("model", "version", "pid", "restarts", "last_error")
    return {
        "name": name,
        "traffic": found.get("traffic", 0),
        "state": found.get("state", ""),
        **{k: found.get(k) for k in keys},
    }


def _stage_of(app: App, endpoint: str) -> str:
    stages = app.project.document.stages if app.project else {}
    for stage in stages:
        release = last_release(app, stage)
        if release is not None and release["endpoint"] == endpoint:
            return stage
    return next(iter(stages), "staging")


def _clusters(app: App) -> list[dict[str, Any]]:
    """Endpoints of stages elsewhere that were released to."""
    rows = []
    for name, stage in (app.project.document.stages if app.project else {}).items():
        release = serving_release(app, name)
        if stage.target == "local" or release is None:
            continue
        namespace = stage.namespace or (app.project.document.name if app.project else "")
        row = {
            "name": release["endpoint"],
            "url": release["url"],
            "stage": name,
            "target": stage.target,
            "model": release["model"],
            "version": release["version"],
        }
        if stage.target != "kubernetes":  # other people's services are not asked for every `status`
            rows.append({**row, "state": "Released", "deployments": []})
            continue
        try:
            found = app.kubernetes(stage.context or "").observe(namespace, release["endpoint"])
        except BackendError as exc:
            rows.append({**row, "state": f"Unknown: {exc.message}", "deployments": []})
            continue
        deployments = [{"name": v.deployment, "traffic": 100 if v.serving else 0, "state": v.state} for v in found]
        state = next((v.state for v in found if v.serving), "Stopped")
        rows.append({**row, "state": state, "deployments": deployments})
    return rows
