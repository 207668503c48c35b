"""How pods record requests: a buffer of limited size, where records go from there, and what that asks of the pod and its walls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tidemill.base.places import shown
from tidemill.serve.shipping import APART

Object = dict[str, Any]
BUFFER, KEPT = "/captured", "/records"
MIB = 1 << 20
HTTPS = 443
SPARE_MIB = 48  # a full file and the Parquet file that is made of it, for each process
ENDPOINT_URL = "AWS_ENDPOINT_URL"
SCHEMES = ("s3", "abfs", "abfss", "wasb", "wasbs")


@dataclass(frozen=True, slots=True)
class Recording:
    """What is recorded, and where it goes: `to` is a URL, or a folder of the volume claim `claim`."""

    to: str
    claim: str = ""
    secret: str = ""
    rate: float = 1.0
    parts: tuple[str, ...] = ("request", "response")
    rolling: str = ""
    mask: tuple[str, ...] = ()
    buffer_mib: int = 512
    processes: int = 1
    headers: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where records go, as the pod sees it."""
        return "/".join(p for p in (KEPT, self.to.strip("/")) if p) if self.claim else self.to

    @property
    def shown(self) -> str:
        """Where records go, in words."""
        return f"claim {self.claim}, folder {self.to.strip('/')}" if self.claim else shown(self.to)

    def variables(self, folder: str = BUFFER) -> dict[str, str]:
        """What the server is told. The buffer's bound leaves room for what is being made of a full file."""
        bound = (self.buffer_mib - SPARE_MIB * self.processes) * MIB  # of the folder: each process sees what all wrote
        said = {
            "DIR": folder, "TO": self.place, "RATE": f"{self.rate:g}", "PARTS": ",".join(self.parts),
            "ROLLING": self.rolling, "MASK": ",".join(self.mask), "MAX_BYTES": str(bound),
            "HEADERS": ",".join(self.headers),
        }  # fmt: skip
        return {f"TIDEMILL_CAPTURE_{name}": value for name, value in said.items() if value}

    def volumes(self) -> list[Object]:
        """The buffer, and the claim where there is one."""
        kept = {"name": "records", "persistentVolumeClaim": {"claimName": self.claim}}
        return [
            {"name": "captured", "emptyDir": {"sizeLimit": f"{self.buffer_mib}Mi"}},
            *([kept] if self.claim else []),
        ]

    def mounts(self) -> list[Object]:
        """Where the volumes are in the container."""
        kept = [{"name": "records", "mountPath": KEPT}] if self.claim else []
        return [{"name": "captured", "mountPath": BUFFER}, *kept]

    def secrets(self) -> list[Object]:
        """What lets the pod in, as variables that are in no object but the Secret; the server takes them away from the model's code."""
        return [{"prefix": APART, "secretRef": {"name": self.secret}}] if self.secret else []

    def ports(self, environment: Mapping[str, str]) -> list[int]:
        """Where the pod must be let out to."""
        if self.claim:
            return []
        asked = urlsplit(environment.get(ENDPOINT_URL, ""))
        return sorted({HTTPS, asked.port or {"http": 80}.get(asked.scheme, HTTPS)})

    def problems(self) -> list[str]:
        """Why no record would arrive, in words."""
        found = []
        scheme = self.to.partition("://")[0] if "://" in self.to else ""
        if self.claim and scheme:
            found.append(f"records go either to the claim `{self.claim}` or to `{shown(self.to)}`, not to both")
        if self.claim and ".." in self.to.split("/"):
            found.append(f"`{self.to}` leads out of the claim `{self.claim}`")
        if not self.claim and scheme not in SCHEMES:
            found.append(
                f"pods cannot send records to `{self.to}`: `capture` takes s3://, abfss:// or wasbs://, or a `claim`"
            )
        if urlsplit(self.to).query or re.search(r"//[^/@]*:[^/@]*@", self.to):
            found.append("the address of `capture` holds a secret: credentials are for `secret`, the name of a Secret")
        if self.buffer_mib // self.processes <= SPARE_MIB:
            least = (SPARE_MIB + 16) * self.processes
            found.append(f"a buffer of {self.buffer_mib}Mi is too small for records, at least {least}Mi")
        return found


def read_recording(record: Mapping[str, Any] | None) -> Recording | None:
    """As it was kept with a release."""
    if not record:
        return None
    known: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in record.items() if k in Recording.__slots__
    }
    return Recording(**known)
