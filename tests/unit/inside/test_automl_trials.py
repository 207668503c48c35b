"""AutoML's trials: whose turn it is, how many run at once, and when it ends, with models that cost nothing."""

from __future__ import annotations

import importlib
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tidemill.backends.trackers.mlflow import INSIDE

pytest.importorskip("sklearn")
LIMITS = {
    "timeout_s": 280.0, "trial_timeout_s": None, "max_trials": 12, "early_stop": False, "exit_score": None, "concurrent": 1, "cores": 1,
}  # fmt: skip


@dataclass
class Countdown:
    """Proposes 0, 1, 2, …; nothing after `last`."""

    last: int
    told: list[tuple[str, float]] = field(default_factory=list)
    asked: int = 0

    def suggest(self, name: str) -> dict[str, int] | None:
        del name
        self.asked += 1
        return {"x": self.asked - 1} if self.asked - 1 <= self.last else None

    def on_trial_complete(self, name: str, result: dict[str, float]) -> None:
        self.told.append((name, result["loss"]))


@dataclass
class Task:
    """Three algorithms; `slow` takes longer, so that trials end in another order than they began."""

    value: Callable[[str, int], float]
    names: tuple[str, ...] = ("slow", "naive", "quick")
    metric: str = "accuracy"
    sampled_rows: int = 0

    def learners(self) -> list[str]:
        return list(self.names)

    def space(self, learner: str) -> str:
        return learner

    def measure(self, learner: str, config: dict[str, int], jobs: int) -> dict[str, float]:
        assert jobs == 1
        time.sleep(0.05 if learner == "slow" else 0.0)
        return {"accuracy": self.value(learner, config.get("x", 0))}


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(INSIDE))
    module = importlib.import_module("tidemill_automl_trials")
    monkeypatch.setattr(module, "_make_cfo", lambda *_: Countdown(99))
    return module


Told = list[tuple[str, float | None]]


def make_search(trials: Any, task: Task, journal: Path, told: Told, workers: int = 1, **limits: object) -> Any:
    config = {"limits": {**LIMITS, **limits}, "workers": workers, "jobs": 1, "cores": workers}
    kept = importlib.import_module("tidemill_automl_journal").Journal(journal)
    return trials.Search(task, config, lambda trial, _: told.append((trial["learner"], trial["value"])), kept)


def search(trials: Any, task: Task, workers: int = 1, **limits: object) -> tuple[Any, Told]:
    told: Told = []
    with tempfile.TemporaryDirectory() as folder:
        found = make_search(trials, task, Path(folder) / "trials.jsonl", told, workers, **limits)
        found.run()
    return found.trials, told


def rising(learner: str, x: int) -> float:
    return {"slow": 0.5, "naive": 0.1, "quick": 0.3}[learner] + x / 1000


def test_the_same_trials_in_the_same_order_however_many_run_at_once(trials: Any) -> None:
    one, told = search(trials, Task(rising))
    assert told[:6] == [
        ("slow", 0.5),
        ("naive", 0.1),
        ("quick", 0.3),
        ("slow", 0.501),
        ("quick", 0.301),
        ("slow", 0.502),
    ]
    assert len(told) == one.count == 12, "naive has one configuration only, and the others take its turns"
    three, again = search(trials, Task(rising), workers=3, concurrent=2)
    assert again == told
    assert (three.best["learner"], three.best["number"]) == (one.best["learner"], one.best["number"])


def test_more_trials_at_once_than_algorithms_search_from_several_beginnings(trials: Any) -> None:
    _, told = search(trials, Task(rising, names=("quick",)), workers=4, concurrent=4, max_trials=8)
    assert told == [("quick", 0.3)] * 4 + [("quick", 0.301)] * 4


def test_no_more_run_at_once_than_there_are_workers(trials: Any) -> None:
    began = time.monotonic()
    search(trials, Task(rising, names=("slow",)), workers=2, concurrent=4, max_trials=8)
    assert time.monotonic() - began >= 0.2, "eight of 0.05 s, two at a time"


def test_a_score_that_is_reached_ends_the_search_at_that_trial(trials: Any) -> None:
    found, _ = search(trials, Task(rising), workers=3, concurrent=2, exit_score=0.502)
    assert found.ended == "exit_score"
    assert found.best["value"] == 0.502
    assert found.count == 6


def test_ten_trials_without_gain_end_it_but_none_of_the_first_thirty(trials: Any) -> None:
    def count(*, early_stop: bool) -> tuple[str, int]:
        found = trials.Trials("accuracy", {**LIMITS, "max_trials": 40, "early_stop": early_stop}, lambda *_: None)
        for turn in range(40):
            found.ends(turn, {"error": "", "loss": 0.5, "value": -0.5})
        return found.ended, found.count

    assert count(early_stop=True) == ("early termination", 31)
    assert count(early_stop=False) == ("max_trials", 40)


