"""The keys of an endpoint on a cluster, as requests of our own use them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Secret

from tidemill.base.imports import import_late
from tidemill.release.workload import Workload

WORKLOAD = Workload("digits", "blue-1", "ns", "r/digits@sha256:1", token_secret="digits-keys")


class OneSecret:
    """A cluster's client that holds one Secret, whose new keys pods have not read yet."""

    def __init__(self, **words: str) -> None:
        self.words = words
        self.annotations: dict[str, str] = {}

    def get(self, *_: object, **__: object) -> Any:
        data = {key: base64.b64encode(word.encode()).decode() for key, word in self.words.items()}
        return Secret(metadata=ObjectMeta(annotations=self.annotations or None), data=data)

    def patch(self, _kind: object, _name: str, change: dict[str, Any], **_: object) -> None:
        self.words = change["stringData"]
        self.annotations |= change["metadata"]["annotations"]


@pytest.mark.parametrize(
    "which", [["turn"], ["primary"], ["secondary"], ["secondary", "primary"], ["turn", "secondary"]]
)
@pytest.mark.parametrize("words", [{"primaryKey": "a", "secondaryKey": "b"}, {"primaryKey": "a"}])
def test_just_after_a_renewal_the_server_is_asked_with_a_key_it_knows_already(
    words: dict[str, str], which: list[str]
) -> None:
    client = OneSecret(**words)
    keys = import_late("tidemill.backends.targets.keys").Keys(client)
    for each in which:
        before = set(client.words.values())
        keys.renew("ns", "digits", each)
    assert keys.headers(WORKLOAD)["cookie"].rpartition("=")[2] in before & set(client.words.values())
