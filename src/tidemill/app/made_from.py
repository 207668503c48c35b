"""What a job was planned from, kept with it, so that taking it up again later means the same."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from tidemill.app.wiring import App
from tidemill.base.errors import TidemillError
from tidemill.base.files import is_plain_file, write_atomic
from tidemill.base.frozen import frozen, slotted
from tidemill.base.hashing import TreeEntry, digest_value
from tidemill.plan.graph import DataRef, EnvironmentRef, Plan, Resources, Step
from tidemill.plan.ports import AssetLookup
from tidemill.run.folders import job_folder
from tidemill.run.snapshot import take_snapshot
from tidemill.spec.environment import Environment
from tidemill.spec.load import Loaded, load, load_source
from tidemill.spec.source import parse_source

T = TypeVar("T")
Question = tuple[str, str | None, str | None]  # name, version, label
COLLECTION = "made_from"
NAMED = 3  # changed files that are named


@slotted
class Kept:
    """JSON throughout: documents by path, answers by question, each environment's files, the ref of each code folder."""

    documents: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, dict[str, str]] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """For the store."""
        return {"documents": self.documents, "answers": self.answers, "packages": self.packages, "code": self.code}


def _data_record(found: DataRef) -> dict[str, Any]:
    return {"uri": found.uri, "type": found.type, "digest": found.digest, "asset": found.asset}


def _document_record(found: Loaded) -> dict[str, Any]:
    return {"path": str(found.path), "text": found.source.text}


def _environment_record(found: EnvironmentRef) -> dict[str, Any]:
    document = found.document
    known = isinstance(document, Environment)
    return {
        "name": found.name,
        "version": found.version,
        "document": document.model_dump(mode="json", exclude_unset=True, by_alias=True) if known else None,
        "folder": str(found.folder),
        "kind": found.kind,
        "label": found.label,
        "pins": found.pins,
    }


def _revive_environment(answer: Mapping[str, Any]) -> EnvironmentRef:
    document = Environment.model_validate(answer["document"]) if answer["document"] is not None else None
    return EnvironmentRef(**{**answer, "document": document, "folder": Path(answer["folder"])})


@frozen
class Form(Generic[T]):
    """An answer as JSON, and back."""

    record: Callable[[T], dict[str, Any]]
    revive: Callable[[dict[str, Any]], T]


DATA = Form(_data_record, lambda answer: DataRef(**answer))
DOCUMENT = Form(_document_record, lambda answer: load_source(parse_source(Path(answer["path"]), answer["text"])))
ENVIRONMENT = Form(_environment_record, _revive_environment)


class Asked:
    """An `AssetLookup` that answers as it did when the job began; what was not asked then it asks now, and keeps."""

    def __init__(self, assets: AssetLookup, kept: Kept, registry: str = "") -> None:
        self._assets = assets
        self._kept = kept
        self._registry = registry
        self._found: dict[str, Any] = {}

    def read(self, path: Path) -> Loaded | None:
        """A document by its file; None if there is none."""
        text = self._kept.documents.get(str(path))
        if text is not None:
            return load_source(parse_source(path, text))
        found = load(path) if is_plain_file(path) else None
        if found is not None:
            self._kept.documents[str(path)] = found.source.text
        return found

    def find_data(self, name: str, version: str | None, label: str | None) -> DataRef | None:
        """Where data is."""
        return self._ask(DATA, "data", (name, version, label), self._assets.find_data)

    def find_model(self, name: str, version: str | None, label: str | None) -> DataRef | None:
        """Where a model is."""
        return self._ask(DATA, "model", (name, version, label), self._assets.find_model)

    def find_component(self, name: str, version: str | None, label: str | None) -> Loaded | None:
        """A component's document."""
        return self._ask(DOCUMENT, "component", (name, version, label), self._assets.find_component)

    def find_environment(self, name: str, version: str | None, label: str | None) -> EnvironmentRef | None:
        """What stands for an environment."""
        return self._ask(ENVIRONMENT, "environment", (name, version, label), self._assets.find_environment)

    def of_registry(self, name: str) -> AssetLookup | None:
        """The assets of a registry."""
        found = self._assets.of_registry(name)
        return Asked(found, self._kept, name) if found is not None else None

    def reserve(self, compute: str | None) -> Resources:
        """What a compute gives is this machine's matter, and may have changed."""
        return self._assets.reserve(compute)

    def known(self, kind: str) -> list[str]:
        """Names, for suggestions."""
        return self._assets.known(kind)

    def _ask(self, form: Form[T], kind: str, question: Question, ask: Callable[..., T | None]) -> T | None:
        key = "\n".join((self._registry, kind, *(part or "" for part in question)))
        if key not in self._found:
            if key in self._kept.answers:
                answer = self._kept.answers[key]
                self._found[key] = form.revive(answer) if answer is not None else None
            else:
                self._found[key] = found = ask(*question)
                self._kept.answers[key] = form.record(found) if found is not None else None
        kept: T | None = self._found[key]
        return kept


