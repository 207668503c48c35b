"""MLflow inside a step: the tracking address and the run are the job's, whatever the code sets.

`import mlflow` alone costs nothing more; store and run are made when something is first logged.
"""

import atexit
import contextlib
import fcntl
import importlib.util
import json
import os
import shutil
import sys

import tidemill_step as step

RUN_FILE = os.path.join(step.FOLDER, "mlflow-run.json")
LOCK = os.environ.get("TIDEMILL_MLFLOW_LOCK", RUN_FILE + ".lock")
ARTIFACTS = os.environ.get("TIDEMILL_MLFLOW_ARTIFACTS", "")
SQLITE = "sqlite:///"
RUN_ID = "MLFLOW_RUN_ID"


def wire(mlflow):
    """Point MLflow at the job's store, and lead `mlflow.log_*` and `start_run` to the step's run."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return
    if uri.startswith(SQLITE) and importlib.util.find_spec("sqlalchemy") is None:
        uri = _use_files()
    from mlflow.tracking import fluent

    _set_uri(mlflow, uri)
    step.watch_exit()
    job = JobRun(mlflow, fluent, uri)
    _replace(mlflow, fluent, "start_run", job.start_run)
    _replace(mlflow, fluent, "end_run", job.end_run)
    _replace(mlflow, fluent, "set_experiment", job.set_experiment)
    for name in ("set_tracking_uri", "set_registry_uri"):
        _override(mlflow, name, uri)
    _record(mlflow, job)


def _use_files():
    """For an MLflow without a database (mlflow-skinny): files in the step's folder, taken over when the step ends."""
    os.environ.pop("TIDEMILL_MLFLOW_ARTIFACTS", None)
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    uri = "file://" + os.path.join(step.FOLDER, "mlflow", "files")
    os.environ["MLFLOW_TRACKING_URI"] = os.environ["MLFLOW_REGISTRY_URI"] = uri
    return uri


def _set_uri(mlflow, uri):
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(os.environ.get("MLFLOW_REGISTRY_URI") or uri)


def _override(mlflow, name, uri):
    """The user's address gives way, as on Azure ML, and the log says so."""

    def ignore(given, *args, **kwargs):
        if str(given).rstrip("/") != uri.rstrip("/"):
            step.say("mlflow.%s(%r) is overridden, as on Azure ML: the job tracks to its own store" % (name, given))

    setattr(mlflow, name, ignore)


def _replace(mlflow, fluent, name, new):
    """Everywhere in MLflow where the function is already known by name."""
    old = getattr(fluent, name)
    for key, module in list(sys.modules.items()):
        if (key == "mlflow" or key.startswith("mlflow.")) and getattr(module, "__dict__", {}).get(name) is old:
            setattr(module, name, new)


class JobRun:
    """The step's own run: made by the first Python of the step that logs, found by the others in the step's folder."""

    def __init__(self, mlflow, fluent, uri):
        self._mlflow = mlflow
        self._uri = uri
        self._artifacts = ARTIFACTS if uri.startswith(SQLITE) else ""
        self._start, self._end = fluent.start_run, fluent.end_run
        self._experiment = ""
        self.run_id = os.environ.get(RUN_ID, "")

    def start_run(self, run_id=None, experiment_id=None, run_name=None, nested=False, *args, **kwargs):
        """As MLflow's; without a run id it resumes the step's run, and `nested` makes a child of it."""
        if run_id is not None:
            return self._start(run_id, experiment_id, run_name, nested, *args, **kwargs)
        self.join()
        active = self._mlflow.active_run()
        if active is None and not nested:
            return self._start(self.run_id, None, run_name, False, *args, **kwargs)
        if active is None:
            self._start(self.run_id)
        # MLflow resumes the run of that name before it looks at `nested`
        os.environ.pop(RUN_ID, None)
        try:
            return self._start(None, experiment_id or self._experiment, run_name, nested, *args, **kwargs)
        finally:
            os.environ[RUN_ID] = self.run_id

    def end_run(self, *args, **kwargs):
        """As MLflow's, which also forgets the run's id; the step's later processes still need it."""
        self._end(*args, **kwargs)
        if self.run_id:
            os.environ[RUN_ID] = self.run_id

    def set_experiment(self, experiment_name=None, experiment_id=None, *args, **kwargs):
        """The job's experiment stays; MLflow would otherwise refuse to resume the job's run."""
        self.join()
        found = self._mlflow.MlflowClient().get_experiment(self._experiment)
        if experiment_name not in (None, found.name):
            step.say("mlflow.set_experiment(%r) is overridden: the job logs to %r" % (experiment_name, found.name))
        return found

    def join(self):
        """Create the run or find it; afterwards its id is where MLflow's own code and child processes look."""
        if not self._experiment:
            os.makedirs(os.path.dirname(LOCK), exist_ok=True)
            # MLflow's first migration breaks when two processes do it at once
            with open(LOCK, "a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                client = self._open_store()
                found = _read_run() or self._create(client)
            self.run_id, self._experiment = found["run_id"], found["experiment_id"]
            atexit.register(self._finish)
        os.environ[RUN_ID] = self.run_id

    def _open_store(self):
        embedded = self._uri.startswith(SQLITE)
        database = self._uri[len(SQLITE) :]
        fresh = embedded and not os.path.exists(database)
        if fresh:
            _from_template(self._mlflow.__version__, database)
        try:
            return self._try_store()
        except Exception as exc:
            if not embedded or "schema" not in str(exc) and "revision" not in str(exc):
                raise
        # another MLflow made the job's database; each generation of the schema has a file of its own
        version = self._mlflow.__version__
        other = "%s-%s.db" % (os.path.splitext(database)[0], version)
        step.say("MLflow %s cannot use the workspace's database; it tracks to %s" % (version, other))
        self._uri = os.environ["MLFLOW_TRACKING_URI"] = os.environ["MLFLOW_REGISTRY_URI"] = SQLITE + other
        from mlflow.tracking import set_registry_uri, set_tracking_uri

        set_tracking_uri(self._uri)
        set_registry_uri(self._uri)
        return self._try_store()

    def _try_store(self):
        with _quiet_creation():
            client = self._mlflow.MlflowClient()
            client.get_experiment_by_name(_experiment_name())
        if self._uri.startswith(SQLITE) and ARTIFACTS:
            _settle(self._mlflow.__version__, self._uri[len(SQLITE) :])
        return client

    def _create(self, client):
        name = _experiment_name()
        found = client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else client.create_experiment(name, self._artifacts or None)
        tags = {
            "tidemill.job": os.environ.get("TIDEMILL_JOB", ""),
            "tidemill.step": os.environ.get("TIDEMILL_STEP", ""),
        }
        title = os.environ.get("AZUREML_RUN_DISPLAY_NAME") or os.environ.get("AZUREML_RUN_ID", "step")
        tags["mlflow.runName"] = title
        run = {"run_id": client.create_run(experiment, tags=tags).info.run_id, "experiment_id": experiment}
        if self._uri.startswith("http"):
            run["server"] = _without_login(self._uri)  # who ends it later may have been given another one
        with open(RUN_FILE + ".part", "w") as file:
            file.write(json.dumps(run) + "\n")  # a whole line: from another machine it is fetched as soon as it is one
        os.replace(RUN_FILE + ".part", RUN_FILE)
        return run

    def _finish(self):
        """MLflow itself ends active runs as finished, however the process ended: say it before it does."""
        status = "FAILED" if step.has_failed() else "FINISHED"
        try:
            while self._mlflow.active_run() is not None:
                self._mlflow.end_run(status)
            self._mlflow.MlflowClient().set_terminated(self.run_id, status)
        except Exception as exc:
            step.say("the MLflow run could not be closed: %s" % exc)


def _without_login(uri):
    scheme, _, rest = uri.partition("://")
    host, slash, path = rest.partition("/")
    return "%s://%s%s%s" % (scheme, host.rpartition("@")[2], slash, path)


def _experiment_name():
    return os.environ.get("AZUREML_EXPERIMENT_NAME") or "Default"


def _read_run():
    try:
        with open(RUN_FILE) as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def _template(version):
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "tidemill", "mlflow-%s.db" % version)


