"""AutoML's search: FLAML proposes, every trial is measured as Azure ML would, and models are rebuilt as plain ones."""

import json
import os
import time

import numpy as np
import tidemill_automl_metrics as measures
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from tidemill_automl_model import NamedClassifier
from tidemill_split import Refused

SEED = 0
WEIGHTLESS = {"kneighbor", "lassolars"}
COUNTING = {"xgboost", "xgb_limitdepth"}
LARGE = 100_000


class Enough(BaseException):
    """`exit_score` is reached: nothing more is tried."""


class Problem:
    """What is learned from what, and how a model of it is measured."""

    def __init__(self, config, rows, truth, weights, validation, transformer):
        self.metric = measures.name_of(config["primary_metric"])
        self.rows, self.weights = rows, weights
        self.transformer = transformer
        self.classes = None
        if config["task"] == "classification":
            self.classes, truth = np.unique(truth, return_inverse=True)
            if len(self.classes) < 2:
                raise Refused("The target has one class only: %s" % self.classes[0])
        self.truth = np.asarray(truth)
        self.span = None if self.classes is not None else float(np.ptp(self.truth))
        self.held = None
        self.folds = 0
        self.jobs = config["jobs"]
        self._choose_validation(config, validation)

    @property
    def flaml_task(self):
        """The task in FLAML's words."""
        if self.classes is None:
            return "regression"
        return "binary" if len(self.classes) == 2 else "multiclass"

    def _choose_validation(self, config, validation):
        """As Azure ML chooses: data given, folds asked for, a part held back, else by how many rows there are."""
        folds, size, count = config["n_cross_validations"], config["validation_data_size"], len(self.truth)
        if validation is not None:
            self.held = self._numbered(validation)
        elif folds and folds > 1:
            self.folds = folds
        elif size or count > 20_000:
            self._hold_back(size or 0.1)
        else:
            self.folds = 10 if count < 1000 else 3
        if self.folds and self.classes is not None:
            self.folds = max(2, min(self.folds, int(np.bincount(self.truth).min())))
        self.folds = min(self.folds, len(self.truth))

    def _numbered(self, given):
        rows, truth, weights = given
        if self.classes is not None:
            numbers = {name: number for number, name in enumerate(self.classes)}
            known = np.array([name in numbers for name in truth])
            if not known.all():
                raise Refused("The validation data has a class that training lacks: %s" % np.asarray(truth)[~known][0])
            truth = np.array([numbers[name] for name in truth])
        return rows, np.asarray(truth), weights

    def _hold_back(self, size):
        names = np.arange(len(self.truth))
        rare = self.classes is not None and np.bincount(self.truth).min() < 2
        shape = None if self.classes is None or rare else self.truth
        kept, held = train_test_split(names, test_size=size, random_state=SEED, stratify=shape)
        self.held = (self.rows.iloc[held], self.truth[held], _take(self.weights, held))
        self.rows, self.truth, self.weights = self.rows.iloc[kept], self.truth[kept], _take(self.weights, kept)

    def measure(self, model, rows, truth, weights=None):
        """Every metric of a fitted model that knows classes by number."""
        if self.classes is None:
            return measures.regression(truth, model.predict(rows), weights, self.span)
        return measures.classification(truth, measures.scores_of(model, rows, len(self.classes)), weights)

    def fit(self, model, rows, truth, weights=None):
        """Columns and model together, from raw rows."""
        whole = Pipeline([("columns", clone(self.transformer)), ("model", clone(model))])
        return whole.fit(rows, truth, **({} if weights is None else {"model__sample_weight": weights}))

    def evaluate(self, model):
        """The metrics of a model built anew on every fold, or on the data that was held back."""
        if self.held is not None:
            fitted = self.fit(model, self.rows, self.truth, self.weights)
            return self.measure(fitted, *self.held)
        found = []
        for kept, held in self._split():
            fitted = self.fit(model, self.rows.iloc[kept], self.truth[kept], _take(self.weights, kept))
            found.append(self.measure(fitted, self.rows.iloc[held], self.truth[held], _take(self.weights, held)))
        return measures.mean(found)

    def _split(self):
        rare = self.classes is None or np.bincount(self.truth).min() < self.folds
        kind = KFold if rare else StratifiedKFold
        return kind(self.folds, shuffle=True, random_state=SEED).split(self.rows, self.truth)

    def finish(self, model):
        """The model for use: fitted to all training data, saying names of classes."""
        truth = self.truth if self.classes is None else self.classes[self.truth]
        return self.fit(model, self.rows, truth, self.weights)


