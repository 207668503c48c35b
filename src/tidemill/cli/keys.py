"""`tidemill keys …`, and the verbs of `model` that use them."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.app.settings import read_settings
from tidemill.app.signatures import create_keys, sign_model, signing_key, verify_model
from tidemill.app.wiring import open_app
from tidemill.base.errors import UsageError
from tidemill.cli.options import everywhere, required_name_option, version_option


@click.group("keys")
def keys() -> None:
    """Keys that sign models and images."""


@keys.command("create")
@click.argument("name")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["ecdsa", "ed25519"]),
    default="ecdsa",
    show_default=True,
    help="Kind of key; cosign reads ecdsa.",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Folder; default: this one."
)
@everywhere
def create(name: str, kind: str, out: Path) -> None:
    """Make NAME.key (yours alone; under TIDEMILL_KEY_PASSPHRASE when that is set) and NAME.pub (for everybody)."""
    with open_app(read_settings()) as app:
        private, public, fingerprint = create_keys(app, name, out, kind)
    click.echo(f"{private} signs: keep it secret\n{public} verifies: add it to `trusted_keys` ({fingerprint})")


@click.command("sign")
@required_name_option
@version_option
@click.option("--key", type=click.Path(path_type=Path), help="Private key; default: TIDEMILL_SIGNING_KEY.")
@everywhere
def sign_command(name: str, version: str | None, key: Path | None) -> None:
    """Sign a registered version over its digest; refused when its bytes are not those registered."""
    with open_app(read_settings()) as app:
        chosen = key or signing_key(Path(), None)
        if chosen is None:
            raise UsageError("No key to sign with", hint="--key NAME.key, or set TIDEMILL_SIGNING_KEY.")
        found = app.registry.get(name, version or "latest")
        fingerprint = sign_model(app, found, chosen)
    click.echo(f"{found.name}:{found.version} ({found.digest[:12]}) is signed by {fingerprint}")


@click.command("verify")
@required_name_option
@version_option
@click.option(
    "--key",
    "trusted",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Public key; may be repeated.",
)
@everywhere
def verify_command(name: str, version: str | None, trusted: tuple[Path, ...]) -> None:
    """Check a version's bytes and signature against trusted public keys; exit 1 when they do not hold."""
    with open_app(read_settings()) as app:
        found = app.registry.get(name, version or "latest")
        fingerprint = verify_model(app, found, trusted)
    click.echo(f"{found.name}:{found.version} ({found.digest[:12]}) is as signed by {fingerprint}")


COMMANDS = {"keys": keys}
