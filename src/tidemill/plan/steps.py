"""One entry under `jobs:` (or one stand-alone job) becomes a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidemill.base.errors import Location
from tidemill.base.frozen import frozen
from tidemill.base.ids import StepName
from tidemill.plan.automl import check_automl_body
from tidemill.plan.bind import UNKNOWN_TYPE, Binder
from tidemill.plan.graph import Distribution, InputBinding, Literal, OutputSpec, Resources, Step, StepKind, StepOutput
from tidemill.plan.problems import Problems
from tidemill.plan.resolve import Resolver
from tidemill.plan.scope import Place, Scope
from tidemill.spec.expression import has_reference, literal_text, parse_template
from tidemill.spec.fields import InputPort, InputValue, OutputPort, OutputValue
from tidemill.spec.load import Loaded

SWEEP_FIELDS = ("search_space", "sampling_algorithm", "objective", "limits", "early_termination")
PARALLEL_FIELDS = (
    "task", "input_data", "mini_batch_size", "partition_keys", "mini_batch_error_threshold", "error_threshold",
    "logging_level", "max_concurrency_per_instance", "retry_settings", "resources",
)  # fmt: skip
SPARK_FIELDS = ("entry", "py_files", "jars", "files", "archives", "conf", "resources")
AUTOML_DATA = ("training_data", "validation_data", "test_data")
DEFAULT_COMPUTE_WORDS = frozenset({"azureml:serverless", "serverless"})


@frozen
class Definition:
    """What runs: a component's document, or the step itself when it is inline. `place` is where it is written."""

    document: Any
    place: Place
    name: str | None

    @property
    def ports(self) -> Mapping[str, InputPort] | None:
        """Declared inputs; None for an inline step, which declares none."""
        return self.document.inputs if self.name is not None else None


@frozen
class Entry:
    """One entry under `jobs:`: its name, what it says, the pipeline around it and where it stands."""

    name: str
    step: Any
    scope: Scope
    place: Place
    at: Location

    @property
    def full_name(self) -> StepName:
        """Its name in the flat plan."""
        return StepName(self.scope.full(self.name))


