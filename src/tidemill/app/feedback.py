"""What turned out to be true of served requests: sent to the endpoint, and joined to what was recorded there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tidemill.app.releases import serving_release
from tidemill.app.wiring import App
from tidemill.app.workloads import read_workload
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import BackendError, FailedError, NotFoundError, UsageError
from tidemill.base.suggest import did_you_mean
from tidemill.release.workload import Workload
from tidemill.serve.records import join_all, keep_feedback, strays, write_rows
from tidemill.spec.project import Stage

CALL_S = 60.0
MANY = 1000
FLAG = "--capture-dir"
Send = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where records are: folders here or one address elsewhere, and what takes feedback."""

    folders: tuple[Path, ...] = ()
    address: str = ""
    send: Send | None = None
    bring: Callable[[Path], None] | None = None
    hint: str = "Requests are written within minutes, or at the stop."


def find_place(app: App, endpoint: str | None, stage: str | None, folder: str | None) -> Place:
    """The folder or address that was named, or what the stage's pods or the endpoint record; `UsageError` where nothing is recorded."""
    if folder is not None:
        return Place(address=folder) if "://" in folder else _folder(Path(folder))
    clusters = _stages_on_clusters(app)
    known = app.target.endpoints()
    if stage is not None and stage not in clusters:
        released = serving_release(app, stage)
        if released is None or released["endpoint"] not in known:
            raise NotFoundError(f"Nothing records in a stage `{stage}`", hint=did_you_mean(stage, clusters))
        endpoint = released["endpoint"]
    elif stage is not None:
        return _in_pods(app, stage, clusters[stage])
    if endpoint is None:
        if not known and len(clusters) == 1:
            return _in_pods(app, *next(iter(clusters.items())))
        if not known and not clusters:
            raise UsageError(
                "No endpoint and no stage of this project records requests",
                hint="Of a server that was started with --capture-dir: tidemill feedback --dir FOLDER",
            )
        if len(known) != 1 or clusters:
            raise UsageError(
                "Name the endpoint or the stage",
                hint=f"tidemill feedback --endpoint NAME, --stage NAME, or --dir FOLDER. There are: {', '.join([*known, *clusters])}",
            )
        endpoint = next(iter(known))
    if endpoint not in known:
        raise NotFoundError(
            f"There is no endpoint `{endpoint}` here",
            hint=did_you_mean(endpoint, known) or "For pods name the stage: tidemill feedback --stage NAME",
        )
    return _on_this_machine(app, endpoint)


def _folder(folder: Path) -> Place:
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}")
    return Place((folder,))


def _on_this_machine(app: App, endpoint: str) -> Place:
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
    url = str(app.target.observe(endpoint).get("url", ""))
    return Place(folders, send=partial(_post, url, token) if url else None)


def _stages_on_clusters(app: App) -> dict[str, tuple[Stage, Workload]]:
    """The stages whose pods serve something, as it was released."""
    found = {}
    for name, stage in (app.project.document.stages if app.project else {}).items():
        released = serving_release(app, name) if stage.target == "kubernetes" else None
        if released is not None and released.get("workload"):
            found[name] = (stage, read_workload(released["workload"]))
    return found


def _in_pods(app: App, name: str, released: tuple[Stage, Workload]) -> Place:
    stage, workload = released
    recording = workload.recording
    if recording is None:
        raise UsageError(
            f"The pods of stage `{name}` record nothing",
            hint="Add `data_collector:` to the deployment and `capture:` to the stage, then: tidemill up",
        )
    send = partial(_ask_pods, app, stage.context or "", workload)
    late = "Pods send what they record within minutes, and when they stop."
    if recording.claim:
        return Place(send=send, bring=partial(_bring, app, stage.context or "", workload), hint=late)
    return Place(address=recording.to, send=send, hint=late)


def _bring(app: App, context: str, workload: Workload, into: Path) -> None:
    """What is on a claim, by way of a pod that has it mounted."""
    recording = workload.recording
    if recording is None:
        return
    try:
        app.kubernetes(context).bring(workload, recording.place, into)
    except (BackendError, FailedError) as exc:
        raise BackendError(
            f"The records on {recording.shown} cannot be read through a pod: {exc.message}",
            hint="That takes the right to create pods/exec. Or mount the claim, and name the folder: --dir FOLDER",
        ) from exc


