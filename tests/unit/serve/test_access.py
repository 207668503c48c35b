"""Who answered a request: a deployment of a local endpoint names itself in its log, its metrics and its traces."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.unit.serve.collector import attributes, collecting
from tests.unit.serve.test_operation import SCRIPT, running
from tests.waiting import PATIENCE_S
from tidemill.backends.targets.local import open_target

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_deployment_of_an_endpoint_names_itself_in_access_log_metrics_and_spans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(raw_data): return 1\n")
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        argv = [sys.executable, "-m", "tidemill.serve", "--code", str(tmp_path), "--port", "{port}"]
        argv += ["--name", "churn", "--version", "3"]
        green = {"argv": argv, "cwd": str(tmp_path), "env": {"TIDEMILL_ACCESS_LOG": "true"}}
        target = open_target(tmp_path)
        target.put("e", {"port": 0, "deployments": {"green": green}, "traffic": {"green": 100}, "mirror_traffic": {}})
        try:
            target.wait_healthy("e", "green", timeout_s=PATIENCE_S)
            url = target.observe("e")["url"]
            urllib.request.urlopen(urllib.request.Request(f"{url}/score", b"{}"), timeout=PATIENCE_S).read()
            metrics = urllib.request.urlopen(f"{url}/metrics", timeout=PATIENCE_S).read().decode()
            collector.wait(
                lambda: any(s["resource"]["service.name"] == "churn" for s in collector.spans("POST /score"))
            )
            log = (tmp_path / "endpoints" / "e" / "green.log").read_text()
        finally:
            target.delete("e")
    assert 'tidemill_serving_info{deployment="green",model="churn",version="3"} 1.0' in metrics
    (line,) = [json.loads(t) for t in log.splitlines() if '"path":"/score"' in t]
    assert (line["model"], line["version"], line["deployment"]) == ("churn", "3", "green")
    (span,) = [s for s in collector.spans("POST /score") if s["resource"]["service.name"] == "churn"]
    assert attributes(span)["tidemill.deployment"] == "green"


def test_a_line_is_json_alone_and_says_who_asked(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text(SCRIPT)
    with running(tmp_path / "code", "--access-log") as (_, url):
        asked = urllib.request.Request(f"{url}/score", b"x", {"X-Request-Id": "mine-1"})
        assert urllib.request.urlopen(asked, timeout=PATIENCE_S).headers["x-request-id"] == "mine-1"
    (line,) = [line for line in (tmp_path / "log").read_text().splitlines() if "/score" in line]
    said = json.loads(line)
    assert {k: said[k] for k in ("client", "method", "path", "status", "request_id")} == {
        "client": "127.0.0.1",
        "method": "POST",
        "path": "/score",
        "status": 200,
        "request_id": "mine-1",
    }
