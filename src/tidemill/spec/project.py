"""`tidemill.yaml`: what ties a project's documents together and what is local."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tidemill.spec.fields import Part, Tags, Text


def _named(value: Any) -> Any:  # noqa: ANN401
    return {"name": value} if isinstance(value, str) else value


def _listed(value: Any) -> Any:  # noqa: ANN401
    return [value] if isinstance(value, str) else value


def _kind(value: Any) -> Any:  # noqa: ANN401
    return {"kind": value} if isinstance(value, str) else value


def _place(value: Any) -> Any:  # noqa: ANN401 - YAML reads the word `off` as false
    if value is False:
        return "off"
    return {"to": value} if isinstance(value, str) and value != "off" else value


def _amount(value: Any) -> Any:  # noqa: ANN401 - `cpu: 2` is a number in YAML
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _cause(value: str) -> str:
    if value in {"lost", "timeout"} or re.fullmatch(r"exit -?\d+", value):
        return value
    if len(value) > 2 and value.startswith("/") and value.endswith("/"):  # noqa: PLR2004 - two slashes
        try:
            re.compile(value[1:-1])
        except re.error as exc:
            raise ValueError(f"{value} is not a regular expression: {exc}") from exc
        return value
    raise ValueError(f"`{value}` is no cause: write `lost`, `timeout`, `exit 75`, or /words of the log/")


Cause = Annotated[str, AfterValidator(_cause)]


class ProjectModel(Part):
    """The model a project makes: its name, and for a job without a register step which output holds it."""

    name: str
    output: str | None = None
    type: Literal["custom_model", "mlflow_model", "triton_model"] | None = None


class EnvironmentMapping(Part):
    """What stands for an environment here."""

    python: Literal["host", "venv", "container"] = "venv"
    pins: Literal["strict", "relaxed"] = "strict"
    image: str | None = None
    conda_file: str | None = None
    requirements: str | None = None


class ComputeMapping(Part):
    """What stands for a compute here."""

    executor: Literal["local", "ray", "kubernetes", "azureml"] = "local"
    address: str | None = None
    namespace: str | None = None
    image: str | None = None
    context: str | None = None
    registry: str | None = None
    pull_secret: str | None = None
    slots: int | None = None
    cpus: Annotated[float | None, Field(gt=0)] = None
    gpus: Annotated[int | None, Field(ge=0)] = None
    memory: str | None = None
    subscription: str | None = None
    resource_group: str | None = None
    workspace: str | None = None


class Route(Part):
    """How requests from outside come to an endpoint on a cluster, and what divides them between versions."""

    kind: Literal["service", "ingress", "gateway"] = "service"
    host: str | None = None
    class_: str | None = Field(default=None, alias="class")
    gateway: str | None = None
    proxy_namespace: str | None = None
    mirror: bool = False
    tls: str | None = None
    annotations: Tags | None = None

    @model_validator(mode="after")
    def _copies(self) -> Self:
        if self.mirror and self.kind == "service":
            raise ValueError("a Service copies no requests: `mirror` needs kind ingress or gateway")
        return self


class Capture(Part):
    """Where the records of a stage's pods go: a URL, or a folder of a volume claim; what is masked, here and there.

    `secret` names a Secret of the namespace whose keys are the variables that let the pods in.
    """

    to: str | None = None
    claim: str | None = None
    secret: str | None = None
    mask: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    buffer: Annotated[str, Field(pattern=r"^\d+(Mi|Gi)$")] = "512Mi"

    @property
    def buffer_mib(self) -> int:
        """The buffer's size."""
        return int(self.buffer[:-2]) * (1024 if self.buffer.endswith("Gi") else 1)


class EnvFrom(Part):
    """Variables that a Secret or a ConfigMap of the namespace holds."""

    secret: str | None = None
    config_map: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.secret) == bool(self.config_map):
            raise ValueError("name a `secret` or a `config_map`")
        return self

    def named(self) -> dict[str, str]:
        """Kind → name."""
        return {"secret": self.secret} if self.secret else {"config_map": self.config_map or ""}


