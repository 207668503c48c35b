"""What pydantic says of a document → findings with a stable code, a place and a way out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from tidemill.base.findings import Finding, Severity
from tidemill.base.suggest import did_you_mean
from tidemill.spec.fields import Later
from tidemill.spec.source import Source

CODES = {
    "missing": "TM-D102",
    "extra_forbidden": "TM-D101",
    "literal_error": "TM-D103",
    "enum": "TM-D103",
    "union_tag_invalid": "TM-D103",
    "string_pattern_mismatch": "TM-D103",
    "union_tag_not_found": "TM-D109",
    "dict_type": "TM-D109",
    "list_type": "TM-D109",
    "model_type": "TM-D109",
    "model_attributes_type": "TM-D109",
    "invalid_key": "TM-D109",
}
RANGES = {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "too_short", "too_long"}
KEY = "[key]"  # how pydantic says that a key, not its value, is wrong
PLACES_OF_KEYS = {"TM-D101", "TM-D106"}
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
WANTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
}  # `int_parsing`, `string_type`
SHAPES = {
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
}


def findings_of(exc: ValidationError, model: type[BaseModel], source: Source, data: Any) -> list[Finding]:  # noqa: ANN401
    """One finding for each mistake; several complaints about one value are one mistake."""
    found: dict[tuple[str, str], Finding] = {}
    errors = exc.errors(include_url=False)
    misspelt = _misspelt(errors)
    for error in errors:
        if error["type"] == "missing" and error["loc"] in misspelt:
            continue
        finding = _finding(error, model, source, data)
        found.setdefault((finding.path, finding.code if finding.code == "TM-D101" else ""), finding)
    return list(found.values())


def _misspelt(errors: Sequence[ErrorDetails]) -> set[tuple[int | str, ...]]:
    """Required fields that are there under a wrong name: the unknown field's finding says all."""
    unknown: dict[tuple[int | str, ...], list[str]] = defaultdict(list)
    for error in errors:
        if error["type"] == "extra_forbidden":
            unknown[error["loc"][:-1]].append(str(error["loc"][-1]))
    missing = [e["loc"] for e in errors if e["type"] == "missing"]
    return {loc for loc in missing if get_close_matches(str(loc[-1]), unknown.get(loc[:-1], ()), n=1, cutoff=0.6)}


def written_path(loc: Sequence[int | str], data: Any) -> tuple[int | str, ...]:  # noqa: ANN401
    """The part of pydantic's location that is keys and places of the file: members of unions are named there too."""
    path: list[int | str] = []
    for number, part in enumerate(loc):
        try:
            if isinstance(data, str):
                continue
            data = data[part]
        except (LookupError, TypeError):
            is_absent_key = number + 1 == len(loc) and isinstance(data, Mapping) and not str(part).startswith("#")
            if not is_absent_key:
                continue
        path.append(part)
    return tuple(path)


def _finding(error: ErrorDetails, model: type[BaseModel], source: Source, data: Any) -> Finding:  # noqa: ANN401
    path = written_path(error["loc"], data)
    is_key = error["type"] == "invalid_key" or path[-1:] == (KEY,)
    path = path[:-1] if path[-1:] == (KEY,) else path
    if is_key:
        place = source.locate(path, key=True)
        return Finding("TM-D109", Severity.ERROR, f"The key `{path[-1]}` is not text", "Quote it.", place, dotted(path))
    code = _code(error["type"])
    if error["type"] == "union_tag_not_found" and isinstance(error["input"], Mapping):
        code = "TM-D102"
    if error["type"] == "union_tag_invalid":
        path = (*path, *_tagged_by(error))
    at = source.locate(path, key=code in PLACES_OF_KEYS)
    message, hint = _words(error, path, model)
    return Finding(code, Severity.ERROR, message, hint, at, dotted(path))


def _tagged_by(error: ErrorDetails) -> tuple[str, ...]:
    """The key whose word chose no member of the union: `type`, `task`."""
    wrong = str(error.get("ctx", {}).get("tag", "")).lstrip("#").replace("_", "").casefold()
    items = error["input"].items() if isinstance(error["input"], Mapping) else ()
    words = {key: value.replace("_", "").casefold() for key, value in items if isinstance(value, str)}
    return tuple(key for key in ("type", "task", *words) if words.get(key) == wrong)[:1]


def dotted(path: tuple[int | str, ...]) -> str:
    """`jobs.train.inputs[0]`."""
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return text.lstrip(".")


def _code(kind: str) -> str:
    if kind.startswith("TM-"):
        return kind
    if kind in RANGES:
        return "TM-D105"
    return CODES.get(kind, "TM-D104")


