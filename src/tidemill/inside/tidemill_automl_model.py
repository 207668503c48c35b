"""Parts of AutoML's models that no library has. They are kept inside the model's file: serving it needs none of this."""

import warnings

import numpy as np
import pandas
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin, clone

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


class Forecaster(RegressorMixin, BaseEstimator):
    """Forecasts a series step by step: what it said of one step is the past of the next.

    `rows` hold the time, what names the series, and columns that are known of the future too.
    """

    def __init__(self, inner, columns, calendar, time, ids, known, numeric, lags, window):
        self.inner = inner
        self.columns = columns
        self.calendar = calendar
        self.time = time
        self.ids = ids
        self.known = known
        self.numeric = numeric
        self.lags = lags
        self.window = window

    def fit(self, rows, truth, **kwargs):
        """Remember the past and learn from it."""
        features = self.learn_columns(rows, truth)
        self.inner_ = clone(self.inner).fit(features, np.asarray(truth, dtype=float), **kwargs)
        return self

    def learn_columns(self, rows, truth):
        """Remember the past; the numbers a model is to learn from."""
        self.history_ = self._remember(rows, np.asarray(truth, dtype=float))
        table = self.describe(rows)
        self.columns_ = clone(self.columns).fit(table)
        return self.columns_.transform(table)

    def predict(self, rows):
        """A number for every row, in the rows' order; rows between the past and them are forecast too."""
        places, known = self._places(rows), self._known(rows)
        series = {}
        for row, (key, place) in enumerate(places):
            series.setdefault(key, {})[place] = row
        past = {key: dict(self.history_.get(key, {})) for key in series}
        said = np.full(len(rows), np.nan)
        for asked in self._steps(series, past):
            answers = self._answer([(k, p) for k, p, _ in asked], past, known, [r for *_, r in asked])
            for (key, place, row), answer in zip(asked, answers):
                past[key].setdefault(place, float(answer))
                if row is not None:
                    said[row] = answer
        return said

    def _answer(self, asked, past, known, rows):
        """A number for each series and step that is asked for, from what lies before it."""
        return self.inner_.predict(self.columns_.transform(self._table(asked, past, self._rows_of(known, rows))))

    def describe(self, rows):
        """The table of past and calendar of rows whose past is known."""
        return self._table(self._places(rows), self.history_, self._known(rows))

    def _steps(self, series, past):
        """What can be said at once, one step of all series after the other."""
        first = {k: max([p for p in past[k]], default=min(rows) - 1) + 1 for k, rows in series.items()}
        inside = [(k, p, row) for k, rows in series.items() for p, row in rows.items() if p < first[k]]
        if inside:
            yield inside
        last = {k: max(rows) for k, rows in series.items()}
        for step in range(max(last[k] - first[k] + 1 for k in series)):
            yield [(k, first[k] + step, series[k].get(first[k] + step)) for k in series if first[k] + step <= last[k]]

    def _places(self, rows):
        """The series and the number of the step of every row."""
        places = self.calendar.places(rows[self.time])
        keys = zip(*(rows[c].astype(str) for c in self.ids)) if self.ids else ((),) * len(rows)
        return list(zip(keys, (int(p) for p in places)))

    def _remember(self, rows, truth):
        """Every series by step; a step that is missing is as the one before."""
        found = {}
        for (key, place), value in zip(self._places(rows), truth):
            found.setdefault(key, {})[place] = float(value)
        for steps in found.values():
            for place in range(min(steps), max(steps)):
                steps.setdefault(place + 1, steps[place])
        return found

    def _known(self, rows):
        """The columns that are no past, in types models know."""
        ready = {c: rows[c].astype(str).astype(object) for c in self.ids}
        for column in self.known:
            values = rows[column]
            if column in self.numeric:
                ready[column] = pandas.to_numeric(values, errors="coerce").astype(float)
            else:
                ready[column] = values.astype(str).astype(object).where(values.notna(), None)
        return pandas.DataFrame(ready, index=rows.index).reset_index(drop=True)

    def _rows_of(self, known, numbers):
        """Rows by number; a step nobody asked for has gaps."""
        return known.reindex([-1 if n is None else n for n in numbers]).reset_index(drop=True)

    def _table(self, asked, past, known):
        table = {c: known[c] for c in known.columns}
        for column, at in zip(self.ids, range(len(self.ids))):
            table[column] = [key[at] for key, _ in asked]
        for lag in self.lags:
            table["lag %d" % lag] = [past.get(k, {}).get(p - lag, np.nan) for k, p in asked]
        if self.window:
            table["window"] = [self._mean(past.get(k, {}), p) for k, p in asked]
        table.update(self.calendar.parts([p for _, p in asked]))
        return pandas.DataFrame(table)

    def _mean(self, steps, place):
        found = [steps[p] for p in range(place - self.window, place) if p in steps]
        return float(np.mean(found)) if found else np.nan


class Baseline(Forecaster):
    """What a forecast has to beat: the last value, that of the season before, or their means."""

    def __init__(self, kind, season, calendar, time, ids, known, numeric):
        self.kind = kind
        self.season = season
        self.calendar = calendar
        self.time = time
        self.ids = ids
        self.known = known
        self.numeric = numeric

    def fit(self, rows, truth, **kwargs):
        """Remember the past; nothing else is learned."""
        self.history_ = self._remember(rows, np.asarray(truth, dtype=float))
        self.usual_ = float(np.mean(truth))
        return self

    def _answer(self, asked, past, known, rows):
        says = {"naive": self._last, "seasonal_naive": self._season_before, "average": self._mean_of_all,
                "seasonal_average": self._mean_of_season}[self.kind]  # fmt: skip
        return [says(past.get(key, {}), self.history_.get(key, {}), place) for key, place in asked]

    def _last(self, past, learned, place):
        if place - 1 in past:
            return past[place - 1]
        before = [p for p in past if p < place]
        return past[max(before)] if before else self.usual_

    def _season_before(self, past, learned, place):
        found = past.get(place - self.season)
        return self._last(past, learned, place) if found is None else found

    def _mean_of_all(self, past, learned, place):
        return float(np.mean(list(learned.values()))) if learned else self.usual_

    def _mean_of_season(self, past, learned, place):
        same = [value for p, value in learned.items() if (p - place) % self.season == 0]
        return float(np.mean(same)) if same else self._mean_of_all(past, learned, place)


class Calendar:
    """Counts time in steps of a frequency such as `D`, `h`, `15min` or `M`."""

    def __init__(self, unit, count):
        self.unit, self.count = unit, count

    def places(self, times):
        """The number of each time's step."""
        return pandas.PeriodIndex(to_dates(times), freq=self.unit).asi8 // self.count

    def parts(self, places):
        """What the calendar says of steps."""
        index = pandas.PeriodIndex.from_ordinals(np.asarray(places, dtype="int64") * self.count, freq=self.unit)
        times = index.to_timestamp()
        found = {"step": np.asarray(places, dtype=float)}
        found.update({part: getattr(times, part).to_numpy(float) for part in ("month", "day", "dayofweek", "hour")})
        return found
