"""Sweeps: many trials of one command over a search space, as a job, a step or a component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, field_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from tidemill.spec.command import CommandComponent, ComponentFields, EnvironmentField, JobFields, Reference
from tidemill.spec.fields import (
    DistributionField,
    Identity,
    Inputs,
    Outputs,
    Part,
    QueueSettings,
    Resources,
    Service,
    Tags,
)
from tidemill.spec.scalars import AnyCase, OneUp, Real, Whole, ZeroUp, by_key, shape
from tidemill.spec.step import StepFields

TOO_MANY_AT_ONCE = "TM-S102"


class Choice(Part):
    """One of a list; an item may be a mapping with a space of its own under each name."""

    type: Annotated[Literal["choice"], AnyCase]
    values: list[Any] = Field(default_factory=list)

    @field_validator("values", mode="before")
    @classmethod
    def _split(cls, values: Any) -> Any:  # noqa: ANN401 - before validation
        return values.split(",") if isinstance(values, str) and "${{" not in values else values


class Uniform(Part):
    """A number between two bounds, evenly or evenly in its logarithm."""

    type: Annotated[Literal["uniform", "loguniform"], AnyCase]
    min_value: Real
    max_value: Real


class QUniform(Part):
    """As uniform, rounded to multiples of `q`."""

    type: Annotated[Literal["quniform", "qloguniform"], AnyCase]
    min_value: Real
    max_value: Real
    q: Real


class Normal(Part):
    """A number around `mu`."""

    type: Annotated[Literal["normal", "lognormal"], AnyCase]
    mu: Real
    sigma: Real


class QNormal(Part):
    """As normal, rounded to multiples of `q`."""

    type: Annotated[Literal["qnormal", "qlognormal"], AnyCase]
    mu: Real
    sigma: Real
    q: Real


class RandInt(Part):
    """A whole number from 0 up to, not including, `upper`."""

    type: Annotated[Literal["randint"], AnyCase]
    upper: Whole


Distribution = Annotated[
    Annotated[Choice, Tag("#choice")]
    | Annotated[Uniform, Tag("#uniform")]
    | Annotated[Uniform, Tag("#loguniform")]
    | Annotated[QUniform, Tag("#quniform")]
    | Annotated[QUniform, Tag("#qloguniform")]
    | Annotated[Normal, Tag("#normal")]
    | Annotated[Normal, Tag("#lognormal")]
    | Annotated[QNormal, Tag("#qnormal")]
    | Annotated[QNormal, Tag("#qlognormal")]
    | Annotated[RandInt, Tag("#randint")],
    Discriminator(by_key("type")),
]
"""Where a hyperparameter's values come from."""


class Policy(Part):
    """When the first look at a trial happens, and how often."""

    evaluation_interval: ZeroUp | None = None
    delay_evaluation: ZeroUp | None = None


class Bandit(Policy):
    """Ends trials that lag behind the best."""

    type: Annotated[Literal["bandit"], AnyCase]
    slack_factor: Real | None = None
    slack_amount: Real | None = None

    @field_validator("slack_amount")
    @classmethod
    def _one_slack(cls, value: Real | None, info: ValidationInfo) -> Real | None:
        if value and info.data.get("slack_factor"):
            raise PydanticCustomError("TM-D108", "`slack_factor` and `slack_amount` exclude each other")
        return value


class MedianStopping(Policy):
    """Ends trials below the median of the others."""

    type: Annotated[Literal["median_stopping"], AnyCase]


class Truncation(Policy):
    """Ends the worst share of trials."""

    type: Annotated[Literal["truncation_selection", "truncation"], AnyCase]
    truncation_percentage: Whole
    exclude_finished_jobs: bool | None = None


EarlyTermination = Annotated[
    Annotated[Bandit, Tag("#bandit")]
    | Annotated[MedianStopping, Tag("#median_stopping")]
    | Annotated[Truncation, Tag("#truncation_selection")]
    | Annotated[Truncation, Tag("#truncation")],
    Discriminator(by_key("type")),
]
"""The rule that ends hopeless trials."""