def _words(error: ErrorDetails, path: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, str]:
    kind, value = error["type"], error["input"]
    name = path[-1] if path else "document"
    where = f" in `{dotted(path[:-1])}`" if len(path) > 1 else ""
    context = error.get("ctx", {})
    if kind == "missing":
        return f"Required field `{name}` is missing{where}", f"Add `{name}:`."
    if kind == "extra_forbidden":
        return f"Unknown field `{name}`{where}", did_you_mean(str(name), known_fields(model, error["loc"][:-1]))
    if kind == "union_tag_invalid":
        expected = str(context.get("expected_tags", "")).replace("#", "").replace("'", "`")
        return (
            f"Unknown {name if path else 'type'} `{str(context.get('tag', '')).lstrip('#')}`{where}",
            f"One of {expected}.",
        )
    if kind == "union_tag_not_found":
        if not isinstance(value, Mapping):
            return f"`{name}` must be a mapping with a `type`, not {describe(value)}{where}", ""
        return f"`{name}`{where} does not say of which kind it is", "Add `type:`, or `task:` of an AutoML job."
    return _value_words(error, path, where)


def _value_words(error: ErrorDetails, path: tuple[int | str, ...], where: str) -> tuple[str, str]:
    """What is wrong with one value."""
    kind, value = error["type"], error["input"]
    name = path[-1] if path else "document"
    context = error.get("ctx", {})
    if kind in {"literal_error", "enum"}:
        expected = str(context.get("expected", "")).replace("'", "`")
        return f"`{name}` cannot be `{_short(value)}`{where}", f"One of {expected}."
    if kind in SHAPES:
        return f"`{name}` must be {SHAPES[kind]}, not {describe(value)}{where}", ""
    if kind.startswith("TM-"):
        return (f"{error['msg']}" + (f" (`{dotted(path)}`)" if path else ""), "")
    bounds = [f"{word} {context[key]}" for key, word in BOUNDS.items() if key in context]
    if bounds:
        return f"`{name}` must be {bounds[0]}, not {describe(value)}{where}", ""
    wanted = WANTED.get(kind.rpartition("_")[0] if kind != "int_from_float" else "int")
    if wanted is not None:
        return f"`{name}` must be {wanted}, not {describe(value)}{where}", ""
    return f"`{name}`{where}: {_gentle(error['msg'])}, not {describe(value)}", ""


def _gentle(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input ").rstrip(".")


def describe(value: Any) -> str:  # noqa: ANN401 - any YAML value
    """A value in words, bounded: a list, nothing, the text `x`."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    kind = {bool: "the boolean", int: "the number", float: "the number", str: "the text"}.get(type(value), "the value")
    return f"{kind} `{_short(value)}`"


def _short(value: Any) -> str:  # noqa: ANN401
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - a line's worth


def known_fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The fields that are allowed at `loc`, for suggestions."""
    return sorted({f.alias or n for m in models_at(model, loc) for n, f in m.model_fields.items()})


def models_at(model: Any, loc: tuple[int | str, ...]) -> list[type[BaseModel]]:  # noqa: ANN401 - a model, or a union
    """The models that may stand at `loc`, as pydantic writes it."""
    places: list[Any] = [model]
    for part in loc:
        places = [after for place in places for after in _after(place, part)]
    return [m for place in places for _, m in _peel(place) if isinstance(m, type) and issubclass(m, BaseModel)]


def _after(place: Any, part: int | str) -> Iterator[Any]:  # noqa: ANN401 - annotations have no common type
    for tag, kind in _peel(place):
        if isinstance(part, str) and part.startswith("#"):
            if tag == part:
                yield kind
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            kind.model_rebuild()  # fields whose type is declared later are only names until now
            fields = {f.alias or n: f for n, f in kind.model_fields.items()}
            if part in fields:
                yield fields[str(part)].annotation
        elif get_origin(kind) in {dict, list, tuple}:
            yield get_args(kind)[-1]


def _peel(annotation: Any) -> Iterator[tuple[str | None, Any]]:  # noqa: ANN401
    """Members of unions with their tags."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *extras = get_args(annotation)
        tag = next((e.tag for e in extras if isinstance(e, Tag)), None)
        inner = next((e.model for e in extras if isinstance(e, Later)), inner)
        for under, kind in _peel(inner):
            yield tag or under, kind
    elif origin in {Union, UnionType}:
        for member in get_args(annotation):
            yield from _peel(member)
    else:
        yield None, annotation