def keep(app: App, job: str, plan: Plan, kept: Kept, secrets: Sequence[str]) -> None:
    """Complete what was kept while planning, and store it with the job; but never a text that holds a secret."""
    environments = app.environments()
    for environment in _environments(plan.steps):
        with suppress(TidemillError, OSError):  # the step that needs it says what is wrong with it
            kept.packages[_key(environment)] = {str(p): text for p, text in environments.files(environment).items()}
    for step in _all(plan.steps):
        if step.code is not None and _code_key(step) not in kept.code:
            with suppress(TidemillError, OSError):
                kept.code[_code_key(step)] = _code_ref(app, step)
    texts = [*kept.documents.values(), *(t for files in kept.packages.values() for t in files.values())]
    if not any(secret in text for secret in secrets for text in texts):
        app.store.put(COLLECTION, job, kept.as_record())


def find_kept(app: App, job: str) -> Kept | None:
    """What was kept with the job; None for one of before, or with a secret in its documents."""
    found = app.store.get(COLLECTION, job)
    return Kept(**found) if found is not None else None


def as_then(app: App, job: str, plan: Plan, kept: Kept) -> Plan:
    """The plan with each environment whose files have changed since pointed at a copy of those of then."""
    root = job_folder(app.home, job).root / ".made_from"

    def pin(environment: EnvironmentRef) -> EnvironmentRef:
        files = kept.packages.get(_key(environment), {})
        if not any(_differs(Path(path), text) for path, text in files.items()):
            return environment
        for path, text in files.items():
            write_atomic(root / path.lstrip("/"), text)
        folder = root / str(environment.folder).lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        return replace(environment, folder=folder)

    def pin_step(step: Step) -> Step:
        blocks = {name: tuple(pin_step(s) for s in steps) for name, steps in step.blocks.items()}
        return replace(step, environment=pin(step.environment), blocks=blocks)

    return replace(plan, steps=tuple(pin_step(s) for s in plan.steps))


def say_changes(app: App, plan: Plan, kept: Kept) -> list[str]:
    """What is other now than when the job began, and which of both is used."""
    texts = {**kept.documents, **{p: t for files in kept.packages.values() for p, t in files.items()}}
    said = [
        f"{path} {'has changed' if Path(path).exists() else 'is not there any more'}: it is used as it was when the job began"
        for path, text in texts.items()
        if _differs(Path(path), text)
    ]
    seen = set()
    for step in _all(plan.steps):
        before = kept.code.get(_code_key(step)) if step.code is not None else None
        if before is None or _code_key(step) in seen:
            continue
        seen.add(_code_key(step))
        now = _code_ref(app, step)
        if now != before:
            names = _changed(app.artifacts.entries(before) or (), app.artifacts.entries(now) or ())
            said.append(f"the code {step.code} has changed since the job began{names}: it is used as it is now")
    return said


def _changed(before: Sequence[TreeEntry], now: Sequence[TreeEntry]) -> str:
    names = sorted({e.path for e in set(before) ^ set(now)})
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f" ({', '.join(names[:NAMED])}{more})" if names else ""


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_bytes().decode("utf-8-sig", errors="replace") != text
    except OSError:
        return True


def _all(steps: Sequence[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        for block in step.blocks.values():
            yield from _all(block)


def _environments(steps: Sequence[Step]) -> list[EnvironmentRef]:
    found = {_key(s.environment): s.environment for s in _all(steps) if s.environment.document is not None}
    return list(found.values())


def _key(environment: EnvironmentRef) -> str:
    document = environment.document
    body = document.model_dump(mode="json", exclude_unset=True) if isinstance(document, Environment) else None
    return digest_value([str(environment.folder), environment.kind, body])


def _code_key(step: Step) -> str:
    return json.dumps([str(step.code), *map(str, step.additional_includes)])


def _code_ref(app: App, step: Step) -> str:
    """The list of the code's files, kept so that changes can be named."""
    code = step.code or Path(os.curdir)
    with app.run_stamps(code) as stamps:
        snapshot = take_snapshot(code, step.additional_includes, stamps)
    ref: str = app.artifacts.remember(snapshot.entries)
    return ref