class Trials:
    """What FLAML has tried so far, read from its log after every trial."""

    def __init__(self, path, metric, goal, tell):
        self.done = []
        self._path, self._metric, self._goal, self._tell = path, metric, goal, tell
        self._read = 0

    def look(self):
        """Take in what has ended since; `Enough` when the goal is reached."""
        if not os.path.exists(self._path):
            return
        with open(self._path, encoding="utf-8") as file:
            lines = file.readlines()
        for line in lines[self._read :]:
            self._read += 1
            found = json.loads(line)
            if "learner" not in found or not isinstance(found.get("logged_metric"), dict):
                continue
            self._take(found)
        if self._goal is not None and self.done and measures.is_reached(self._metric, self.best["value"], self._goal):
            raise Enough

    def _take(self, found):
        numbers = {k: float(v) for k, v in found["logged_metric"].items() if k not in {"pred_time", "val_loss"}}
        trial = {
            "number": len(self.done),
            "learner": found["learner"],
            "config": {k: v for k, v in found["config"].items() if not k.startswith("FLAML") and k != "learner"},
            "metrics": numbers,
            "value": numbers[self._metric],
            "seconds": float(found["trial_time"]),
        }
        self.done.append(trial)
        self._tell(trial, self.best)

    @property
    def best(self):
        """The best so far; of equals the first."""
        return min(self.done, key=lambda t: measures.loss_of(self._metric, t["value"]))

    def best_by_learner(self):
        """The best of each learner, best first."""
        found = {}
        for trial in sorted(self.done, key=lambda t: measures.loss_of(self._metric, t["value"])):
            found.setdefault(trial["learner"], trial)
        return list(found.values())


def search(problem, config, measure, tell):
    """Try models until a limit is met; `measure(estimator, rows, truth, weights)` is asked about each."""
    from flaml import AutoML

    limits = config["limits"]
    path = os.path.join(config["work"], "trials.log")
    trials = Trials(path, problem.metric, limits["exit_score"], tell)
    columns = clone(problem.transformer).fit(problem.rows, problem.truth)

    def score(X_val, y_val, estimator, labels, X_train, y_train, weight_val=None, weight_train=None, *rest, **more):
        trials.look()
        found = measure(estimator, X_val, y_val, weight_val)
        return measures.loss_of(problem.metric, found[problem.metric]), found

    settings = {
        "task": problem.flaml_task,
        "metric": score,
        "estimator_list": _estimators(config, problem),
        "time_budget": limits["timeout_s"],
        "max_iter": limits["max_trials"],
        "early_stop": limits["early_stop"],
        "train_time_limit": limits["trial_timeout_s"],
        "seed": SEED,
        "learner_selector": "roundrobin",  # chosen by elapsed time otherwise, differently in every run
        "sample": len(problem.truth) > LARGE,
        "n_jobs": problem.jobs,
        "log_file_name": path,
        "log_type": "all",
        "retrain_full": False,
        "mlflow_logging": False,
        "skip_transform": True,
        "verbose": 0,
        **_validation(problem, columns),
    }
    started = time.monotonic()
    automl = AutoML()
    try:
        automl.fit(X_train=columns.transform(problem.rows), y_train=problem.truth, **settings)
        trials.look()
    except Enough:
        print("exit_score is reached: the search ends")
    if not trials.done:
        raise Refused("No model could be trained within the limits (%.0f s)" % (time.monotonic() - started))
    return trials


def _estimators(config, problem):
    found = list(config["estimators"])
    if problem.weights is not None:
        found = [name for name in found if name not in WEIGHTLESS]
    if not found:
        raise Refused("None of the allowed algorithms can weigh rows (`weight_column_name`)")
    return found


def _validation(problem, columns):
    """How FLAML is to validate."""
    found = {} if problem.weights is None else {"sample_weight": problem.weights}
    if problem.held is None:
        rare = problem.classes is not None and np.bincount(problem.truth).min() < problem.folds
        return {**found, "eval_method": "cv", "n_splits": problem.folds, **({"split_type": "uniform"} if rare else {})}
    rows, truth, weights = problem.held
    found |= {} if weights is None else {"sample_weight_val": weights}
    return {**found, "eval_method": "holdout", "X_val": columns.transform(rows), "y_val": truth}


def build(problem, trial):
    """The model of a trial, as the library it comes from makes it."""
    from flaml.automl.task.factory import task_factory

    task = task_factory(problem.flaml_task)
    kind = task.estimator_class_from_str(trial["learner"])
    made = kind(task=task, n_jobs=problem.jobs, **trial["config"])
    model = made.estimator_class(**made.params)
    if hasattr(made, "normalizer"):
        model = make_pipeline(clone(made.normalizer), model)
    counts = problem.classes is not None and trial["learner"] in COUNTING
    return NamedClassifier(model) if counts else model


def _take(values, names):
    return None if values is None else np.asarray(values)[names]
