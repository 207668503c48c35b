"""Gates as they are written: conditions in CEL over facts of a model version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tidemill.base.errors import UsageError
from tidemill.base.frozen import frozen
from tidemill.base.suggest import did_you_mean

ROOTS = ("metrics", "champion", "findings", "model", "latency", "fairness")
PART = r"""\.[A-Za-z_]\w*|\["[^"]+"\]|\['[^']+'\]"""
_NAME = re.compile(rf"(?<![\w.\"'])(?:{'|'.join(ROOTS)})(?:{PART})+")
_MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})  # their first argument names a variable
EXAMPLE = "Example: metrics.accuracy >= 0.95"


@frozen
class Rule:
    """One condition; `names` are the facts it speaks of, `parts` what `&&` joins in it."""

    text: str
    names: tuple[str, ...]
    parts: tuple[str, ...]


def parse_rule(text: str) -> Rule:
    """`metrics.accuracy >= 0.95` → Rule; `UsageError` when it is no condition, or speaks of no fact or of unknown ones.

    A name that is no word is written in brackets: `metrics["val/f1-score"] > 0.9`. The language is CEL
    (the Common Expression Language's definition, as Kubernetes uses it).
    """
    import celpy  # noqa: PLC0415 - an eighth of a second, for projects that have gates
    from celpy.celparser import CELParseError  # noqa: PLC0415

    try:
        tree = celpy.Environment().compile(text)
    except CELParseError as exc:
        raise UsageError(f"The gate `{text}` is not a condition (column {exc.column})", hint=EXAMPLE) from exc
    for name in _unknown(tree):
        raise UsageError(
            f"The gate `{text}` speaks of `{name}`, which is nothing gates know",
            hint=did_you_mean(name, ROOTS) or EXAMPLE,
        )
    names = names_in(text)
    if not names:
        known = ", ".join(f"{r}.…" for r in ROOTS)
        raise UsageError(f"The gate `{text}` speaks of no fact", hint=f"Known facts: {known}")
    return Rule(text, names, tuple(_parts(tree, text)))


def names_in(text: str) -> tuple[str, ...]:
    """The facts a condition, or a part of one, speaks of."""
    return tuple(dict.fromkeys(_NAME.findall(text)))


def _parts(tree: Any, text: str) -> Iterator[str]:  # noqa: ANN401 - lark's tree
    """What `&&` joins at the top of a condition; one without it is its own only part."""
    node = tree
    while len(node.children) == 1 and node.data != "conditionaland":
        node = node.children[0]
    if node.data == "conditionaland":
        yield from _joined(node, text)
    else:
        yield text


def _joined(node: Any, text: str) -> Iterator[str]:  # noqa: ANN401
    for child in node.children:
        if child.data == "conditionaland":
            yield from _joined(child, text)
        else:
            yield text[child.meta.start_pos : child.meta.end_pos]


def _unknown(tree: Any) -> Iterator[str]:  # noqa: ANN401
    """Names a condition begins with that are neither facts nor its own variables."""
    macros = [node for node in tree.find_data("member_dot_arg") if str(node.children[1]) in _MACROS]
    own = {str(next(node.children[2].children[0].find_data("ident")).children[0]) for node in macros}
    names = (str(node.children[0]) for node in tree.find_data("ident"))
    yield from (name for name in names if name not in own and name not in ROOTS)