def _captured(argv: Sequence[str]) -> Path | None:
    return Path(argv[argv.index(FLAG) + 1]) if FLAG in argv else None


def read_feedback(file: Path) -> list[dict[str, Any]]:
    """`request_id` and `truth`, from CSV, a JSON list, or a JSON object a line."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise UsageError(f"{file} is not UTF-8: {exc}", hint="Save it as UTF-8, as spreadsheets offer.") from exc
    items = _read_csv(text) if file.suffix == ".csv" else _read_json(file, text)
    if not items:
        raise UsageError(f"{file} holds no record", hint="Columns: request_id, truth")
    for i, item in enumerate(items, start=1):
        for name in ("request_id", "truth"):
            if not isinstance(item, dict) or item.get(name) is None or item[name] == "":
                raise UsageError(f"{file}: record {i} has no `{name}`", hint="Columns: request_id, truth")
    return [{"request_id": str(i["request_id"]), "truth": i["truth"]} for i in items]


def _read_csv(text: str) -> list[Any]:
    """Commas, or the semicolons and tabs of spreadsheets."""
    heading = text.partition("\n")[0]
    separator = max((",", ";", "\t"), key=heading.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    return [{(name or "").strip().lower(): value for name, value in row.items()} for row in rows]


def _read_json(file: Path, text: str) -> list[Any]:
    try:
        if text.lstrip().startswith("["):
            return list(json.loads(text))
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as exc:
        raise UsageError(f"{file} is not JSON: {exc}") from exc


def give_feedback(app: App, place: Place, items: Sequence[dict[str, Any]]) -> int:
    """Keep what was true; how many records. Where nothing serves they are put beside the records themselves."""
    if place.send is None:
        _put_beside(app, place, items)
        return len(items)
    for start in range(0, len(items), MANY):
        try:
            place.send(json.dumps(list(items[start : start + MANY])).encode())
        except (BackendError, FailedError) as exc:
            if not start:
                raise
            raise FailedError(
                f"After {start} of {len(items)} records: {exc.message}",
                hint="Send the file again when it can be kept: of two truths of one request the last counts.",
            ) from exc
    return len(items)


def _put_beside(app: App, place: Place, items: Sequence[dict[str, Any]]) -> None:
    at = iso(SystemClock().now())
    if place.folders:
        keep_feedback(place.folders[0], items, at)
        return
    with TemporaryDirectory() as folder:
        made = keep_feedback(Path(folder), items, at)
        app.data.send(made, f"{place.address.rstrip('/')}/{made.relative_to(folder).as_posix()}")


def _post(url: str, token: str, body: bytes) -> None:
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    try:
        with urlopen(Request(f"{url}/feedback", data=body, headers=headers), timeout=CALL_S):  # noqa: S310 - our own endpoint
            return
    except HTTPError as exc:
        raise FailedError(f"HTTP {exc.code}: {exc.read().decode(errors='replace')[:2000]}") from exc
    except (URLError, OSError) as exc:
        raise BackendError(f"{url} does not answer: {exc}", hint="tidemill status") from exc


def _ask_pods(app: App, context: str, workload: Workload, body: bytes) -> None:
    """Through the cluster's own proxy: one of the pods keeps it and sends it on."""
    target = app.kubernetes(context)
    headers = {"content-type": "application/json", **target.key_headers(workload)}
    status, answer = target.request(workload.namespace, workload.endpoint, "/feedback", body=body, headers=headers)
    if status != HTTPStatus.ACCEPTED:
        raise FailedError(f"HTTP {status}: {answer.decode(errors='replace')[:2000]}")


def joined(app: App, place: Place, out: Path, say: Callable[[str], None]) -> tuple[int, int]:
    """Write recorded rows with their truth; how many rows, and of how many the truth is known. Truths of no request are said."""
    with TemporaryDirectory() as spare:
        if place.bring is not None:
            place.bring(Path(spare))
        folders = (app.data.mirror(place.address, say),) if place.address else place.folders or (Path(spare),)
        rows = join_all(folders)
        stray = strays(folders, rows)
    if not rows:
        where = place.address or ("that claim" if place.bring else folders[0])
        raise UsageError(f"Nothing is recorded in {where}", hint=place.hint)
    write_rows(rows, out)
    if stray:
        say(f"{len(stray)} of the truths name no request that is recorded here, the first `{stray[0]}`")
    return len(rows), sum(row["truth_at"] is not None for row in rows)
