"""`/metrics` of an endpoint with several versions: all of them at each reading, told apart."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S
from tidemill.backends.targets.local import open_target
from tidemill.serve.router_metrics import merge_metrics

pytestmark = pytest.mark.filterwarnings("ignore")


def test_samples_of_one_name_stand_together_each_with_its_deployment() -> None:
    one = '# HELP a_total words\n# TYPE a_total counter\na_total{v="1"} 2.0\n# HELP b c\n# TYPE b gauge\nb 1.5e-07\n'
    two = '# HELP a_total words\n# TYPE a_total counter\na_total{v="2"} 3.0\n# HELP b c\n# TYPE b gauge\nb NaN\n'
    two += '# HELP info i\n# TYPE info gauge\ninfo{deployment="own",x="a b"} 1.0\n'
    assert merge_metrics({"blue": one, "green": two, "away": ""}).splitlines() == [
        "# HELP a_total words",
        "# TYPE a_total counter",
        'a_total{deployment="blue",v="1"} 2.0',
        'a_total{deployment="green",v="2"} 3.0',
        "# HELP b c",
        "# TYPE b gauge",
        'b{deployment="blue"} 1.5e-07',
        'b{deployment="green"} NaN',
        "# HELP info i",
        "# TYPE info gauge",
        'info{deployment="own",x="a b"} 1.0',
    ]


def test_an_endpoint_tells_of_every_version_whatever_the_traffic(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(raw_data): return 1\n")
    argv = [sys.executable, "-m", "tidemill.serve", "--code", str(tmp_path), "--port", "{port}", "--name", "churn"]
    versions = {n: {"argv": [*argv, "--version", v], "cwd": str(tmp_path)} for n, v in (("blue", "1"), ("green", "2"))}
    target = open_target(tmp_path)
    wish = {"port": 0, "deployments": versions, "traffic": {"blue": 100}, "mirror_traffic": {}}
    target.put("churn", wish)
    try:
        for name in versions:
            target.wait_healthy("churn", name, timeout_s=PATIENCE_S)
        url = target.observe("churn")["url"]
        for name in ("blue", "green", "blue"):
            ask = urllib.request.Request(f"{url}/score", b"{}", {"azureml-model-deployment": name})
            urllib.request.urlopen(ask, timeout=PATIENCE_S).read()
        answer = urllib.request.urlopen(f"{url}/metrics", timeout=PATIENCE_S)
        text, kind = answer.read().decode(), answer.headers["content-type"]
        pinned = urllib.request.Request(f"{url}/metrics", headers={"azureml-model-deployment": "green"})
        alone = urllib.request.urlopen(pinned, timeout=PATIENCE_S).read().decode()
    finally:
        target.delete("churn")
    assert kind.startswith("text/plain; version=0.0.4")
    assert 'tidemill_requests_total{deployment="blue",path="/score",status="200"} 2.0' in text
    assert 'tidemill_requests_total{deployment="green",path="/score",status="200"} 1.0' in text
    assert 'tidemill_serving_info{deployment="green",model="churn",version="2"} 1.0' in text
    assert 'tidemill_endpoint_answered_total{deployment="blue"} 2' in text
    assert text.count("# TYPE tidemill_requests_total counter") == 1
    assert 'tidemill_requests_total{path="/score",status="200"} 1.0' in alone