class Toleration(Part):
    """A taint of nodes that pods put up with."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None

    def as_kubernetes(self) -> dict[str, Any]:
        """As a pod has it."""
        given = self.model_dump(exclude={"toleration_seconds"}) | {"tolerationSeconds": self.toleration_seconds}
        return {k: v for k, v in given.items() if v is not None}


class Stage(Part):
    """One place a version is deployed to, on the way to production."""

    target: Literal["local", "kubernetes", "azureml", "huggingface"] = "local"
    namespace: str | None = None
    context: str | None = None
    registry: str | None = None
    base_image: str | None = None
    image_proof: Literal["auto", "required", "off"] = "auto"
    audit: Literal["off", "report", "required"] = "off"
    audit_ignore: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    audit_url: str | None = None
    frontend_image: str | None = None
    frontend_replicas: Annotated[int | None, Field(ge=1)] = None
    frontend_port: Annotated[int, Field(ge=1, le=65535)] = 8080
    model_delivery: Literal["image", "init"] = "image"
    pull_secret: str | None = None
    signatures: Literal["off", "required"] = "off"
    trusted_keys: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    signing_key: str | None = None
    subscription: str | None = None
    resource_group: str | None = None
    workspace: str | None = None
    instance_type: str = "Standard_DS2_v2"
    repository: str | None = None
    space: str | None = None
    private: bool = True
    replicas: Annotated[int, Field(ge=1)] = 1
    max_replicas: int | None = None
    strategy: Literal["rolling", "blue-green", "canary"] = "blue-green"
    steps: list[int] | None = None
    approvals: Annotated[int, Field(ge=0)] = 0
    approval_hours: Annotated[int, Field(ge=1)] = 72
    auth: Literal["none", "key"] | None = None
    host: str | None = None
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    ingress_host: str | None = None
    route: Annotated[Route, BeforeValidator(_kind)] = Field(default_factory=Route)
    node_port: int | None = None
    bake_s: Annotated[float, Field(ge=0)] = 0
    max_error_rate: Annotated[float, Field(ge=0, le=1)] = 0.01
    max_latency_ms: Annotated[float | None, Field(gt=0)] = None
    start_timeout_s: Annotated[float, Field(gt=0)] = 120
    gates: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    environment_variables: Tags | None = None
    env_from: list[EnvFrom] = Field(default_factory=list)
    node_selector: Tags | None = None
    tolerations: list[Toleration] = Field(default_factory=list)
    priority_class: str | None = None
    kubernetes: Annotated[str | None, Field(pattern=r"^v?1\.\d+(\.\d+)?$")] = None
    capture: Annotated[Capture | Literal["off"] | None, BeforeValidator(_place)] = None
    cpu: Annotated[str | None, BeforeValidator(_amount)] = None
    memory: Annotated[str | None, BeforeValidator(_amount)] = None

    @model_validator(mode="after")
    def _watched(self) -> Self:
        if self.route.mirror and not self.bake_s:
            raise ValueError("mirrored requests are watched for `bake_s` seconds: say how many")
        return self


class Retrain(Part):
    """What starts a new run. YAML reads the key `on` as true."""

    @model_validator(mode="before")
    @classmethod
    def _on(cls, value: Any) -> Any:  # noqa: ANN401
        return {"on" if k is True else k: v for k, v in value.items()} if isinstance(value, dict) else value

    on: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    cooldown_h: float | None = None
    budget: float | None = None


class Retry(Part):
    """When a step that failed is tried again: at most `times`, for the causes named, after `wait_s` seconds."""

    times: Annotated[int, Field(ge=1, le=100)] = 2
    causes: Annotated[list[Cause], BeforeValidator(_listed), Field(min_length=1)]
    wait_s: Annotated[float, Field(ge=0)] = 0


class Budget(Part):
    """How much jobs may cost in a period; at `warn_at` of the limit it is said, at the limit no step starts any more."""

    limit: Annotated[float, Field(gt=0)]
    per: Literal["day", "week", "month", "total"] = "month"
    warn_at: Annotated[float, Field(gt=0, le=1)] = 0.8
    currency: str = "EUR"


def _switch(value: Any) -> Any:  # noqa: ANN401
    return "off" if value is False else value


class Check(Part):
    """What `tidemill check` leaves out, and how bad this project finds a code. YAML reads the word `off` as false."""

    ignore: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    codes: dict[str, Annotated[Literal["off", "info", "warning", "error"], BeforeValidator(_switch)]] = Field(
        default_factory=dict
    )


class Project(Part):
    """The project file. Every field is optional; without a name it has that of its folder."""

    name: Text = ""
    pipeline: str | None = None
    model: Annotated[ProjectModel | None, BeforeValidator(_named)] = None
    data: dict[str, str] = Field(default_factory=dict)
    environments: dict[str, EnvironmentMapping] = Field(default_factory=dict)
    compute: dict[str, ComputeMapping] = Field(default_factory=dict)
    datastores: dict[str, str] = Field(default_factory=dict)
    gates: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    endpoint: str | None = None
    deployment: str | None = None
    sample_request: str | None = None
    stages: dict[str, Stage] = Field(default_factory=dict)
    monitor: str | None = None
    retrain: Retrain | None = None
    retry: Retry | None = None
    budget: Budget | None = None
    check: Check | None = None
    prices: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
