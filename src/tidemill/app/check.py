"""`check`: files and folders → reports, with the mechanical mends when asked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

from tidemill.app.settings import PROJECT_FILE, Settings, find_repository, read_settings
from tidemill.base.errors import UsageError
from tidemill.base.files import write_atomic
from tidemill.spec.check import Checked, FileReport
from tidemill.spec.check import check_all as check_files
from tidemill.spec.kinds import Kind
from tidemill.spec.load import load
from tidemill.spec.mends import MENDS, mend
from tidemill.spec.policy import Policy, make_policy


def check(paths: Sequence[Path]) -> list[FileReport]:
    """One report per document or linted file; `UsageError` for a path that is not there."""
    return list(check_all(paths).reports)


def check_all(paths: Sequence[Path]) -> Checked:
    """As `check`, with the files the project file leaves out."""
    missing = [str(p) for p in paths if not p.exists()]
    if missing:
        raise UsageError(
            f"No such file or folder: {', '.join(missing)}",
            hint="Give a YAML file or a folder; `.` checks everything here.",
        )
    root = find_repository(paths[0])
    project, get_models = root / PROJECT_FILE, cache(partial(known_models, read_settings(root)))
    if not project.is_file():
        return check_files(paths, Policy(root), get_models)
    document = load(project, kind=Kind.PROJECT).document
    if document is None and not any(p.absolute() in (project.absolute(), *project.absolute().parents) for p in paths):
        paths = [*paths, project]  # what it wants left out is not known: say why
    return check_files(paths, make_policy(document.check if document is not None else None, root), get_models)


def known_models(settings: Settings) -> frozenset[str] | None:
    """Registered models, as `name` and `name:version`; None where a server would have to be asked, as `check` is offline."""
    if settings.tracking_uri:
        return None
    from tidemill.app.wiring import open_registry  # noqa: PLC0415 - only who reads a model pays for it

    found = open_registry(settings).list(archived=True)
    return frozenset(n for v in found for n in (v.name, f"{v.name}:{v.version}"))


def fix(reports: Sequence[FileReport]) -> list[Path]:
    """Mend what can be mended without judgement; the files that changed. Line ends and all else stay as they are."""
    changed = []
    for report in reports:
        path = Path(report.path)
        wanted = [f for f in report.findings if f.code in MENDS]
        before = _read(path) if wanted else None
        if before is None:
            continue
        text = before
        for finding in sorted(wanted, key=lambda f: f.at, reverse=True):
            text = mend(text, finding)
        if text != before:
            write_atomic(path, text.encode(), mode=path.stat().st_mode & 0o777)
            changed.append(path)
    return changed


def _read(path: Path) -> str | None:
    """The text as it stands on disk; None for what is no UTF-8, which is left to its owner."""
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
