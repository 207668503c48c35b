"""What AutoML learns from what: every trial is measured as Azure ML would, by a model built as its library makes it."""

import itertools

import numpy as np
import tidemill_automl_metrics as measures
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from tidemill_automl_model import NamedClassifier
from tidemill_automl_trials import SEED
from tidemill_split import Refused

WEIGHTLESS = {"kneighbor", "lassolars"}
COUNTING = {"xgboost", "xgb_limitdepth"}
LARGE = 100_000
MOST_CELLS = 100_000_000


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
        self._choose_validation(config, validation)
        self._encoded = None

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
        return whole.fit(rows, truth, **({} if weights is None else {"model__" + _weight_of(model): weights}))

    @property
    def sampled_rows(self):
        """So many rows, if so many that a search begins with some of them."""
        return len(self.truth) if len(self.truth) > LARGE else 0

    def encode(self):
        """Turn the columns of every fold into numbers once, by what its own training rows say, unless that is too much to keep."""
        first = self._encode(*next(self._parts()))
        self.shape = (len(self.truth), first[0].shape[1])
        if first[0].size * max(1, self.folds) <= MOST_CELLS:
            self._encoded = [first, *(self._encode(*part) for part in itertools.islice(self._parts(), 1, None))]

    def _parts(self):
        """Rows, targets and weights to learn from and to be measured by: the data held back, or every fold."""
        if self.held is not None:
            yield (self.rows, self.truth, self.weights), self.held
            return
        for names in self._split():
            yield tuple((self.rows.iloc[n], self.truth[n], _take(self.weights, n)) for n in names)

    def _encode(self, kept, held):
        columns = clone(self.transformer).fit(kept[0], kept[1])
        return columns.transform(kept[0]), *kept[1:], columns.transform(held[0]), *held[1:]

    def evaluate(self, model, sample=0):
        """The metrics of a model built anew on every fold, or on the data that was held back; `sample` rows teach it, or all."""
        found = []
        for rows, truth, weights, *held in self._encoded or (self._encode(*part) for part in self._parts()):
            if sample:
                names = np.random.RandomState(SEED).permutation(len(truth))[:sample]
                rows, truth, weights = rows[names], truth[names], _take(weights, names)
            given = {} if weights is None else {_weight_of(model): weights}
            found.append(self.measure(clone(model).fit(rows, truth, **given), *held))
        return measures.mean(found)

    def _split(self):
        rare = self.classes is None or np.bincount(self.truth).min() < self.folds
        kind = KFold if rare else StratifiedKFold
        return kind(self.folds, shuffle=True, random_state=SEED).split(self.rows, self.truth)

    def finish(self, model):
        """The model for use: fitted to all training data, saying names of classes."""
        truth = self.truth if self.classes is None else self.classes[self.truth]
        return self.fit(model, self.rows, truth, self.weights)


def _weight_of(model):
    """What `fit` calls the weights."""
    return "%s__sample_weight" % model.steps[-1][0] if isinstance(model, Pipeline) else "sample_weight"


def estimators(config, weights=None):
    """FLAML's names of what may be tried."""
    found = [name for name in config["estimators"] if weights is None or name not in WEIGHTLESS]
    if not found:
        raise Refused("None of the allowed algorithms can weigh rows (`weight_column_name`)")
    return found


def space_of(problem, learner):
    """What FLAML lets the learner's parameters be, for data of that size."""
    from flaml.automl.task.factory import task_factory

    task = task_factory(problem.flaml_task)
    return task.estimator_class_from_str(learner).search_space(data_size=problem.shape, task=task)


def build(problem, learner, config, jobs):
    """The model of a trial, as the library it comes from makes it."""
    from flaml.automl.task.factory import task_factory

    task = task_factory(problem.flaml_task)
    kind = task.estimator_class_from_str(learner)
    made = kind(task=task, n_jobs=jobs, **{k: v for k, v in config.items() if not k.startswith("FLAML")})
    model = made.estimator_class(**made.params)
    if hasattr(made, "normalizer"):
        model = make_pipeline(clone(made.normalizer), model)
    counts = problem.classes is not None and learner in COUNTING
    return NamedClassifier(model) if counts else model


def _take(values, names):
    return None if values is None else np.asarray(values)[names]
