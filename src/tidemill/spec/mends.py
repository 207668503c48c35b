"""Findings that need no judgement to mend: the text with the one place changed, everything else byte for byte as it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tidemill.base.findings import Finding

Mend = Callable[[str, int, Finding], str]

CREATED = re.compile(r"az\s+ml\s+job\s+create\b(?![^\n]*--stream)")
CREATED_LIST = re.compile(r"(?P<quote>[\"'])ml[\"'],\s*[\"']job[\"'],\s*[\"']create[\"'][^\]]*?(?P<end>,?\s*\])")
LATEST = re.compile(r"(?:--version|-v)[ =][\"']?latest\b[\"']?")
PLURAL = re.compile(r"(az\s+ml\s+(?:component|environment|model|job|compute|schedule|datastore))s\b")
NUMBER_OR_DATE = re.compile(r"[-+.\d][-+.:\w]*(?=\s*(?:[,}\]#\n\r]|$))")
OPTION = re.compile(r"(?<!\S)--?[\w-]+(?:[ ]+|=)[\"']?\Z")
NOT_TEXT = re.compile(r"must be text, not the (?:number|value)")


def mend(text: str, finding: Finding) -> str:
    """The text with this finding mended, or the text itself when that would take judgement."""
    place = _offset(text, finding)
    chosen = MENDS.get(finding.code)
    return text if chosen is None or place is None else chosen(text, place, finding)


def _offset(text: str, finding: Finding) -> int | None:
    start = 0
    for _ in range(finding.at.line - 1):
        start = text.find("\n", start) + 1
        if not start:
            return None
    end = text.find("\n", start)
    place = start + finding.at.column - 1
    return place if start <= place <= (end if end >= 0 else len(text)) else None


def _replace(text: str, found: re.Match[str] | None, new: str) -> str:
    return text if found is None else text[: found.start()] + new + text[found.end() :]


def _stream(text: str, place: int, _: Finding) -> str:
    """Not where the output is kept: with `--stream` it is the log."""
    before = text[text.rfind("\n", 0, place) + 1 : place]
    if "$(" in before or "`" in before:
        return text
    call = CREATED.match(text, place)
    if call:
        return _replace(text, call, f"{call.group()} --stream")
    words = CREATED_LIST.match(text, place)
    if words is None or "--stream" in words.group() or "#" in words.group():
        return text  # what is added after a comment would be a comment
    quote, end = words["quote"], words.start("end")
    return f"{text[:end]}, {quote}--stream{quote}{text[end:]}"


def _label(text: str, place: int, _: Finding) -> str:
    return _replace(text, LATEST.match(text, place), "--label latest")


def _singular(text: str, place: int, _: Finding) -> str:
    found = PLURAL.match(text, place)
    return _replace(text, found, found[1]) if found else text


def _whole_option(text: str, place: int, finding: Finding) -> str:
    short, whole = re.findall(r"`(--[\w-]+)`", finding.message)[:2]
    return _replace(text, re.compile(rf"{re.escape(short)}(?![\w-])").match(text, place), whole)


def _optional(text: str, place: int, _: Finding) -> str:
    """`--x ${{inputs.x}}` goes together; an option on the line before would stay behind, and is left alone."""
    end = re.compile(r"\$?\{?\{?[^}\n]*\}\}[\"']?").match(text, place)
    start = text.rfind("${{", 0, place + 3)
    option = OPTION.search(text[text.rfind("\n", 0, place) + 1 : start])
    if end is None or start < 0 or option is None:
        return text
    first = text.rfind("\n", 0, place) + 1 + option.start()
    return f"{text[:first]}$[[{text[first : end.end()]}]]{text[end.end() :]}"


def _quoted(text: str, place: int, finding: Finding) -> str:
    found = NUMBER_OR_DATE.match(text, place)
    if found is None or (finding.code == "TM-D104" and not NOT_TEXT.search(finding.message)):
        return text
    return _replace(text, found, f'"{found.group()}"')


MENDS: Mapping[str, Mend] = {
    "TM-B109": _optional,
    "TM-D104": _quoted,
    "TM-D107": _quoted,
    "TM-X01": _stream,
    "TM-X10": _label,
    "TM-X14": _singular,
    "TM-X15": _whole_option,
}
