"""What helm makes of the few constructs of our charts."""

from __future__ import annotations

import re
from functools import reduce
from textwrap import indent
from typing import Any

import yaml


def fill(text: str, values: dict[str, Any]) -> str:
    """What helm makes of the few constructs of our templates."""

    def value(path: str) -> Any:
        return reduce(lambda found, part: found[part], path.split("."), values)

    def many(found: re.Match[str]) -> str:
        depth = int(found[2])
        return "\n" + indent(yaml.safe_dump(value(found[1]), sort_keys=False, width=1000).rstrip(), " " * depth)

    text = re.sub(
        r"\s*{{- with \.Values\.([\w.]+) }}\s*{{- toYaml \. (\| nindent \d+) }}\s*{{- end }}",
        lambda m: f"\n{{{{- toYaml .Values.{m[1]} {m[2]} }}}}" if value(m[1]) else "",
        text,
    )
    text = re.sub(r"\s*{{- toYaml \.Values\.([\w.]+) \| nindent (\d+) }}", many, text)
    text = re.sub(r'{{ \.Values\.existingKeysSecret \| default "([^"]+)" }}', r"\1", text)
    text = re.sub(r"{{ \.Values\.([\w.]+) }}", lambda m: str(value(m[1])), text)
    return text.replace("{{ .Release.Namespace }}", "mlops-ns")


def without_empty(item: Any) -> Any:
    """What a value may be set to later is there, empty, in the chart."""
    if isinstance(item, dict):
        return {k: without_empty(v) for k, v in item.items() if v not in ({}, [])}
    return [without_empty(v) for v in item] if isinstance(item, list) else item
