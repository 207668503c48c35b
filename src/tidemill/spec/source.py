"""One YAML file as text, nodes and plain data: every value can be found again by line and column."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import Any

import yaml

from tidemill.base.errors import Location, SpecError
from tidemill.base.findings import Finding, Severity
from tidemill.base.frozen import slotted
from tidemill.base.suggest import SHOWN, closest

MAX_BYTES = 64 << 20
MAX_DEPTH = 200
ALIAS_FACTOR, ALIAS_FLOOR = 10, 100_000  # what aliases may unfold to: so many times what is written, but at least this
UNCOLLECTED_FROM = 1 << 18  # characters
INDEXED_FROM = 16  # mappings with fewer keys are searched, larger ones are indexed when first asked
_TEMPLATE = re.compile(r"(?<!\$)\{\{\s*[\w.-]+\s*\}\}")
_CORE = "tag:yaml.org,2002:"
_TEXT, _NULL, _MERGE = f"{_CORE}str", f"{_CORE}null", f"{_CORE}merge"
_SIMPLE = frozenset(f"{_CORE}{name}" for name in ("int", "float", "bool", "timestamp"))
_COLLECTIONS = frozenset(f"{_CORE}{name}" for name in ("map", "seq", "set", "omap", "pairs"))


class _Loader(yaml.CSafeLoader):
    """libyaml's parser with PyYAML's YAML 1.1 scalars, which are Azure's. Composing calls itself, so depth is bounded here."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:  # noqa: ANN401, ARG002 - PyYAML's hook
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = getattr(current_node, "start_mark", None)
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=mark)

    def ascend_resolver(self) -> None:
        self._depth -= 1


@slotted
class Source:
    """A file as read. `findings` holds duplicate keys; `root` is None for an empty file.

    `given` are paths whose values came from the command line instead, with the words that gave them.
    """

    path: Path
    text: str
    root: yaml.Node | None
    findings: list[Finding] = field(default_factory=list)
    has_nulls: bool = False
    given: tuple[tuple[tuple[str | int, ...], str], ...] = ()
    _data: Any = None
    _indexes: dict[int, dict[str, tuple[Any, yaml.Node]]] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The name findings use."""
        return str(self.path)

    def data(self) -> Any:  # noqa: ANN401 - any YAML value
        """Plain Python values."""
        return self._data

    def locate(self, path: Sequence[str | int], *, key: bool = False) -> Location:
        """The place of the value (or key) at `path`; the nearest ancestor's when there is none; the option that gave it, if one did."""
        words = self._given(path) if self.given else None
        if words is not None:
            return Location(words)
        node, mark = self.root, None
        if node is None:
            return Location(self.file, 1, 1)
        for part in path:
            found = self._child(node, part)
            if found is None:
                break
            mark, node = found
        at = mark if key and mark is not None else node.start_mark
        return Location(self.file, at.line + 1, at.column + 1)

    def _given(self, path: Sequence[str | int]) -> str | None:
        """The words that gave the value at `path`, or made the mapping it should be in; the last word wins."""
        wanted = tuple(map(str, path))
        for place, words in reversed(self.given):
            set_at = tuple(map(str, place))
            if wanted[: len(set_at)] == set_at or (wanted and set_at[: len(wanted)] == wanted and not self._has(path)):
                return words
        return None

    def _has(self, path: Sequence[str | int]) -> bool:
        """Whether the file itself has a value at `path`."""
        node = self.root
        for part in path:
            found = self._child(node, part) if node is not None else None
            if found is None:
                return False
            node = found[1]
        return node is not None

    def _child(self, node: yaml.Node, part: str | int) -> tuple[Any, yaml.Node] | None:
        """The mark of the key and the value's node."""
        if isinstance(node, yaml.MappingNode):
            if len(node.value) < INDEXED_FROM:
                return _index(node).get(str(part))
            if id(node) not in self._indexes:
                self._indexes[id(node)] = _index(node)
            return self._indexes[id(node)].get(str(part))
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
            return node.value[part].start_mark, node.value[part]
        return None


def _index(node: yaml.MappingNode) -> dict[str, tuple[Any, yaml.Node]]:
    return {str(name.value): (name.start_mark, value) for name, value in node.value}


def read_source(path: Path) -> Source:
    """Read and parse; `SpecError` with findings for what is not YAML. Duplicate keys are findings of the source."""
    return parse_source(path, _read_text(path))


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as exc:
        raise SpecError(f"No such file: {path}", hint=_documents_beside(path)) from exc
    except IsADirectoryError as exc:
        raise SpecError(f"`{path}` is a folder", hint=f"Name a YAML file in it. {documents_in(path)}") from exc
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


def _documents_beside(path: Path) -> str:
    """A way on from a file that is not there: the YAML files of its folder, the one of nearly that name first."""
    if not path.parent.is_dir():
        return f"There is no folder {path.parent} either."
    near = closest(path.name, [file.name for file in _yaml_files(path.parent)])
    return f"Did you mean `{near}`?" if near else documents_in(path.parent)


