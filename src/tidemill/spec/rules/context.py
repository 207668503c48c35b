"""What a rule may look at: the document, where its values stand, and the repository around it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from tidemill.base.errors import Location
from tidemill.base.files import is_plain_file
from tidemill.base.findings import Finding, Severity
from tidemill.base.frozen import frozen
from tidemill.spec.codes import CODES
from tidemill.spec.kinds import COMPONENTS
from tidemill.spec.load import Loaded, load
from tidemill.spec.problems import dotted
from tidemill.spec.references import AssetRef, FileRef, parse_reference
from tidemill.spec.repository import Repository

Path_ = Sequence[str | int]
SEARCHED = 400  # lines of one value


@frozen
class Context:
    """One document under examination. The repository is read when a rule first asks for it.

    `get_models` gives the registered models, as `name` and `name:version`; None when nobody knows them.
    """

    loaded: Loaded
    get_repository: Callable[[], Repository]
    get_models: Callable[[], Collection[str] | None] = lambda: None
    _components: dict[str, tuple[Loaded, ...]] = field(default_factory=dict)

    @property
    def document(self) -> Any:  # noqa: ANN401 - rules of a kind know its type
        """The typed document."""
        return self.loaded.document

    @property
    def folder(self) -> Path:
        """What relative paths are relative to."""
        return self.loaded.path.absolute().parent

    def finding(self, code: str, message: str, path: Path_, *, hint: str = "", key: bool = False) -> Finding:
        """A finding of the code's own severity at a place of the document."""
        row = CODES.get(code)
        severity = row.severity if row else Severity.ERROR
        return Finding(code, severity, message, hint, self.loaded.locate(path, key=key), dotted(tuple(path)))

    def finding_at_text(self, code: str, message: str, path: Path_, text: str, *, hint: str = "") -> Finding:
        """As `finding`, at the line of a long value where `text` stands."""
        finding = self.finding(code, message, path, hint=hint)
        if not finding.at.line:  # not of the file
            return finding
        lines = self.loaded.source.text.splitlines()
        for number, line in enumerate(lines[max(finding.at.line - 1, 0) : finding.at.line + SEARCHED], finding.at.line):
            column = line.find(text)
            if column >= 0:
                return replace(finding, at=Location(finding.at.file, number, column + 1))
        return finding

    def find_component(self, text: str) -> Loaded | None:
        """The document a component reference means, if it is here."""
        return next(iter(self.find_components(text)), None)

    def find_components(self, text: str) -> tuple[Loaded, ...]:
        """Every document a component reference may mean; read once however many steps use it.

        A name may stand in many folders of a repository. Which of them was registered last, nobody can say from here.
        """
        if text not in self._components:
            self._components[text] = self._read_components(text)
        return self._components[text]

    def _read_components(self, text: str) -> tuple[Loaded, ...]:
        ref = parse_reference(text)
        if isinstance(ref, FileRef):
            path = ref.resolve(self.folder)
            return (load(path),) if is_plain_file(path) else ()
        if isinstance(ref, AssetRef) and ref.registry is None:
            return self.get_repository().find_all(COMPONENTS, ref.name, ref.version)
        return ()


Rule = Callable[[Context], Iterator[Finding]]
