"""One served model: loaded, proven on its golden rows, then asked. Says which path answers take and what differed."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tidemill.base.hashing import digest_file, digest_tree, hash_folder
from tidemill.serve.decode import Array, Batch, decode
from tidemill.serve.predictor import Answer, Predictor, load_predictor, onnx_session
from tidemill.serve.signature import ModelSignature, read_signature, sample_request

LOG = logging.getLogger("tidemill.serve")
ONNX_TOLERANCE = 1e-4  # single precision against double; labels must be equal
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Who answers."""

    name: str
    version: str
    deployment: str
    digest: str


@dataclass(slots=True)
class Engine:
    """A model ready to answer. `differences` lists golden rows answered otherwise than at training time."""

    signature: ModelSignature
    predictor: Predictor
    info: ModelInfo
    differences: list[str] = field(default_factory=list)
    row_s: float = 0.0
    loaded_at: float = 0.0

    def predict(self, batch: Batch) -> Any:  # noqa: ANN401 - a JSON value
        """The JSON answer to a batch."""
        answers = self.answers(self.predictor.predict(batch.rows), batch.warnings)
        return (
            answers[0] | {"version": self.info.version}
            if batch.single
            else {"predictions": answers, "version": self.info.version}
        )

    def answers(self, answer: Answer, warnings: Sequence[Sequence[str]] = ()) -> list[dict[str, Any]]:
        """One object a row: the class by name and its probability, or the value."""
        names = self.predictor.classes
        rows = []
        for i, label in enumerate(answer.labels):
            row: dict[str, Any] = {
                "prediction": names[label] if names and isinstance(label, int) and label < len(names) else label
            }
            if answer.probabilities is not None:
                scores = [round(float(p), 6) for p in answer.probabilities[i]]
                row["probability"] = scores[label] if isinstance(label, int) else max(scores)
                row["probabilities"] = dict(zip(names or [str(n) for n in range(len(scores))], scores, strict=False))
            if i < len(warnings) and warnings[i]:
                row["warnings"] = list(warnings[i])
            rows.append(row)
        return rows


def load_engine(path: Path, *, name: str, version: str, deployment: str, allow_pickle: bool) -> Engine:
    """Load, choose the fastest path that gives the same answers, and answer the golden rows once."""
    signature = read_signature(path)
    predictor = load_predictor(signature, allow_pickle=allow_pickle)
    digest = digest_tree(hash_folder(path)) if path.is_dir() else digest_file(path)
    info = ModelInfo(name or path.name, version, deployment, digest)
    rows = _proof_rows(signature, path)
    engine = Engine(signature, _faster(predictor, signature, rows), info, loaded_at=time.time())
    engine.differences = _compare_golden(engine)
    began = time.perf_counter()
    for _ in range(ROUNDS):
        engine.predictor.predict(rows[:1])
    engine.row_s = (time.perf_counter() - began) / ROUNDS
    LOG.info(
        "model %s:%s answers by %s, %.3f ms a row", info.name, info.version, engine.predictor.path, engine.row_s * 1000
    )
    return engine


def _proof_rows(signature: ModelSignature, path: Path) -> Array:
    inputs = signature.golden.inputs or (sample_request(path),)
    return np.concatenate([decode(signature, item).rows for item in inputs])


def _faster(predictor: Predictor, signature: ModelSignature, rows: Array) -> Predictor:
    """ONNX Runtime in place of scikit-learn, if both are there and it gives the same answers on the proof rows."""
    if predictor.path != "scikit-learn" or rows.dtype == object:
        return predictor
    try:
        converter = importlib.import_module("skl2onnx")
        types = importlib.import_module("skl2onnx.common.data_types")
        importlib.import_module("onnxruntime")
    except ImportError:
        return predictor
    width = int(np.prod(rows.shape[1:]))
    try:
        model = converter.convert_sklearn(
            predictor.native, initial_types=[("input", types.FloatTensorType([None, width]))], options={"zipmap": False}
        )
        fast = onnx_session(model.SerializeToString(), signature)
        agreed = _same(predictor.predict(rows), fast(rows))
    except Exception as exc:  # noqa: BLE001 - a converter may fail in any way; the library itself stays
        LOG.info(
            "the ONNX path is not used: %s: %s", type(exc).__name__, str(exc).splitlines()[0][:120] if str(exc) else ""
        )
        return predictor
    if not agreed:
        LOG.warning("the ONNX path is not used: it answers the proof rows otherwise")
        return predictor
    return Predictor(fast, predictor.classes, "onnxruntime (proven equal to scikit-learn)", predictor.native)


def _same(slow: Answer, fast: Answer) -> bool:
    if list(slow.labels) != list(fast.labels):
        return False
    if slow.probabilities is None:
        return True
    return fast.probabilities is not None and bool(
        np.allclose(slow.probabilities, fast.probabilities, atol=ONNX_TOLERANCE)
    )


def _compare_golden(engine: Engine) -> list[str]:
    """Served answers against the ones kept at training time."""
    golden = engine.signature.golden
    found = []
    for i, (item, wanted) in enumerate(zip(golden.inputs, golden.predictions, strict=False)):
        batch = decode(engine.signature, item)
        (answer,) = engine.answers(engine.predictor.predict(batch.rows))
        if not _equal(answer["prediction"], wanted, golden.tolerance):
            found.append(f"golden row {i}: served `{answer['prediction']}`, at training time `{wanted}`")
        elif golden.probabilities and "probabilities" in answer:
            served, kept = list(answer["probabilities"].values()), list(golden.probabilities[i])
            apart = max(abs(a - b) for a, b in zip(served, kept, strict=True)) if len(served) == len(kept) else 1.0
            if apart > max(golden.tolerance, ONNX_TOLERANCE):
                found.append(f"golden row {i}: a probability differs by {apart:.4f} from training time")
    return found


def _equal(served: Any, wanted: Any, tolerance: float) -> bool:  # noqa: ANN401
    if isinstance(served, float) and isinstance(wanted, (int, float)):
        return abs(served - wanted) <= tolerance + tolerance * abs(wanted)
    return str(served) == str(wanted)
