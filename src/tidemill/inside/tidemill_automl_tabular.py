"""Classification and regression: from tables to a scikit-learn pipeline that takes the raw columns."""

import shutil

import numpy as np
import pandas
import tidemill_automl_data as data
import tidemill_automl_metrics as measures
from sklearn.model_selection import train_test_split
from tidemill_automl_search import Problem, build, estimators, space_of
from tidemill_automl_trials import SEED
from tidemill_split import Refused

EXAMPLE = 5


class Tabular:
    """One step's task, from its settings."""

    def __init__(self, config, say):
        self.config, self.say = config, say
        training = data.read_table(config["data"]["training_data"])
        self._rest = None
        if config["test_data_size"] and not config["data"].get("test_data"):
            training, self._rest = train_test_split(training, test_size=config["test_data_size"], random_state=SEED)
        rows, truth, weights = self._take_apart(training, "The training data")
        self.kinds = data.sort_columns(rows, config["featurization"], say)
        self.columns = [c for c, kind in self.kinds.items() if kind != "nothing"]
        rows = data.prepare(rows, self.kinds)
        transformer = data.make_transformer(rows, self.kinds, config["featurization"])
        self.problem = Problem(config, rows, truth, weights, self._held(), transformer)
        self.problem.encode()
        self.metric = self.problem.metric

    def _take_apart(self, frame, what):
        """Rows, target and weights; rows without a target teach nothing."""
        target, weight = self.config["target"], self.config["weight"]
        data.require(frame, [target, *([weight] if weight else [])], what)
        frame = frame[frame[target].notna()].reset_index(drop=True)
        if not len(frame):
            raise Refused("%s has no row whose `%s` is known" % (what, target))
        truth = self._target(frame[target])
        weights = frame[weight].to_numpy(float) if weight else None
        others = [target, weight, *self.config["split_columns"]]
        return frame.drop(columns=[c for c in others if c in frame.columns]), truth, weights

    def _target(self, values):
        if self.config["task"] != "classification":
            numbers = pandas.to_numeric(values, errors="coerce")
            if numbers.isna().any():
                raise Refused("The target is not a number everywhere: %s" % values[numbers.isna()].iloc[0])
            return numbers.to_numpy(float)
        if pandas.api.types.is_float_dtype(values) and (values == values.round()).all():
            values = values.astype("int64")
        plain = pandas.api.types.is_numeric_dtype(values)
        return values.to_numpy() if plain else values.astype(str).to_numpy(object).astype(str)

    def _held(self):
        """The validation data, if the document names some."""
        source = self.config["data"].get("validation_data")
        return self._ready(data.read_table(source), "The validation data") if source else None

    def _ready(self, frame, what):
        rows, truth, weights = self._take_apart(frame, what)
        data.require(rows, self.columns, what)
        return data.prepare(rows, {c: self.kinds[c] for c in self.columns}), truth, weights

    @property
    def sampled_rows(self):
        """So many rows, if so many that a search begins with some of them."""
        return self.problem.sampled_rows

    def learners(self):
        """What is tried, in that order."""
        return estimators(self.config, self.problem.weights)

    def space(self, learner):
        """The parameters of a learner."""
        return space_of(self.problem, learner)

    def measure(self, learner, config, jobs):
        """The metrics of one trial."""
        sample = int(config.get("FLAML_sample_size", 0))
        return self.problem.evaluate(build(self.problem, learner, config, jobs), sample)

    def choose(self, search, log):
        """The best single model, or an ensemble that is better: its name, itself and its metrics."""
        best, cores = search.trials.best, self.config["cores"]
        model = build(self.problem, best["learner"], best["config"], cores)
        found = [(best["learner"], model, self.problem.evaluate(model) if best["sample"] else best["metrics"])]
        found += self._measure_ensembles(search, log)
        return min(found, key=lambda m: measures.loss_of(self.metric, m[2][self.metric]))

    def _measure_ensembles(self, search, log):
        """Those that can be measured while there is time."""
        from tidemill_automl_ensembles import make_ensembles

        wanted = self.config["ensembles"] if search.left_s > 0 else {}
        models = dict(make_ensembles(self.problem, search.trials, wanted, self.config["jobs"]))
        ended = search.measure({name: (self.problem.evaluate, (model,)) for name, model in models.items()})
        for name, model in models.items():
            metrics, error = ended.get(name, (None, "the time is over"))
            if error:
                self.say("%s: left out: %s" % (name, error))
                continue
            self.say("%s: %s %.6g" % (name, self.metric, metrics[self.metric]))
            log.child(name, name, metrics)
            yield name, model, metrics

    def finish(self, model):
        """The chosen model, fitted for use."""
        return self.problem.finish(model)

    def test(self, final):
        """The metrics on the test data, if there is any."""
        source = self.config["data"].get("test_data")
        frame = data.read_table(source) if source else self._rest
        if frame is None:
            return None
        rows, truth, weights = self._ready(frame, "The test data")
        if self.problem.classes is None:
            return measures.regression(truth, final.predict(rows), weights, self.problem.span)
        numbers = {name: number for number, name in enumerate(self.problem.classes)}
        known = np.array([name in numbers for name in truth])
        if not known.all():
            self.say("%d test rows have a class that training lacks; they are left out" % (~known).sum())
        kept = [numbers[name] for name in truth[known]]
        weights = None if weights is None else weights[known]
        return measures.classification(kept, final.predict_proba(rows[known]) if hasattr(final, "predict_proba")
                                       else self._certain(final, rows[known], numbers), weights)  # fmt: skip

    def _certain(self, final, rows, numbers):
        return np.eye(len(numbers))[[numbers[name] for name in final.predict(rows)]]

    def save(self, final, name, place):
        """An MLflow model with a signature; what serves it needs the named packages and nothing of Tidemill or FLAML."""
        save(final, self.problem.rows, place)
        self.say("best model: %s" % name)


def save(model, rows, place):
    """The model and its parts of ours in one folder, in MLflow's format."""
    import cloudpickle
    import mlflow.sklearn
    import tidemill_automl_model
    from mlflow.models import infer_signature

    cloudpickle.register_pickle_by_value(tidemill_automl_model)
    shutil.rmtree(place, ignore_errors=True)
    mlflow.sklearn.save_model(
        model,
        place,
        signature=infer_signature(rows, model.predict(rows.head(EXAMPLE))),
        pip_requirements=requirements(model),
        serialization_format="cloudpickle",
    )


def requirements(model):
    """The packages of the model, as they are here."""
    from importlib.metadata import version

    used = {"scikit-learn", "numpy", "pandas", "scipy", "cloudpickle"}
    text = repr(model)
    used |= {"lightgbm"} if "LGBM" in text else set()
    used |= {"xgboost"} if "XGB" in text else set()
    return ["%s==%s" % (name, version(name)) for name in sorted(used)]