def documents_in(folder: Path) -> str:
    """A sentence that names the YAML files of a folder."""
    names = [f"`{file.name}`" for file in _yaml_files(folder)[:SHOWN]]
    return f"There are: {', '.join(names)}." if names else f"There is no YAML file in {folder.absolute()}."


def _yaml_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in {".yml", ".yaml"})


def parse_source(path: Path, text: str) -> Source:
    """Text → source; errors as `read_source`."""
    try:
        with uncollected(text):
            return _compose(path, text)
    except yaml.MarkedYAMLError as exc:
        raise _not_yaml(path, text, exc) from exc
    except yaml.YAMLError as exc:
        raise _unreadable(path, text, exc) from exc
    except RecursionError as exc:
        raise _broken(path, 1, 1, f"Nested deeper than {MAX_DEPTH} levels") from exc
    except ValueError as exc:
        raise _broken(path, 1, 1, f"Not YAML: {exc}") from exc


def _compose(path: Path, text: str) -> Source:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        source = Source(path, text, root)
        source._data = _Builder(source, loader).build(root) if root is not None else None  # noqa: SLF001 - its maker
        return source
    finally:
        loader.dispose()


@contextmanager
def uncollected(text: str) -> Iterator[None]:
    """No garbage collection while a large file becomes nodes and documents: all of them stay, and looking at each again takes half the time."""
    if len(text) < UNCOLLECTED_FROM or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


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


def _unreadable(path: Path, text: str, exc: yaml.YAMLError) -> SpecError:
    """A character YAML does not allow: `ReaderError` counts characters from the start."""
    place = getattr(exc, "position", 0)
    place = place if isinstance(place, int) and place <= len(text) else 0
    line, column = text.count("\n", 0, place) + 1, place - (text.rfind("\n", 0, place) + 1) + 1
    reason = getattr(exc, "reason", None) or str(exc)
    return _broken(path, line, column, f"Not YAML: {reason}", "Remove the character named.")


def _broken(path: Path, line: int, column: int, message: str, hint: str = "", code: str = "TM-D001") -> SpecError:
    finding = Finding(code, Severity.ERROR, message, hint, Location(str(path), line, column))
    return SpecError(f"{path} cannot be read as YAML", findings=[finding])


class _Builder:
    """Nodes → plain data in one pass, each scalar by PyYAML's own rules; an aliased node is built once and shared."""

    def __init__(self, source: Source, loader: _Loader) -> None:
        self._source = source
        self._loader = loader
        self._written = 0  # nodes in the file
        self._unfolded = 0  # nodes a reader of the data would see
        self._open: set[int] = set()
        self._built: dict[int, tuple[Any, int]] = {}

    def build(self, node: yaml.Node) -> Any:  # noqa: ANN401
        """The value of a node; `ValueError` beyond the bounds."""
        if isinstance(node, yaml.ScalarNode):
            self._written += 1
            self._unfolded += 1
            return self._scalar(node)
        if id(node) in self._built:
            value, size = self._built[id(node)]
            self._unfold(size)
            return value
        if id(node) in self._open:
            raise ValueError("an alias contains itself")
        if node.tag not in _COLLECTIONS:
            raise yaml.MarkedYAMLError(problem=f"the tag `{node.tag}` has no meaning", problem_mark=node.start_mark)
        self._open.add(id(node))
        before = self._unfolded
        self._written += 1
        self._unfolded += 1
        value = [self.build(i) for i in node.value] if isinstance(node, yaml.SequenceNode) else self._mapping(node)
        self._open.discard(id(node))
        self._built[id(node)] = value, self._unfolded - before
        return value

    def _unfold(self, size: int) -> None:
        self._unfolded += size
        if self._unfolded > max(ALIAS_FLOOR, ALIAS_FACTOR * self._written):
            raise ValueError("its aliases unfold to far more than is written")

    def _scalar(self, node: yaml.ScalarNode) -> Any:  # noqa: ANN401
        if node.tag == _TEXT:
            return node.value
        if node.tag == _NULL:
            self._source.has_nulls = True
            return None
        try:
            if node.tag in _SIMPLE:
                return self._loader.yaml_constructors[node.tag](self._loader, node)
            return self._loader.construct_object(node)
        except (ValueError, OverflowError, LookupError, AttributeError):
            return node.value  # `2024-02-31`, ten thousand digits: text, as written

    def _mapping(self, node: yaml.Node) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        for name, value in node.value:
            if name.tag == _MERGE:
                merged.update(self._merge(value))
                continue
            key = self._key(name)
            if key in result:
                self._duplicate(name)
            result[key] = self.build(value)
        return {**merged, **result} if merged else result

    def _merge(self, node: yaml.Node) -> dict[Any, Any]:
        value = self.build(node)
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
