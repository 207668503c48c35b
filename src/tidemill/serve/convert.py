"""scikit-learn and Keras models as ONNX, proven equal, in a process of its own: the server then never imports their library.

`python -m tidemill.serve.convert MODEL FOLDER` loads the model, converts it, answers the proof rows by both and keeps in FOLDER the
conversion and a note beside it: the verdict, the digest of the file, the original's answers. What is kept already is left as it is.
Prints the name both have; nothing, and why on stderr, where a model like this one cannot be converted.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tidemill.base.errors import TidemillError
from tidemill.base.files import write_atomic
from tidemill.base.hashing import digest_bytes
from tidemill.serve.decode import Array
from tidemill.serve.kept import NEEDED, check_digest, conversion_key, library_versions, proof_rows, same, why_not
from tidemill.serve.keras_onnx import keras_to_onnx
from tidemill.serve.predictor import Answer, Predictor, flavor_of, load_predictor, onnx_session
from tidemill.serve.signature import ModelSignature, read_signature
from tidemill.serve.sklearn_models import class_values, decides_itself


def _from_sklearn(model: Any, rows: Array) -> bytes:  # noqa: ANN401 - any estimator
    converter: Any = importlib.import_module("skl2onnx")
    types: Any = importlib.import_module("skl2onnx.common.data_types")
    width = int(np.prod(rows.shape[1:]))
    options = {"zipmap": False} if hasattr(model, "predict_proba") else None
    taken = [("input", types.FloatTensorType([None, width]))]
    # Without a name it draws one by lot, and the same model would be another file each time.
    graph = converter.convert_sklearn(model, name="model", initial_types=taken, options=options)
    return bytes(graph.SerializeToString(deterministic=True))


def _from_keras(model: Any, rows: Array) -> bytes:  # noqa: ANN401 - any Keras model
    def weights(path: tuple[str, ...]) -> Any:  # noqa: ANN401 - a list of arrays
        layer = model
        for name in path:
            layer = layer.get_layer(name)
        return layer.get_weights()

    return keras_to_onnx(type(model).__name__, json.loads(model.to_json())["config"], weights, rows.shape[1:])


WRITERS: dict[str, Callable[[Any, Array], bytes]] = {"sklearn": _from_sklearn, "keras": _from_keras}


def convert(signature: ModelSignature) -> tuple[bytes, dict[str, Any]]:
    """The converted model, empty when it answers otherwise, and what is noted about it."""
    predictor = load_predictor(signature, allow_pickle=True)
    rows = proof_rows(signature)
    try:
        slow = predictor.predict(rows)
        raw = WRITERS[flavor_of(signature)](predictor.native, rows)
        labels = _labels(predictor.native, slow)
        difference = same(slow, onnx_session(raw, predictor.signature or signature, labels)(rows))
        proof = _proof(slow)
    except Exception as exc:  # noqa: BLE001 - a converter may fail in any way; the library itself stays
        return b"", _refused(f"{type(exc).__name__}: {(str(exc).splitlines() or [''])[0][:120]}")
    if difference:
        return b"", _refused(f"it answers the proof rows otherwise: {difference}")
    task = (predictor.signature or signature).task
    return raw, _agreed(predictor, digest_bytes(raw), proof) | {"labels": labels, "task": task}


def _labels(model: Any, slow: Answer) -> list[Any]:  # noqa: ANN401 - any estimator
    """The classes of an estimator whose labels are not those of its highest probabilities."""
    if slow.probabilities is not None and not decides_itself(model):
        return []
    return list(class_values(model))


def _refused(reason: str) -> dict[str, Any]:
    return {"agreed": False, "reason": reason}


def _agreed(predictor: Predictor, file: str, proof: dict[str, Any]) -> dict[str, Any]:
    names = {"classes": list(predictor.classes), "values": list(predictor.values)}
    return {"agreed": True, "reason": "", **names, "file": file, "proof": proof}


def _proof(slow: Answer) -> dict[str, Any]:
    """The original's answers, to the digits that every machine agrees on; `TypeError` when they are nothing JSON can hold."""
    labels = [
        _short(v) if isinstance(v, float) else [_short(n) for n in v] if isinstance(v, list) else v for v in slow.labels
    ]
    shares = None if slow.probabilities is None else [[_short(v) for v in row] for row in slow.probabilities.tolist()]
    json.dumps(labels)
    return {"labels": labels, "probabilities": shares}


def _short(value: float) -> float:
    return float(f"{value:.7g}")


def keep(model: Path, folder: Path, digest: str) -> tuple[str, str]:
    """Convert, unless that is done; the name it is kept under, or an empty one and the reason, if there is one."""
    signature = read_signature(model)
    digest = check_digest(model, digest)
    if flavor_of(signature) not in NEEDED:
        return "", ""  # it answers as it is
    reason = why_not(signature)
    if reason:
        return "", reason
    key = conversion_key(signature, digest)
    note = folder / f"{key}.json"
    if note.exists():
        os.utime(note)  # what is in use is young, for who collects what is old
    else:
        raw, found = convert(signature)
        if raw:
            write_atomic(folder / f"{key}.onnx", raw)
        about = {"model": digest, "versions": library_versions(signature)}
        write_atomic(note, json.dumps({**about, **found}, sort_keys=True))
    return key, ""


def main(argv: Sequence[str] | None = None) -> int:
    """Keep one conversion."""
    parser = argparse.ArgumentParser(prog="python -m tidemill.serve.convert", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--digest", default="", help="refuse other bytes of the model")
    options = parser.parse_args(argv)
    try:
        key, reason = keep(options.model, options.folder, options.digest)
    except TidemillError as exc:
        sys.stderr.write(f"{exc.message}\n")
        return exc.exit_code
    sys.stdout.write(f"{key}\n" if key else "")
    sys.stderr.write(f"{reason}\n" if reason else "")
    return 0


def _end_with_parent() -> None:
    """Nobody waits for a conversion whose server was told to stop."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


if __name__ == "__main__":
    _end_with_parent()
    sys.exit(main())
