"""One YAML file as text, nodes and plain data: every value can be found again by line and column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tidemill.base.errors import Location, SpecError
from tidemill.base.findings import Finding, Severity

MAX_BYTES = 64 << 20
MAX_DEPTH = 200
MAX_NODES = 4_000_000  # what aliases may unfold to
_TEMPLATE = re.compile(r"(?<!\$)\{\{\s*[\w.-]+\s*\}\}")
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.CSafeLoader):
    """libyaml's parser with PyYAML's YAML 1.1 scalars, which are Azure's."""


@dataclass(slots=True)
class Source:
    """A file as read. `findings` holds duplicate keys; `root` is None for an empty file."""

    path: Path
    text: str
    root: yaml.Node | None
    findings: list[Finding] = field(default_factory=list)
    _data: Any = None

    @property
    def file(self) -> str:
        """The name findings use."""
        return str(self.path)

    def data(self) -> Any:  # noqa: ANN401 - any YAML value
        """Plain Python values."""
        return self._data

    def locate(self, path: Sequence[str | int], *, key: bool = False) -> Location:
        """The place of the value (or key) at `path`; the nearest ancestor's when there is none."""
        node, mark = self.root, None
        if node is None:
            return Location(self.file, 1, 1)
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            mark, node = found
        at = mark if key and mark is not None else node.start_mark
        return Location(self.file, at.line + 1, at.column + 1)


def _child(node: yaml.Node, part: str | int) -> tuple[Any, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == part or str(name.value) == str(part):
                return name.start_mark, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
        return node.value[part].start_mark, node.value[part]
    return None


def read_source(path: Path) -> Source:
    """Read and parse; `SpecError` with findings for what is not YAML. Duplicate keys are findings of the source."""
    return parse_source(path, _read_text(path))


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as exc:
        raise SpecError(f"No such file: {path}", hint="Check the path.") from exc
    except IsADirectoryError as exc:
        raise SpecError(f"`{path}` is a folder", hint="Name a YAML file in it.") from exc
    except OSError as exc:
        raise SpecError(f"Cannot read {path}: {exc.strerror}") from exc
    if len(raw) > MAX_BYTES:
        raise _broken(path, 0, 0, f"The file has {len(raw) >> 20} MiB; a document has at most {MAX_BYTES >> 20}")
    encoding = "utf-16" if raw[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as exc:
        line = raw[: exc.start].count(b"\n") + 1
        raise _broken(path, line, 1, "The file is not UTF-8", "Save it as UTF-8.") from exc


def parse_source(path: Path, text: str) -> Source:
    """Text → source; errors as `read_source`."""
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            source = Source(path, text, root)
            source._data = _Builder(source, loader).build(root) if root is not None else None  # noqa: SLF001
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as exc:
        raise _not_yaml(path, text, exc) from exc
    except yaml.YAMLError as exc:
        raise _broken(path, 1, 1, f"Not YAML: {exc}") from exc
    except RecursionError as exc:
        raise _broken(path, 1, 1, f"Nested deeper than {MAX_DEPTH} levels") from exc
    except ValueError as exc:
        raise _broken(path, 1, 1, f"Not YAML: {exc}") from exc
    return source


def _not_yaml(path: Path, text: str, exc: yaml.MarkedYAMLError) -> SpecError:
    mark = exc.problem_mark or exc.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    template = _TEMPLATE.search(text)
    if template:
        place = text[: template.start()].count("\n") + 1
        return _broken(
            path,
            place,
            1,
            f"This is a template: `{template.group()}` is not filled in, so it is not YAML yet",
            "Render it first.",
            "TM-D002",
        )
    problem = (exc.problem or str(exc)).strip()
    hint = (
        "Indent with spaces; YAML allows no tabs."
        if "\\t" in problem
        else "Check indentation, quotes and colons near that place."
    )
    return _broken(path, line, column, f"Not YAML: {problem}", hint)


def _broken(path: Path, line: int, column: int, message: str, hint: str = "", code: str = "TM-D001") -> SpecError:
    finding = Finding(code, Severity.ERROR, message, hint, Location(str(path), line, column))
    return SpecError(f"{path} cannot be read as YAML", findings=[finding])


class _Builder:
    """Nodes → plain data in one pass, each scalar by PyYAML's own rules."""

    def __init__(self, source: Source, loader: _Loader) -> None:
        self._source = source
        self._loader = loader
        self._nodes = 0
        self._open: set[int] = set()

    def build(self, node: yaml.Node, depth: int = 0) -> Any:  # noqa: ANN401
        """The value of a node; `ValueError` beyond the bounds."""
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        if self._nodes > MAX_NODES:
            raise ValueError("aliases unfold to more values than a document may have")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise ValueError("an alias contains itself")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, depth + 1) for item in node.value]
            return self._mapping(node, depth)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode) -> Any:  # noqa: ANN401
        if node.tag == "tag:yaml.org,2002:str":
            return node.value
        try:
            return self._loader.construct_object(node)
        except yaml.constructor.ConstructorError:
            raise
        except (ValueError, OverflowError):
            return node.value

    def _mapping(self, node: yaml.Node, depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        for name, value in node.value:
            if name.tag == _MERGE:
                merged.update(self._merge(value, depth))
                continue
            key = self._key(name)
            if key in result:
                self._duplicate(name)
            result[key] = self.build(value, depth + 1)
        return {**merged, **result} if merged else result

    def _merge(self, node: yaml.Node, depth: int) -> dict[Any, Any]:
        value = self.build(node, depth + 1)
        parts = value if isinstance(value, list) else [value]
        merged: dict[Any, Any] = {}
        for part in reversed(parts):
            if isinstance(part, dict):
                merged.update(part)
        return merged

    def _key(self, node: yaml.Node) -> Any:  # noqa: ANN401
        if not isinstance(node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a plain value", node.start_mark)
        return self._scalar(node)

    def _duplicate(self, node: yaml.Node) -> None:
        at = Location(self._source.file, node.start_mark.line + 1, node.start_mark.column + 1)
        text = f"The key `{node.value}` stands twice; the first one would be lost"
        self._source.findings.append(
            Finding("TM-D003", Severity.ERROR, text, "Remove or rename one of them.", at, str(node.value))
        )
