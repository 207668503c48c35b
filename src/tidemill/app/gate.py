"""`gate`: facts about a version → verdicts, kept with the version."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.app.candidate import Candidate
from tidemill.app.latency import measure_latency
from tidemill.app.project import Project
from tidemill.app.releases import last_release
from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import SpecError, UsageError
from tidemill.base.findings import Severity
from tidemill.record.ports import ModelVersion
from tidemill.release.gates import Verdict, judge
from tidemill.spec.check import check_loaded
from tidemill.spec.conditions import Rule, parse_rule
from tidemill.spec.load import load
from tidemill.spec.project import Stage
from tidemill.spec.repository import Repository

COLLECTION = "verdicts"
_FAIRNESS = re.compile(r"fairness[/._](?P<gap>.+)")


def rules_of(project: Project, stages: Mapping[str, Stage]) -> dict[str, tuple[Rule, ...]]:
    """The gates of every stage; `SpecError` with each that is no condition and where it stands."""
    try:
        return {name: tuple(map(parse_rule, (*project.document.gates, *s.gates))) for name, s in stages.items()}
    except UsageError:
        path = project.path
        found = check_loaded(load(path), lambda: Repository(project.folder, ())) if path is not None else ()
        if wrong := [f for f in found if f.code == "TM-D111"]:
            raise SpecError(f"{path} has gates that are no conditions", findings=wrong) from None
        raise  # of a value set on the command line


def judge_candidate(app: App, candidate: Candidate, rules: Sequence[Rule], stage: str) -> tuple[Verdict, ...]:
    """Every rule's verdict on the candidate against what serves the stage now, recorded."""
    facts = facts_of(app, candidate, stage)
    if speak_of_latency(rules):
        facts = {**facts, "latency": measure_latency(app, candidate)}
    verdicts = judge(rules, facts)
    version, at = candidate.version, iso(SystemClock().now())
    body = {
        "at": at, "stage": stage, "model": version.name, "version": version.version, "digest": version.digest,
        "verdicts": [v.as_json() for v in verdicts],
    }  # fmt: skip
    app.store.put(COLLECTION, f"{version.name}:{version.version}:{stage}:{at}", body)
    return verdicts


def speak_of_latency(rules: Sequence[Rule]) -> bool:
    """Whether a version must be started to be judged."""
    return any(name.startswith("latency.") for rule in rules for name in rule.names)


def past_verdicts(app: App, stage: str | None = None, model: str | None = None) -> list[Mapping[str, Any]]:
    """Every judgement there was, newest first, also of versions that were never released; of one version, or of a model."""
    rows = app.store.documents(COLLECTION).values()
    found = [row for row in rows if "at" in row and stage in {None, row["stage"]}]
    if model is not None:
        named, _, version = model.removeprefix("azureml:").partition("@" if "@" in model else ":")
        version = app.registry.get(named, version).version if "@" in model else version
        found = [row for row in found if row["model"] == named and version in {"", row["version"]}]
    return sorted(found, key=lambda row: str(row["at"]), reverse=True)


def facts_of(app: App, candidate: Candidate, stage: str) -> Mapping[str, Any]:
    """What conditions may speak of."""
    severities = [f.severity for f in candidate.findings]
    return {
        "metrics": dict(candidate.metrics),
        "champion": _champion(app, candidate.version, stage),
        "findings": {"errors": severities.count(Severity.ERROR), "warnings": severities.count(Severity.WARNING)},
        "fairness": fairness_gaps(candidate.metrics),
        "model": {"name": candidate.version.name, "size_mb": _size_mb(candidate.version)},
    }


def fairness_gaps(metrics: Mapping[str, float]) -> Mapping[str, float]:
    """Metrics logged as `fairness/NAME`, `fairness.NAME` or `fairness_NAME`: gaps between groups, as a step measured them."""
    found = {name: _FAIRNESS.fullmatch(name) for name in metrics}
    return {match["gap"]: metrics[name] for name, match in found.items() if match}


def _champion(app: App, version: ModelVersion, stage: str) -> Mapping[str, Any] | None:
    """The metrics of what serves the stage; None before the first release."""
    release = last_release(app, stage)
    if release is None:
        return None
    return {
        "version": release["version"],
        "metrics": dict(release.get("metrics", {})),
        "is_candidate": release.get("digest") == version.digest,
    }


def _size_mb(version: ModelVersion) -> float:
    files = [version.path] if version.path.is_file() else [p for p in version.path.rglob("*") if p.is_file()]
    return round(sum(p.stat().st_size for p in files) / 1e6, 3)
