"""Columns whose values are kept nowhere: hidden in records, in the warnings of answers, and in what failures write to the log."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from tidemill.base.suggest import did_you_mean

MASK = "***"
LOG = logging.getLogger("tidemill.serve")
SHORTEST = 3  # characters: a shorter value stands in any text by chance


def masked(value: Any, names: frozenset[str], *, bare: bool = True) -> Any:  # noqa: ANN401 - any JSON value
    """The same JSON value with what stands under `names` hidden, whatever their case; `bare` lists of values too, since they have no names."""
    return _hide(value, folded(names), bare=bare) if names else value


def folded(names: frozenset[str]) -> frozenset[str]:
    """Names as they are compared."""
    return frozenset(n.casefold() for n in names)


def _hide(value: Any, names: frozenset[str], *, bare: bool) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return [_hide(v, names, bare=bare) if isinstance(v, (dict, list)) else MASK if bare else v for v in value]
    if not isinstance(value, dict):
        return value
    columns, data = value.get("columns"), value.get("data")
    hidden = {k: MASK if k.casefold() in names else _hide(v, names, bare=bare) for k, v in value.items()}
    if isinstance(columns, list) and isinstance(data, list):
        hidden["columns"] = columns
        hidden["data"] = [_row(columns, row, names) for row in data]
    if "data" in value and str(value.get("name", "")).casefold() in names:  # a tensor of the Open Inference Protocol
        hidden["data"] = MASK
    if isinstance(value.get("warnings"), list):
        hidden["warnings"] = [_warning(w, names) for w in value["warnings"]]
    return hidden


def _row(columns: list[Any], row: Any, names: frozenset[str]) -> Any:  # noqa: ANN401
    if not isinstance(row, list) or len(row) != len(columns):
        return MASK
    return [MASK if str(c).casefold() in names else v for c, v in zip(columns, row, strict=True)]


def _warning(text: Any, names: frozenset[str]) -> Any:  # noqa: ANN401
    """A warning names its column first, and tells the value after it."""
    column = text.split("`", 2)[1] if isinstance(text, str) and text.startswith("`") and text.count("`") > 1 else ""
    return f"`{column}`: {MASK}" if column.casefold() in names else text


def check_names(names: frozenset[str], columns: Iterable[str]) -> None:
    """Say which masked names hide nothing of a model that has columns."""
    known = {c.casefold(): c for c in columns}
    for name in sorted(names) if known else ():
        if name.casefold() not in known:
            LOG.warning(
                "nothing is masked by `%s`: the model has no such column. %s", name, did_you_mean(name, known.values())
            )


def hide_values(text: str, raw: bytes, names: frozenset[str]) -> str:
    """A text about a request without the masked values of its body; all of the text goes where the body cannot be read."""
    if not names:
        return text
    try:
        body = msgspec.json.decode(raw)
        values = {str(v) for v in _differing(body, masked(body, names))}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"{MASK} (the body is not JSON: which of its values are masked cannot be told)"
    for value in sorted((v for v in values if len(v) >= SHORTEST), key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


@dataclass(frozen=True, slots=True)
class HideMasked:
    """A filter of a logger: the traceback of a failure, logged with the request's `body`, tells no masked value."""

    names: frozenset[str]

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, its traceback's text without those values."""
        body = getattr(record, "body", None)
        if record.exc_info and isinstance(body, bytes):
            record.exc_text = hide_values(logging.Formatter().formatException(record.exc_info), body, self.names)
        return True


def _differing(before: Any, after: Any) -> Iterator[Any]:  # noqa: ANN401
    """The leaves that masking hid."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            yield from _differing(value, after[name])
    elif isinstance(before, list) and isinstance(after, list):
        for value, hidden in zip(before, after, strict=True):
            yield from _differing(value, hidden)
    elif isinstance(before, (dict, list)):
        for value in before.values() if isinstance(before, dict) else before:
            yield from _differing(value, MASK)
    elif before != after:
        yield before
