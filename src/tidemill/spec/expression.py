"""The grammar of `${{ … }}` and `$[[ … ]]`: one parser, rendered by whoever knows the values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from tidemill.base.frozen import frozen

_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+)*\Z")


@frozen
class Reference:
    """`${{ a.b.c }}`; `path` is its parts, `start` its place in the text."""

    path: tuple[str, ...]
    start: int
    text: str

    @property
    def dotted(self) -> str:
        """The parts joined by dots."""
        return ".".join(self.path)

    @property
    def is_valid(self) -> bool:
        """Whether what stands inside the braces is a dotted name at all."""
        return _PATH.match(self.dotted) is not None


@frozen
class Optional:
    """`$[[ … ]]`: vanishes when a reference inside has no value."""

    parts: tuple[str | Reference, ...]
    start: int


Part = str | Reference | Optional
Lookup = Callable[[Reference], str | None]


@frozen
class Template:
    """Text with references. Equal texts give equal templates."""

    text: str
    parts: tuple[Part, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every reference, inside optional groups too, in order."""
        return tuple(self._walk())

    def _walk(self) -> Iterator[Reference]:
        for part in self.parts:
            if isinstance(part, Reference):
                yield part
            elif isinstance(part, Optional):
                yield from (p for p in part.parts if isinstance(p, Reference))

    @property
    def required(self) -> tuple[Reference, ...]:
        """References outside optional groups."""
        return tuple(p for p in self.parts if isinstance(p, Reference))

    @property
    def is_bare(self) -> bool:
        """Whether the text is exactly one reference, so that its value keeps its type."""
        return len(self.parts) == 1 and isinstance(self.parts[0], Reference)

    def render(self, lookup: Lookup) -> str:
        """The text with every reference replaced; a group whose lookup gives None vanishes; None elsewhere is empty."""
        out: list[str] = []
        for part in self.parts:
            if isinstance(part, str):
                out.append(part)
            elif isinstance(part, Reference):
                out.append(lookup(part) or "")
            else:
                out.append(_render_group(part, lookup))
        return "".join(out)


def _render_group(group: Optional, lookup: Lookup) -> str:
    out: list[str] = []
    for part in group.parts:
        if isinstance(part, str):
            out.append(part)
            continue
        value = lookup(part)
        if value is None:
            return ""
        out.append(value)
    return "".join(out)


@lru_cache(maxsize=65536)
def parse_template(text: str) -> Template:
    """Parse text. A `$[[ … ]]` without a reference inside is plain text, as Azure passes it through."""
    parts: list[Part] = []
    place = 0
    for start, end in _groups(text):
        inner = _parse_plain(text[start + 3 : end - 2], start + 3)
        if not any(isinstance(p, Reference) for p in inner):
            continue
        parts += _parse_plain(text[place:start], place)
        parts.append(Optional(tuple(inner), start))
        place = end
    parts += _parse_plain(text[place:], place)
    return Template(text, tuple(_joined(parts)))


def _groups(text: str) -> Iterator[tuple[int, int]]:
    """Spans of `$[[ … ]]`; a `]]` inside `${{ }}` does not end one."""
    place = text.find("$[[")
    while place >= 0:
        end = text.find("]]", place + 3)
        if end < 0:
            return
        yield place, end + 2
        place = text.find("$[[", end + 2)


def _parse_plain(text: str, offset: int) -> list[str | Reference]:
    """By plain search, not a pattern: an unclosed `${{` must not cost a look at the rest of the text each time."""
    parts: list[str | Reference] = []
    place = 0
    while (start := text.find("${{", place)) >= 0 and (end := text.find("}}", start + 3)) >= 0:
        if start > place:
            parts.append(text[place:start])
        path = tuple(p.strip() for p in text[start + 3 : end].split("."))
        parts.append(Reference(path, offset + start, text[start : end + 2]))
        place = end + 2
    if place < len(text):
        parts.append(text[place:])
    return parts


def _joined(parts: list[Part]) -> Iterator[Part]:
    """Neighbouring texts as one, so that equal templates have equal parts."""
    pending = ""
    for part in parts:
        if isinstance(part, str):
            pending += part
            continue
        if pending:
            yield pending
            pending = ""
        yield part
    if pending:
        yield pending


def has_reference(value: Any) -> bool:  # noqa: ANN401 - any YAML value
    """Whether a value is text that holds `${{`."""
    return isinstance(value, str) and "${{" in value


def literal_text(value: Any) -> str:  # noqa: ANN401 - any scalar
    """A literal as a command sees it: Python's `str()`, as Azure (`true` → `True`, `1.10` → `1.1`)."""
    return str(value)
