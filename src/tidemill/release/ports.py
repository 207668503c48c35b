"""What a release needs from outside: a place versions are deployed to, a builder of images, and a memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tidemill.release.package import BuiltImage, Package

Record = Mapping[str, Any]
Prove = Callable[[Path, str], None]  # an image's archive and its id → nothing, or `FailedError`


class ReleaseStore(Protocol):
    """Keeps releases, approvals and holds. Records get a key of their own each, so none is ever replaced."""

    def put(self, collection: str, key: str, body: Record) -> None:
        """Keep a record."""
        ...

    def documents(self, collection: str) -> dict[str, Record]:
        """All records of a collection, in order of first appearance."""
        ...


class ImageBuilder(Protocol):
    """Makes images. The same package gives the same digest."""

    def build(self, package: Package, image: str, *, tags: Sequence[str], prove: Prove | None = None) -> BuiltImage:
        """Build, have it proven, push; layers the registry has are not sent again, images it has are not proven again."""
        ...


class DeployTarget(Protocol):
    """Endpoints with several versions behind one address. Every call is safe to repeat; `observe` tells the truth.

    What is asked for is a mapping: host, port, deployments (argv, env, cwd, model, version …), traffic, mirror_traffic.
    """

    def endpoints(self) -> list[str]:
        """Names of all endpoints that were asked for and not deleted."""
        ...

    def desired(self, endpoint: str) -> dict[str, Any]:
        """What was asked for; empty when nothing was."""
        ...

    def put(self, endpoint: str, desired: Record) -> None:
        """Ask for this, and return when it is known there."""
        ...

    def observe(self, endpoint: str) -> dict[str, Any]:
        """What is there: state, url, and every deployment's state and traffic."""
        ...

    def wait_healthy(self, endpoint: str, deployment: str, *, timeout_s: float) -> dict[str, Any]:
        """A deployment's state once it is ready; `FailedError` with its last words when it does not become so."""
        ...

    def numbers(self, endpoint: str) -> dict[str, Any]:
        """Per deployment what its front counted: answered, errors, died, latency_ms."""
        ...

    def logs(self, endpoint: str, deployment: str, *, lines: int = 20) -> list[str]:
        """The last lines a deployment wrote."""
        ...

    def delete(self, endpoint: str) -> bool:
        """Take it down with everything of it; whether there was one."""
        ...