class Sampling(Part):
    """How values are drawn, with its settings."""

    type: Annotated[Literal["random", "grid", "bayesian"], AnyCase]
    seed: Whole | None = None
    rule: Annotated[Literal["random", "sobol"], AnyCase] | None = None
    logbase: float | str | None = None


def _sampling(value: Any) -> Any:  # noqa: ANN401 - before validation
    return {"type": value} if isinstance(value, str) and "${{" not in value else value


SamplingField = Annotated[
    Annotated[Sampling, Tag("#mapping")] | Annotated[str, Tag("#text")],
    Discriminator(shape),
    BeforeValidator(_sampling),
]
"""`random`, or a mapping with its type; a step may bind it."""


class Objective(Part):
    """What is to be made small or large."""

    goal: Annotated[Literal["minimize", "maximize"], AnyCase]
    primary_metric: str


class SweepLimits(Part):
    """How many trials, how long."""

    max_total_trials: OneUp
    max_concurrent_trials: OneUp | None = None
    timeout: ZeroUp | None = None
    trial_timeout: ZeroUp | None = None

    @field_validator("max_concurrent_trials")
    @classmethod
    def _not_more_than_all(cls, value: OneUp | None, info: ValidationInfo) -> OneUp | None:
        total = info.data.get("max_total_trials")
        if isinstance(value, int) and isinstance(total, int) and value > total:
            raise PydanticCustomError(
                TOO_MANY_AT_ONCE,
                "max_concurrent_trials {value} is above max_total_trials {total}",
                {"value": value, "total": total},
            )
        return value


class Trial(Part):
    """The command each trial runs."""

    schema_: str | None = Field(default=None, alias="$schema")
    command: str
    environment: EnvironmentField
    code: str | None = None
    environment_variables: Tags | None = None
    distribution: DistributionField | None = None
    resources: Resources | None = None
    queue_settings: QueueSettings | None = None
    type: Annotated[Literal["command"], AnyCase] | None = None


class SweepFields(Part):
    """What a sweep is, in every place it can stand."""

    search_space: dict[str, Distribution] = Field(default_factory=dict)
    sampling_algorithm: SamplingField | None = None
    objective: Objective
    limits: SweepLimits
    early_termination: EarlyTermination | None = None


def _trial_shape(value: Any) -> str:  # noqa: ANN401 - before validation
    return "#mapping" if isinstance(value, (Mapping, BaseModel)) else "#reference"


class SweepJob(JobFields, SweepFields):
    """A sweep of its own: the trial's inputs are the job's, `${{search_space.x}}` the drawn ones."""

    type: Annotated[Literal["sweep"], AnyCase] = "sweep"
    trial: Annotated[
        Annotated[Reference, Tag("#reference")] | Annotated[Trial, Tag("#mapping")],
        Discriminator(_trial_shape),
    ]
    compute: str | None = None
    inputs: Inputs = Field(default_factory=dict)
    outputs: Outputs = Field(default_factory=dict)
    identity: Identity | None = None
    resources: Resources | None = None
    services: dict[str, Service] | None = None
    queue_settings: QueueSettings | None = None


class SweepStep(StepFields):
    """A sweep in a pipeline: drawn values fill the trial's inputs of the same names."""

    type: Annotated[Literal["sweep"], AnyCase]
    trial: Annotated[
        Annotated[Reference, Tag("#reference")] | Annotated[CommandComponent, Tag("#mapping")],
        Discriminator(_trial_shape),
    ]
    search_space: dict[str, Distribution] = Field(default_factory=dict)
    sampling_algorithm: SamplingField | None = None
    objective: Objective
    limits: SweepLimits  # type: ignore[assignment]  # a sweep counts trials
    early_termination: EarlyTermination | None = None


class SweepComponent(ComponentFields, SweepFields):
    """A reusable sweep."""

    type: Annotated[Literal["sweep"], AnyCase] = "sweep"
    trial: Annotated[
        Annotated[Reference, Tag("#reference")] | Annotated[CommandComponent, Tag("#mapping")],
        Discriminator(_trial_shape),
    ]