class StepMaker:
    """Makes steps; knows every kind's fields."""

    def __init__(self, resolver: Resolver, binder: Binder, problems: Problems) -> None:
        self._resolver = resolver
        self._binder = binder
        self._problems = problems

    def command(self, entry: Entry, definition: Definition) -> Step:
        """A command step, from a component or inline, or a stand-alone command job."""
        step, scope, place = entry.step, entry.scope, entry.place
        document = definition.document
        inputs = self._binder.inputs(step.inputs, definition.ports, scope, place)
        command = parse_template(document.command)
        self._check_command(command.references, definition, step)
        return Step(
            name=entry.full_name,
            kind=StepKind.COMMAND,
            display_name=step.display_name or "",
            command=command,
            code=self._resolver.code(document.code, definition.place),
            additional_includes=self._includes(document, definition),
            environment=self._resolver.environment(
                getattr(step, "environment", None) or document.environment,
                place if getattr(step, "environment", None) else definition.place,
            ),
            inputs=inputs,
            outputs=self._outputs(entry, definition),
            environment_variables=self._variables(step, document),
            compute=self._compute(step, scope),
            resources=self._resources(step, document, scope, place),
            distribution=self._distribution(step, document, scope, place),
            timeout_s=self._timeout(step, document, scope, place),
            deterministic=_deterministic(step, document),
            at=entry.at,
            component=definition.name,
        )

    def register_model(self, entry: Entry) -> Step:
        """The built-in component of the public registry."""
        step, scope, place = entry.step, entry.scope, entry.place
        inputs = self._binder.inputs(step.inputs, None, scope, place)
        outputs = self._outputs(entry, Definition(step, place, None))
        for wanted in ("model_name", "model_path"):
            if wanted not in inputs and wanted not in step.inputs:
                self._problems.error(
                    "TM-B101", f"`register_model` needs the input `{wanted}`", entry.at, path=place.dotted("inputs")
                )
        return Step(
            name=entry.full_name,
            kind=StepKind.REGISTER_MODEL,
            display_name=step.display_name or "",
            inputs=inputs,
            outputs={"registration_details_folder": OutputSpec()} | outputs,
            compute=self._compute(step, scope),
            deterministic=True,
            at=entry.at,
            component="register_model",
        )

    def special(self, kind: StepKind, entry: Entry, definition: Definition) -> Step:
        """A sweep, parallel, Spark or AutoML step: its own settings go into `body`."""
        step, scope, place = entry.step, entry.scope, entry.place
        if kind is StepKind.SWEEP and isinstance(definition.document.trial, str):
            found = self._resolver.component(definition.document.trial, definition.place)
            if not isinstance(found, Loaded):
                return Step(name=entry.full_name, kind=kind, at=entry.at)
            whole = definition.document.model_copy(update={"trial": found.document})
            definition = Definition(whole, Place(found), definition.name)
        document = definition.document
        inner, inner_place = _inner(kind, document), definition.place
        given = getattr(step, "inputs", None)
        values, ports = dict(given) if isinstance(given, Mapping) else {}, definition.ports
        if kind is StepKind.AUTOML:
            values |= {f: v for f in AUTOML_DATA if isinstance(v := getattr(document, f, None), InputValue | str)}
        if kind is StepKind.SWEEP and ports is None and hasattr(inner, "inputs"):
            ports = inner.inputs
        searched = _dump(getattr(step, "search_space", None) or getattr(document, "search_space", None) or {})
        if ports is not None:
            ports = {n: p for n, p in ports.items() if n not in searched or n in values}
        text = _command_of(kind, document, inner)
        environment = getattr(inner, "environment", None) or getattr(document, "environment", None)
        body = _fill(_body(kind, step, document), scope.inputs)
        if kind is StepKind.AUTOML:
            check_automl_body(body, definition.place, self._problems)
        return Step(
            name=entry.full_name,
            kind=kind,
            display_name=step.display_name or "",
            command=parse_template(text) if text is not None else None,
            code=self._resolver.code(getattr(inner, "code", None) or getattr(document, "code", None), inner_place),
            additional_includes=self._includes(inner if kind is StepKind.SWEEP else document, definition),
            environment=self._resolver.environment(environment, inner_place),
            inputs=self._binder.inputs(values, ports, scope, place),
            outputs=self._outputs(entry, self._outputs_of(definition, inner)),
            environment_variables=self._variables(step, inner),
            compute=self._compute(step, scope),
            resources=self._resources(step, inner if kind is StepKind.SWEEP else document, scope, place),
            distribution=self._distribution(None, inner, scope, place) if kind is StepKind.SWEEP else None,
            deterministic=_deterministic(step, inner if kind is StepKind.SWEEP else document),
            at=entry.at,
            component=definition.name,
            body=body,
        )

    def _outputs_of(self, definition: Definition, inner: Any) -> Definition:  # noqa: ANN401
        """Outputs are declared by the component, or by the trial inside it."""
        if inner is definition.document or not getattr(inner, "outputs", None):
            return definition
        return Definition(inner, definition.place, definition.name or "inline")

    def _outputs(self, entry: Entry, definition: Definition) -> dict[str, OutputSpec]:
        step, place = entry.step, entry.place
        declared: Mapping[str, Any] = definition.document.outputs if definition.name is not None else {}
        specs = {n: _spec_of(port) for n, port in declared.items()}
        for output, value in step.outputs.items():
            if definition.name is not None and output not in declared:
                self._problems.error(
                    "TM-B103",
                    f"The component has no output `{output}`",
                    place.at("outputs", output),
                    path=place.dotted("outputs", output),
                )
                continue
            specs[output] = self.output(entry, output, value, specs.get(output))
        return specs

    def output(self, entry: Entry, output: str, value: Any, declared: OutputSpec | None) -> OutputSpec:  # noqa: ANN401
        """A declared output with what the job says of it; one that is the pipeline's is noted as such."""
        scope, place = entry.scope, entry.place
        base = declared or OutputSpec()
        if isinstance(value, OutputValue):
            text, own = value.path, value
        else:
            text, own = value, OutputValue()
        if not has_reference(text) or "parent.outputs" not in (text or ""):
            return _merge(base, own)
        (reference,) = parse_template(text or "").references or (None,)
        wanted = ".".join(reference.path[2:]) if reference else ""
        if wanted not in scope.wanted:
            self._problems.error(
                "TM-B104",
                f"The pipeline has no output `{wanted}`",
                place.at("outputs", output),
                path=place.dotted("outputs", output),
            )
            return base
        scope.outputs[wanted] = StepOutput(entry.full_name, output, "", UNKNOWN_TYPE)
        parent = scope.wanted[wanted]
        merged = _merge(base, own.model_copy(update={"path": None}))
        return _merge(merged, parent, keep_type=declared is not None) if isinstance(parent, OutputValue) else merged

    def _includes(self, document: Any, definition: Definition) -> tuple[Path, ...]:  # noqa: ANN401
        found = (
            self._resolver.code(text, definition.place) for text in getattr(document, "additional_includes", None) or ()
        )
        return tuple(path for path in found if path is not None)

    def _variables(self, step: Any, document: Any) -> dict[str, str]:  # noqa: ANN401
        own = getattr(step, "environment_variables", None) or {}
        return {**(getattr(document, "environment_variables", None) or {}), **own}

    def _compute(self, step: Any, scope: Scope) -> str | None:  # noqa: ANN401
        text = getattr(step, "compute", None) or scope.compute
        if text is None:
            return None
        rendered = parse_template(text).render(lambda r: _literal_input(r.path, scope.inputs))
        return rendered.removeprefix("azureml:") or None

    def _resources(self, step: Any, document: Any, scope: Scope, place: Place) -> Resources:  # noqa: ANN401
        found = getattr(step, "resources", None) or getattr(document, "resources", None)
        reserved = self._resolver.reserve(self._compute(step, scope))
        if found is None:
            return reserved
        count = self._whole(
            getattr(found, "instance_count", None), 1, scope, place.below("resources", "instance_count"), least=1
        )
        shm_size = getattr(found, "shm_size", None) or ""
        wished = getattr(found, "instance_type", None) or ""
        kind = parse_template(wished if isinstance(wished, str) else wished[0])
        machine = kind.render(lambda r: _literal_input(r.path, scope.inputs))
        return replace(reserved, instance_count=count, shm_size=shm_size, instance_type=machine)

    def _distribution(self, step: Any, document: Any, scope: Scope, place: Place) -> Distribution | None:  # noqa: ANN401
        found = getattr(step, "distribution", None) or getattr(document, "distribution", None)
        if found is None:
            return None
        at = place.below("distribution")
        return Distribution(
            found.type,
            self._whole(found.process_count_per_instance, 1, scope, at.below("process_count_per_instance"), least=1),
            self._whole(found.worker_count, 0, scope, at.below("worker_count"), least=1),
            self._whole(found.parameter_server_count, 0, scope, at.below("parameter_server_count")),
            found.model_dump(exclude_none=True, exclude={"type"}),
        )

    def _timeout(self, step: Any, document: Any, scope: Scope, place: Place) -> float | None:  # noqa: ANN401
        limits = getattr(step, "limits", None) or getattr(document, "limits", None)
        if limits is None or limits.timeout is None:
            return None
        return float(self._whole(limits.timeout, 0, scope, place.below("limits", "timeout"))) or None

    def _whole(self, value: Any, default: int, scope: Scope, place: Place, *, least: int = 0) -> int:  # noqa: ANN401
        """A whole number that may be an expression: what it is bound to is only known now."""
        if value is None:
            return default
        text = literal_text(value)
        if has_reference(text):
            text = parse_template(text).render(lambda r: _literal_input(r.path, scope.inputs))
        try:
            number = int(float(text))
        except (ValueError, OverflowError):
            self._problems.error("TM-D104", f"`{text}` is not a whole number", place.at(), path=place.dotted())
            return default
        if number < least:
            name = place.dotted().rpartition(".")[2]
            text = f"`{name}` must be at least {least}, not {number}"
            self._problems.error("TM-D105", text, place.at(), path=place.dotted())
            return default
        return number

    def _check_command(self, references: Any, definition: Definition, step: Any) -> None:  # noqa: ANN401
        """A command that uses what nobody declares fails when it starts: say so now."""
        document = definition.document
        inputs = set(document.inputs) | (set(step.inputs) if definition.name is None else set())
        outputs = set(document.outputs) | (set(step.outputs) if definition.name is None else set())
        for reference in references:
            kind, rest = reference.path[0], ".".join(reference.path[1:])
            known = {"inputs": inputs, "outputs": outputs}.get(kind)
            if known is not None and rest not in known and rest.removesuffix(".path") not in known:
                where = definition.place
                self._problems.error(
                    "TM-B108",
                    f"The command uses `{reference.text}`, which is not declared",
                    where.at("command"),
                    path=where.dotted("command"),
                )


