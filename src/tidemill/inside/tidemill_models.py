"""Models of the workspace, asked of its own Tidemill: whatever stands in for an SDK of Azure's speaks through here."""

import json
import os
import tempfile

import tidemill_step as step


def register(name, path, kind=None, version=None, tags=None, properties=None, description=None):
    """Register a file or folder; the same step registering the same bytes again gets the version made before."""
    path = os.path.abspath(_local(str(path)))
    marks = {"tidemill.job": os.environ.get("TIDEMILL_JOB", ""), "tidemill.step": os.environ.get("TIDEMILL_STEP", "")}
    document = {
        "name": name,
        "path": path,
        "type": kind or _kind(path),
        "tags": dict(_texts(tags), **{key: value for key, value in marks.items() if value}),
        "properties": _texts(properties),
        "description": description or "",
    }
    if version is not None:
        document["version"] = str(version)
    handle, file = tempfile.mkstemp(suffix=".yml", prefix="model-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump({key: value for key, value in document.items() if value}, out)  # JSON is YAML
        made = step.tidemill("model", "create", "-f", file)
    finally:
        os.unlink(file)
    step.say("registered %s:%s" % (made["name"], made["version"]))
    return made


def get(name, version=None, label=None):
    """One version; the newest when none is named."""
    wanted = ["-v", version] if version else ["-l", label or "latest"]
    return step.tidemill("model", "show", "-n", name, *wanted)


def list_versions(name=None):
    """Versions, newest first."""
    return step.tidemill("model", "list", *(["-n", name] if name else []))


def _texts(values):
    return {str(key): str(value) for key, value in (values or {}).items()}


def _kind(path):
    return "mlflow_model" if os.path.isfile(os.path.join(path, "MLmodel")) else "custom_model"


def _local(path):
    """A path on this machine: outputs of this run and `runs:/` artifacts have other names on Azure."""
    if path.startswith("file:"):
        return path[len("file://") :] if path.startswith("file://") else path[len("file:") :]
    if path.startswith("azureml://jobs/") and "/outputs/artifacts/paths/" in path:
        inner = path.split("/outputs/artifacts/paths/", 1)[1].strip("/")
        return os.path.join(
            step.FOLDER, "cwd", *(inner.split("/") if inner.startswith("outputs") else ["outputs", inner])
        )
    if path.startswith("runs:/"):
        import mlflow

        return mlflow.artifacts.download_artifacts(path)
    return path
