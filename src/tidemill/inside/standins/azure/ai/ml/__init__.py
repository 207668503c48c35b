"""Azure ML's second SDK inside a step, where it is not installed: the workspace's models, data and jobs."""

from tidemill_mlclient import MLClient

__all__ = ["MLClient"]


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(
        "azure.ai.ml.%s is not part of Tidemill's stand-in for azure-ai-ml; install azure-ai-ml in the environment"
        % name
    )
