"""`check`: files and folders → reports, with the mechanical mends when asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tidemill.app.settings import find_root
from tidemill.base.errors import UsageError
from tidemill.base.files import write_atomic
from tidemill.spec.check import FileReport, check_paths
from tidemill.spec.lint import FIXES


def check(paths: Sequence[Path]) -> list[FileReport]:
    """One report per document or linted file; `UsageError` for a path that is not there."""
    missing = [str(p) for p in paths if not p.exists()]
    if missing:
        raise UsageError(
            f"No such file or folder: {', '.join(missing)}",
            hint="Give a YAML file or a folder; `.` checks everything here.",
        )
    return check_paths(paths, root=find_root(paths[0]))


def fix(reports: Sequence[FileReport]) -> list[Path]:
    """Mend what can be mended without judgement; the files that changed."""
    changed = []
    for report in reports:
        path = Path(report.path)
        wanted = [f for f in report.findings if f.code in FIXES]
        if not wanted or not path.is_file():
            continue
        before = text = path.read_text(encoding="utf-8")
        for finding in sorted(wanted, key=lambda f: f.at, reverse=True):
            text = FIXES[finding.code](text, finding)
        if text != before:
            write_atomic(path, text, mode=path.stat().st_mode & 0o777)
            changed.append(path)
    return changed
