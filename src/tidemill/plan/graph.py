"""The resolved graph: what every later stage knows about a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.base.errors import Location
from tidemill.base.findings import Finding
from tidemill.base.frozen import frozen, unique
from tidemill.base.ids import JobName, StepName

if TYPE_CHECKING:
    from tidemill.spec.expression import Template


READ_ONLY = "ro_mount"  # the mode of an input that names none
# `direct` and `eval_…` give a URI where data is remote; what lies here is seen as it is through a mount
READ_ONLY_MODES = frozenset({READ_ONLY, "direct", "eval_mount", "eval_download"})
VALUE_TYPES = frozenset({"string", "integer", "number", "boolean"})
HOLE = StepName("@loop")  # stands, inside a loop's body, for the loop itself: its outputs are what each round is given


class StepKind(StrEnum):
    """What a step is made of; `run` has one `StepRunner` for each."""

    COMMAND = "command"
    REGISTER_MODEL = "register_model"
    PARALLEL = "parallel"
    SWEEP = "sweep"
    SPARK = "spark"
    AUTOML = "automl"
    IF_ELSE = "if_else"
    DO_WHILE = "do_while"
    PARALLEL_FOR = "parallel_for"


@frozen
class DataRef:
    """Bytes from outside the pipeline: an absolute path or a URL, and the asset it came from, if any."""

    uri: str
    type: str
    digest: str | None = None
    asset: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether `uri` is a path on this machine."""
        return "://" not in self.uri


@frozen
class Literal:
    """A value written in a document; `text` is what a command sees."""

    text: str
    value: Any


@frozen
class DataInput:
    """An input that is data from outside."""

    ref: DataRef
    mode: str = READ_ONLY
    type: str = "uri_folder"


@frozen
class StepOutput:
    """An input (or a pipeline's output) that is another step's output."""

    step: StepName
    output: str
    mode: str = READ_ONLY
    type: str = "uri_folder"


InputBinding = Literal | DataInput | StepOutput
MODEL_TYPES = frozenset({"mlflow_model", "custom_model", "triton_model"})


@frozen
class OutputSpec:
    """One output of a step; `destination` is where the document sends it, an asset name registers it as data, or as a model."""

    type: str = "uri_folder"
    mode: str = "rw_mount"
    destination: str | None = None
    asset_name: str | None = None
    asset_version: str | None = None

    @property
    def is_model(self) -> bool:
        """Whether an asset name registers it as a model."""
        return self.type in MODEL_TYPES

    @property
    def is_file(self) -> bool:
        """Whether the output is the file itself, not a folder around it: a file, or one that holds a value."""
        return self.type == "uri_file" or self.type in VALUE_TYPES


@frozen
class EnvironmentRef:
    """What a step runs in. `document` is the Environment document if there is one, `folder` where it lies."""

    name: str | None
    version: str | None
    document: Any
    folder: Path
    kind: str
    label: str
    pins: str = "strict"


HOST_ENVIRONMENT = EnvironmentRef(None, None, None, Path(), "host", "host")


@frozen
class Resources:
    """What a step takes while it runs. `instance_type` is the kind of machine where a cloud has kinds."""

    instance_count: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    memory: str = ""
    shm_size: str = ""
    instance_type: str = ""


@frozen
class Distribution:
    """How many processes a command is started as, and how they find each other."""

    type: str
    process_count_per_instance: int = 1
    worker_count: int = 1
    parameter_server_count: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)


@unique
class Step:
    """One node of the graph, everything about it resolved.

    `body` is the kind's own settings (sweep space, mini-batch settings, a loop's limits); `blocks` are the steps
    a control step may run: `true` and `false` of a condition, `body` of a loop. `results` says which of their outputs
    are the control step's, by block. `after` names steps that must end first although nothing flows from them.
    """

    name: StepName
    kind: StepKind = StepKind.COMMAND
    display_name: str = ""
    command: Template | None = None
    code: Path | None = None
    additional_includes: tuple[Path, ...] = ()
    environment: EnvironmentRef = HOST_ENVIRONMENT
    inputs: Mapping[str, InputBinding] = field(default_factory=dict)
    outputs: Mapping[str, OutputSpec] = field(default_factory=dict)
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    compute: str | None = None
    resources: Resources = field(default_factory=Resources)
    distribution: Distribution | None = None
    timeout_s: float | None = None
    deterministic: bool = True
    at: Location = Location("")
    component: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    blocks: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    results: Mapping[str, Mapping[str, StepOutput]] = field(default_factory=dict)
    after: frozenset[StepName] = frozenset()

    @property
    def command_text(self) -> str:
        """The command as written."""
        return self.command.text if self.command else ""

    @property
    def depends_on(self) -> frozenset[StepName]:
        """Steps that must be completed before this one starts."""
        bound = {b.step for b in self.inputs.values() if isinstance(b, StepOutput)}
        return self.after.union(bound) if bound else self.after


@frozen
class PlanSettings:
    """The pipeline's `settings:` that matter here."""

    continue_on_step_failure: bool = False
    force_rerun: bool = False
    default_compute: str | None = None
    default_datastore: str = "workspaceblobstore"


@unique
class Plan:
    """The graph of one job: steps in an order that can be run, as near to the document's as that allows."""

    display_name: str
    experiment_name: str
    steps: tuple[Step, ...]
    source: Path
    name: JobName | None = None
    type: str = "pipeline"
    description: str = ""
    outputs: Mapping[str, StepOutput] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    settings: PlanSettings = field(default_factory=PlanSettings)
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def step(self, name: str) -> Step:
        """The step of that name; `KeyError` if the plan has none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)
