"""From which commit and which data a job's results come: noted when it runs, told by the history of releases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidemill.app.wiring import App
from tidemill.base import proc
from tidemill.base.errors import BackendError
from tidemill.base.hashing import digest_value
from tidemill.plan.fingerprint import make_key
from tidemill.plan.graph import DataInput, Plan
from tidemill.record.ports import ModelVersion
from tidemill.record.runs import get_job

COMMIT, BRANCH, DIRTY = "azureml.git.commit", "azureml.git.branch", "azureml.git.dirty"  # Azure ML's names for them
GIT_S = 10


def with_commit(plan: Plan) -> Plan:
    """The plan with the commit its document's repository is at; as it was where there is none."""
    return replace(plan, properties={**find_commit(plan.source.parent), **plan.properties})


def find_commit(folder: Path) -> dict[str, str]:
    """Commit, branch, and whether files differ from it; nothing outside a repository or without git."""
    try:
        found = proc.run(["git", "-C", str(folder), "status", "--porcelain=v2", "--branch", "-uno"], timeout_s=GIT_S)
    except BackendError:
        return {}
    lines = found.stdout.splitlines() if found.returncode == 0 else []
    about = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch.") and " " in line[2:])
    commit = about.get("branch.oid", "")
    if not commit or commit.startswith("("):  # a repository without a commit
        return {}
    changed = any(not line.startswith("#") for line in lines)
    return {COMMIT: commit, BRANCH: about.get("branch.head", ""), DIRTY: str(changed)}


def describe_origin(app: App, plan: Plan, job: str) -> dict[str, Any]:
    """What a release remembers of the job its model is from: commit, and every input's name, place and digest."""
    view = get_job(app.store, job)
    told = view.properties
    data: dict[str, dict[str, str]] = {}
    for step in plan.steps:
        parts = app.store.last_parts(str(plan.source), step.name) or {}
        past = view.steps.get(step.name)
        known = past is not None and bool(parts) and past.key == make_key(parts)
        for name, binding in step.inputs.items():
            if isinstance(binding, DataInput):
                place = binding.ref.asset or binding.ref.uri
                digest = str(parts.get(f"data {name}", "")) if known else ""
                data[place] = {"path": place, "digest": digest or data.get(place, {}).get("digest", "")}
    return {
        "commit": told.get(COMMIT, ""),
        "branch": told.get(BRANCH, ""),
        "dirty": told.get(DIRTY, "") == "True",
        "data": sorted(data.values(), key=lambda d: d["path"]),
    }


def short_commit(origin: Mapping[str, Any]) -> str:
    """As people name it, with a plus where files differed from it."""
    commit = str(origin.get("commit", ""))[:10]
    return f"{commit}+" if commit and origin.get("dirty") else commit


def image_labels(origin: Mapping[str, Any], job: str) -> dict[str, str]:
    """What an image says of where its model is from, under the names of the OCI image specification where it has them."""
    digests = sorted(str(row["digest"]) for row in origin.get("data") or () if row.get("digest"))
    data = digests[0] if len(digests) == 1 else f"sha256:{digest_value(digests)}" if digests else ""
    found = {
        "org.opencontainers.image.revision": str(origin.get("commit", "")),
        "io.tidemill.git.branch": str(origin.get("branch", "")),
        "io.tidemill.git.dirty": "true" if origin.get("dirty") else "",
        "io.tidemill.data.digest": data,
        "io.tidemill.job": job,
    }
    return {name: value for name, value in found.items() if value}


def image_tags(origin: Mapping[str, Any], version: ModelVersion) -> list[str]:
    """For people who look into the registry: version, model, commit, branch. What is deployed is named by digest."""
    commit, branch = str(origin.get("commit", "")), str(origin.get("branch", ""))
    tags = [f"v{version.version}", version.digest[:12]]
    tags += [f"sha-{commit[:12]}"] if commit and not origin.get("dirty") else []
    tags += (
        [re.sub(r"[^A-Za-z0-9_.-]", "-", branch)[:128].lstrip(".-")] if branch and not branch.startswith("(") else []
    )
    return list(dict.fromkeys(tag for tag in tags if tag))
