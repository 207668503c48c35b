"""On a real cluster: shares and copies as weights on an Ingress or an HTTPRoute, and what cannot be had is refused.

No controller runs here: the objects are what is looked at. An IngressClass, a Gateway with the status a controller
would give it, and the CustomResourceDefinitions of both stand for one.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.test_kubernetes import build, namespace, registry, target
from tests.contracts.test_kubernetes_shift import SERVER
from tidemill.app.shift import BakeFailedError
from tidemill.app.shift_kubernetes import shift_on_cluster
from tidemill.base import proc
from tidemill.base.errors import UsageError
from tidemill.release.objects import Workload
from tidemill.release.routes import Split
from tidemill.spec.project import Route, Stage

__all__ = ["namespace", "registry", "target"]
pytestmark = pytest.mark.needs_cluster

GROUP = "gateway.networking.k8s.io"
HOST = "echo.example.org"


def kubectl(*words: str, given: object = None) -> str:
    done = proc.run(["kubectl", *words], stdin=json.dumps(given) if given is not None else None, timeout_s=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def get(namespace: str, kind: str) -> dict[str, Any]:
    found = json.loads(kubectl("-n", namespace, "get", kind, "-o", "json"))["items"]
    return {o["metadata"]["name"]: o for o in found}
