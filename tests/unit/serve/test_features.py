"""Counts of what a model was asked, column by column."""

from __future__ import annotations

import numpy as np
import pytest

from tidemill.serve.features import TOGETHER
from tidemill.serve.metrics import Metrics
from tidemill.serve.signature import Column

COLUMNS = (
    Column("age", "number", 0.0, 100.0),
    Column("city", "string", values=("Graz", "Linz")),
    Column("code", "string"),
    Column("constant", "number", 1.0, 1.0),
)


def lines(metrics: Metrics) -> dict[str, float]:
    found = (line.rpartition(" ") for line in metrics.text().splitlines() if line.startswith("tidemill_feature"))
    return {name.removeprefix("tidemill_feature"): float(value) for name, _, value in found}


def test_numbers_are_counted_by_tenths_of_what_training_saw_and_beyond_it() -> None:
    metrics = Metrics("3")
    seen = metrics.watch(COLUMNS)
    seen.see(np.array([[-5, "Graz", "a", 1], [0, "Wien", "b", 1], [35, "Graz", "c", 2]], dtype=object))
    seen.see(np.array([[400, "Linz", "d", 1]], dtype=object))
    found = lines(metrics)
    upto = {le: found[f'_bucket{{column="age",le="{le}",version="3"}}'] for le in ("0", "30", "40", "100", "+Inf")}
    assert upto == {"0": 2, "30": 2, "40": 3, "100": 3, "+Inf": 4}
    assert found['_sum{column="age",version="3"}'] == 430
    words = {v: found[f'_values_total{{column="city",value="{v}",version="3"}}'] for v in ("Graz", "Linz", "(other)")}
    assert words == {"Graz": 2, "Linz": 1, "(other)": 1}
    assert not any("code" in name or "constant" in name for name in found), "of these nothing is known to compare with"


def test_what_was_put_aside_is_counted_before_it_is_much() -> None:
    seen = Metrics("3").watch(COLUMNS[:1])
    for _ in range(3 * TOGETHER):
        seen.see(np.array([[50.0]]))
    assert len(seen._aside) < TOGETHER


@pytest.mark.parametrize("rows", [np.zeros((2, 28, 28)), np.zeros((2, 3))])
def test_pictures_and_models_nothing_is_known_of_cost_nothing(rows: np.ndarray) -> None:
    seen = Metrics("3").watch((Column("a"), Column("b"), Column("c")))
    seen.see(rows)
    assert seen._aside == []
