"""What Kubernetes takes as a quantity, a name or a variable, and what a template left behind: refused before anything is sent."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

MIB = 2**20
LEAST_MEMORY = 6 * MIB  # container runtimes start nothing with less
VARIABLE_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*\Z")
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
PLACEHOLDER = re.compile(r"\$\{[^}]*\}|\{\{[^}]*\}\}|<[A-Z_]+>|__[A-Z][A-Z0-9_]*__|%%[^%\s]+%%|#\{[A-Za-z_]\w*\}#")
_EXPANDED = re.compile(r"(?<!\$)\$\(([^)\s]+)\)")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|[MGTPE]|[KMGTPE]i|e\d+)?\Z")
_UNITS = {"k": 10**3, **{u: 1000 ** (n + 2) for n, u in enumerate("MGTPE")}}
_BINARY = {f"{u}i": 1024 ** (n + 1) for n, u in enumerate("KMGTPE")}


def read_quantity(text: Any) -> float | None:  # noqa: ANN401 - any YAML value
    """A quantity (`256Mi`, `500m`, `2`) as a number; None for what Kubernetes does not read as one."""
    found = _QUANTITY.match(str(text)) if isinstance(text, str | int | float) and not isinstance(text, bool) else None
    if found is None:
        return None
    value, unit = float(found[1]), found[2] or ""
    if unit.startswith("e"):
        return value * 10.0 ** int(unit[1:])
    return value / 1000 if unit == "m" else value * float({**_UNITS, **_BINARY}.get(unit, 1))


def memory_problem(text: Any) -> str:  # noqa: ANN401
    """What is wrong with an amount of memory; empty for nothing."""
    number = read_quantity(text)
    if number is None or str(text).endswith("m"):
        return f"`{text}` is no amount of memory: write 512Mi or 2Gi"
    return "" if number >= LEAST_MEMORY else f"`{text}` is too little for a container to start: 2Gi, not 2"


def cpu_problem(text: Any) -> str:  # noqa: ANN401
    """What is wrong with a number of processors; empty for nothing."""
    number = read_quantity(text)
    if number is None or not re.fullmatch(r"[\d.]+m?", str(text)):
        return f"`{text}` is no number of processors: write 500m, 0.5 or 2"
    return "" if number >= 0.001 else f"`{text}` is less than a thousandth of a processor"  # noqa: PLR2004 - the API's own


def variable_problems(variables: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Name → what is wrong with an environment variable: its name, or a value that a template or nobody fills in."""
    for name, value in variables.items():
        if not VARIABLE_NAME.match(str(name)):
            yield str(name), f"`{name}` cannot name an environment variable: letters, digits, `_`, `-`, `.`"
        elif left := unresolved(str(value), defined=variables):
            yield str(name), f"`{name}` still holds `{left}`"


def unresolved(text: str, *, defined: Mapping[Any, Any] | None = None) -> str:
    """What a template should have filled in, or a `$(NAME)` that nothing defines; empty for nothing."""
    found = PLACEHOLDER.search(text)
    if found is not None:
        return found.group()
    return next((m.group() for m in _EXPANDED.finditer(text) if m[1] not in (defined or {})), "")


def image_problem(reference: str) -> str:
    """Why a base image may be another one tomorrow; empty when it says which it is."""
    if "@sha256:" in reference:
        return ""
    tag = reference.rpartition("/")[2].partition(":")[2]
    if tag in {"", "latest"}:
        said = "`:latest`" if tag else "no tag"
        return f"`{reference}` has {said}, which means another image tomorrow: name a version or a digest"
    return ""


def steps_problem(steps: Any) -> str:  # noqa: ANN401
    """What is wrong with a canary's steps; empty for nothing."""
    whole = isinstance(steps, list) and all(isinstance(s, int) and not isinstance(s, bool) for s in steps)
    if not whole:
        return ""  # said by the type of the field
    if any(not 0 < s <= 100 for s in steps):  # noqa: PLR2004 - per cent
        return f"`steps: {steps}` must be percentages, 1 to 100"
    return "" if all(a < b for a, b in itertools.pairwise(steps)) else f"`steps: {steps}` must rise"
