"""Values of documents become bindings: text, data, another step's output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidemill.base.ids import StepName
from tidemill.base.suggest import did_you_mean
from tidemill.plan.graph import READ_ONLY, DataInput, InputBinding, Literal, StepOutput
from tidemill.plan.problems import Problems
from tidemill.plan.resolve import Resolver
from tidemill.plan.scope import Place, Scope
from tidemill.spec.expression import Reference, has_reference, literal_text, parse_template
from tidemill.spec.fields import PRIMITIVES, InputPort, InputValue

UNKNOWN_TYPE = ""


class Binder:
    """Turns what documents say about inputs into bindings."""

    def __init__(self, resolver: Resolver, problems: Problems) -> None:
        self._resolver = resolver
        self._problems = problems

    def inputs(
        self, values: Mapping[str, Any], ports: Mapping[str, InputPort] | None, scope: Scope, place: Place
    ) -> dict[str, InputBinding]:
        """Bindings of a step's inputs, defaults filled in; `ports=None` for one that declares none."""
        bound: dict[str, InputBinding] = {}
        for name, value in values.items():
            port = ports.get(name) if ports is not None else None
            if ports is not None and port is None:
                self._problems.error(
                    "TM-B102",
                    f"Unknown input `{name}`",
                    place.at("inputs", name),
                    hint=did_you_mean(name, ports),
                    path=place.dotted("inputs", name),
                )
                continue
            binding = self.value(value, port, scope, place.below("inputs", name))
            if binding is not None:
                bound[name] = binding
        return bound | self._defaults(values, bound, ports or {}, place)

    def _defaults(
        self,
        values: Mapping[str, Any],
        bound: Mapping[str, InputBinding],
        ports: Mapping[str, InputPort],
        place: Place,
    ) -> dict[str, InputBinding]:
        found: dict[str, InputBinding] = {}
        for name, port in ports.items():
            if name in bound:
                continue
            if port.default is not None:
                found[name] = default_of(port)
            elif not port.optional and name not in values:
                self._problems.error(
                    "TM-B101",
                    f"Required input `{name}` is missing",
                    place.at(),
                    hint=f"Give it under `inputs:`, or with --set {place.dotted('inputs', name)}=…",
                    path=place.dotted("inputs", name),
                )
        return found

    def value(self, value: Any, port: InputPort | None, scope: Scope, place: Place) -> InputBinding | None:  # noqa: ANN401
        """The binding of one value; None when there is none (an optional nobody gave, or a problem noted)."""
        if isinstance(value, InputValue):
            return self._mapping(value, port, scope, place)
        if has_reference(value):
            return self._expression(value, port, scope, place)
        if port is not None and port.is_data and isinstance(value, str):
            return self._data(value, port.type, port.mode or READ_ONLY, place)
        return Literal(literal_text(value), value)

    def _mapping(self, value: InputValue, port: InputPort | None, scope: Scope, place: Place) -> InputBinding | None:
        kind = (port.type if port is not None else None) or value.type or "uri_folder"
        mode = value.mode or (port.mode if port is not None else None) or READ_ONLY
        if value.path is None:
            if value.value is not None:
                return self.value(value.value, port, scope, place)
            if not (port is not None and (port.optional or port.default is not None)):
                self._problems.error(
                    "TM-B101",
                    f"Input `{place.path[-1]}` has no value",
                    place.at(),
                    hint=f"Give it a `path:`, or --set {place.dotted('path')}=PATH",
                    path=place.dotted(),
                )
            return None
        if has_reference(value.path):
            found = self._expression(value.path, port, scope, place)
            return with_mode(found, value.mode, value.type if port is None else None)
        if kind in PRIMITIVES:
            return Literal(value.path, value.path)
        return self._data(value.path, kind, mode, place)

    def _data(self, text: str, kind: str, mode: str, place: Place) -> InputBinding | None:
        ref = self._resolver.data(text, kind, place)
        return DataInput(ref, mode, kind) if ref is not None else None

    def _expression(self, text: str, port: InputPort | None, scope: Scope, place: Place) -> InputBinding | None:
        template = parse_template(text)
        if template.is_bare:
            (reference,) = template.references
            found = self.reference(reference, scope, place)
            return shape(found, port) if found is not None else None
        rendered = template.render(lambda r: self._text(r, scope, place))
        return Literal(rendered, rendered)

    def _text(self, reference: Reference, scope: Scope, place: Place) -> str | None:
        found = self.reference(reference, scope, place)
        if isinstance(found, Literal):
            return found.text
        if isinstance(found, DataInput):
            return found.ref.uri
        if found is not None:
            self._problems.error("TM-B110", f"`{reference.text}` is a path, which cannot be part of a text", place.at())
        return None

    def reference(self, reference: Reference, scope: Scope, place: Place) -> InputBinding | None:
        """What `${{parent…}}` stands for in a scope."""
        match reference.path:
            case ("parent", "inputs", *rest) if rest:
                return self._parent_input(".".join(rest), scope, place)
            case ("parent", "jobs", job, "outputs", *rest) if rest:
                if job in scope.jobs:
                    return StepOutput(StepName(scope.full(job)), ".".join(rest), "", UNKNOWN_TYPE)
                self._nothing(reference, place, did_you_mean(job, scope.jobs))
            case ("search_space", *_):
                return Literal(reference.text, reference.text)
            case _:
                self._nothing(reference, place, "A step's inputs see `parent.inputs.x` and `parent.jobs.j.outputs.o`.")
        return None

    def _parent_input(self, name: str, scope: Scope, place: Place) -> InputBinding | None:
        if name in scope.inputs:
            return scope.inputs[name]
        if name not in scope.known_inputs:
            self._problems.error(
                "TM-B104",
                f"The pipeline has no input `{name}`",
                place.at(),
                hint=did_you_mean(name, scope.known_inputs),
                path=place.dotted(),
            )
        return None

    def _nothing(self, reference: Reference, place: Place, hint: str) -> None:
        self._problems.error(
            "TM-B104", f"`{reference.text}` stands for nothing here", place.at(), hint=hint, path=place.dotted()
        )


def default_of(port: InputPort) -> Literal:
    """A default as a command sees it: text for a `number` is read as the number it is."""
    value = port.default
    if isinstance(value, str) and port.type in {"number", "integer", "boolean"}:
        value = _read_number(value, port.type)
    return Literal(literal_text(value), value)


def _read_number(text: str, kind: str) -> Any:  # noqa: ANN401
    try:
        if kind == "boolean":
            return {"true": True, "false": False}[text.strip().casefold()]
        return float(text) if kind == "number" else int(text)
    except (ValueError, KeyError):
        return text


def shape(binding: InputBinding, port: InputPort | None) -> InputBinding:
    """A binding as its port wants it seen: the port decides about type and mode."""
    if port is None or isinstance(binding, Literal):
        return binding
    if isinstance(binding, DataInput):
        return DataInput(binding.ref, port.mode or binding.mode, port.type if port.is_data else binding.type)
    return StepOutput(binding.step, binding.output, port.mode or binding.mode, port.type)


def with_mode(binding: InputBinding | None, mode: str | None, kind: str | None) -> InputBinding | None:
    """A binding with what the step itself says about mode and type."""
    if binding is None or isinstance(binding, Literal) or not (mode or kind):
        return binding
    if isinstance(binding, DataInput):
        return DataInput(binding.ref, mode or binding.mode, kind or binding.type)
    return StepOutput(binding.step, binding.output, mode or binding.mode, kind or binding.type)
