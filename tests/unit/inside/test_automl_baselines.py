"""What a forecast has to beat: forecasts that learn nothing but remember."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tidemill.backends.trackers.mlflow import INSIDE

pandas: Any = pytest.importorskip("pandas")
pytest.importorskip("sklearn")
WEEK = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(INSIDE))
    return importlib.import_module("tidemill_automl_model")


def answers(model: Any, kind: str, days: list[str], station: str = "east") -> list[float]:
    """Two weeks of two stations, `west` a hundred higher; the second week is two higher than the first."""
    past = pandas.date_range("2024-01-01", periods=14).astype(str)
    values = [v + 2 * (n > 6) for n, v in enumerate(WEEK * 2)]
    rows = pandas.DataFrame({"day": [*past, *past], "station": ["east"] * 14 + ["west"] * 14})
    truth = [*values, *(v + 100 for v in values)]
    made = model.Baseline(kind, 7, model.Calendar("D", 1), "day", ["station"], [], []).fit(rows, truth)
    return list(made.predict(pandas.DataFrame({"day": days, "station": [station] * len(days)})))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("naive", [9, 9, 9]),
        ("seasonal_naive", [3, 4, 3]),
        ("average", [5, 5, 5]),
        ("seasonal_average", [2, 3, 2]),
    ],
)
def test_a_baseline_goes_on_as_its_name_says(model: Any, kind: str, expected: list[float]) -> None:
    days = ["2024-01-15", "2024-01-16", "2024-01-22"]
    assert answers(model, kind, days) == expected
    assert answers(model, kind, days, "west") == [v + 100 for v in expected]


def test_a_series_nobody_has_seen_gets_what_is_usual(model: Any) -> None:
    assert answers(model, "naive", ["2024-01-15"], "north") == [55]
    assert answers(model, "seasonal_average", ["2024-01-15"], "north") == [55]
