"""Parts of AutoML's models that no library has. They are kept inside the model's file: serving it needs none of this."""

import warnings

import numpy as np
import pandas
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone

PARTS = ("year", "month", "day", "dayofweek", "hour")


def to_dates(values):
    """Dates without time zones; what is none becomes a gap."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pandas.to_datetime(pandas.Series(np.asarray(values)), errors="coerce", format="mixed", utc=True)
    return found.dt.tz_localize(None)


class DateParts(TransformerMixin, BaseEstimator):
    """Year, month, day, day of the week and hour of every date."""

    def fit(self, rows, truth=None):
        """Nothing is learned."""
        self.n_features_in_ = np.asarray(rows).shape[1]
        return self

    def transform(self, rows):
        """Five numbers a date; a gap is minus one."""
        rows = np.asarray(rows, dtype=object)
        dates = [to_dates(rows[:, i]) for i in range(rows.shape[1])]
        return np.column_stack([getattr(d.dt, part).fillna(-1).to_numpy(float) for d in dates for part in PARTS])


class NamedClassifier(ClassifierMixin, BaseEstimator):
    """A classifier that can only count, with the names of the classes given back."""

    def __init__(self, inner):
        self.inner = inner

    def fit(self, rows, truth, **kwargs):
        """Learn from names."""
        self.classes_, numbers = np.unique(np.asarray(truth), return_inverse=True)
        self.inner_ = clone(self.inner).fit(rows, numbers, **kwargs)
        return self

    def predict(self, rows):
        """Names."""
        return self.classes_[np.asarray(self.inner_.predict(rows), dtype=int)]

    def predict_proba(self, rows):
        """A column for every name."""
        return self.inner_.predict_proba(rows)
