"""What turned out to be true of served requests: sent to the endpoint, and joined to what was recorded there."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import BackendError, FailedError, NotFoundError, UsageError
from tidemill.base.suggest import did_you_mean
from tidemill.serve.records import join, keep_feedback, write_rows

CALL_S = 60.0
MANY = 1000
FLAG = "--capture-dir"


@dataclass(frozen=True, slots=True)
class Place:
    """Where records are: the folders of an endpoint's deployments, and the address that takes feedback."""

    folders: tuple[Path, ...]
    url: str = ""
    token: str = ""


def find_place(app: App, endpoint: str | None, folder: Path | None) -> Place:
    """The capture folder that was named, or those of the endpoint; `UsageError` where nothing is recorded."""
    if folder is not None:
        return Place((folder,))
    known = app.target.endpoints()
    if endpoint is None:
        if len(known) != 1:
            raise UsageError("Name the endpoint", hint="tidemill feedback --endpoint NAME, or --dir FOLDER")
        endpoint = next(iter(known))
    if endpoint not in known:
        raise NotFoundError(f"There is no endpoint `{endpoint}` here", hint=did_you_mean(endpoint, known))
    desired = app.target.desired(endpoint)
    found = [_captured(d["argv"]) for d in desired.get("deployments", {}).values()]
    folders = tuple(dict.fromkeys(f for f in found if f is not None))
    if not folders:
        raise UsageError(
            f"The endpoint `{endpoint}` records nothing",
            hint="Add `data_collector:` with model_inputs and model_outputs to its deployment.",
        )
    tokens = desired.get("tokens")
    token = Path(tokens).read_text(encoding="utf-8").split()[0] if tokens else ""
    return Place(folders, str(app.target.observe(endpoint).get("url", "")), token)


def _captured(argv: Sequence[str]) -> Path | None:
    return Path(argv[argv.index(FLAG) + 1]) if FLAG in argv else None


def read_feedback(file: Path) -> list[dict[str, Any]]:
    """`request_id` and `truth`, from CSV, a JSON list, or a JSON object a line."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".csv":
        items: list[Any] = list(csv.DictReader(text.splitlines()))
    else:
        try:
            items = (
                json.loads(text) if text.lstrip().startswith("[") else [json.loads(t) for t in text.splitlines() if t]
            )
        except ValueError as exc:
            raise UsageError(f"{file} is not JSON: {exc}") from exc
    for i, item in enumerate(items, start=1):
        for name in ("request_id", "truth"):
            if not isinstance(item, dict) or item.get(name) is None or item[name] == "":
                raise UsageError(f"{file}: record {i} has no `{name}`", hint="Columns: request_id, truth")
    return [{"request_id": str(i["request_id"]), "truth": i["truth"]} for i in items]


def give_feedback(place: Place, items: Sequence[dict[str, Any]]) -> int:
    """Keep what was true; how many records. Without an address they are put into the folder."""
    if not place.url:
        keep_feedback(place.folders[0], items, iso(SystemClock().now()))
        return len(items)
    for start in range(0, len(items), MANY):
        _post(place, json.dumps(list(items[start : start + MANY])).encode())
    return len(items)


def _post(place: Place, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    if place.token:
        headers["authorization"] = f"Bearer {place.token}"
    try:
        with urlopen(Request(f"{place.url}/feedback", data=body, headers=headers), timeout=CALL_S):  # noqa: S310 - our own endpoint
            return
    except HTTPError as exc:
        raise FailedError(f"HTTP {exc.code}: {exc.read().decode(errors='replace')[:2000]}") from exc
    except (URLError, OSError) as exc:
        raise BackendError(f"{place.url} does not answer: {exc}", hint="tidemill status") from exc


def joined(place: Place, out: Path) -> tuple[int, int]:
    """Write recorded rows with their truth; how many rows, and of how many the truth is known."""
    rows = [row for folder in place.folders for row in join(folder)]
    if not rows:
        raise UsageError(
            f"Nothing is recorded in {place.folders[0]}", hint="Requests are written within minutes, or at the stop."
        )
    write_rows(rows, out)
    return len(rows), sum(row["truth_at"] is not None for row in rows)
