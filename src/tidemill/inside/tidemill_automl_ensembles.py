"""Ensembles of the best model of every algorithm, as scikit-learn makes them."""

from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier, VotingRegressor
from sklearn.linear_model import (
    ElasticNet,
    ElasticNetCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    RidgeCV,
)
from tidemill_automl_search import build
from tidemill_automl_trials import SEED
from tidemill_split import Refused

MEMBERS = 5
FOLDS = 3
PLAIN = {
    "logisticregression": LogisticRegression, "logisticregressioncv": LogisticRegressionCV, "elasticnet": ElasticNet,
    "elasticnetcv": ElasticNetCV, "linearregression": LinearRegression,
}  # fmt: skip
META = {**PLAIN, "lightgbmclassifier": "LGBMClassifier", "lightgbmregressor": "LGBMRegressor"}


def make_ensembles(problem, trials, wanted, jobs):
    """Name and model of every ensemble that can be made of the trials."""
    members = [
        (t["learner"], build(problem, t["learner"], t["config"], jobs)) for t in trials.best_by_learner()[:MEMBERS]
    ]
    if problem.classes is not None:
        members = [(name, model) for name, model in members if hasattr(model, "predict_proba")]
    if len(members) < 2:
        return
    if "vote" in wanted:
        voting = VotingRegressor(members) if problem.classes is None else VotingClassifier(members, voting="soft")
        yield "VotingEnsemble", voting
    if "stack" in wanted and problem.weights is None:
        yield "StackEnsemble", _stack(problem, members, wanted["stack"])


def _stack(problem, members, settings):
    judge = _judge(problem, settings)
    if problem.classes is None:
        return StackingRegressor(members, final_estimator=judge, cv=FOLDS)
    return StackingClassifier(members, final_estimator=judge, cv=FOLDS)


def _judge(problem, settings):
    given = dict(settings.get("stack_meta_learner_kwargs") or {})
    name = str(settings.get("stack_meta_learner_type") or "none").replace("_", "").lower()
    if name in {"none", ""}:
        return RidgeCV() if problem.classes is None else LogisticRegression(**{"max_iter": 1000, **given})
    if name not in META:
        raise Refused("`stack_meta_learner_type` is `%s`; known here: %s" % (name, ", ".join(META)))
    if name in PLAIN:
        return PLAIN[name](**given)
    import lightgbm

    return getattr(lightgbm, META[name])(**{"verbose": -1, "random_state": SEED, **given})
