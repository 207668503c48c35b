"""The project file, read once, with what follows when there is none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.app.settings import PROJECT_FILE, Settings
from tidemill.base.errors import SpecError, UsageError
from tidemill.base.findings import Finding, Severity
from tidemill.base.frozen import frozen
from tidemill.spec import project as spec
from tidemill.spec.kinds import Kind
from tidemill.spec.load import Loaded, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.spec.overrides import Override


@frozen
class Project:
    """`tidemill.yaml` and the folder it stands in."""

    document: spec.Project
    folder: Path
    path: Path | None

    def file(self, field: str) -> Path | None:
        """The document a field names (`pipeline`, `endpoint` …), absolute; `UsageError` when it is not there."""
        named = getattr(self.document, field)
        if named is None:
            return None
        path: Path = (self.folder / named).absolute()
        if not path.exists():
            raise UsageError(
                f"`{field}: {named}` of {self.path} is not there", hint="Correct the path; it is relative to that file."
            )
        return path


def read_project(settings: Settings, overrides: Sequence[Override] = ()) -> Project | None:
    """The project file with `--set` applied; None when there is none. `SpecError` with every finding when it is wrong."""
    path = settings.project_file
    if not path.exists():
        if overrides:
            raise UsageError(f"There is no {PROJECT_FILE} in {settings.root} to set values in")
        return None
    loaded = load(path, overrides=overrides, kind=Kind.PROJECT)
    if not loaded.valid:
        raise SpecError(
            f"{path} is not valid",
            findings=(*loaded.findings, *_of_deployment(loaded)),
            hint="" if overrides else f"Run `tidemill check {path}` for everything about it.",
        )
    document = loaded.document
    if not document.name:
        document = document.model_copy(update={"name": path.parent.absolute().name or "project"})
    return Project(document, path.parent, path)


def _of_deployment(loaded: Loaded) -> tuple[Finding, ...]:
    """What is wrong with the deployment a wrong project file names, to be mended in the same go."""
    named = loaded.data.get("deployment") if isinstance(loaded.data, dict) else None
    file = loaded.path.parent / named if isinstance(named, str) else None
    if file is None or not file.is_file():
        return ()
    return tuple(f for f in load(file).findings if f.severity is Severity.ERROR)


def empty_project(root: Path) -> Project:
    """What a folder without a project file means."""
    return Project(spec.Project(name=root.name or "project"), root, None)
