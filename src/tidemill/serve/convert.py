"""scikit-learn and Keras models as ONNX, proven equal, in a process of its own: the server then never imports their library.

`python -m tidemill.serve.convert MODEL OUT` loads the model, converts it, answers the proof rows by both and writes OUT and a
verdict beside it. Verdicts are kept by the model's digest and the libraries' versions, so a restarted server starts at once.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tidemill.base import proc
from tidemill.base.errors import BackendError, TidemillError
from tidemill.base.files import write_atomic
from tidemill.base.hashing import digest_value
from tidemill.serve.decode import Array, decode
from tidemill.serve.keras_onnx import keras_to_onnx
from tidemill.serve.predictor import Answer, Predictor, flavor_of, load_predictor, onnx_session
from tidemill.serve.signature import ModelSignature, read_signature, sample_request

TOLERANCE = 1e-5  # of a probability; labels must be equal
NEEDED = {"sklearn": ("skl2onnx", "onnxruntime", "sklearn"), "keras": ("onnx", "onnxruntime", "keras")}
LIBRARIES = {
    "sklearn": ("scikit-learn", "skl2onnx", "onnxruntime", "numpy"),
    "keras": ("keras", "onnx", "onnxruntime", "numpy"),
}
TITLES = {"sklearn": "scikit-learn", "keras": "Keras"}
DRAWN = 64
PATIENCE_S = 120.0
FORMAT = 1
LATER = "it is not made yet"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the conversion may answer, why not, and the classes it has."""

    agreed: bool
    reason: str
    classes: tuple[str, ...] = ()
    probabilities: bool = True


def find_conversion(signature: ModelSignature, digest: str, *, make: bool = True) -> tuple[Predictor | None, str]:
    """A predictor that needs no library of the model's, or the reason why there is none: `LATER` when it could be made, but not now.

    The model must be trusted already.
    """
    flavor = flavor_of(signature)
    if any(c.type == "string" for c in signature.columns):
        return None, "columns of text"
    if signature.kind == "tensor" and not signature.width:
        return None, "its files do not tell how many values a row has"
    missing = [n for n in NEEDED[flavor] if importlib.util.find_spec(n) is None]
    if missing:
        return None, f"{missing[0]} is not installed"
    versions = [importlib.metadata.version(name) for name in LIBRARIES[flavor]]
    key = digest_value([FORMAT, digest, versions, [str(c) for c in signature.columns], str(signature.image)])
    try:
        out = _cache() / f"{key}.onnx"
        return _kept_or_made(signature, out) if make or out.with_suffix(".json").exists() else (None, LATER)
    except (OSError, ValueError, BackendError) as exc:
        return None, f"{type(exc).__name__}: {exc}"


