"""Search spaces as Azure ML defines them."""

from __future__ import annotations

import math

import pytest

from tidemill.base.errors import FailedError
from tidemill.run.sweep_space import draw_values, grid, list_dimensions, random_point, value_text

SPACE = {
    "lr": {"type": "loguniform", "min_value": -6, "max_value": -1},
    "drop": {"type": "uniform", "min_value": 0.1, "max_value": 0.5},
    "batch": {"type": "quniform", "min_value": 16, "max_value": 64, "q": 16},
    "decay": {"type": "qloguniform", "min_value": -3, "max_value": 0, "q": 0.1},
    "noise": {"type": "normal", "mu": 5, "sigma": 2},
    "gain": {"type": "lognormal", "mu": 0, "sigma": 1},
    "units": {"type": "qnormal", "mu": 100, "sigma": 20, "q": 10},
    "scale": {"type": "qlognormal", "mu": 0, "sigma": 1, "q": 0.5},
    "seed": {"type": "randint", "upper": 4},
    "opt": {"type": "choice", "values": ["adam", "sgd", True]},
}


def points(count: int = 300) -> list[dict[str, object]]:
    dimensions = list_dimensions(SPACE)
    return [draw_values(SPACE, random_point(dimensions, 1, n)) for n in range(count)]


def test_every_kind_of_distribution_stays_where_it_should() -> None:
    for values in points():
        assert math.exp(-6) <= values["lr"] <= math.exp(-1)  # type: ignore[operator]
        assert 0.1 <= values["drop"] <= 0.5  # type: ignore[operator]
        assert values["batch"] in {16, 32, 48, 64}
        assert values["seed"] in {0, 1, 2, 3}
        assert values["opt"] in {"adam", "sgd", True}
        assert values["gain"] > 0  # type: ignore[operator]
        assert values["units"] % 10 == 0  # type: ignore[operator]
        assert values["scale"] % 0.5 == 0  # type: ignore[operator]


def test_values_spread_as_their_distribution_says() -> None:
    drawn = points(2000)
    mean = sum(v["noise"] for v in drawn) / len(drawn)  # type: ignore[misc]
    assert abs(mean - 5) < 0.2
    below = sum(math.log(v["lr"]) < -3.5 for v in drawn) / len(drawn)  # type: ignore[arg-type]
    assert abs(below - 0.5) < 0.05


def test_a_whole_step_gives_whole_numbers_that_int_can_read() -> None:
    assert {value_text(v["batch"]) for v in points(50)} <= {"16", "32", "48", "64"}


def test_a_step_of_a_tenth_leaves_no_dust() -> None:
    assert all(len(value_text(v["decay"])) <= 3 for v in points(100))


def test_the_same_seed_gives_the_same_trial_whatever_came_before() -> None:
    dimensions = list_dimensions(SPACE)
    assert random_point(dimensions, 7, 5) == random_point(dimensions, 7, 5)
    assert random_point(dimensions, 7, 5) != random_point(dimensions, 8, 5)
    assert random_point(dimensions, 7, 5) != random_point(dimensions, 7, 6)


def test_a_grid_has_every_combination_once() -> None:
    space = {
        "opt": {"type": "choice", "values": ["adam", "sgd"]},
        "depth": {"type": "randint", "upper": 2},
        "width": {"type": "quniform", "min_value": 0.1, "max_value": 0.3, "q": 0.1},
    }
    cells = [tuple(v.values()) for v in grid(space)]
    assert len(cells) == len(set(cells)) == 12
    assert cells[:3] == [("adam", 0, 0.1), ("adam", 0, 0.2), ("adam", 0, 0.3)]


def test_a_grid_over_numbers_without_end_is_refused() -> None:
    with pytest.raises(FailedError, match="cannot be laid over `lr`"):
        list(grid({"lr": SPACE["lr"]}))


def test_a_choice_may_hold_spaces_of_its_own() -> None:
    space = {
        "model": {
            "type": "choice",
            "values": [
                {"name": "tree", "depth": {"type": "choice", "values": [2, 4]}},
                {"name": "net", "lr": {"type": "uniform", "min_value": 0, "max_value": 1}},
            ],
        }
    }
    assert set(list_dimensions(space)) == {"model", "model.0.depth", "model.1.lr"}
    drawn = [draw_values(space, random_point(list_dimensions(space), 0, n))["model"] for n in range(40)]
    assert {m["depth"] for m in drawn if m["name"] == "tree"} == {2, 4}
    assert all(0 <= m["lr"] <= 1 for m in drawn if m["name"] == "net")
    assert value_text(drawn[0]).startswith("{")


def test_an_empty_choice_is_named() -> None:
    with pytest.raises(FailedError, match="`opt` has no values"):
        list_dimensions({"opt": {"type": "choice", "values": []}})
