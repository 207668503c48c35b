"""`MLClient` of the local workspace: models, data and jobs by the commands of Tidemill."""

import json
import os
import shutil
import tempfile

import tidemill_models
import tidemill_step as step


class Found(object):
    """What the workspace answers, as attributes and as a mapping."""

    def __init__(self, values):
        self._values = values
        self.__dict__.update(values)

    def __getitem__(self, key):
        return self._values[key]

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return None

    def __repr__(self):
        return "%s(%r)" % (type(self).__name__, self._values)


class ModelOperations:
    """`ml_client.models`."""

    def create_or_update(self, model, **kwargs):
        """Register a model of this step."""
        return Found(
            tidemill_models.register(
                model.name,
                model.path,
                kind=getattr(model, "type", None),
                version=getattr(model, "version", None),
                tags=getattr(model, "tags", None),
                properties=getattr(model, "properties", None),
                description=getattr(model, "description", None),
            )
        )

    def get(self, name, version=None, label=None):
        """One version by number or label."""
        return Found(tidemill_models.get(name, str(version) if version is not None else None, label))

    def list(self, name=None, **kwargs):
        """Versions, newest first."""
        return iter([Found(each) for each in tidemill_models.list_versions(name)])

    def download(self, name, version, download_path="."):
        """Copy a version's files into `<download_path>/<name>`."""
        found = tidemill_models.get(name, str(version))["path"]
        target = os.path.join(str(download_path), name)
        os.makedirs(target, exist_ok=True)
        copied = os.path.join(target, os.path.basename(found))
        if os.path.isdir(found):
            shutil.copytree(found, copied, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(found, copied)


class NounOperations:
    """`ml_client.data`, `.jobs`, `.environments`, `.components`: what `tidemill <noun>` can do."""

    def __init__(self, noun):
        self._noun = noun

    def get(self, name, version=None, label=None):
        """One by name, and version or label."""
        wanted = ["-v", str(version)] if version is not None else ["-l", label] if label else []
        return Found(step.tidemill(self._noun, "show", "-n", name, *wanted))

    def list(self, name=None, **kwargs):
        """Newest first."""
        return iter([Found(each) for each in step.tidemill(self._noun, "list", *(["-n", name] if name else []))])

    def create_or_update(self, entity, **kwargs):
        """Create it from its fields."""
        names = ("name", "version", "type", "path", "description", "tags")
        fields = {name: getattr(entity, name, None) for name in names}
        document = {name: _place(value) if name == "path" else value for name, value in fields.items() if value}
        handle, file = tempfile.mkstemp(suffix=".yml")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(document, out)
            return Found(step.tidemill(self._noun, "create", "-f", file))
        finally:
            os.unlink(file)


def _place(path):
    """A path as seen from anywhere; addresses are left as they are."""
    text = str(path)
    return text if "://" in text or text.startswith("azureml:") else os.path.abspath(text)


class WorkspaceOperations:
    """`ml_client.workspaces`."""

    def get(self, name=None, **kwargs):
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        return Found({"name": name or "tidemill", "mlflow_tracking_uri": uri, "location": "local"})


class MLClient:
    """Takes what Azure's takes, and asks the workspace the step runs in."""

    def __init__(self, credential=None, subscription_id=None, resource_group_name=None, workspace_name=None, **kwargs):
        self.subscription_id, self.resource_group_name = subscription_id, resource_group_name
        self.workspace_name = workspace_name or "tidemill"
        self.models = ModelOperations()
        self.data, self.jobs = NounOperations("data"), NounOperations("job")
        self.environments, self.components = NounOperations("environment"), NounOperations("component")
        self.workspaces = WorkspaceOperations()

    @classmethod
    def from_config(cls, credential=None, *args, **kwargs):
        return cls(credential)

    def create_or_update(self, entity, **kwargs):
        """By the kind of the entity."""
        kind = type(entity).__name__.lower()
        if kind not in ("model", "data", "environment"):
            raise NotImplementedError("A step can create models, data and environments here, not a %s" % kind)
        return {"model": self.models, "data": self.data, "environment": self.environments}[kind].create_or_update(
            entity
        )
