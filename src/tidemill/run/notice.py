"""What a run notices about its own outputs: silence that should not pass for success. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from tidemill.base.findings import Finding, Severity
from tidemill.base.hashing import TreeEntry
from tidemill.plan.graph import Step

EMPTY_OUTPUT = "TM-N101"
LOST_GROUPS = "TM-N102"
MISSING_OUTPUT = "TM-N103"
CHANGED_INPUT = "TM-N104"
WRITTEN_OUTSIDE = "TM-N108"
LOOSENED_PINS = "TM-N109"
SHOWN = 5

Trees = Mapping[str, Sequence[TreeEntry]]


def notice_empty(step: Step, output: str) -> Finding:
    """A folder output that stayed empty."""
    return Finding(
        EMPTY_OUTPUT,
        Severity.WARNING,
        f"Output `{output}` of `{step.name}` stayed empty",
        "The command succeeded but wrote nothing there: check that it uses the path it was given.",
        step.at,
        f"jobs.{step.name}.outputs.{output}",
    )


def notice_missing(step: Step, output: str) -> Finding:
    """A file output that was not written."""
    return Finding(
        MISSING_OUTPUT,
        Severity.WARNING,
        f"Output `{output}` of `{step.name}` was not written",
        f"The command succeeded without writing the file `${{{{outputs.{output}}}}}`.",
        step.at,
        f"jobs.{step.name}.outputs.{output}",
    )


def notice_changed_input(step: Step, name: str) -> Finding:
    """A read-only input that was other after the step than before."""
    return Finding(
        CHANGED_INPUT,
        Severity.WARNING,
        f"`{step.name}` changed the data of its read-only input `{name}`",
        "On Azure ML this fails. Write to an output, or give the input `mode: download` for a copy of its own.",
        step.at,
        f"jobs.{step.name}.inputs.{name}",
    )


def notice_outside(step: Step, paths: Sequence[str]) -> Finding:
    """Files written outside the step's own folders."""
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return Finding(
        WRITTEN_OUTSIDE,
        Severity.WARNING,
        f"`{step.name}` wrote outside its own folders: {', '.join(paths[:SHOWN])}{more}",
        "Elsewhere these files are lost, and a reused step does not write them again. Write to an output, or to ./outputs.",
        step.at,
        f"jobs.{step.name}",
    )


def notice_relaxed(step: Step, pins: Sequence[str]) -> Finding:
    """Pins of its environment that were loosened: all are named, for this is their record."""
    return Finding(
        LOOSENED_PINS,
        Severity.WARNING,
        f"`{step.name}` ran with loosened pins: {', '.join(pins)}",
        "It may behave otherwise than with the packages its environment names. Pin versions that this Python can have.",
        step.at,
        f"jobs.{step.name}.environment",
    )


def notice_groups(step: Step, inputs: Trees, outputs: Trees) -> list[Finding]:
    """Outputs with fewer label groups (sub-folders) than went in: labels got lost on the way.

    Only folders of the same kind of files as the inputs are judged, so a model's own folders are not taken for labels.
    """
    into, suffixes = _groups_in(inputs)
    if len(into) < 2:  # noqa: PLR2004 - one group cannot become fewer
        return []
    findings = []
    for name, entries in outputs.items():
        groups = groups_of(entries)
        if not groups or not _suffixes(entries) & suffixes or len(groups) >= len(into):
            continue
        lost = sorted(set(into) - set(groups)) if set(groups) & set(into) else []
        said = f" (missing: {', '.join(lost[:8])})" if lost else ""
        findings.append(
            Finding(
                LOST_GROUPS,
                Severity.WARNING,
                f"{len(into)} label groups went into `{step.name}`, but `{name}` has {len(groups)}{said}",
                "Check how the step decides which label a file belongs to.",
                step.at,
                f"jobs.{step.name}.outputs.{name}",
            )
        )
    return findings


def groups_of(entries: Sequence[TreeEntry]) -> tuple[str, ...]:
    """Names of the top folders if the folder holds nothing but folders of files; else none."""
    tops = {e.path.partition("/")[0] for e in entries}
    flat = any("/" not in e.path for e in entries)
    return () if flat else tuple(sorted(tops))


def _groups_in(inputs: Trees) -> tuple[tuple[str, ...], set[str]]:
    """The label groups of all inputs: sub-folders, or the inputs themselves where several flat ones are alike."""
    nested = {g for entries in inputs.values() for g in groups_of(entries)}
    suffixes = {s for entries in inputs.values() for s in _suffixes(entries)}
    if nested:
        return tuple(sorted(nested)), suffixes
    flat = tuple(sorted(name for name, entries in inputs.items() if entries))
    return flat, suffixes


def _suffixes(entries: Sequence[TreeEntry]) -> set[str]:
    """The commonest suffix: what kind of files a folder holds."""
    counts = Counter(PurePosixPath(e.path).suffix.lower() for e in entries if e.digest)
    counts.pop("", None)
    return {_alike(counts.most_common(1)[0][0])} if counts else set()


def _alike(suffix: str) -> str:
    return ".image" if suffix in {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"} else suffix
