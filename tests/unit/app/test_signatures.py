"""Models and images are what somebody trusted signed, or they are not deployed."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill.app.project import Project
from tidemill.app.settings import Settings
from tidemill.app.signatures import create_keys, sign_image, sign_model, trusted_keys, verify_image, verify_model
from tidemill.app.wiring import App, open_app
from tidemill.base.errors import ConflictError, FailedError, UsageError
from tidemill.record.ports import ModelRequest, ModelVersion
from tidemill.spec.project import Project as Document
from tidemill.spec.project import Stage

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as opened:
        yield opened


@pytest.fixture
def version(app: App, tmp_path: Path) -> ModelVersion:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "weights.bin").write_bytes(b"weights")
    return app.registry.register(ModelRequest("digits", tmp_path / "m"))


@pytest.mark.parametrize("kind", ["ecdsa", "ed25519"])
def test_a_signed_version_is_known_by_its_key_and_by_no_other(
    app: App, version: ModelVersion, tmp_path: Path, kind: str
) -> None:
    private, public, fingerprint = create_keys(app, "me", tmp_path, kind)
    _, other, _ = create_keys(app, "other", tmp_path, kind)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    with pytest.raises(FailedError, match="no signature"):
        verify_model(app, version, [public])
    assert sign_model(app, version, private) == fingerprint
    assert verify_model(app, version, [other, public]) == fingerprint
    with pytest.raises(FailedError, match=r"not signed by a trusted key.*other\.pub"):
        verify_model(app, version, [other])


def test_a_model_whose_bytes_were_changed_is_refused_with_both_digests(
    app: App, version: ModelVersion, tmp_path: Path
) -> None:
    private, public, _ = create_keys(app, "me", tmp_path, "ecdsa")
    sign_model(app, version, private)
    file = version.path / "weights.bin"
    file.chmod(0o644)
    file.write_bytes(b"Weights")
    for act in (lambda: verify_model(app, version, [public]), lambda: sign_model(app, version, private)):
        with pytest.raises(FailedError, match=version.digest[:12]):
            act()


def test_a_key_is_never_overwritten_and_a_passphrase_is_asked_for(
    app: App, version: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMILL_KEY_PASSPHRASE", "s3cret")
    private, _, _ = create_keys(app, "me", tmp_path, "ecdsa")
    assert b"ENCRYPTED" in private.read_bytes()
    sign_model(app, version, private)
    with pytest.raises(ConflictError, match="exists"):
        create_keys(app, "me", tmp_path, "ecdsa")
    monkeypatch.setenv("TIDEMILL_KEY_PASSPHRASE", "wrong")
    with pytest.raises(UsageError, match="can be opened"):
        sign_model(app, version, private)
    monkeypatch.delenv("TIDEMILL_KEY_PASSPHRASE")
    with pytest.raises(UsageError, match="under a passphrase"):
        sign_model(app, version, private)


def test_a_stage_that_requires_signatures_has_to_say_whose(tmp_path: Path) -> None:
    project = Project(Document(name="digits"), tmp_path, None)
    with pytest.raises(UsageError, match="trusted_keys"):
        trusted_keys(project, "production", Stage(signatures="required"))
    assert trusted_keys(project, "production", Stage()) == []


@pytest.mark.needs_cluster
def test_an_image_is_signed_beside_itself_as_cosign_does(app: App, tmp_path: Path) -> None:
    from tests.contracts.test_kubernetes import build
    from tidemill.backends.builders.oci.client import RegistryClient
    from tidemill.backends.builders.oci.reference import ImageName, parse_image

    if not os.environ.get("REGISTRY"):
        pytest.skip("no registry: set REGISTRY and BASE_IMAGE")
    image = build(tmp_path, os.environ["REGISTRY"], f"sign{os.getpid()}").reference
    private, public, fingerprint = create_keys(app, "me", tmp_path, "ecdsa")
    with pytest.raises(FailedError, match="no signature"):
        verify_image(app, image, [public])
    sign_image(app, image, private)
    sign_image(app, image, private)
    assert verify_image(app, image, [public]) == fingerprint
    name = parse_image(image)
    client = RegistryClient(name.registry)
    try:
        tag = name.digest.replace(":", "-") + ".sig"
        _, manifest = client.get_manifest(ImageName(name.registry, name.repository, tag=tag))
        (layer,) = manifest["layers"]
        payload = json.loads(client.get_blob(name.repository, layer["digest"]))
    finally:
        client.close()
    assert payload["critical"]["image"]["docker-manifest-digest"] == name.digest
    another = build(tmp_path, os.environ["REGISTRY"], f"other{os.getpid()}").reference
    app.builder.attach(another, app.builder.signatures(image)[0])
    with pytest.raises(FailedError, match="not signed"):
        verify_image(app, another, [public])
