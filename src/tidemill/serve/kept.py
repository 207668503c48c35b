"""Conversions that were proven equal and kept: found by the model's digest and the libraries' versions, checked again before they answer."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tidemill.base import proc
from tidemill.base.errors import BackendError, ConflictError
from tidemill.base.hashing import digest_bytes, digest_file, digest_tree, digest_value, hash_folder
from tidemill.serve.decode import Array, decode
from tidemill.serve.predictor import Answer, Predictor, flavor_of, onnx_session
from tidemill.serve.samples import kept_requests, sample_request
from tidemill.serve.signature import NUMERIC, ModelSignature

TOLERANCE = 1e-5  # of a probability; labels must be equal
NEEDED = {"sklearn": ("skl2onnx", "onnxruntime", "sklearn"), "keras": ("onnx", "onnxruntime", "keras")}
LIBRARIES = {
    "sklearn": ("scikit-learn", "skl2onnx", "onnxruntime", "numpy"),
    "keras": ("keras", "onnx", "onnxruntime", "numpy"),
}
TITLES = {"sklearn": "scikit-learn", "keras": "Keras"}
DRAWN = 64
MISSING = 5  # every fifth of the drawn rows lacks a value that may be missing
PATIENCE_S = 120.0
FORMAT = 4
RELEASED = (
    "TIDEMILL_CONVERSIONS"  # what was kept when versions were released; whoever starts the server by hand has it, too
)
LATER = "it is not made yet"


def check_digest(path: Path, expected_digest: str) -> str:
    """The digest of a model's bytes; `ConflictError` when another one is expected."""
    digest = digest_tree(hash_folder(path)) if path.is_dir() else digest_file(path)
    if expected_digest and digest != expected_digest:
        raise ConflictError(
            f"The model's digest is {digest}, not {expected_digest}: other bytes than were registered",
            hint="Register the model again, or restore its files.",
        )
    return digest


def why_not(signature: ModelSignature) -> str:
    """Why a model like this cannot be converted here; empty when it can be tried."""
    if any(c.type not in NUMERIC for c in signature.columns):
        return "columns of text"
    if signature.kind == "tensor" and not signature.width:
        return "its files do not tell how many values a row has"
    missing = [n for n in NEEDED[flavor_of(signature)] if importlib.util.find_spec(n) is None]
    return f"{missing[0]} is not installed" if missing else ""


def library_versions(signature: ModelSignature) -> dict[str, str]:
    """Of what converts the model, and what answers for it."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES[flavor_of(signature)]}


def conversion_key(signature: ModelSignature, digest: str) -> str:
    """What a conversion is kept under: other bytes of the model or another version of a library are another conversion."""
    versions = sorted(library_versions(signature).items())
    return digest_value([FORMAT, digest, versions, [str(c) for c in signature.columns], str(signature.image)])


def find_conversion(
    path: Path, signature: ModelSignature, digest: str, *, make: bool = True, kept: Path | None = None
) -> tuple[Predictor | None, str]:
    """A predictor that needs no library of the model's, or the reason why there is none: `LATER` when it could be made, but not now.

    `kept` is the folder of conversions that came with the release: with it, none is made. The model must be trusted already.
    """
    reason = why_not(signature)
    if reason:
        return None, reason
    try:
        key = conversion_key(signature, digest)
        folder = kept or _cache()
        released = Path(os.environ.get(RELEASED) or folder)
        for each in dict.fromkeys((folder,) if kept else (released, folder)):
            if (each / f"{key}.json").exists():
                return _load(signature, each, key)
        if kept is not None:
            return None, f"none of this model for these libraries is kept in {kept}"
        return _made(path, signature, folder, key) if make else (None, LATER)
    except (OSError, ValueError, TypeError, KeyError, BackendError) as exc:
        return None, f"{type(exc).__name__}: {exc}"


def _cache() -> Path:
    """The user's cache folder, for this user's eyes alone; a new folder where that cannot be written."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidemill" / "onnx"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="tidemill-onnx-"))
    return root if os.access(root, os.W_OK) and root.stat().st_uid == os.getuid() else Path(tempfile.mkdtemp())


