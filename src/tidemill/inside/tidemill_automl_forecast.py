"""Forecasting: a regression on the target's own past, searched and measured by forecasts from several origins."""

import copy
import re

import numpy as np
import pandas
import tidemill_automl_data as data
import tidemill_automl_metrics as measures
from sklearn.base import clone
from tidemill_automl_model import Baseline, Calendar, Forecaster, to_dates
from tidemill_automl_search import build, estimators, space_of
from tidemill_automl_tabular import save
from tidemill_automl_trials import FIXED
from tidemill_split import Refused

UNITS = {"H": "h", "T": "min", "MIN": "min", "S": "s", "MS": "M", "ME": "M", "QS": "Q", "QE": "Q", "A": "Y", "AS": "Y", "YS": "Y",
         "YE": "Y", "B": "D", "L": "ms"}  # fmt: skip
SECONDS = {"D": 86400, "h": 3600, "min": 60, "s": 1}
DAYS = (("Y", 365, 366), ("Q", 89, 92), ("M", 28, 31), ("W", 7, 7))
SEASONS = {"h": 24, "D": 7, "W": 52, "M": 12, "Q": 4, "min": 60, "s": 60}
NEAR = (1, 2, 3)
ORIGINS = 3


class Forecast:
    """One step's forecasting task, from its settings."""

    classes, flaml_task, sampled_rows = None, "regression", 0

    def __init__(self, config, say):
        self.config, self.say = config, say
        self.asked = config["forecasting"]
        self.metric = measures.name_of(config["primary_metric"])
        self.time = self.asked.get("time_column_name")
        if not self.time:
            raise Refused("A forecast needs `forecasting.time_column_name`")
        self.ids = _listed(self.asked.get("time_series_id_column_names"))
        frame = self._read("training_data", "The training data")
        times = to_dates(frame[self.time])
        self.calendar = find_calendar(self.asked.get("frequency"), times, [frame[c].astype(str) for c in self.ids])
        self._choose_columns(frame)
        self._choose_past(frame)
        self.span = float(np.ptp(frame[config["target"]])) or 1.0
        self.frame = frame
        self._choose_origins(frame)
        self._learned = [self._learn_columns(*past) for past, _ in self.origins]
        self.shape = self._learned[0][1].shape

    def _learn_columns(self, rows, truth):
        """A forecaster that knows that past, and the numbers to learn from."""
        forecaster = self._forecaster(None)
        return forecaster, forecaster.learn_columns(rows, truth), truth.to_numpy(float)

    def _read(self, name, what):
        """A table in order of time, each series' time once."""
        frame = data.read_table(self.config["data"][name])
        target = self.config["target"]
        data.require(frame, [target, self.time, *self.ids], what)
        frame[target] = pandas.to_numeric(frame[target], errors="coerce")
        times = to_dates(frame[self.time])
        frame = frame[frame[target].notna().to_numpy() & times.notna().to_numpy()]
        order = np.argsort(to_dates(frame[self.time]).to_numpy(), kind="stable")
        frame = frame.iloc[order].reset_index(drop=True)
        if not len(frame):
            raise Refused("%s has no row with a time and a target" % what)
        if frame.duplicated([self.time, *self.ids]).any():
            raise Refused("%s has several rows of one time: name what tells the series apart in "
                          "`time_series_id_column_names`" % what)  # fmt: skip
        return frame

    def _choose_columns(self, frame):
        """Columns that are known of the future."""
        unknown = _listed(self.asked.get("features_unknown_at_forecast_time"))
        others = {self.config["target"], self.time, *self.ids, *unknown, *self.config["split_columns"]}
        others.add(self.config["weight"])
        kinds = {}
        free = frame[[c for c in frame.columns if c not in others]]
        if len(free.columns):
            kinds = {c: k for c, k in _sorted(free, self.config["featurization"], self.say).items() if k != "nothing"}
        self.known = [c for c in kinds if kinds[c] in {"number", "category"}]
        for column in sorted(set(kinds) - set(self.known)):
            self.say("column `%s` is not used: forecasts take numbers and categories" % column)
        self.kinds = {c: kinds[c] for c in self.known}
        self.numeric = [c for c in self.known if self.kinds[c] == "number"]

    def _choose_past(self, frame):
        """How far back the model looks: what was asked for, else the last steps and one season before."""
        longest = int(frame.groupby(self.ids).size().max()) if self.ids else len(frame)
        self.horizon = _whole(self.asked.get("forecast_horizon"), 1)
        self.season = _whole(
            self.asked.get("seasonality"), SEASONS.get(self.calendar.unit, 1) // self.calendar.count or 1
        )
        lags = self.asked.get("target_lags")
        if isinstance(lags, list) and lags:
            self.lags = sorted({int(lag) for lag in lags})
        elif _whole(lags, 0):
            self.lags = list(range(1, _whole(lags, 0) + 1))
        else:
            self.lags = sorted({*NEAR, self.season})
        usable = [lag for lag in self.lags if lag <= longest // 2]
        if len(usable) < len(self.lags):
            self.say(
                "series of %d steps are too short for lags of %s" % (longest, sorted(set(self.lags) - set(usable)))
            )
        self.lags = usable or [1]
        window = self.asked.get("target_rolling_window_size")
        self.window = None if window is None else _whole(window, self.season)
        self.say(
            "frequency %d %s, horizon %d, lags %s" % (self.calendar.count, self.calendar.unit, self.horizon, self.lags)
        )

    def _choose_origins(self, frame):
        """Pasts to forecast from and what came after, the latest first."""
        target = self.config["target"]
        if "validation_data" in self.config["data"]:
            after = self._read("validation_data", "The validation data")
            self.origins = [((frame, frame[target]), (after, after[target]))]
            return
        step = self.asked.get("cv_step_size") or self.horizon
        wanted = self.config["n_cross_validations"] or ORIGINS
        places = self.calendar.places(frame[self.time])
        found = []
        for number in range(wanted):
            end = places.max() - self.horizon - number * int(step)
            past, after = frame[places <= end], frame[(places > end) & (places <= end + self.horizon)]
            if len(past) > max(self.lags) + self.horizon and len(after):
                found.append(((past, past[target]), (after, after[target])))
        if not found:
            raise Refused("The series are too short: %d rows for a horizon of %d" % (len(frame), self.horizon))
        if self.config["n_cross_validations"] and len(found) < wanted:
            self.say("the series are long enough for %d of %d cross validations" % (len(found), wanted))
        self.origins = found

    def _forecaster(self, inner):
        numbers = ["lag %d" % lag for lag in self.lags] + (["window"] if self.window else [])
        numbers += ["step", "month", "day", "dayofweek", "hour"]
        kinds = {**self.kinds, **dict.fromkeys(self.ids, "category"), **dict.fromkeys(numbers, "number")}
        columns = data.make_transformer(pandas.DataFrame(columns=list(kinds)), kinds, self.config["featurization"])
        return Forecaster(
            inner, columns, self.calendar, self.time, self.ids, self.known, self.numeric, self.lags, self.window
        )

    def learners(self):
        """What is tried, in that order."""
        return estimators(self.config)

    def space(self, learner):
        """The parameters of a learner."""
        return space_of(self, learner)

    def measure(self, learner, config, jobs):
        """The metrics of one trial: its forecasts from every origin."""
        model = None if learner in FIXED else build(self, learner, config, jobs)
        found = []
        for (forecaster, features, truth), (past, (after, known)) in zip(self._learned, self.origins):
            if model is None:
                made = self._baseline(learner).fit(*past)
            else:
                made = copy.copy(forecaster)
                made.inner_ = clone(model).fit(features, truth)
            found.append(self._compare(made, after, known))
        return measures.mean(found)

    def _baseline(self, kind):
        return Baseline(kind, self.season, self.calendar, self.time, self.ids, self.known, self.numeric)

    def _compare(self, forecaster, after, known):
        return measures.regression(known, forecaster.predict(after), None, self.span)

    def choose(self, search, log):
        """The best model and what was measured of it."""
        del log
        best = search.trials.best
        fixed = best["learner"] in FIXED
        model = None if fixed else build(self, best["learner"], best["config"], self.config["cores"])
        whole = self._baseline(best["learner"]) if fixed else self._forecaster(model)
        return best["learner"], whole, best["metrics"]

    def finish(self, model):
        """Fitted to the whole past."""
        return model.fit(self.frame, self.frame[self.config["target"]])

    def test(self, final):
        """The metrics of a forecast of the test data, if there is any."""
        if "test_data" not in self.config["data"]:
            return None
        frame = self._read("test_data", "The test data")
        data.require(frame, self.known, "The test data")
        return self._compare(final, frame, frame[self.config["target"]])

    def save(self, final, name, place):
        """An MLflow model that takes times, names of series and known columns."""
        rows = self.frame[[self.time, *self.ids, *self.known]].copy()
        rows[self.time] = rows[self.time].astype(str)
        for column in self.known:
            rows[column] = rows[column].astype(float if self.kinds[column] == "number" else str)
        save(final, rows, place)
        self.say("best model: %s" % name)


def find_calendar(frequency, times, ids):
    """Steps as the document says, else as most rows lie apart."""
    if frequency:
        found = re.fullmatch(r"(\d*)([A-Za-z]+)(-[A-Za-z]+)?", str(frequency))
        if not found:
            raise Refused("`frequency` is `%s`, which is no frequency" % frequency)
        unit = UNITS.get(found[2].upper(), found[2]) + (found[3] or "")
        calendar = Calendar(unit, int(found[1] or 1))
        try:
            calendar.places(times.head(1))
        except ValueError as exc:
            raise Refused("`frequency` is `%s`, which is no frequency" % frequency) from exc
        return calendar
    apart = (times.groupby(ids).diff() if ids else times.diff()).dropna()
    if not len(apart):
        raise Refused("One row a series does not tell how far apart rows are: set `forecasting.frequency`")
    seconds = apart.dt.total_seconds().median()
    for unit, low, high in DAYS:
        if low * 86400 <= seconds <= high * 86400:
            return Calendar(unit, 1)
    unit = next((u for u, s in SECONDS.items() if seconds >= s), "s")
    return Calendar(unit, max(1, round(seconds / SECONDS[unit])))


def _sorted(frame, featurization, say):
    """Columns of a forecast, where none is fine too."""
    asked = {c: k for c, k in (featurization.get("column_name_and_types") or {}).items() if c in frame.columns}
    kinds = {c: "nothing" for c in frame.columns}
    if any(data.guess_kind(frame[c], False) != "nothing" for c in frame.columns):
        kinds = data.sort_columns(frame, {**featurization, "column_name_and_types": asked}, say)
    return kinds


def _listed(value):
    return [] if not value else [value] if isinstance(value, str) else list(value)


def _whole(value, usual):
    """A whole number; `auto` and nothing mean the usual one."""
    if value is None or isinstance(value, list) or str(value).lower() in {"auto", "none", ""}:
        return usual
    return int(value)
