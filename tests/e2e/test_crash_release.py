"""`kill -9` at random moments of promotions and rollbacks: the next command finishes or undoes, and production answers all the time.

`TIDEMILL_KILLS` and `TIDEMILL_HOLDS` say how often (one kill alone unless told); the whole forms are 50 and 20.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Run
from tests.e2e.test_up import FIT, FLOWER, PIPELINE, UNGATED
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("TIDEMILL_KILLS", "1"))
HOLDS = os.environ.get("TIDEMILL_HOLDS", "")
SEED = int(os.environ.get("TIDEMILL_SEED", "0")) or random.randrange(10**6)
LOCAL = "target: local, auth: none, strategy: canary, steps: [50], bake_s: 0.5"
STRENGTHS = {"1": 1.0, "2": 10.0}
TRAIN = """
import shutil, sys
from pathlib import Path
shutil.copytree(Path("models", sys.argv[2]), sys.argv[1], dirs_exist_ok=True)
"""
Ask = Callable[[], str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Its models were fitted beforehand: it is about releasing them, many times."""
    models = tmp_path / "src" / "models"
    models.mkdir(parents=True)
    (tmp_path / "src" / "train.py").write_text(TRAIN)
    for strength in STRENGTHS.values():
        with pytest.MonkeyPatch.context() as here:
            here.chdir(models)
            here.setattr(sys, "argv", ["train.py", str(strength), str(strength)])
            exec(compile(FIT, "train.py", "exec"), {})  # a process of its own for each takes ten seconds
    return tmp_path


def train_with(project: Path, strength: float) -> None:
    (project / "pipeline.yml").write_text(PIPELINE.replace("strength: 1.0", f"strength: {strength}"))


def stand(tidemill: Run) -> tuple[str, list[str]]:
    """The version on record as serving, and the names of what stands."""
    (endpoint,) = json.loads(tidemill("status", "-o", "json").stdout)["endpoints"]
    newest = json.loads(tidemill("history", "-o", "json").stdout)[0]
    serving = [d["name"] for d in endpoint["deployments"] if d["traffic"]]
    assert serving == [newest["deployment"]], (endpoint, newest)
    return newest["version"], [d["name"] for d in endpoint["deployments"]]


@contextlib.contextmanager
def asked_all_the_time(ask: Ask, seen: Counter[str]) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                seen[f"version {ask()}"] += 1
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is counted and shown
                seen[f"failed: {exc!r}"] += 1
            time.sleep(0.05)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)


def killed_after(project: Path, seconds: float, *words: str) -> bool:
    """Start the command and kill it, and it alone; whether it was still there."""
    with (project / "killed.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "tidemill", *words], cwd=project, stdout=log, stderr=log)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
    return False


def promote_and_kill(tidemill: Run, project: Path, ask: Ask) -> None:
    moments = random.Random(SEED)
    train_with(project, STRENGTHS["1"])
    tidemill("up")
    train_with(project, STRENGTHS["2"])
    begun = time.monotonic()
    tidemill("up")
    whole = time.monotonic() - begun  # the second: the first builds an environment, which no later promotion does
    seen: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    with asked_all_the_time(ask, seen):
        for turn in range(KILLS):
            version, _ = stand(tidemill)
            other = "1" if version == "2" else "2"
            verb = "rollback" if turn % 5 == 4 else "up"
            if verb == "up":
                train_with(project, STRENGTHS[other])
            if killed_after(project, moments.uniform(0.2, 1.0) * whole, verb):
                hit[verb] += 1
            mend = "rollback" if turn % 5 == 2 else "up"
            tidemill(mend)
            found, standing = stand(tidemill)
            assert len(standing) == 1, f"turn {turn}, seed {SEED}: {standing}"
            assert ask() == found
            if (verb, mend) == ("up", "up"):
                assert found == other, f"turn {turn}, seed {SEED}"
            tidemill("rollback", "--lift", code=None)
            sys.stdout.write(f"turn {turn}: {verb} killed, then {mend}: version {found} serves\n")
    sys.stdout.write(f"{dict(hit)} killed of {KILLS}, seed {SEED}, one promotion {whole:.1f} s; {dict(seen)}\n")
    assert not [words for words in seen if words.startswith("failed")], seen
    assert set(seen) == {"version 1", "version 2"}


def hold_out(tidemill: Run, project: Path, ask: Ask, runs: int) -> None:
    bad, _ = stand(tidemill)
    train_with(project, STRENGTHS[bad])
    tidemill("up")
    tidemill("rollback")
    for _ in range(runs):
        assert "held back" in tidemill("up").stdout
        assert ask() != bad
    sys.stdout.write(f"rollback held over {runs} runs of up\n")


def local_ask(tidemill: Run) -> Ask:
    address: list[str] = []

    def ask() -> str:
        if not address:
            (found,) = json.loads(tidemill("status", "-o", "json").stdout)["endpoints"]
            address.append(found["url"])
        request = urllib.request.Request(
            f"{address[0]}/predict", json.dumps(FLOWER).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return str(json.load(answer)["version"])

    return ask


def test_on_this_machine_what_was_killed_is_mended_nobody_notices_and_a_rollback_holds(
    tidemill: Run, project: Path
) -> None:
    (project / "tidemill.yaml").write_text(UNGATED.replace("target: local, auth: none", LOCAL))
    ask = local_ask(tidemill)
    promote_and_kill(tidemill, project, ask)
    if HOLDS:  # once is what test_up asks anyway
        hold_out(tidemill, project, ask, int(HOLDS))


@pytest.fixture
def cluster(project: Path) -> Iterator[Ask]:
    """The project with its stage in a namespace of its own, asked through its Service."""
    from tidemill.backends.targets.kubernetes import KubernetesTarget

    if not os.environ.get("KUBECONFIG") or not os.environ.get("REGISTRY"):
        pytest.skip("no cluster: set KUBECONFIG, REGISTRY and BASE_IMAGE")
    namespace = f"tm-crash-{uuid.uuid4().hex[:8]}"
    stage = {
        "target": "kubernetes", "auth": "none", "namespace": namespace, "registry": f"{os.environ['REGISTRY']}/tm-crash",
        "base_image": os.environ["BASE_IMAGE"], "strategy": "canary", "steps": [50], "bake_s": 1, "start_timeout_s": 120,
        "image_proof": "off",
    }  # fmt: skip
    (project / "tidemill.yaml").write_text(UNGATED.replace("{target: local, auth: none}", json.dumps(stage)))
    target = KubernetesTarget()

    def ask() -> str:
        headers = {"content-type": "application/json"}
        status, answer = target.request(
            namespace, "iris", "/predict", body=json.dumps(FLOWER).encode(), headers=headers
        )
        found: Any = json.loads(answer) if status == 200 else None
        if found is None:
            raise AssertionError(f"HTTP {status}: {answer[:200]!r}")
        return str(found["version"])

    yield ask
    target.drop_namespace(namespace, timeout_s=120)
    target.close()


@pytest.mark.needs_cluster
def test_in_a_cluster_what_was_killed_is_mended_nobody_notices_and_a_rollback_holds(
    tidemill: Run, project: Path, cluster: Ask
) -> None:
    promote_and_kill(tidemill, project, cluster)
    if HOLDS:
        hold_out(tidemill, project, cluster, int(HOLDS))
