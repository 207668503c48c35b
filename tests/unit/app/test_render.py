"""`tidemill render` as a user runs it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidemill.app.releases import record_release
from tidemill.app.settings import Settings
from tidemill.app.wiring import open_app
from tidemill.base import proc
from tidemill.cli.main import run_command_line

SCHEMA = "https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json"
IMAGE = "127.0.0.1:5000/me/digits@sha256:" + "b" * 64
PROJECT = """
name: digits
stages:
  staging: {target: local}
  production: {target: kubernetes, namespace: %s, registry: "127.0.0.1:5000", replicas: 2, max_replicas: 4%s}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tidemill.yaml").write_text(PROJECT % ("mlops-ns", ""))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_yaml_names_the_image_by_digest_and_loads(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["render", "--image", IMAGE]) == 0
    objects = list(yaml.safe_load_all(capsys.readouterr().out))
    assert objects[0]["kind"] == "Namespace"
    (deployment,) = (o for o in objects if o["kind"] == "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE


def test_without_a_release_and_without_an_image_it_says_what_to_do(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["render"]) == 1
    assert "--image" in capsys.readouterr().err


def test_all_problems_are_named_at_once_and_nothing_is_written(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ", node_port: 80, environment_variables: {PORT: '9000'}"
    (project / "tidemill.yaml").write_text(PROJECT % ("ns", more))
    assert run_command_line(["render", "--image", "digits:latest", "--out", "there"]) == 2
    words = capsys.readouterr().err
    for part in (":latest", "node port 80", "PORT=9000"):
        assert part in words
    (project / "tidemill.yaml").write_text(PROJECT % ("''", ", ingress_host: '${HOST}', memory: 2 Gi"))
    assert run_command_line(["render", "--image", IMAGE, "--out", "there"]) == 2
    words = capsys.readouterr().err
    for part in ("tidemill.yaml:5:", "Required field `namespace`", "${HOST}", "2 Gi"):
        assert part in words
    assert not (project / "there").exists()


def test_a_helm_chart_holds_the_same_objects_with_image_and_replicas_as_values(project: Path) -> None:
    assert run_command_line(["render", "--image", IMAGE, "--format", "helm", "--out", "chart"]) == 0
    chart = yaml.safe_load((project / "chart" / "Chart.yaml").read_text())
    values: dict[str, Any] = yaml.safe_load((project / "chart" / "values.yaml").read_text())
    assert (chart["apiVersion"], chart["name"]) == ("v2", "digits")
    assert values == {"image": IMAGE, "replicas": 2}
    for path in (project / "chart" / "templates").iterdir():
        text = path.read_text().replace("{{ .Values.image }}", IMAGE).replace("{{ .Values.replicas }}", "2")
        assert yaml.safe_load(text)["kind"], path


def test_kustomize_lists_every_file_it_wrote(project: Path) -> None:
    assert run_command_line(["render", "--image", IMAGE, "--format", "kustomize", "--out", "base"]) == 0
    listed = yaml.safe_load((project / "base" / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(p.name for p in (project / "base").iterdir() if p.name != "kustomization.yaml")


@pytest.mark.needs_cluster
@pytest.mark.parametrize("style", ["yaml", "kustomize"])
def test_a_real_cluster_accepts_what_was_rendered(project: Path, style: str) -> None:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("no cluster: set KUBECONFIG")
    (project / "tidemill.yaml").write_text(PROJECT % ("default", ""))
    asked = proc.run(["kubectl", "version", "-o", "json"], timeout_s=60)
    server = json.loads(asked.stdout)["serverVersion"]
    version = f"{server['major']}.{server['minor'].rstrip('+')}"
    argv = ["render", "--image", IMAGE, "--format", style, "--kubernetes", version, "--out", "out"]
    assert run_command_line(argv) == 0
    how = ["-k", "out"] if style == "kustomize" else ["-f", "out/digits.yaml"]
    done = proc.run(["kubectl", "apply", "--dry-run=server", "--validate=true", *how], cwd=project, timeout_s=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("auth", "reads"), [("key", [["digits-keys"]]), ("none", [])])
def test_the_role_that_may_deploy_reads_no_secret_but_the_keys(
    project: Path, capsys: pytest.CaptureFixture[str], auth: str, reads: list[list[str]]
) -> None:
    (project / "tidemill.yaml").write_text(PROJECT % ("mlops-ns", f", auth: {auth}"))
    assert run_command_line(["render", "--rbac"]) == 0
    objects = {o["kind"]: o for o in yaml.safe_load_all(capsys.readouterr().out)}
    assert objects["RoleBinding"]["metadata"]["namespace"] == "mlops-ns"
    rules = [r for r in objects["Role"]["rules"] if "secrets" in r["resources"]]
    assert [r["resourceNames"] for r in rules if "get" in r["verbs"]] == reads
    assert not any("list" in r["verbs"] for r in rules)


@pytest.mark.parametrize(
    ("project_says", "endpoint_says", "asked"),
    [("", "", True), ("", "auth_mode: key", True), (", auth: key", "auth_mode: aml_token", True), (", auth: none", "auth_mode: key", False)],
)  # fmt: skip
def test_a_pod_asks_for_the_key_its_documents_ask_for(
    project: Path, capsys: pytest.CaptureFixture[str], project_says: str, endpoint_says: str, asked: bool
) -> None:
    (project / "tidemill.yaml").write_text("endpoint: endpoint.yml" + PROJECT % ("mlops-ns", project_says))
    (project / "endpoint.yml").write_text(f"$schema: {SCHEMA}\nname: digits\n{endpoint_says}\n")
    assert run_command_line(["render", "--image", IMAGE]) == 0
    text = capsys.readouterr().out
    (pod,) = (o["spec"]["template"]["spec"] for o in yaml.safe_load_all(text) if o["kind"] == "Deployment")
    told = {e["name"]: e["value"] for e in pod["containers"][0]["env"]}
    mounts = {m["mountPath"]: m["name"] for m in pod["containers"][0]["volumeMounts"]}
    secrets = [v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v]
    assert secrets == (["digits-keys"] if asked else [])
    assert (mounts.get(told.get("TIDEMILL_TOKEN_FILE", "")) == "keys") is asked
    assert ("kubectl -n mlops-ns create secret generic digits-keys" in text) is asked
    assert "args" not in pod["containers"][0], "no key on a command line"


def test_a_frontend_gets_the_key_it_has_to_send(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "tidemill.yaml").write_text(PROJECT % ("mlops-ns", f", frontend_image: {IMAGE!r}"))
    assert run_command_line(["render", "--image", IMAGE]) == 0
    objects = {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(capsys.readouterr().out)}
    (container,) = objects["Deployment", "digits-frontend"]["spec"]["template"]["spec"]["containers"]
    (key,) = (e for e in container["env"] if e["name"] == "API_KEY")
    assert key["valueFrom"]["secretKeyRef"] == {"name": "digits-keys", "key": "primaryKey"}


@pytest.mark.parametrize(
    ("route", "kind"),
    [
        ("{kind: ingress, class: nginx, host: d.example.org}", "Ingress"),
        ("{kind: gateway, gateway: infra/public, host: d.example.org}", "HTTPRoute"),
    ],
)
def test_the_route_of_the_stage_is_among_the_objects_and_the_same_in_every_style(
    project: Path, capsys: pytest.CaptureFixture[str], route: str, kind: str
) -> None:
    (project / "tidemill.yaml").write_text(PROJECT % ("mlops-ns", f", route: {route}"))
    assert run_command_line(["render", "--image", IMAGE]) == 0
    plain = [o for o in yaml.safe_load_all(capsys.readouterr().out) if o["kind"] in {kind, "Service"}]
    assert [o["kind"] for o in plain].count("Service") == 2
    for style, place in (("kustomize", "."), ("helm", "templates")):
        assert run_command_line(["render", "--image", IMAGE, "--format", style, "--out", style]) == 0
        files = [
            yaml.safe_load(p.read_text())
            for p in (project / style / place).glob("*-digits*.yaml")
            if "deployment" not in p.name and "autoscaler" not in p.name
        ]
        assert all(o in files for o in plain), style


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ("{kind: ingress}", "needs a `host`"),
        ("{kind: service, mirror: true}", "copies no requests"),
        ("{kind: ingress, host: h, mirror: true}", "`bake_s`"),
        ("{kind: mesh}", "gateway"),
    ],
)
def test_a_route_that_cannot_be_is_said_in_words(
    project: Path, capsys: pytest.CaptureFixture[str], route: str, words: str
) -> None:
    (project / "tidemill.yaml").write_text(PROJECT % ("mlops-ns", f", route: {route}"))
    assert run_command_line(["render", "--image", IMAGE]) == 2
    assert words in capsys.readouterr().err


def release(folder: Path, version: str, letter: str) -> None:
    with open_app(Settings(folder, folder / ".tidemill")) as app:
        about = {"stage": "production", "deployment": f"blue-{version}", "model": "digits", "version": version}
        image = IMAGE[:-64] + letter * 64
        record_release(app, {**about, "digest": letter, "job": "j", "endpoint": "digits", "image": image})


def test_a_share_is_rendered_as_in_the_middle_of_a_canary(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["render", "--share", "25"]
    assert run_command_line([*asked, "--image", IMAGE]) == 2
    assert "needs a route" in capsys.readouterr().err
    route = ", route: {kind: ingress, host: d.example.org}"
    (project / "tidemill.yaml").write_text(PROJECT % ("mlops-ns", route))
    assert run_command_line([*asked, "--image", IMAGE]) == 1
    assert "no other version" in capsys.readouterr().err
    release(project, "1", "c")
    release(project, "2", "d")
    assert run_command_line(asked) == 0
    objects = {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(capsys.readouterr().out)}
    canary = objects["Ingress", "digits-canary"]
    assert canary["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"] == "25"
    assert objects["Service", "digits"]["spec"]["selector"]["tidemill.dev/deployment"] == "blue-1"
    assert objects["Service", "digits-blue-2"]["spec"]["selector"]["tidemill.dev/deployment"] == "blue-2"
