"""`Run.get_context()`: what is logged reaches the step's metrics, what is uploaded its default artifacts."""

import json
import os
import shutil

import tidemill_step as step

_LOGGED = "logged"


class Run:
    """The step's run, or outside a job one that only prints. Names and arguments are azureml-core's."""

    def __init__(self, experiment=None, run_id=None, outputs=None, **kwargs):
        from azureml.core.workspace import Experiment

        self.id = run_id or os.environ.get("AZUREML_RUN_ID") or "OfflineRun_local"
        self.experiment = experiment or Experiment(name=os.environ.get("AZUREML_EXPERIMENT_NAME", "Default"))
        self.tags, self.properties, self.input_datasets, self.output_datasets = {}, {}, {}, {}
        self._metrics, self._children = {}, []
        self._status = "Running"

    @classmethod
    def get_context(cls, allow_offline=True, **kwargs):
        """The run of this process; without a job it is offline, which `allow_offline=False` refuses."""
        if not os.environ.get("AZUREML_RUN_ID"):
            if not allow_offline:
                raise RuntimeError("Could not load a submitted run, and offline runs are not allowed.")
            return _OfflineRun()
        return cls()

    # what Azure calls it in messages and mlflow
    name = property(lambda self: self.id)
    run_id = property(lambda self: self.id)
    number = property(lambda self: 1)
    type = property(lambda self: "azureml.scriptrun")
    status = property(lambda self: self._status)
    display_name = property(lambda self: os.environ.get("AZUREML_RUN_DISPLAY_NAME", self.id))

    @property
    def parent(self):
        """The pipeline's run; None for a job of its own."""
        root = os.environ.get("AZUREML_ROOT_RUN_ID", "")
        return Run(self.experiment, root) if root and root != self.id else None

    def log(self, name, value, description="", step=None):
        """One number (or text) of a series."""
        self._note(name, value)
        _note(name, value, step)

    def log_list(self, name, value, description=""):
        """Several numbers of a series."""
        self._note(name, list(value))
        for number, each in enumerate(value):
            _note(name, each, number)

    def log_row(self, name, description="", **kwargs):
        """A row of a table; each column is a series of its own as well."""
        self._note(name, kwargs)
        for column, value in kwargs.items():
            _note("%s.%s" % (name, column), value)
        self._append(name, kwargs)

    def log_table(self, name, value, description=""):
        """A table, as columns."""
        self._note(name, value)
        self._write(name + ".json", json.dumps(value, default=str, indent=1))

    def log_image(self, name, path=None, plot=None, description=""):
        """A picture, by path or as a matplotlib plot."""
        if plot is not None:
            target = self._place(os.path.join(_LOGGED, _file_name(name, ".png")))
            plot.savefig(target)
        elif path is not None:
            self.upload_file(os.path.join(_LOGGED, _file_name(name, os.path.splitext(path)[1])), path)

    def log_confusion_matrix(self, name, value, description=""):
        """A confusion matrix in Azure's JSON."""
        self._note(name, value)
        self._write(name + ".json", value if isinstance(value, str) else json.dumps(value, default=str))

    log_accuracy_table = log_predictions = log_residuals = log_confusion_matrix

    def get_metrics(self, name=None, **kwargs):
        """What this process logged; a series of one is its value."""
        found = {key: values[0] if len(values) == 1 else values for key, values in self._metrics.items()}
        return found if name is None else {key: value for key, value in found.items() if key == name}

    def upload_file(self, name, path_or_stream, **kwargs):
        """Copy a file into the run's artifacts."""
        target = self._place(name)
        if hasattr(path_or_stream, "read"):
            content = path_or_stream.read()
            with open(target, "wb") as file:
                file.write(content if isinstance(content, bytes) else content.encode())
        elif os.path.abspath(path_or_stream) != os.path.abspath(target):
            shutil.copyfile(path_or_stream, target)

    def upload_folder(self, name, path, **kwargs):
        """Copy a folder into the run's artifacts."""
        # listed first: the artifacts may lie in the folder that is copied
        found = [os.path.join(folder, each) for folder, _, names in os.walk(path) for each in names]
        for source in found:
            self.upload_file(os.path.join(name, os.path.relpath(source, path)), source)

    def download_file(self, name, output_file_path=None, **kwargs):
        """Copy an artifact of this run out."""
        shutil.copyfile(self._place(name), output_file_path or os.path.basename(name))

    def get_file_names(self):
        """Artifacts of this run."""
        base = self._base()
        found = (os.path.join(folder, name) for folder, _, names in os.walk(base) for name in names)
        return sorted("outputs/" + os.path.relpath(path, base) for path in found)

    def register_model(self, model_name, model_path=None, tags=None, properties=None, description=None, **kwargs):
        """Register an artifact of this run."""
        from azureml.core.model import Model

        path = self._place(model_path or "outputs")
        return Model.register(None, path, model_name, tags=tags, properties=properties, description=description)

    def get_details(self):
        """What Azure's portal would show of the run."""
        return {"runId": self.id, "status": self._status, "properties": dict(self.properties), "inputDatasets": []}

    def get_environment(self):
        return None

    def get_status(self):
        return self._status

    def get_portal_url(self):
        return ""

    def get_tags(self):
        return dict(self.tags)

    def get_children(self, *args, **kwargs):
        return iter(self._children)

    def tag(self, key, value=None):
        self.tags[key] = value

    def set_tags(self, tags):
        self.tags.update(tags)

    def add_properties(self, properties):
        self.properties.update(properties)

    def child_run(self, name=None, run_id=None, outputs=None):
        child = Run(self.experiment, run_id or "%s_child" % self.id)
        self._children.append(child)
        return child

    def start(self):
        self._status = "Running"

    def complete(self, **kwargs):
        self._status = "Completed"

    def fail(self, error_details=None, **kwargs):
        self._status = "Failed"
        step.say("the run was marked as failed: %s" % (error_details or ""))

    def cancel(self):
        self._status = "Canceled"

    def flush(self, timeout_seconds=300):
        return None

    def wait_for_completion(self, *args, **kwargs):
        return self.get_details()

    def __enter__(self):
        return self

    def __exit__(self, problem, *rest):
        self._status = "Failed" if problem else "Completed"

    def _note(self, name, value):
        self._metrics.setdefault(name, []).append(value)

    def _base(self):
        return os.path.join(step.FOLDER, "cwd", "outputs")

    def _place(self, name):
        """`outputs/x` is the run's artifact x; other names become artifacts too."""
        parts = [part for part in str(name).replace("\\", "/").split("/") if part not in ("", ".", "..")]
        target = os.path.join(self._base(), *(parts[1:] if parts[:1] == ["outputs"] else parts))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        return target

    def _write(self, name, text):
        with open(self._place(os.path.join(_LOGGED, _file_name(name, ""))), "w", encoding="utf-8") as file:
            file.write(text)

    def _append(self, name, row):
        with open(self._place(os.path.join(_LOGGED, _file_name(name, ".jsonl"))), "a", encoding="utf-8") as file:
            file.write(json.dumps(row, default=str) + "\n")