def test_a_trial_that_takes_too_long_failed_and_the_others_go_on(trials: Any) -> None:
    def value(learner: str, x: int) -> float:
        if learner == "slow" and x == 0:
            time.sleep(3600)
        if learner == "quick" and x == 1:
            raise ValueError("no such penalty")
        return rising(learner, x)

    found, told = search(trials, Task(value), workers=2, concurrent=2, trial_timeout_s=5.0, max_trials=6)
    assert [t["learner"] for t in found.failed] == ["slow", "quick"]
    assert "took longer than" in found.failed[0]["error"]
    assert found.failed[1]["error"] == "ValueError: no such penalty"
    assert len(told) == 6
    assert found.best["value"] == 0.502


def test_when_time_is_over_what_ended_counts_and_what_runs_is_ended(trials: Any) -> None:
    def value(learner: str, x: int) -> float:
        time.sleep(3600 if learner == "slow" else 0)
        return rising(learner, x)

    found, told = search(trials, Task(value), workers=2, concurrent=2, timeout_s=8.0)
    assert found.failed == []
    assert {name for name, _ in told} == {"naive", "quick"}


def test_a_process_that_is_killed_is_a_failed_trial(trials: Any) -> None:
    def value(learner: str, x: int) -> float:
        if learner == "slow" and x == 1:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGKILL)
        return rising(learner, x)

    found, _ = search(trials, Task(value), max_trials=5)
    assert found.failed[0]["error"] == "its process was killed by signal 9"


def test_nothing_that_can_be_trained_says_why(trials: Any) -> None:
    def value(learner: str, x: int) -> float:
        del learner, x
        raise ValueError("all wrong")

    refused = importlib.import_module("tidemill_split").Refused
    with pytest.raises(refused, match="No model could be trained: slow failed: ValueError: all wrong"):
        search(trials, Task(value), max_trials=2)


class Killed(BaseException):
    """What ends the process, here."""


class Watched(list[tuple[str, "float | None"]]):
    """What was told; the search is killed once there is so much of it."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def append(self, item: tuple[str, float | None]) -> None:
        super().append(item)
        if len(self) == self.most:
            raise Killed


@pytest.mark.parametrize("killed_after", [1, 4, 5, 8, 11])
def test_a_search_that_is_killed_goes_on_and_measures_nothing_twice(
    trials: Any, tmp_path: Path, killed_after: int
) -> None:
    measured = tmp_path / "measured"

    def value(learner: str, x: int) -> float:
        with measured.open("a") as file:
            file.write(f"{learner} {x}\n")
        if (learner, x) == ("quick", 1):
            raise ValueError("no such penalty")
        return rising(learner, x)

    _, whole = search(trials, Task(value), max_trials=12)
    wanted = sorted(measured.read_text().splitlines())
    measured.unlink()
    journal = tmp_path / "trials.jsonl"
    with pytest.raises(Killed):
        make_search(trials, Task(value), journal, Watched(killed_after)).run()
    with journal.open("a") as file:
        file.write('{"spent_s": 1.0, "wha')  # a power cut
    told: Told = []
    found = make_search(trials, Task(value), journal, told, workers=2, concurrent=2)
    found.run()
    assert told == whole
    assert sorted(measured.read_text().splitlines()) == wanted
    assert len(found.trials.failed) == 1


def test_the_time_that_was_spent_is_spent_and_what_ended_in_it_counts(
    trials: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = tmp_path / "trials.jsonl"
    with pytest.raises(Killed):
        make_search(trials, Task(rising), journal, Watched(4)).run()
    text = journal.read_text()
    spent = json.loads(text.splitlines()[-1])["spent_s"]
    assert 0 < make_search(trials, Task(rising), journal, [], timeout_s=1000.0).left_s <= 1000 - spent
    journal.write_text(text + '{"spent_s": 281.0}\n')
    told: Told = []
    found = make_search(trials, Task(rising), journal, told)
    assert found.run().best["value"] == 0.501
    assert len(told) == 4, "there is no time for another one"
    assert "4 had ended before the search was interrupted; 0 s are left" in capsys.readouterr().out


def test_an_ensemble_that_was_measured_is_not_measured_again(trials: Any, tmp_path: Path) -> None:
    journal, asked = tmp_path / "trials.jsonl", tmp_path / "asked"

    def measure(name: str) -> dict[str, float]:
        with asked.open("a") as file:
            file.write(name + "\n")
        return {"accuracy": 0.5}

    for names in (["vote"], ["vote", "stack"]):
        found = make_search(trials, Task(rising), journal, []).measure({name: (measure, (name,)) for name in names})
    assert found == {"vote": ({"accuracy": 0.5}, ""), "stack": ({"accuracy": 0.5}, "")}
    assert asked.read_text().split() == ["vote", "stack"]
