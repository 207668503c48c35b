"""MLflow inside a step: the tracking address and the run are the job's, whatever the code sets; metrics are also written beside."""

import atexit
import fcntl
import json
import os
import sys
import time

FOLDER = os.environ.get("TIDEMILL_STEP_FOLDER", ".")
RUN_FILE = os.path.join(FOLDER, "mlflow-run.json")
METRICS_FILE = os.path.join(FOLDER, "metrics.jsonl")


def wire(mlflow):
    """Create or resume this step's run, and make `mlflow.log_*` reach it."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return
    set_uri = mlflow.set_tracking_uri
    set_uri(uri)
    mlflow.set_registry_uri(os.environ.get("MLFLOW_REGISTRY_URI", uri))

    def ignore(given):
        if str(given) != uri:
            sys.stderr.write(
                "tidemill: mlflow.set_tracking_uri(%r) is overridden, as on Azure ML: the job tracks to its own server\n"
                % (given,)
            )

    mlflow.set_tracking_uri = ignore
    _record_metrics(mlflow)
    _join_run(mlflow)


def _join_run(mlflow):
    """The first Python of the step creates the run, later ones find its id in the step's folder."""
    client = mlflow.MlflowClient()
    lock_path = os.environ.get("TIDEMILL_MLFLOW_LOCK", RUN_FILE + ".lock")
    os.makedirs(os.path.dirname(lock_path), exist_ok=True)
    with open(lock_path, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(RUN_FILE):
            with open(RUN_FILE) as file:
                run_id = json.load(file)["run_id"]
        else:
            name = os.environ.get("AZUREML_EXPERIMENT_NAME") or "Default"
            found = client.get_experiment_by_name(name)
            artifacts = os.environ.get("TIDEMILL_MLFLOW_ARTIFACTS")
            experiment = found.experiment_id if found else client.create_experiment(name, artifact_location=artifacts)
            tags = {
                "tidemill.job": os.environ.get("TIDEMILL_JOB", ""),
                "tidemill.step": os.environ.get("TIDEMILL_STEP", ""),
            }
            run_id = client.create_run(
                experiment, run_name=os.environ.get("AZUREML_RUN_DISPLAY_NAME"), tags=tags
            ).info.run_id
            with open(RUN_FILE, "w") as file:
                json.dump({"run_id": run_id, "experiment_id": experiment}, file)
            atexit.register(_finish, client, run_id)
    os.environ["MLFLOW_RUN_ID"] = run_id


def _finish(client, run_id):
    failed = getattr(sys, "last_value", None) is not None
    try:
        client.set_terminated(run_id, "FAILED" if failed else "FINISHED")
    except Exception as exc:
        sys.stderr.write("tidemill: the MLflow run could not be closed: %s\n" % exc)


def _record_metrics(mlflow):
    """Gates and the run's own report read metrics from a file, without importing MLflow."""
    from mlflow.tracking.client import MlflowClient

    log_metric, log_batch = MlflowClient.log_metric, MlflowClient.log_batch

    def note(key, value, step=None):
        with open(METRICS_FILE, "a") as file:
            file.write(
                json.dumps({"name": str(key), "value": float(value), "step": step or 0, "at": time.time()}) + "\n"
            )

    def recorded_metric(self, run_id, key, value, *args, **kwargs):
        result = log_metric(self, run_id, key, value, *args, **kwargs)
        note(key, value, kwargs.get("step"))
        return result

    def recorded_batch(self, run_id, metrics=(), *args, **kwargs):
        result = log_batch(self, run_id, metrics, *args, **kwargs)
        for metric in metrics:
            note(metric.key, metric.value, metric.step)
        return result

    MlflowClient.log_metric, MlflowClient.log_batch = recorded_metric, recorded_batch