def _literal_input(path: tuple[str, ...], inputs: Mapping[str, InputBinding]) -> str | None:
    """`parent.inputs.x`, as text."""
    found = inputs.get(".".join(path[2:])) if path[:2] == ("parent", "inputs") else None
    return found.text if isinstance(found, Literal) else None


def _deterministic(step: Any, document: Any) -> bool:  # noqa: ANN401
    """Azure reuses what does not say that it must not be."""
    own = getattr(step, "is_deterministic", None)
    return (getattr(document, "is_deterministic", None) if own is None else own) is not False


def _spec_of(port: OutputPort) -> OutputSpec:
    return OutputSpec(type=port.type, mode=port.mode or "rw_mount")


def _merge(base: OutputSpec, value: OutputValue, *, keep_type: bool = False) -> OutputSpec:
    """A declared output with what a job says about it."""
    return OutputSpec(
        type=base.type if keep_type or value.type is None else value.type,
        mode=value.mode or base.mode,
        destination=value.path or base.destination,
        asset_name=value.name or base.asset_name,
        asset_version=value.version or base.asset_version,
    )


def _inner(kind: StepKind, document: Any) -> Any:  # noqa: ANN401
    """Where the command and code of a special job are written."""
    if kind is StepKind.SWEEP:
        return document.trial
    if kind is StepKind.PARALLEL:
        return document.task
    return document


