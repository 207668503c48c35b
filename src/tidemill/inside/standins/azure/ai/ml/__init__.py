"""Azure ML's second SDK inside a step, where it is not installed: the workspace's models, data and jobs."""

from tidemill_absent import make_absent
from tidemill_mlclient import MLClient

__all__ = ["Input", "MLClient", "Output"]
# what a script imports beside the client, often without using it inside a job
ABSENT = (
    "MpiDistribution", "PyTorchDistribution", "RayDistribution", "TensorFlowDistribution", "automl", "command", "dsl",
    "load_batch_deployment", "load_batch_endpoint", "load_component", "load_compute", "load_data", "load_datastore",
    "load_environment", "load_job", "load_model", "load_online_deployment", "load_online_endpoint", "load_registry",
    "load_workspace", "spark",
)  # fmt: skip


class _Port:
    def __init__(self, **fields):
        self.type, self.path, self.mode = "uri_folder", None, None
        self.__dict__.update(fields)


class Input(_Port):
    """An input as a job would declare it."""


class Output(_Port):
    """An output as a job would declare it."""


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    if name in ABSENT:
        return make_absent("azure.ai.ml", name)
    raise ImportError(
        "azure.ai.ml.%s is not part of Tidemill's stand-in for azure-ai-ml; install azure-ai-ml in the environment"
        % name
    )
