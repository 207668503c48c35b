"""The workspace the step runs in."""

import os


class Workspace:
    """The local workspace; its cloud coordinates are accepted and kept as words."""

    def __init__(self, subscription_id="local", resource_group="local", workspace_name="tidemill", **kwargs):
        self.subscription_id, self.resource_group, self.name = subscription_id, resource_group, workspace_name
        self.location = "local"

    @classmethod
    def from_config(cls, *args, **kwargs):
        return cls()

    @classmethod
    def get(cls, name="tidemill", subscription_id="local", resource_group="local", **kwargs):
        return cls(subscription_id, resource_group, name)

    def get_mlflow_tracking_uri(self):
        """The job's own tracking address."""
        return os.environ.get("MLFLOW_TRACKING_URI", "")

    def get_default_datastore(self):
        return Datastore(self, "workspaceblobstore")

    @property
    def models(self):
        """The newest version of each model by name."""
        from azureml.core.model import Model

        found = {}
        for each in Model.list(self):
            found.setdefault(each.name, each)
        return found


class Datastore:
    """A datastore by name; data reaches a step through its inputs."""

    def __init__(self, workspace, name=None):
        self.workspace, self.name = workspace, name

    @classmethod
    def get(cls, workspace, datastore_name):
        return cls(workspace, datastore_name)


class Experiment:
    """The experiment a run belongs to."""

    def __init__(self, workspace=None, name="Default", **kwargs):
        self.workspace, self.name = workspace or Workspace(), name
