"""A deployment document's words about its server, as the server hears them."""

from __future__ import annotations

from pathlib import Path

from tidemill.app.serving import ScoringCode, keep_code, limit_arguments, probes
from tidemill.cli.serve import server_arguments
from tidemill.serve.probing import Probing, ReadyProbing, read_probing
from tidemill.spec.deployment import OnlineDeployment


def arguments(**said: object) -> list[str]:
    document = OnlineDeployment.model_validate(said)
    return limit_arguments(document, instances=max(1, document.instance_count or 1))


def test_instances_times_workers_are_processes_and_the_limit_is_that_of_all_of_them() -> None:
    argv = arguments(
        instance_count=2,
        environment_variables={"WORKER_COUNT": "3"},
        request_settings={"max_concurrent_requests_per_instance": 6, "request_timeout_ms": 1500},
    )
    assert argv == ["--workers", "6", "--timeout", "1.5", "--max-queue", "24"]


def test_what_nobody_asked_for_is_left_to_the_server() -> None:
    assert arguments() == []
    assert probes(OnlineDeployment()) == {}
    assert read_probing({}) == Probing()


def test_the_numbers_of_probes_and_the_time_out_reach_the_supervisor() -> None:
    said = {
        "liveness_probe": {"initial_delay": 30, "period": 7, "failure_threshold": 2},
        "readiness_probe": {"initial_delay": 0, "timeout": 3, "success_threshold": 2},
        "request_settings": {"request_timeout_ms": 1500},
    }
    found = probes(OnlineDeployment.model_validate(said))
    assert found == {
        "probe": {
            "delay": 30, "period": 7, "failures": 2,
            "ready": {"delay": 0, "period": 10, "timeout": 3, "successes": 2},
        },
        "request_timeout": 1.5,
    }  # fmt: skip
    probing = read_probing(found)
    assert (probing.start_s, probing.timeout_s, probing.tolerated, probing.request_s) == (44, 5, 2, 1.5)
    assert probing.ready == ReadyProbing(0, 10, 3, 3, 2)


def test_options_of_serve_are_those_of_the_server() -> None:
    given = {"workers": 4, "access_log": True, "capture_dir": Path("kept"), "tls_cert": None}
    assert server_arguments(given) == ["--workers", "4", "--access-log", "--capture-dir", "kept"]


def test_code_that_is_served_is_a_copy_and_changed_code_is_another(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("one")
    (tmp_path / ".env").write_text("KEY=secret")
    code = ScoringCode(tmp_path, "score.py")
    (tmp_path / ".amlignore").write_text("home\n")
    first = keep_code(code, tmp_path / "home")
    assert keep_code(code, tmp_path / "home") == first
    (tmp_path / "score.py").write_text("two")
    second = keep_code(code, tmp_path / "home")
    assert [(c.folder / c.script).read_text() for c in (first, second)] == ["one", "two"]
    assert not (second.folder / ".env").exists()
