"""The history of releases in words: a table of what happened, and what served at a time with all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.app.lineage import short_commit
from tidemill.release.history import DOWN, ROLLBACK

HEADS = ["At", "Stage", "Event", "Model", "Endpoint", "By", "Approved By", "Commit", "Job", "Evidence"]
EVENTS = {DOWN: "taken down", ROLLBACK: "rolled back to"}
WIDE = 60
SHORT = 12
Row = Mapping[str, Any]


def table_row(row: Row) -> list[str]:
    """One line of the table."""
    people = ", ".join(row.get("approved_by") or ())
    evidence = str(row.get("evidence", ""))[:WIDE]
    return [
        _second(row["at"]), row["stage"], EVENTS.get(row["event"], "released"), _version(row), str(row.get("endpoint", "")),
        str(row.get("by", "")), people, short_commit(row), str(row.get("job", "")), evidence,
    ]  # fmt: skip


def tell_spans(stage: str, when: str, spans: Sequence[Row]) -> list[str]:
    """What served a stage at a time, one block for each version."""
    if not spans:
        return [f"{stage}: nothing served {when}, and nothing was released to it before"]
    lines = [] if any(s["event"] != DOWN for s in spans) else [f"{stage}: nothing served {when}"]
    for span in spans:
        until = f"until {_second(span['until'])}" if span["until"] else "until now"
        if span["event"] == DOWN:
            lines.append(f"{stage}: nothing from {_second(span['since'])} {until}: taken down by {span['by']}")
        else:
            lines += [f"{stage}: {_version(span)} from {_second(span['since'])} {until}", *_about(span)]
    return lines


def _about(span: Row) -> list[str]:
    """Who, from what, and where it runs from."""
    people = ", ".join(span.get("approved_by") or ())
    did = "rolled back to" if span["event"] == ROLLBACK else "released"
    facts = {
        "digest": span.get("digest"),
        did: f"by {span['by']}" + (f", approved by {people}" if people else ""),
        "job": span.get("job"),
        "commit": _commit(span),
        "data": _data(span.get("data") or ()),
        "image": span.get("image"),
        "gates": "; ".join(f"{v['rule']} ({v['evidence']})" for v in span.get("verdicts") or ()),
        "evidence": span.get("evidence"),
    }
    return [f"    {name + ':':<16}{value}" for name, value in facts.items() if value]


def _commit(span: Row) -> str:
    commit = str(span.get("commit", ""))
    if not commit:
        return "unknown: it ran outside a git repository"
    changed = ", with changes that were not committed" if span.get("dirty") else ""
    branch = str(span.get("branch", ""))
    return f"{commit}{f' of {branch}' if branch and not branch.startswith('(') else ''}{changed}"


def _data(rows: Sequence[Row]) -> str:
    """Each input with the digest of its bytes."""
    return ", ".join(f"{r['path']} ({_digest(r['digest'])})" if r.get("digest") else str(r["path"]) for r in rows)


def _digest(text: str) -> str:
    return text.rpartition(":")[2][:SHORT]


def _version(row: Row) -> str:
    return f"{row['model']}:{row['version']}" if row.get("model") else str(row.get("version", ""))


def _second(text: object) -> str:
    """A time without its fraction."""
    return str(text).partition(".")[0] + "Z" if "." in str(text) else str(text)
