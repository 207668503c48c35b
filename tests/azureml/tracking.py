"""The MLflow of a workspace, as much of it as a step's client asks for."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.azureml.machine import Job
from tests.unit.backends.fake_rest import Asked, Reply

PAGE = 2  # real pages have 25,000 rows
MISSING: Reply = (404, {}, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"})


def track(jobs: dict[str, Job], asked: Asked) -> Reply:
    """Answer a request below `…/api/2.0/mlflow/`."""
    split = urlsplit(asked.path)
    what = split.path.partition("/api/2.0/mlflow/")[2]
    given = asked.json() if asked.body else {k: v[0] for k, v in parse_qs(split.query).items()}
    job = jobs.get(given.get("run_id") or given.get("run_uuid") or "")
    if job is None:
        return MISSING
    if what in {"runs/get", "runs/update"}:
        return 200, {}, {"run": _run(job), "run_info": _run(job)["info"]}
    if what == "metrics/get-history":
        return 200, {}, _page([m for m in job.metrics if m["key"] == given["metric_key"]], given)
    if what == "runs/log-metric":
        job.metrics.append({k: given[k] for k in ("key", "value", "timestamp", "step")})
    if what == "runs/log-batch":
        job.metrics += given.get("metrics", [])
    return 200, {}, {}


def _page(rows: list[dict[str, Any]], given: dict[str, str]) -> dict[str, Any]:
    start = int(given.get("page_token") or 0)
    more = {"next_page_token": str(start + PAGE)} if start + PAGE < len(rows) else {}
    return {"metrics": rows[start : start + PAGE]} | more


def _run(job: Job) -> dict[str, Any]:
    info = {"run_id": job.name, "run_uuid": job.name, "experiment_id": "0", "user_id": "me", "run_name": job.name}
    info |= {"status": "RUNNING", "start_time": 1, "artifact_uri": "file:///nowhere", "lifecycle_stage": "active"}
    tags = [{"key": key, "value": value} for key, value in job.tags.items()]
    return {"info": info, "data": {"metrics": list({m["key"]: m for m in job.metrics}.values()), "tags": tags}}
