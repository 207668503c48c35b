"""One served model: loaded, proven on its golden rows, then asked. Says which path answers take and what differed."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tidemill.base.errors import FailedError, TidemillError
from tidemill.serve.decode import Array, Batch, decode
from tidemill.serve.failures import missing, place
from tidemill.serve.kept import NEEDED, TOLERANCE, check_digest, find_conversion, proof_rows
from tidemill.serve.predictor import Answer, Predictor, flavor_of, load_predictor
from tidemill.serve.problems import RequestProblem
from tidemill.serve.samples import kept_requests
from tidemill.serve.signature import ModelSignature, read_signature

LOG = logging.getLogger("tidemill.serve")
BATCH = 16
BATCH_GAIN = 0.5  # requests are gathered when sixteen together cost less than half of sixteen alone
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
    slow_reason: str = ""
    row_s: float = 0.0
    batches: bool = False
    loaded_at: float = 0.0

    def predict(self, batch: Batch) -> Any:  # noqa: ANN401 - a JSON value
        """The JSON answer to a batch."""
        answer = self.predictor.predict(batch.rows)
        if len(answer.labels) != len(batch.rows):
            raise ValueError(f"the model gave {len(answer.labels)} answers to {len(batch.rows)} rows")
        return self.present(answer, batch)

    def present(self, answer: Answer, batch: Batch) -> Any:  # noqa: ANN401 - a JSON value
        """One object for one record, else a list of them; `ValueError` when the model did not answer each row once."""
        if len(answer.labels) != len(batch.rows):
            raise ValueError(f"the model gave {len(answer.labels)} answers to {len(batch.rows)} rows")
        answers = self.answers(answer, batch.warnings)
        return (
            answers[0] | {"version": self.info.version}
            if batch.single
            else {"predictions": answers, "version": self.info.version}
        )

    def answers(self, answer: Answer, warnings: Sequence[Sequence[str]] = ()) -> list[dict[str, Any]]:
        """One object a row: the class by name and its probability, or the value."""
        shares = None if answer.probabilities is None else answer.probabilities.tolist()
        _check_finite(answer, shares)
        names, values = self.predictor.classes, self.predictor.values or self.predictor.classes
        rows = []
        for i, label in enumerate(answer.labels):
            row: dict[str, Any] = {
                "prediction": values[label] if isinstance(label, int) and 0 <= label < len(values) else label
            }
            if shares is not None:
                scores = [round(p, 6) + 0.0 for p in shares[i]]  # never -0.0
                row["probability"] = scores[label] if isinstance(label, int) else max(scores)
                row["probabilities"] = dict(zip(names or [str(n) for n in range(len(scores))], scores, strict=False))
            if i < len(warnings) and warnings[i]:
                row["warnings"] = list(warnings[i])
            rows.append(row)
        return rows


def _check_finite(answer: Answer, shares: list[list[float]] | None) -> None:
    """JSON has no NaN; a number so large that the model overflows is for whoever sent it to mend."""
    if shares is not None and math.isfinite(sum(map(sum, shares))):
        return  # what is not finite stays so in a sum; sums are faster than arrays so small
    found = answer.probabilities
    values = found if found is not None else [v for v in answer.labels if isinstance(v, (float, list))]
    if len(values) and isinstance(values[0], list):
        values = [n for v in values if isinstance(v, list) for n in v if isinstance(n, float)]
    if not np.isfinite(values).all():
        raise RequestProblem("The model has no finite answer to these values", kind="finite_number")


def load_engine(  # noqa: PLR0913 - each by its name
    path: Path,
    *,
    name: str,
    version: str,
    deployment: str,
    allow_pickle: bool,
    expected_digest: str = "",
    soon: bool = False,
    kept: Path | None = None,
) -> Engine:
    """Load, choose the fastest path that gives the same answers, and answer the golden rows once.

    The bytes are compared with `expected_digest` before any of them is loaded: `ConflictError` when they are others. Conversions are
    taken from `kept`, the release's own, where that is given. `soon` waits for none: the model's library answers where none was kept.
    `FailedError` for a model that fails while it is loaded or answers.
    """
    signature = read_signature(path)
    info = ModelInfo(name or path.name, version, deployment, check_digest(path, expected_digest))
    converts = allow_pickle and flavor_of(signature) in NEEDED
    try:
        engine, reason = _converted(path, signature, info, soon=soon, kept=kept) if converts else (None, "")
        if engine is None:
            engine = _engine(signature, load_predictor(signature, allow_pickle=allow_pickle), info)
            engine.slow_reason = reason
        _measure(engine)
    except (Exception, SystemExit) as exc:
        if isinstance(exc, TidemillError):
            raise
        hint = missing(exc, "beside the server")
        if not hint:
            LOG.exception("the model could not start")
        hint = hint or "The log has the traceback."
        raise FailedError(f"The model `{info.name}` could not start: {place(exc, path)}", hint=hint) from exc
    return engine


def _engine(signature: ModelSignature, predictor: Predictor, info: ModelInfo) -> Engine:
    signature = predictor.signature or signature
    if signature.kind == "tensor" and not signature.shape and predictor.width:
        signature = replace(signature, shape=(predictor.width,))
    engine = Engine(signature, predictor, info, loaded_at=time.time())
    engine.differences = _compare_golden(engine)
    return engine


def _converted(
    path: Path, signature: ModelSignature, info: ModelInfo, *, soon: bool, kept: Path | None
) -> tuple[Engine | None, str]:
    """ONNX Runtime in place of the model's library where that was proven equal and answers as at training time; and why not."""
    fast, reason = find_conversion(path, signature, info.digest, make=not soon, kept=kept)
    if fast is not None:
        engine = _engine(signature, fast, info)
        if not engine.differences:
            return engine, ""
        reason = f"converted, it answers otherwise than at training time: {engine.differences[0]}"
    LOG.info("the ONNX path is not used: %s", reason)
    return None, reason


def _measure(engine: Engine) -> None:
    """Seconds a row alone and in a batch: whether answers wait in a thread, and whether batching pays."""
    rows = proof_rows(engine.signature)
    batch = np.concatenate([rows[:1]] * BATCH)
    try:
        engine.row_s, batch_s = _seconds(engine, rows[:1]), _seconds(engine, batch)
    except Exception as exc:
        if kept_requests(engine.signature):
            raise
        LOG.warning("no example is kept with the model, and it does not answer to a made-up row: %s", exc)
        engine.row_s = float("inf")
        return
    engine.batches = batch_s < BATCH * engine.row_s * BATCH_GAIN
    LOG.info(
        "model %s:%s answers by %s, %.3f ms a row, %.3f ms for %d rows",
        engine.info.name, engine.info.version, engine.predictor.path, engine.row_s * 1000, batch_s * 1000, BATCH,
    )  # fmt: skip


def _seconds(engine: Engine, rows: Array) -> float:
    """The best of a few rounds: others at work on the machine must not decide."""
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        engine.predictor.predict(rows)
        found.append(time.perf_counter() - began)
    return min(found)


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
            if apart > max(golden.tolerance, TOLERANCE):
                found.append(f"golden row {i}: a probability differs by {apart:.4f} from training time")
    return found


def _equal(served: Any, wanted: Any, tolerance: float) -> bool:  # noqa: ANN401
    if isinstance(served, float) and isinstance(wanted, (int, float)):
        return abs(served - wanted) <= tolerance + tolerance * abs(wanted)
    return str(served) == str(wanted)