def _command_of(kind: StepKind, document: Any, inner: Any) -> str | None:  # noqa: ANN401
    match kind:
        case StepKind.SWEEP:
            return str(inner.command)
        case StepKind.PARALLEL:
            return str(getattr(inner, "program_arguments", None) or "")
        case StepKind.SPARK:
            return str(document.args or "")
        case _:
            return None


def _body(kind: StepKind, step: Any, document: Any) -> dict[str, Any]:  # noqa: ANN401
    """A kind's own settings as plain values; what the step says wins over its component."""
    if kind is StepKind.AUTOML:
        skip = {
            *AUTOML_DATA,
            "inputs",
            "outputs",
            "name",
            "display_name",
            "tags",
            "properties",
            "description",
            "schema_",
        }
        plain: dict[str, Any] = document.model_dump(mode="json", exclude_none=True, exclude=skip)
        return plain
    names = {StepKind.SWEEP: SWEEP_FIELDS, StepKind.PARALLEL: PARALLEL_FIELDS, StepKind.SPARK: SPARK_FIELDS}[kind]
    body: dict[str, Any] = {}
    for name in names:
        value = getattr(step, name, None)
        value = getattr(document, name, None) if value is None else value
        if value is not None:
            body[name] = _dump(value)
    return body


def _fill(value: Any, inputs: Mapping[str, InputBinding]) -> Any:  # noqa: ANN401
    """Plain values with the pipeline's own inputs filled in; what only the step knows stays."""
    if isinstance(value, str):
        if "parent.inputs" not in value:
            return value
        return parse_template(value).render(
            lambda r: _literal_input(r.path, inputs) if r.path[:2] == ("parent", "inputs") else r.text
        )
    if isinstance(value, Mapping):
        return {k: _fill(v, inputs) for k, v in value.items()}
    return [_fill(v, inputs) for v in value] if isinstance(value, list) else value


def _dump(value: Any) -> Any:  # noqa: ANN401
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        return {k: _dump(v) for k, v in value.items()}
    return value