def _made(path: Path, signature: ModelSignature, folder: Path, key: str) -> tuple[Predictor | None, str]:
    done = proc.run([sys.executable, "-m", "tidemill.serve.convert", str(path), str(folder)], timeout_s=PATIENCE_S)
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or ["the conversion ended"])[-1][:200]
    return _load(signature, folder, key)


def _load(signature: ModelSignature, folder: Path, key: str) -> tuple[Predictor | None, str]:
    """The kept conversion, unless its bytes or its answers are not those that were proven."""
    note: Mapping[str, Any] = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
    if not note["agreed"]:
        return None, str(note["reason"])
    file = folder / f"{key}.onnx"
    raw = file.read_bytes()
    if digest_bytes(raw) != note["file"]:
        return None, f"{file} is not the file that was proven"
    try:
        meant = replace(signature, task=note["task"])
        predict = onnx_session(raw, meant, note["labels"])
        fast = predict(proof_rows(signature))
    except Exception as exc:  # noqa: BLE001 - ONNX Runtime has errors of its own; the model's library stays
        return None, f"{file} does not answer: {type(exc).__name__}: {(str(exc).splitlines() or [''])[0][:120]}"
    shares = note["proof"]["probabilities"]
    slow = Answer(note["proof"]["labels"], None if shares is None else np.asarray(shares))
    difference = same(slow, fast)
    if difference:
        return None, f"{file} answers the proof rows otherwise than {TITLES[flavor_of(signature)]} did: {difference}"
    if shares is None:
        scored = predict

        def predict(rows: Array) -> Answer:
            return Answer(scored(rows).labels)

    path = f"onnxruntime (proven equal to {TITLES[flavor_of(signature)]})"
    classes, values = tuple(note["classes"]), tuple(note["values"])
    return Predictor(predict, classes, path, signature=meant, values=values), ""


def proof_rows(signature: ModelSignature) -> Array:
    """Golden rows, and rows drawn from what training saw, so that agreement on them means something."""
    inputs = kept_requests(signature) or [sample_request(signature)]
    kept = np.concatenate([decode(signature, item).rows for item in inputs])
    if kept.dtype == object:
        return kept
    draw = np.random.default_rng(0)
    shape = (DRAWN, *kept.shape[1:])
    if signature.columns and all(c.low is not None and c.high is not None for c in signature.columns):
        low, high = np.array([c.low for c in signature.columns]), np.array([c.high for c in signature.columns])
        drawn = draw.uniform(low.astype(float), high.astype(float), shape)
    elif len(kept) > 1:
        known = np.nan_to_num(kept)
        drawn = draw.uniform(known.min(axis=0), known.max(axis=0), shape)
    else:
        kept_one = np.nan_to_num(kept)
        drawn = kept_one + np.maximum(np.abs(kept_one) / 2, 1) * draw.normal(size=shape)
    whole = [i for i, c in enumerate(signature.columns) if c.type != "number"]
    if whole:
        drawn[:, whole] = drawn[:, whole].round()
    truths = [i for i, c in enumerate(signature.columns) if c.type == "boolean"]
    drawn[:, truths] = drawn[:, truths].clip(0, 1)
    for i, column in enumerate(signature.columns):
        if not column.required:
            drawn[i % MISSING :: MISSING, i] = np.nan
    return np.concatenate([kept, drawn])


def _numbers(values: Sequence[Any]) -> bool:
    return np.asarray(values).dtype.kind == "f"


def same(slow: Answer, fast: Answer) -> str:
    """Empty when both answer alike, else how they differ."""
    if len(slow.labels) != len(fast.labels):
        return f"{len(fast.labels)} answers in place of {len(slow.labels)}"
    if all(isinstance(v, (float, list)) for v in slow.labels) and _numbers(slow.labels):
        if np.shape(slow.labels) != np.shape(fast.labels):
            return "its values have another shape"
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
