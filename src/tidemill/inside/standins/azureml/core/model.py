"""Models of the workspace, as azureml-core shows them."""

import os
import shutil

import tidemill_models


class Model:
    """One version of a model."""

    def __init__(self, workspace=None, name=None, id=None, tags=None, version=None, **kwargs):
        if id and ":" in id:
            name, _, version = id.rpartition(":")
        self._fill(tidemill_models.get(name, str(version) if version is not None else None))

    def _fill(self, found):
        self.name, self.version = (
            found["name"],
            int(found["version"]) if found["version"].isdigit() else found["version"],
        )
        self.id = "%s:%s" % (self.name, self.version)
        self.tags, self.properties = found.get("tags", {}), found.get("properties", {})
        self.description, self.path = found.get("description", ""), found["path"]

    @classmethod
    def _of(cls, found):
        model = cls.__new__(cls)
        model._fill(found)
        return model

    @classmethod
    def register(cls, workspace, model_path, model_name, tags=None, properties=None, description=None, **kwargs):
        """Register a file or folder of the step."""
        return cls._of(
            tidemill_models.register(model_name, model_path, tags=tags, properties=properties, description=description)
        )

    @classmethod
    def list(cls, workspace, name=None, latest=False, **kwargs):
        """Versions, newest first."""
        found = [cls._of(each) for each in tidemill_models.list_versions(name)]
        if latest:
            seen = set()
            found = [each for each in found if not (each.name in seen or seen.add(each.name))]
        return found

    @staticmethod
    def get_model_path(model_name, version=None, _workspace=None):
        """Where a version's files lie."""
        return tidemill_models.get(model_name, str(version) if version is not None else None)["path"]

    def download(self, target_dir=".", exist_ok=False, **kwargs):
        """Copy the version's files into `target_dir`."""
        target = os.path.join(target_dir, os.path.basename(self.path))
        if os.path.isdir(self.path):
            shutil.copytree(self.path, target, copy_function=shutil.copyfile)
        else:
            os.makedirs(target_dir, exist_ok=True)
            shutil.copyfile(self.path, target)
        return target