class _OfflineRun(Run):
    """Outside a job: prints what it is given, as azureml-core's does."""

    def log(self, name, value, description="", step=None):
        self._note(name, value)
        print("Attempted to log scalar metric %s:\n%s" % (name, value))

    def log_list(self, name, value, description=""):
        self._note(name, list(value))
        print("Attempted to log list metric %s:\n%s" % (name, value))

    def log_row(self, name, description="", **kwargs):
        self._note(name, kwargs)
        print("Attempted to log row metric %s:\n%s" % (name, kwargs))

    def _base(self):
        return os.path.abspath("outputs")


def _note(name, value, number=None):
    """To the metrics file; through MLflow where the process uses that already, so that both know it."""
    import sys

    mlflow = sys.modules.get("mlflow")
    if mlflow is not None and hasattr(mlflow, "log_metric") and os.environ.get("MLFLOW_TRACKING_URI"):
        try:
            mlflow.log_metric(str(name), float(value), step=number)
            return
        except (TypeError, ValueError):
            pass  # text is a parameter below
    try:
        float(value)
    except (TypeError, ValueError):
        step.note_param(name, value)
    else:
        step.note_metric(name, value, number)


def _file_name(name, suffix):
    base = "".join(c if c.isalnum() or c in "._- " else "_" for c in str(name))
    return base if base.endswith(suffix) else base + suffix
