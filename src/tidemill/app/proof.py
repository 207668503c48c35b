"""An image is started before anybody can pull it: it must hold the registered model and answer as at training time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tidemill.backends import containers
from tidemill.base.errors import FailedError
from tidemill.record.ports import ModelVersion
from tidemill.release.package import PORT
from tidemill.release.ports import Prove
from tidemill.spec.project import Stage

READY_S = 120
ROWS = 20
TOLERANCE = 1e-5
# Runs in the image's own Python; says what it saw as JSON and judges nothing.
_WITNESS = """
import json, sys, time, urllib.error, urllib.request
asked = json.load(sys.stdin)
def call(path, body=None):
    request = urllib.request.Request(asked["url"] + path, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"null")
deadline = time.monotonic() + asked["ready_s"]
while True:
    try:
        version = call("/version")
        break
    except (OSError, ValueError) as exc:
        if time.monotonic() > deadline:
            sys.exit("not ready: %s" % exc)
        time.sleep(0.2)
try:
    rows = asked["inputs"] if "digest" in version else []  # a scoring script has a contract of its own
    print(json.dumps({"version": version, "answers": [call("/predict", json.dumps(i).encode()) for i in rows]}))
except urllib.error.HTTPError as exc:
    sys.exit("a golden row was answered with HTTP %d: %s" % (exc.code, exc.read(500).decode(errors="replace")))
"""


def make_proof(version: ModelVersion, stage: Stage, say: Callable[[str], None]) -> Prove | None:
    """How images of the version are proven; None where the stage or the machine does without, which is said."""
    if stage.image_proof == "off":
        return None
    if not containers.find_engine():
        if stage.image_proof == "required":
            containers.require_engine("`image_proof: required`")
        say("no container engine here: the image is proven by its first pod, before traffic goes to it")
        return None
    return lambda archive, image: prove_image(archive, image, version, say)


def prove_image(archive: Path, image: str, version: ModelVersion, say: Callable[[str], None]) -> None:
    """Load and start the image, sealed off; `FailedError` when it is not what was to be built or answers otherwise."""
    say("proving the image")
    loaded = containers.load(archive)
    name = f"tidemill-proof-{image.removeprefix('sha256:')[:20]}"
    golden = find_golden(version.path)
    containers.remove([name])
    try:
        if loaded != image:
            raise FailedError(f"The engine loaded {loaded[:19]}, which is not the image that was built ({image[:19]})")
        containers.start_sealed(loaded, name)
        seen = _question(name, list(golden.get("inputs", ()))[:ROWS])
        problems = compare(seen, version.digest, golden)
        if problems:
            raise FailedError(
                "The image is not the registered model:\n" + "\n".join(f"  {p}" for p in problems),
                hint="Nothing was pushed; what served before still serves.",
            )
        say(f"the image holds {version.digest[:12]} and answers {len(seen['answers'])} golden rows as at training time")
    finally:
        containers.remove([name])
        containers.remove_image(loaded)


def _question(name: str, inputs: Sequence[Any]) -> dict[str, Any]:
    asked = {"url": f"http://127.0.0.1:{PORT}", "ready_s": READY_S, "inputs": inputs}
    done = containers.ask_inside(name, ["python3", "-c", _WITNESS], json.dumps(asked), timeout_s=READY_S + 60)
    if done.returncode != 0:
        raise FailedError(
            f"The image cannot be proven: {done.stderr.strip()[-500:]}\n{containers.last_words(name)}",
            hint="Nothing was pushed; what served before still serves.",
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(seen: Mapping[str, Any], digest: str, golden: Mapping[str, Any]) -> list[str]:
    """What differs between what an image said of itself and what the registry keeps."""
    problems = []
    held = seen["version"].get("digest", digest)
    if held != digest:
        problems.append(f"it holds the model {held}, registered is {digest}")
    tolerance = float(golden.get("tolerance", TOLERANCE))
    for row, (answer, wanted) in enumerate(zip(seen["answers"], golden.get("predictions", ()), strict=False)):
        if not _same(answer["prediction"], wanted, tolerance):
            problems.append(f"golden row {row}: it answers {answer['prediction']}, at training time {wanted}")
    return problems


def _same(served: object, wanted: object, tolerance: float) -> bool:
    if isinstance(served, int | float) and isinstance(wanted, int | float):
        return math.isclose(served, wanted, rel_tol=tolerance, abs_tol=tolerance)
    return str(served) == str(wanted)


def find_golden(model: Path) -> Mapping[str, Any]:
    """The golden rows kept with a model; empty when there are none."""
    for path in sorted(model.rglob("golden.json")) if model.is_dir() else ():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    return {}
