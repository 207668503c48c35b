"""A version onto the Hugging Face Hub: files, card and digest in one commit, a tag, and a Space pinned to the image."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tidemill.app.candidate import Candidate
from tidemill.app.deploy import Deployed
from tidemill.app.images import build_image
from tidemill.app.project import Project
from tidemill.app.serves import describe_server, elsewhere_variables
from tidemill.app.wiring import App
from tidemill.base.errors import FailedError, UsageError
from tidemill.base.hashing import digest_value, list_files
from tidemill.record.ports import ModelVersion
from tidemill.release.package import PORT
from tidemill.release.remote import HubFile
from tidemill.spec.project import Stage

Say = Callable[[str], None]
ABOUT = "tidemill.json"
CARD = "README.md"


@dataclass(frozen=True, slots=True)
class SpaceWish:
    """What a Space is to run: the image, the model's revision it came from, and what else it was told."""

    image: str
    revision: str
    settings: str
    variables: Mapping[str, str]


def deploy_huggingface(
    app: App, project: Project, candidate: Candidate, stage_name: str, stage: Stage, say: Say
) -> Deployed:
    """Commit the version unless `main` holds it already, and have the Space run it as asked; what was written is read back before it counts."""
    version, repository = candidate.version, _repository(stage_name, stage)
    url = app.hub.page("model", repository)
    variables = _variables(project, stage)
    held = _about(app, "model", repository).get("digest") == version.digest
    settings = _settings(app, project, stage, variables) if stage.space else ""
    space = _about(app, "space", stage.space) if stage.space else {}
    runs = not stage.space or (space.get("digest"), space.get("settings")) == (version.digest, settings)
    image = str(space.get("image", "")) if stage.space else ""
    evidence = ""
    if not (held and runs):
        if stage.space and not runs:
            image = build_image(app, project, candidate, stage, say).reference
        if held:
            revision = app.hub.revision("model", repository)
        else:
            revision = _publish(app, stage, repository, version, candidate.metrics, say)
        evidence = f"revision {revision}"
        if stage.space:
            _publish_space(app, stage, version, SpaceWish(image, revision, settings, variables), say)
    return Deployed(
        repository, stage_name, url, f"v{version.version}", version.name, version.version, changed=not (held and runs),
        evidence=evidence, image=image, workload={"settings": settings, "variables": dict(variables)},
    )  # fmt: skip


def put_back_huggingface(app: App, stage_name: str, stage: Stage, previous: Mapping[str, Any]) -> None:
    """The previous version as a new commit on top: the Hub's history keeps both."""
    repository = _repository(stage_name, stage)
    version = app.registry.get(previous["model"], previous["version"])
    revision = _publish(app, stage, repository, version, previous.get("metrics", {}), lambda _: None)
    if stage.space and previous.get("image"):
        kept = previous.get("workload") or {}
        wish = SpaceWish(previous["image"], revision, str(kept.get("settings", "")), kept.get("variables", {}))
        _publish_space(app, stage, version, wish, lambda _: None)


def _variables(project: Project, stage: Stage) -> Mapping[str, str]:
    return elsewhere_variables(project, stage)


def _settings(app: App, project: Project, stage: Stage, variables: Mapping[str, str]) -> str:
    """By which a later `up` sees that the Space is to run something other than the same model as before."""
    return digest_value([stage.base_image, dict(variables), *describe_server(app, project)])[:16]


def _repository(stage_name: str, stage: Stage) -> str:
    if not stage.repository or stage.repository.count("/") != 1:
        raise UsageError(
            f"Stage {stage_name} (huggingface) needs a `repository`", hint="Example: repository: me/digits"
        )
    if stage.space and not stage.registry:
        raise UsageError(
            f"Stage {stage_name} has a `space`, which runs an image, but no `registry`",
            hint="Name one that the Hub can pull from, e.g. registry: ghcr.io/me.",
        )
    return stage.repository


def _about(app: App, kind: str, repository: str) -> Mapping[str, Any]:
    """What was left there about the version; nothing where there is none that can be read."""
    text = app.hub.read(kind, repository, ABOUT)
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _publish(
    app: App, stage: Stage, repository: str, version: ModelVersion, metrics: Mapping[str, float], say: Say
) -> str:
    """One commit; the revision to pin."""
    app.hub.ensure("model", repository, private=stage.private)
    about = {"model": version.name, "version": version.version, "digest": version.digest, "job": version.job}
    files = [
        HubFile(CARD, content=make_card(version, metrics).encode()),
        HubFile(ABOUT, content=json.dumps(about, indent=2).encode()),
    ]
    root = version.path if version.path.is_dir() else version.path.parent
    paths = list_files(root) if version.path.is_dir() else [version.path]
    files += [HubFile(p.relative_to(root).as_posix(), source=p) for p in paths if p.name not in {CARD, ABOUT}]
    say(f"committing {len(files)} files to {repository}")
    revision: str = app.hub.commit("model", repository, files, f"{version.name} version {version.version}")
    if json.loads(app.hub.read("model", repository, ABOUT, revision) or b"{}").get("digest") != version.digest:
        raise FailedError(f"{repository} does not hold at {revision[:12]} what was committed", hint="Run it again.")
    app.hub.tag("model", repository, revision, f"v{version.version}")
    return revision


def _publish_space(app: App, stage: Stage, version: ModelVersion, wish: SpaceWish, say: Say) -> None:
    """A Docker Space that is the proven image, by digest."""
    space = stage.space or ""
    app.hub.ensure("space", space, private=stage.private)
    front = {"title": version.name, "sdk": "docker", "app_port": PORT, "models": [stage.repository]}
    words = f"{_front(front)}\n{version.name} version {version.version}, model revision `{wish.revision}`.\n"
    about = {"digest": version.digest, "settings": wish.settings, "image": wish.image, "revision": wish.revision}
    files = [
        HubFile("Dockerfile", content=_dockerfile(wish).encode()),
        HubFile(CARD, content=words.encode()),
        HubFile(ABOUT, content=json.dumps(about, indent=2).encode()),
    ]
    app.hub.commit("space", space, files, f"{version.name} version {version.version}")
    say(f"the Space {space} runs {wish.image}")


def _dockerfile(wish: SpaceWish) -> str:
    """The image and its variables; a dollar would be taken for another variable."""
    quoted = {k: json.dumps(v, ensure_ascii=False).replace("$", "\\$") for k, v in sorted(wish.variables.items())}
    return "".join([f"FROM {wish.image}\n", *(f"ENV {k}={v}\n" for k, v in quoted.items())])


def make_card(version: ModelVersion, metrics: Mapping[str, float]) -> str:
    """The model card: what it is, how good, where from."""
    results = [{"type": k, "value": v, "name": k} for k, v in sorted(metrics.items())]
    index = {
        "name": version.name,
        "results": [{"task": {"type": "other"}, "dataset": {"name": "test set", "type": "other"}, "metrics": results}],
    }
    front = {
        "library_name": "tidemill",
        "tags": ["tidemill", version.type],
        **({"model-index": [index]} if results else {}),
    }
    rows = "\n".join(f"| {k} | {v:g} |" for k, v in sorted(metrics.items()))
    table = f"\n## Metrics\n\n| | |\n|---|---|\n{rows}\n" if rows else ""
    return f"{_front(front)}\n# {version.name}\n\n{version.description}\n\nVersion {version.version}, digest `{version.digest}`, made by job `{version.job or 'unknown'}`.\n{table}"


def _front(values: Mapping[str, Any]) -> str:
    return f"---\n{yaml.safe_dump(dict(values), sort_keys=False)}---\n"
