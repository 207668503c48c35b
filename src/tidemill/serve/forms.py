"""What a request carries besides its body, in the shapes Azure's scoring scripts know: headers, arguments, fields and files of forms."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import create_form_parser

MULTIPART, URLENCODED = "multipart/form-data", "application/x-www-form-urlencoded"


class Headers(dict[str, str]):
    """Names without regard to case, written As-Usual."""

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        super().__init__({name.title(): value for name, value in (given or {}).items()})

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.title())

    def __setitem__(self, name: str, value: object) -> None:
        super().__setitem__(name.title(), str(value))

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name.title())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).title())

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as dict.get
        """The value, or `default`."""
        return super().get(name.title(), default)

    def add(self, name: str, value: object) -> None:
        """One more value under that name, after a comma."""
        self[name] = f"{self[name]}, {value}" if name in self else value

    set, add_header = __setitem__, add


class Values(dict[str, Any]):
    """Names that may have several values; asked as a dict, each has its first."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__()
        self._all: dict[str, list[Any]] = {}
        for name, value in pairs:
            self.setdefault(name, value)
            self._all.setdefault(name, []).append(value)

    def get(self, name: str, default: Any = None, type: Callable[[Any], Any] | None = None) -> Any:  # noqa: A002, ANN401 - as Flask's
        """The first value, made what `type` makes of it; `default` where there is none, or it cannot be made."""
        if name not in self:
            return default
        try:
            return self[name] if type is None else type(self[name])
        except ValueError:
            return default

    def getlist(self, name: str) -> list[Any]:
        """All values."""
        return list(self._all.get(name, ()))

    def to_dict(self, flat: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - as Flask's
        """The first values, or all."""
        return dict(self) if flat else {name: list(values) for name, values in self._all.items()}


class Upload(io.BytesIO):
    """One file of a form; whatever reads files reads it."""

    def __init__(self, content: bytes, field: str, filename: str, content_type: str) -> None:
        super().__init__(content)
        self.name, self.filename, self.content_type = field, filename, content_type
        self.mimetype = content_type.partition(";")[0].strip().lower()

    @property
    def stream(self) -> Upload:
        """The file itself."""
        return self

    def save(self, place: str | Path) -> None:
        """Write it there."""
        with Path(place).open("wb") as file:
            shutil.copyfileobj(self, file)


def read_form(content_type: str, body: bytes) -> tuple[Values, Values]:
    """Fields and files of a form; of any other body none. `ValueError` when it is no form at all."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == URLENCODED:
        return Values(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)), Values()
    if kind != MULTIPART:
        return Values(), Values()
    fields: list[tuple[str, Any]] = []
    files: list[tuple[str, Any]] = []

    def take_field(field: Any) -> None:  # noqa: ANN401 - the library's own type
        fields.append((_text(field.field_name), _text(field.value)))

    def take_file(file: Any) -> None:  # noqa: ANN401
        file.file_object.seek(0)
        name = _text(file.field_name)
        content = file.file_object.read()
        files.append((name, Upload(content, name, _text(file.file_name), file.content_type or "")))

    headers = {"Content-Type": content_type.encode(), "Content-Length": str(len(body)).encode()}
    try:
        # the body is in memory already, and there may be no disk to write to
        parser = create_form_parser(headers, take_field, take_file, config={"MAX_MEMORY_FILE_SIZE": len(body)})
        parser.write(body)
        parser.finalize()
    except (FormParserError, AttributeError) as exc:
        raise ValueError(f"Not a multipart form: {exc}") from exc
    return Values(fields), Values(files)


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")
