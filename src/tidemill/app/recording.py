"""What a deployment's document and a stage say about recording requests, for a server here and for pods elsewhere."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.app.serving import worker_count
from tidemill.base.clock import Clock
from tidemill.base.errors import UsageError
from tidemill.base.suggest import did_you_mean
from tidemill.release.recording import Recording
from tidemill.release.workload import Workload
from tidemill.serve.capture import CREDENTIALS
from tidemill.spec.deployment import Collection, DataCollector, OnlineDeployment
from tidemill.spec.project import Capture, Stage

SIDES = {"model_inputs": "request", "request": "request", "model_outputs": "response", "response": "response"}
BOTH = ("request", "response")
DATASTORE = re.compile(r"azureml://.*?datastores/(?P<store>[^/]+)/paths/(?P<path>.*)\Z")
FIRST_RECORDS_S, LOOK_S = 10.0, 0.5
HINT = (
    "Add `capture: s3://BUCKET/FOLDER` (or abfss://…, or {claim: NAME} of a volume) to the stage in tidemill.yaml;"
    " `capture: off` records nothing there."
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is recorded of a deployment."""

    rate: float = 1.0
    parts: tuple[str, ...] = BOTH
    rolling: str = ""
    headers: tuple[str, ...] = ()


def recording_rules(document: OnlineDeployment | None, stage: Stage | None = None) -> Rules | None:
    """What the document's `data_collector` records, or everything where only the stage speaks of it; None for nothing."""
    asked = stage.capture if stage is not None else None
    if asked == "off":
        return None
    collector = document.data_collector if document is not None else None
    if collector is None:
        return Rules() if isinstance(asked, Capture) else None
    enabled = _enabled(collector)
    unknown = next((n for n in enabled if n not in SIDES), None)
    if unknown is not None:
        raise UsageError(
            f"`data_collector` has a collection `{unknown}`: the server records model_inputs and model_outputs",
            hint=did_you_mean(unknown, SIDES),
        )
    parts = tuple(sorted({SIDES[n] for n in enabled}))
    rates = [c.sampling_rate for c in enabled.values() if c.sampling_rate is not None]
    rate = collector.sampling_rate if collector.sampling_rate is not None else max(rates, default=1.0)
    return Rules(rate, parts, str(collector.rolling_rate or "").lower(), _headers(collector)) if parts else None


def _headers(collector: DataCollector) -> tuple[str, ...]:
    """`request_logging.capture_headers`; what lets callers in is no record."""
    named = tuple(str(n).lower() for n in (collector.request_logging or {}).get("capture_headers") or ())
    secret = next((n for n in named if n in CREDENTIALS), None)
    if secret is not None:
        raise UsageError(f"`capture_headers` names `{secret}`: what lets callers in is not recorded")
    return named


def _enabled(collector: DataCollector) -> dict[str, Collection]:
    return {n: c for n, c in (collector.collections or {}).items() if str(c.enabled).lower() == "true"}


def capture_arguments(captures: Path, document: OnlineDeployment | None, stage: Stage | None = None) -> list[str]:
    """The options of a server on this machine that records below `captures`."""
    rules = recording_rules(document, stage)
    if rules is None:
        return []
    argv = ["--capture-dir", str(captures), "--capture-rate", str(rules.rate), "--capture-parts", ",".join(rules.parts)]
    argv += ["--capture-rolling", rules.rolling] if rules.rolling else []
    argv += ["--capture-headers", ",".join(rules.headers)] if rules.headers else []
    asked = stage.capture if stage is not None else None
    if not isinstance(asked, Capture):
        return argv
    if asked.to or asked.claim:
        raise UsageError(
            "`capture` of a local stage has no destination: its records are below .tidemill/captured",
            hint="Leave `to` and `claim` out; `mask` counts here, too.",
        )
    return argv + (["--capture-mask", ",".join(asked.mask)] if asked.mask else [])


def pod_recording(
    document: OnlineDeployment | None, stage: Stage, endpoint: str, datastores: Mapping[str, str]
) -> Recording | None:
    """How the stage's pods record; `UsageError` when nothing says where their records would go."""
    rules = recording_rules(document, stage)
    if rules is None:
        return None
    asked = stage.capture if isinstance(stage.capture, Capture) else Capture()
    to = asked.to or ("" if asked.claim else _documented(document, datastores))
    if not to and not asked.claim:
        raise UsageError(
            "Requests are to be recorded (`data_collector`), and nothing says where pods send them", hint=HINT
        )
    where = _resolved(to, datastores)
    return Recording(
        to="/".join(p for p in (where.rstrip("/"), endpoint) if p),
        claim=asked.claim or "",
        secret=asked.secret or "",
        rate=rules.rate,
        parts=rules.parts,
        rolling=rules.rolling,
        headers=rules.headers,
        mask=tuple(asked.mask),
        buffer_mib=asked.buffer_mib,
        processes=worker_count(document) if document is not None else 1,
    )


def _documented(document: OnlineDeployment | None, datastores: Mapping[str, str]) -> str:
    """The path of the first collection that has one, where its datastore is at an address pods can reach."""
    collector = document.data_collector if document is not None else None
    paths = [_path(c.data) for c in _enabled(collector).values()] if collector is not None else []
    path = next((p for p in paths if p), "")
    found = DATASTORE.match(path)
    return path if not found or "://" in datastores.get(found["store"], "") else ""


def _path(data: Any) -> str:  # noqa: ANN401 - a data asset, written out or named
    return str(data.get("path") or "") if isinstance(data, Mapping) else ""


def _resolved(to: str, datastores: Mapping[str, str]) -> str:
    """The URL that a path of a datastore stands for."""
    found = DATASTORE.match(to)
    if found is None:
        return to
    root = datastores.get(found["store"], "")
    if "://" not in root:
        raise UsageError(
            f"Pods cannot reach datastore `{found['store']}`: "
            + (f"it is {root}, a folder of this machine" if root else "nothing says where it is"),
            hint=f"Say it in tidemill.yaml: datastores: {{{found['store']}: s3://BUCKET}}",
        )
    return f"{root.rstrip('/')}/{found['path']}".rstrip("/")


def tell_of_records(target: Any, workload: Workload, say: Callable[[str], None], clock: Clock) -> None:  # noqa: ANN401 - a target's own small interface
    """Say whether the records of a new version's first requests arrive: a wrong address or key is known now, not in a month."""
    recording = workload.recording
    if recording is None:
        return
    until = clock.monotonic() + FIRST_RECORDS_S
    while clock.monotonic() < until:
        counts = target.counts(workload).values()
        if any(c.unsent for c in counts):
            why = target.said(workload, "records do not reach").partition("they wait here: ")[2]
            say(f"warning: records of {workload.deployment} do not arrive at {recording.shown}: {why or 'see its log'}")
            return
        if any(c.sent for c in counts):
            say(f"records arrive at {recording.shown}")
            return
        clock.sleep(LOOK_S)


def recording_requirements(recording: Recording | None) -> list[str]:
    """The packages an image needs to record, from this distribution's own extras."""
    if recording is None:
        return []
    speaks = {"fsspec", "s3fs"} if recording.to.startswith("s3://") else {"fsspec", "adlfs"}
    wanted = {"pyarrow"} | (set() if recording.claim else speaks)
    declared = (r.replace('"', "'") for r in importlib.metadata.requires("tidemill") or ())
    extras = [r.partition(";")[0].strip() for r in declared if "extra == 'capture'" in r or "extra == 'remote'" in r]
    return [r for r in extras if re.split(r"[<>=!~ \[]", r, maxsplit=1)[0] in wanted]
