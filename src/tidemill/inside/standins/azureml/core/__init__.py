"""The part of Azure ML's first SDK that scripts inside jobs still use: the run, its workspace, its models."""

from azureml.core.model import Model
from azureml.core.run import Run
from azureml.core.workspace import Datastore, Experiment, Workspace
from tidemill_absent import make_absent

__all__ = ["Datastore", "Experiment", "Model", "Run", "Workspace"]
VERSION = "0.0+tidemill"
# what a script of the first SDK imports beside its run, often without using it inside a job
ABSENT = (
    "ComputeTarget", "Container", "Dataset", "Environment", "Image", "Keyvault", "LinkedService", "PipelineRun",
    "RunConfiguration", "ScriptRun", "ScriptRunConfig", "Webservice",
)  # fmt: skip


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    if name in ABSENT:
        return make_absent("azureml.core", name)
    raise ImportError(
        "azureml.core.%s is not part of Tidemill's stand-in for azureml-core; install azureml-core in the environment"
        % name
    )