def _from_template(version, database):
    """An empty database of this MLflow, made once per machine: creating one anew takes a second."""
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(database), exist_ok=True)
        shutil.copyfile(_template(version), database + ".part")
        os.replace(database + ".part", database)


def _settle(version, database):
    """Once per database: keep an empty one as template, and put the default experiment's files with all others."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
        wanted = ARTIFACTS.rstrip("/") + "/0"
        found = connection.execute("SELECT artifact_location FROM experiments WHERE experiment_id = 0").fetchone()
        if found is None or found[0] == wanted:
            return
        empty = connection.execute("SELECT count(*) FROM runs").fetchone()[0] == 0
        models = connection.execute("SELECT count(*) FROM registered_models").fetchone()[0]
        connection.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", (wanted,))
        connection.commit()
        others = connection.execute("SELECT count(*) FROM experiments").fetchone()[0]
        if empty and not models and others == 1:
            _keep_template(connection, _template(version))


def _keep_template(connection, template):
    import sqlite3

    part = "%s.%d" % (template, os.getpid())
    with contextlib.suppress(OSError, sqlite3.Error):
        if os.path.exists(template):
            return
        os.makedirs(os.path.dirname(template), exist_ok=True)
        with contextlib.closing(sqlite3.connect(part)) as copy:
            connection.backup(copy)
            copy.execute("UPDATE experiments SET artifact_location = '' WHERE experiment_id = 0")
            copy.commit()
        os.replace(part, template)


@contextlib.contextmanager
def _quiet_creation():
    """A page of migration names is not what a step's log is for."""
    import logging

    loggers = [logging.getLogger(name) for name in ("mlflow.store.db.utils", "alembic", "alembic.runtime.migration")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def _record(mlflow, job):
    """What is logged to the step's run is also written beside: gates and reports read it without importing MLflow."""
    client = mlflow.MlflowClient
    log_metric, log_batch, log_param = client.log_metric, client.log_batch, client.log_param

    def recorded_metric(self, run_id, key, value, timestamp=None, step_number=None, *args, **kwargs):
        if "step" in kwargs:
            step_number = kwargs.pop("step")
        if run_id == job.run_id:
            step.note_metric(key, value, step_number)
        return log_metric(self, run_id, key, value, timestamp, step_number, *args, **kwargs)

    def recorded_batch(self, run_id, metrics=(), params=(), *args, **kwargs):
        for metric in metrics if run_id == job.run_id else ():
            step.note_metric(metric.key, metric.value, metric.step)
        for param in params if run_id == job.run_id else ():
            step.note_param(param.key, param.value)
        return log_batch(self, run_id, metrics, params, *args, **kwargs)

    def recorded_param(self, run_id, key, value, *args, **kwargs):
        if run_id == job.run_id:
            step.note_param(key, value)
        return log_param(self, run_id, key, value, *args, **kwargs)

    client.log_metric, client.log_batch, client.log_param = recorded_metric, recorded_batch, recorded_param
