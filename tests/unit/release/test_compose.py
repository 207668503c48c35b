"""The compose file says what the pod says."""

from __future__ import annotations

from typing import Any

import yaml
from tests.unit.release.test_objects import IMAGE, workload

from tidemill.release.objects import make_objects
from tidemill.release.recording import Recording
from tidemill.release.render import render


def composed(**changes: Any) -> dict[str, Any]:
    files = render(make_objects(workload(**changes)), style="compose", name="digits", version="3")
    (service,) = yaml.safe_load(files["compose.yaml"])["services"].values()
    assert isinstance(service, dict)
    return service


def test_the_container_has_no_more_rights_than_the_pod() -> None:
    service = composed()
    assert service["image"] == IMAGE
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["user"] == "65532:65532"


def test_memory_and_processors_are_in_the_units_of_compose() -> None:
    assert composed(memory_limit="512Mi", cpu_limit="500m")["deploy"]["resources"]["limits"] == {
        "memory": str(512 * 1024 * 1024),
        "cpus": "0.5",
    }


def test_it_is_published_on_loopback_and_a_dollar_is_not_taken_for_a_variable() -> None:
    service = composed(port=9000, environment={"SALT": "a$b"})
    assert service["ports"] == ["127.0.0.1:9000:9000"]
    assert service["environment"]["SALT"] == "a$$b"


def test_a_model_of_its_own_image_is_copied_into_a_volume_before_the_server_starts() -> None:
    model = "127.0.0.1:5000/me/digits-model@sha256:" + "b" * 64
    objects = make_objects(workload(model_image=model, arguments=("--name", "digits")))
    document = yaml.safe_load(render(objects, style="compose", name="digits", version="3")["compose.yaml"])
    first, server = document["services"]["model"], document["services"]["digits"]
    assert first["image"] == model
    (volume,) = document["volumes"]
    assert "b" * 12 in volume
    assert first["volumes"] == [f"{volume}:/model"]
    assert server["volumes"] == [f"{volume}:/opt/tidemill/model:ro"]
    assert server["tmpfs"] == ["/tmp"]
    assert server["command"] == ["--name", "digits"]
    assert server["depends_on"] == {"model": {"condition": "service_completed_successfully"}}


def test_variables_of_secrets_and_maps_come_from_files_and_records_wait_in_memory() -> None:
    recording = Recording("s3://ml/kept/churn", secret="keys")
    service = composed(recording=recording, env_from=({"config_map": "settings"},))
    assert service["env_file"] == ["settings.env", "keys.env"]
    assert service["tmpfs"] == ["/tmp", "/captured"]
    assert composed(recording=Recording("churn", claim="kept"))["volumes"] == ["./kept:/records"]
