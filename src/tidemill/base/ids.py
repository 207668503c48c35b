"""Names that look alike and must not be mixed up, and how new ones are made."""

from __future__ import annotations

import re
import secrets
from typing import NewType

JobName = NewType("JobName", str)
StepName = NewType("StepName", str)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}\Z")

_ADJECTIVES = [
    "amber",
    "brave",
    "calm",
    "dusty",
    "eager",
    "frosty",
    "gentle",
    "happy",
    "ivory",
    "jolly",
    "keen",
    "lively",
    "mellow",
    "noble",
    "olive",
    "plucky",
    "quiet",
    "rapid",
    "silver",
    "tidy",
    "upbeat",
    "vivid",
    "witty",
    "zesty",
]
_NOUNS = [
    "anchor",
    "beacon",
    "canal",
    "delta",
    "eddy",
    "ferry",
    "gull",
    "harbour",
    "inlet",
    "jetty",
    "kelp",
    "lagoon",
    "marsh",
    "narwhal",
    "otter",
    "pier",
    "quay",
    "reef",
    "sluice",
    "tide",
    "urchin",
    "vessel",
    "wharf",
    "yawl",
]


def is_name(text: str) -> bool:
    """Whether `text` may name a job or an asset: letters, digits, `_`, `.`, `-`; at most 255."""
    return _NAME.match(text) is not None


def make_job_name() -> JobName:
    """A new name such as `amber_sluice_k3v9x2m1pq`, as Azure ML makes them."""
    alphabet = "abcdefghijkmnpqrstvwxyz0123456789"
    tail = "".join(secrets.choice(alphabet) for _ in range(10))
    return JobName(f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_NOUNS)}_{tail}")
