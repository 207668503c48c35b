"""What AutoML trials are measured by, called as Azure ML calls it."""

import numpy as np
from sklearn import metrics as sk

SMALLER_IS_BETTER = {"normalized_root_mean_squared_error", "normalized_mean_absolute_error"}
NAMES = {
    "auc_weighted": "AUC_weighted",
}


def name_of(metric):
    """A metric as Azure ML logs it, however the document writes it."""
    return NAMES.get(metric.lower(), metric.lower())


def loss_of(metric, value):
    """What a search makes small."""
    return value if metric in SMALLER_IS_BETTER else -value


def is_reached(metric, value, goal):
    """Whether `value` is as good as `goal`."""
    return loss_of(metric, value) <= loss_of(metric, goal)


def classification(truth, scores, weights=None):
    """Metrics of class numbers against scores of every class, one column each."""
    truth, scores = np.asarray(truth, dtype=int), np.asarray(scores, dtype=float)
    classes = scores.shape[1]
    said = scores.argmax(axis=1)
    present = np.unique(truth)
    known = {"sample_weight": weights}
    averaged = {"average": "weighted", "zero_division": 0, **known}
    macro = {"average": "macro", "zero_division": 0, "labels": present, **known}
    recall = sk.recall_score(truth, said, **macro)
    chance = 1 / max(2, classes)
    return {
        "accuracy": sk.accuracy_score(truth, said, **known),
        "AUC_weighted": _by_class(truth, scores, weights, sk.roc_auc_score),
        "average_precision_score_weighted": _by_class(truth, scores, weights, sk.average_precision_score),
        "norm_macro_recall": max(0.0, (recall - chance) / (1 - chance)),
        "balanced_accuracy": recall,
        "precision_score_weighted": sk.precision_score(truth, said, **averaged),
        "recall_score_weighted": sk.recall_score(truth, said, **averaged),
        "f1_score_weighted": sk.f1_score(truth, said, **averaged),
        "f1_score_macro": sk.f1_score(truth, said, **macro),
        "matthews_correlation": sk.matthews_corrcoef(truth, said, **known),
        "log_loss": sk.log_loss(truth, _as_probabilities(scores), labels=range(classes), **known),
    }


def _by_class(truth, scores, weights, score):
    """One class against all others, weighted by how many rows are of it."""
    total, counted = 0.0, 0
    for number in range(scores.shape[1]):
        of_it = truth == number
        if 0 < of_it.sum() < len(truth):
            total += of_it.sum() * score(of_it, scores[:, number], sample_weight=weights)
            counted += of_it.sum()
    return total / counted if counted else 0.0


def _as_probabilities(scores):
    clipped = np.clip(scores, 1e-15, 1.0)
    return clipped / clipped.sum(axis=1, keepdims=True)


def regression(truth, said, weights=None, span=None):
    """Metrics of numbers; `span` is the target's range in the training data, by which errors are normalized."""
    truth, said = np.asarray(truth, dtype=float), np.asarray(said, dtype=float)
    span = span or float(truth.max() - truth.min()) or 1.0
    known = {"sample_weight": weights}
    root = float(np.sqrt(sk.mean_squared_error(truth, said, **known)))
    absolute = sk.mean_absolute_error(truth, said, **known)
    return {
        "r2_score": sk.r2_score(truth, said, **known) if len(truth) > 1 else 0.0,
        "spearman_correlation": _spearman(truth, said),
        "normalized_root_mean_squared_error": root / span,
        "normalized_mean_absolute_error": absolute / span,
        "root_mean_squared_error": root,
        "mean_absolute_error": absolute,
        "median_absolute_error": sk.median_absolute_error(truth, said, **known),
        "explained_variance": sk.explained_variance_score(truth, said, **known) if len(truth) > 1 else 0.0,
    }


def _spearman(truth, said):
    from scipy.stats import rankdata

    left, right = rankdata(truth), rankdata(said)
    if left.std() == 0 or right.std() == 0:
        return 0.0
    return float(np.corrcoef(left, right)[0, 1])


def scores_of(model, rows, classes):
    """A score for every class: probabilities where the model has them."""
    if hasattr(model, "predict_proba"):
        found = np.asarray(model.predict_proba(rows), dtype=float)
        if found.shape[1] == classes:
            return found
        whole = np.zeros((len(found), classes))
        whole[:, np.asarray(model.classes_, dtype=int)] = found
        return whole
    said = np.asarray(model.predict(rows), dtype=int)
    return np.eye(classes)[said]


def mean(found):
    """The mean of each metric over several measurements."""
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}
