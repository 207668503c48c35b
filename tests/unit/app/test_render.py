"""`tidemill render` as a user runs it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.app.fake_cluster import FakeCluster
from tests.unit.release.helm import fill, without_empty
from tidemill.app.releases import record_release
from tidemill.app.settings import Settings
from tidemill.app.wiring import App, open_app
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


FULL = (
    ", pull_secret: ghcr, environment_variables: {ZONE: 'x y'}, env_from: [{secret: db}, {config_map: flags}], node_selector: {gpu: 'yes'},"
    " tolerations: [{key: gpu, operator: Exists, toleration_seconds: 30}], priority_class: high,"
    " route: {kind: service, host: d.example.org, class: nginx, tls: cert, annotations: {cert-manager.io/cluster-issuer: le}}"
)


@pytest.mark.parametrize("more", ["", f", frontend_image: {IMAGE!r}", FULL])
def test_a_helm_chart_makes_the_same_objects_in_any_namespace_with_what_people_change_as_values(
    project: Path, capsys: pytest.CaptureFixture[str], more: str
) -> None:
    (project / "tidemill.yaml").write_text(PROJECT % ("mlops-ns", more))
    assert run_command_line(["render", "--image", IMAGE]) == 0
    plain = {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(capsys.readouterr().out)}
    assert run_command_line(["render", "--image", IMAGE, "--format", "helm", "--out", "chart"]) == 0
    chart = yaml.safe_load((project / "chart" / "Chart.yaml").read_text())
    values: dict[str, Any] = yaml.safe_load((project / "chart" / "values.yaml").read_text())
    assert (chart["apiVersion"], chart["name"]) == ("v2", "digits")
    assert {
        "image",
        "replicas",
        "maxReplicas",
        "resources",
        "env",
        "nodeSelector",
        "tolerations",
        "imagePullSecrets",
    } <= values.keys()
    assert not any(e["name"].startswith("TIDEMILL_") for e in values["env"])
    found = {}
    for path in (project / "chart" / "templates").glob("*.yaml"):
        if path.name == "secret-digits-keys.yaml":
            continue
        text = path.read_text()
        assert "mlops-ns" not in text
        item = yaml.safe_load(fill(text, values))
        found[item["kind"], item["metadata"]["name"]] = item
    assert {k for k, _ in plain} - {k for k, _ in found} == {"Namespace"}
    for name, item in found.items():
        assert without_empty(item) == without_empty(plain[name])


def test_a_chart_makes_the_keys_once_or_takes_yours(project: Path) -> None:
    assert run_command_line(["render", "--image", IMAGE, "--format", "helm", "--out", "chart"]) == 0
    text = (project / "chart" / "templates" / "secret-digits-keys.yaml").read_text()
    assert 'lookup "v1" "Secret" .Release.Namespace "digits-keys"' in text
    assert text.count("{{- if") == text.count("{{- end }}")
    assert yaml.safe_load((project / "chart" / "values.yaml").read_text())["existingKeysSecret"] == ""
    deployment = next((project / "chart" / "templates").glob("deployment-*")).read_text()
    assert '.Values.existingKeysSecret | default "digits-keys"' in deployment


def test_usual_labels_placement_certificates_and_variables_from_elsewhere(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "tidemill.yaml").write_text(PROJECT % ("mlops-ns", FULL))
    release(project, "7", "c")
    assert run_command_line(["render"]) == 0
    objects = {o["kind"]: o for o in yaml.safe_load_all(capsys.readouterr().out)}
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert {k.partition("/")[2]: v for k, v in labels.items() if k.startswith("app.kubernetes.io/")} == {
        "name": "digits", "instance": "digits", "version": "7", "component": "model-server", "managed-by": "tidemill",
    }  # fmt: skip
    assert not any(k.startswith("app.") for k in objects["Service"]["spec"]["selector"])
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"gpu": "yes"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists", "tolerationSeconds": 30}]
    assert pod["priorityClassName"] == "high"
    sources = pod["containers"][0]["envFrom"]
    assert sources == [{"secretRef": {"name": "db"}}, {"configMapRef": {"name": "flags"}}]
    ingress = objects["Ingress"]
    assert ingress["spec"]["tls"] == [{"hosts": ["d.example.org"], "secretName": "cert"}]
    assert ingress["metadata"]["annotations"] == {"cert-manager.io/cluster-issuer": "le"}
    enforced = objects["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"


@pytest.mark.parametrize(
    ("said", "here", "version"),
    [("", "1.20", "policy/v1beta1"), ("", "1.32", "policy/v1"), (", kubernetes: '1.20'", "1.32", "policy/v1beta1"), ("", "", "policy/v1")],
)  # fmt: skip
def test_the_objects_are_in_the_words_of_the_cluster_that_is_declared_or_within_reach(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    here: str,
    version: str,
) -> None:
    cluster = FakeCluster()
    monkeypatch.setattr(FakeCluster, "version", lambda _: here)
    monkeypatch.setattr(App, "kubernetes", lambda _self, _context="": cluster)
    (project / "tidemill.yaml").write_text(PROJECT % ("mlops-ns", said))
    assert run_command_line(["render", "--image", IMAGE]) == 0
    objects = {o["kind"]: o for o in yaml.safe_load_all(capsys.readouterr().out)}
    assert objects["PodDisruptionBudget"]["apiVersion"] == version


def test_what_an_earlier_render_left_goes_and_what_you_put_there_stays(project: Path) -> None:
    asked = ["render", "--image", IMAGE, "--format", "kustomize", "--out", "base"]
    (project / "tidemill.yaml").write_text(PROJECT % ("mlops-ns", ", ingress_host: d.example.org"))
    assert run_command_line(asked) == 0
    (project / "base" / "patch.yaml").write_text("mine: true\n")
    assert (project / "base" / "ingress-digits.yaml").exists()
    (project / "tidemill.yaml").write_text(PROJECT % ("mlops-ns", ""))
    assert run_command_line(asked) == 0
    listed = yaml.safe_load((project / "base" / "kustomization.yaml").read_text())["resources"]
    assert {p.name for p in (project / "base").iterdir()} == {*listed, "kustomization.yaml", "patch.yaml"}


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
        values_file = project / style / "values.yaml"
        values = yaml.safe_load(values_file.read_text()) if values_file.exists() else {}
        files = [
            without_empty(yaml.safe_load(fill(p.read_text(), values)))
            for p in (project / style / place).glob("*-digits*.yaml")
            if "secret" not in p.name
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
