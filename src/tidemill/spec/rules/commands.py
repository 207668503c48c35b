"""The command line of a job or component: it may use only what is declared, optional inputs only where they may vanish."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tidemill.base.findings import Finding
from tidemill.base.suggest import closest, did_you_mean
from tidemill.spec.expression import Reference, parse_template
from tidemill.spec.rules.context import Context, Path_

_LOOSE = re.compile(r"\$\[\[")
PORT_PARTS = 2


def check_command(context: Context) -> Iterator[Finding]:
    """A command job's or component's own command."""
    document = context.document
    yield from command_findings(context, document.command, document.inputs, document.outputs, ("command",))


def command_findings(
    context: Context, command: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any], path: Path_
) -> Iterator[Finding]:
    """Findings of one command text, given the declared inputs and outputs."""
    template = parse_template(command)
    required = set(template.required)
    said: set[str] = set()
    for reference in template.references:
        finding = _reference(context, reference, inputs, outputs, path)
        if finding is None and reference in required:
            finding = _optional(context, reference, inputs, path)
        if finding is not None and finding.message not in said:
            said.add(finding.message)
            yield finding


def _reference(
    context: Context, reference: Reference, inputs: Mapping[str, Any], outputs: Mapping[str, Any], path: Path_
) -> Finding | None:
    if not reference.is_valid:
        return context.finding_at_text(
            "TM-B111",
            f"`{reference.text}` is not an expression",
            path,
            reference.text,
            hint="Write `${{inputs.name}}`.",
        )
    root, *rest = reference.path
    if root == "parent":
        return context.finding_at_text(
            "TM-B110",
            f"`{reference.text}` cannot stand in a command",
            path,
            reference.text,
            hint="Bind it to an input of the step and use `${{inputs.name}}`.",
        )
    ports = {"inputs": inputs, "outputs": outputs}.get(root)
    if ports is None or not rest:
        return (
            None if root in {"search_space", "name", "default_datastore"} else _unknown_root(context, reference, path)
        )
    name = rest[0]
    if name in ports or (name not in ports and ".".join(rest) in ports):
        return None
    kind = root.removesuffix("s")
    hint = did_you_mean(name, ports) or f"Declare it under `{root}:`."
    return context.finding_at_text(
        "TM-B108", f"The command uses {kind} `{name}`, which is not declared", path, reference.text, hint=hint
    )


def _unknown_root(context: Context, reference: Reference, path: Path_) -> Finding:
    near, rest = closest(reference.path[0], ("inputs", "outputs")), ".".join(reference.path[1:])
    return context.finding_at_text(
        "TM-B110",
        f"`{reference.text}` has no meaning in a command",
        path,
        reference.text,
        hint=f"Did you mean `{near}.{rest}`?" if near else "Known: `inputs.…`, `outputs.…`.",
    )


def _optional(context: Context, reference: Reference, inputs: Mapping[str, Any], path: Path_) -> Finding | None:
    if reference.path[0] != "inputs" or len(reference.path) < PORT_PARTS:
        return None
    port = inputs.get(reference.path[1])
    if getattr(port, "optional", None) is not True or getattr(port, "default", None) is not None:
        return None
    name = reference.path[1]
    return context.finding_at_text(
        "TM-B109",
        f"The optional input `{name}` stands outside `$[[ ]]`",
        path,
        reference.text,
        hint=f"Write `$[[--{name} ${{{{inputs.{name}}}}}]]`.",
    )
