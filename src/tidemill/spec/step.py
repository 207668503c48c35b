"""What every step of a pipeline may say, whatever runs it."""

from pydantic import Field

from tidemill.spec.fields import Inputs, JobIdentity, Limits, Open, Outputs, QueueSettings, Resources, Tags


class StepFields(Open):
    """Azure tolerates fields it does not know in a step; they become warnings."""

    inputs: Inputs = Field(default_factory=dict)
    outputs: Outputs = Field(default_factory=dict)
    compute: str | None = None
    display_name: str | None = None
    description: str | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    environment_variables: Tags | None = None
    resources: Resources | None = None
    identity: JobIdentity | None = None
    limits: Limits | None = None
    queue_settings: QueueSettings | None = None
    experiment_name: str | None = None