def _cache() -> Path:
    """The user's cache folder, for this user's eyes alone; a new folder where that cannot be written."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidemill" / "onnx"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="tidemill-onnx-"))
    return root if os.access(root, os.W_OK) and root.stat().st_uid == os.getuid() else Path(tempfile.mkdtemp())


def _kept_or_made(signature: ModelSignature, out: Path) -> tuple[Predictor | None, str]:
    note = out.with_suffix(".json")
    if not note.exists():
        argv = [sys.executable, "-m", "tidemill.serve.convert", str(signature.folder), str(out)]
        done = proc.run(argv, timeout_s=PATIENCE_S)
        if done.returncode != 0:
            return None, (done.stderr.strip().splitlines() or ["the conversion ended"])[-1][:200]
    found = json.loads(note.read_text(encoding="utf-8"))
    verdict = Verdict(found["agreed"], found["reason"], tuple(found["classes"]), found["probabilities"])
    if not verdict.agreed:
        return None, verdict.reason
    predict = onnx_session(out.read_bytes(), signature)
    if not verdict.probabilities:
        scored = predict

        def predict(rows: Array) -> Answer:
            return Answer(scored(rows).labels)

    return Predictor(predict, verdict.classes, f"onnxruntime (proven equal to {TITLES[flavor_of(signature)]})"), ""


def proof_rows(signature: ModelSignature) -> Array:
    """Golden rows, and rows drawn from what training saw, so that agreement on them means something."""
    inputs = signature.golden.inputs or (sample_request(signature),)
    kept = np.concatenate([decode(signature, item).rows for item in inputs])
    if kept.dtype == object:
        return kept
    draw = np.random.default_rng(0)
    shape = (DRAWN, *kept.shape[1:])
    if signature.columns and all(c.low is not None and c.high is not None for c in signature.columns):
        low, high = np.array([c.low for c in signature.columns]), np.array([c.high for c in signature.columns])
        drawn = draw.uniform(low.astype(float), high.astype(float), shape)
    elif len(kept) > 1:
        drawn = draw.uniform(kept.min(axis=0), kept.max(axis=0), shape)
    else:
        drawn = draw.normal(size=shape)
    whole = [i for i, c in enumerate(signature.columns) if c.type != "number"]
    if whole:
        drawn[:, whole] = drawn[:, whole].round()
    return np.concatenate([kept, drawn])


def same(slow: Answer, fast: Answer) -> str:
    """Empty when both answer alike, else how they differ."""
    if all(isinstance(v, float) for v in slow.labels):
        apart = np.abs(np.asarray(slow.labels) - np.asarray(fast.labels, dtype=float))
        limit = TOLERANCE * np.maximum(1.0, np.abs(np.asarray(slow.labels)))
        return "" if (apart <= limit).all() else f"a value differs by {apart.max():.3g}"
    if list(slow.labels) != list(fast.labels):
        wrong = sum(a != b for a, b in zip(slow.labels, fast.labels, strict=True))
        return f"{wrong} of {len(slow.labels)} labels differ"
    if slow.probabilities is None:
        return ""
    if fast.probabilities is None or fast.probabilities.shape != slow.probabilities.shape:
        return "it gives no probabilities"
    apart = np.abs(slow.probabilities - fast.probabilities)
    return "" if apart.max() <= TOLERANCE else f"a probability differs by {apart.max():.3g}"


def _from_sklearn(model: Any, rows: Array) -> bytes:  # noqa: ANN401 - any estimator
    converter: Any = importlib.import_module("skl2onnx")
    types: Any = importlib.import_module("skl2onnx.common.data_types")
    width = int(np.prod(rows.shape[1:]))
    options = {"zipmap": False} if hasattr(model, "classes_") else None
    taken = [("input", types.FloatTensorType([None, width]))]
    return bytes(converter.convert_sklearn(model, initial_types=taken, options=options).SerializeToString())


def _from_keras(model: Any, rows: Array) -> bytes:  # noqa: ANN401 - any Keras model
    def weights(path: tuple[str, ...]) -> Any:  # noqa: ANN401 - a list of arrays
        layer = model
        for name in path:
            layer = layer.get_layer(name)
        return layer.get_weights()

    return keras_to_onnx(type(model).__name__, json.loads(model.to_json())["config"], weights, rows.shape[1:])


WRITERS: dict[str, Callable[[Any, Array], bytes]] = {"sklearn": _from_sklearn, "keras": _from_keras}


def convert(signature: ModelSignature, out: Path) -> Verdict:
    """Convert and compare; `out` is written only when both agree."""
    predictor = load_predictor(signature, allow_pickle=True)
    rows = proof_rows(signature)
    slow = predictor.predict(rows)
    try:
        raw = WRITERS[flavor_of(signature)](predictor.native, rows)
        fast = onnx_session(raw, signature)(rows)
    except Exception as exc:  # noqa: BLE001 - a converter may fail in any way; scikit-learn itself stays
        return Verdict(False, f"{type(exc).__name__}: {(str(exc).splitlines() or [''])[0][:120]}")
    difference = same(slow, fast)
    if difference:
        return Verdict(False, f"it answers the proof rows otherwise: {difference}")
    write_atomic(out, raw)
    return Verdict(True, "", predictor.classes, slow.probabilities is not None)


def main() -> int:
    """Write OUT and its verdict."""
    parser = argparse.ArgumentParser(prog="python -m tidemill.serve.convert", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    try:
        verdict = convert(read_signature(options.model), options.out)
    except TidemillError as exc:
        sys.stderr.write(f"{exc.message}\n")
        return exc.exit_code
    note = {
        "agreed": verdict.agreed,
        "reason": verdict.reason,
        "classes": list(verdict.classes),
        "probabilities": verdict.probabilities,
    }
    write_atomic(options.out.with_suffix(".json"), json.dumps(note))
    return 0


if __name__ == "__main__":
    sys.exit(main())
