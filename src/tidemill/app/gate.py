"""`gate`: facts about a version → verdicts, kept with the version."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.app.candidate import Candidate
from tidemill.app.latency import measure_latency
from tidemill.app.releases import last_release
from tidemill.app.wiring import App
from tidemill.base.findings import Severity
from tidemill.record.ports import ModelVersion
from tidemill.release.gates import Rule, Verdict, judge, parse_rule

COLLECTION = "verdicts"
_FAIRNESS = re.compile(r"fairness[/._](?P<gap>.+)")


def parse_rules(texts: Sequence[str]) -> tuple[Rule, ...]:
    """The gates of a project; `UsageError` for the first that is no condition."""
    return tuple(parse_rule(t) for t in texts)


def judge_candidate(app: App, candidate: Candidate, rules: Sequence[Rule], stage: str) -> tuple[Verdict, ...]:
    """Every rule's verdict on the candidate against what serves the stage now, recorded."""
    facts = facts_of(app, candidate, stage)
    if any(name.startswith("latency.") for rule in rules for name in rule.names):
        facts = {**facts, "latency": measure_latency(app, candidate)}
    verdicts = judge(rules, facts)
    version = candidate.version
    key = f"{version.name}:{version.version}:{stage}"
    app.store.put(
        COLLECTION, key, {"stage": stage, "digest": version.digest, "verdicts": [v.as_json() for v in verdicts]}
    )
    return verdicts


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
