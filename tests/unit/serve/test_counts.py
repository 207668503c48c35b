"""What `/metrics` says of several processes behind one port: their sums, also of those that ended."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.serve.test_operation import SCRIPT, running, score_again
from tests.unit.serve.test_process import children
from tests.waiting import PATIENCE_S, until
from tidemill.serve.counts import MANY_ENDED, SharedCounts, add_up, write
from tidemill.serve.metrics import Metrics

pytestmark = pytest.mark.filterwarnings("ignore")
GONE = f"{2**22 + 7}-1.counts"  # beyond every process id


def values(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample, by Prometheus' own parser; a sample that is there twice is an error."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def counted(requests: int, seconds: float, waiting: int) -> bytes:
    metrics = Metrics("1", model='a "quoted" name\\')
    for _ in range(requests):
        metrics.request("/score", 200)
        metrics.latency.observe(seconds)
    metrics.inside = lambda: waiting
    return metrics.text().encode()


def test_counts_are_added_and_of_one_that_ended_only_its_counts(tmp_path: Path) -> None:
    (tmp_path / GONE).write_bytes(counted(5, 0.3, waiting=7))
    other = SharedCounts(tmp_path, f"{os.getppid()}-1.counts")
    other.keep(counted(2, 0.002, waiting=1))
    total = values(SharedCounts(tmp_path).total(counted(1, 0.3, waiting=2)).decode())
    version = ("version", "1")
    assert total["tidemill_requests_total", (("path", "/score"), ("status", "200"))] == 8
    assert total["tidemill_latency_seconds_count", (version,)] == 8
    assert total["tidemill_latency_seconds_bucket", (("le", "0.0025"), version)] == 2
    assert total["tidemill_latency_seconds_sum", (version,)] == pytest.approx(1.804)
    assert total["tidemill_waiting", ()] == 3
    info = next(v for (name, _), v in total.items() if name == "tidemill_serving_info")
    assert info == 1


def test_many_that_ended_become_one_and_nothing_is_lost(tmp_path: Path) -> None:
    ended = MANY_ENDED + 5
    for i in range(ended):
        (tmp_path / f"{2**22 + i}-1.counts").write_bytes(counted(1, 0.1, waiting=1))
    shared, path = SharedCounts(tmp_path), (("path", "/score"), ("status", "200"))
    for _ in range(3):
        total = values(shared.total(counted(1, 0.1, waiting=0)).decode())
        assert (total["tidemill_requests_total", path], total["tidemill_waiting", ()]) == (ended + 1, 0)
    assert len(list(tmp_path.glob("*.counts"))) == 2


def test_one_alone_is_written_as_it_was() -> None:
    text = counted(3, 0.1, waiting=1).decode()
    assert values(write(add_up([(text, True)]))) == values(text)


def test_a_folder_that_is_gone_costs_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics("1")
    metrics.share(tmp_path / "gone")
    metrics.request("/score", 200)
    metrics.keep()
    assert "tidemill_requests_total" in metrics.text()
    assert "counts one process alone" in caplog.text


def scraped(url: str) -> Iterator[float]:
    while True:
        with urllib.request.urlopen(f"{url}/metrics", timeout=PATIENCE_S) as answer:
            found = values(answer.read().decode())
        yield sum(
            v for (name, labels), v in found.items() if name == "tidemill_requests_total" and "/score" in str(labels)
        )


def test_any_of_several_workers_tells_of_all_and_the_sum_does_not_fall_when_one_is_killed(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text(SCRIPT)
    with running(tmp_path / "code", "--workers", "2") as (process, url):
        sums = scraped(url)
        asked = 0
        who: set[int] = set()
        while len(who) < 2:
            who.add(score_again(url, "x")[1]["pid"])
            asked += 1
        until(lambda: {next(sums) for _ in range(8)} == {asked})  # each keeps its counts twice a second
        os.kill(children(process.pid)[0], signal.SIGKILL)
        new = set[int]()
        while not new:
            new = {score_again(url, "x")[1]["pid"]} - who
            asked += 1
        until(lambda: {next(sums) for _ in range(8)} == {asked})
