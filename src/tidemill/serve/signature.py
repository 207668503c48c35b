"""What a model takes and gives, read from the files kept with it: never from code, never by loading it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tidemill.base.errors import SpecError

CARD = "serving.json"
MLMODEL = "MLmodel"
GOLDEN = "golden.json"
MODEL_FILES = ("*.keras", "*.onnx", "*.joblib", "*.pkl", "*.pickle", "*.h5", "saved_model.pb", "*.pt", "*.ubj", "*.bst")
TYPES = {
    "double": "number",
    "float": "number",
    "long": "integer",
    "integer": "integer",
    "boolean": "boolean",
    "string": "string",
    "datetime": "datetime",
    "binary": "binary",
}
WORDS = ("int", "uint", "float", "bool", "str", "category", "datetime", "number")  # as pandas and people call them
MEANT = ("integer", "integer", "number", "boolean", "string", "string", "datetime", "number")
NUMERIC = frozenset({"number", "integer", "boolean"})


@dataclass(frozen=True, slots=True, eq=False)  # equal when the same object: what is prepared per table is found by it
class Column:
    """One column of a table; `low` and `high` are what training saw.

    `dtype` is the type by its own name in the signature. `closed`: the model fails on a value that is not among `values`.
    """

    name: str
    type: str = "number"
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    required: bool = True
    dtype: str = field(default="", repr=False)  # conversions are kept by what is printed
    closed: bool = field(default=False, repr=False)


@dataclass(frozen=True, slots=True)
class Param:
    """What a request may say beside its rows: a value of the column's type, or `many` of them."""

    name: str
    column: Column
    default: Any = None
    many: bool = False


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """Pixels as training saw them: `size` is (width, height), `range` the values of black and white."""

    mode: str = "L"
    size: tuple[int, int] = (28, 28)
    range: tuple[float, float] = (0.0, 1.0)
    flatten: bool = False
    ink: str = "light"

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return 1 if self.mode == "L" else 3

    @property
    def values(self) -> int:
        """How many numbers one picture is."""
        return self.size[0] * self.size[1] * self.channels


@dataclass(frozen=True, slots=True)
class Golden:
    """Requests with the answers the model gave at training time."""

    inputs: tuple[Any, ...] = ()
    predictions: tuple[Any, ...] = ()
    probabilities: tuple[Any, ...] | None = None
    tolerance: float = 1e-5


@dataclass(frozen=True, slots=True)
class ModelSignature:
    """`kind` is image, table or tensor, `dtype` a tensor's, `told` whether its files name the task; `classes` are in the order of the model's outputs."""

    folder: Path
    kind: str
    task: str = "classification"
    classes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    image: ImageSpec | None = None
    flavor: str = ""
    model_file: str = ""
    trained_at: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    golden: Golden = Golden()
    mlmodel: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    dtype: str = ""
    params: tuple[Param, ...] = ()
    told: bool = False

    @property
    def width(self) -> int:
        """How many values a row of a tensor has; 0 when that is not known, or rows have several axes."""
        return self.shape[0] if len(self.shape) == 1 and self.shape[0] > 0 else 0

    def as_json(self) -> dict[str, Any]:
        """What the page and `/version` need of it."""
        image = self.image
        return {
            "kind": self.kind,
            "task": self.task,
            "classes": list(self.classes),
            "columns": [
                {
                    "name": c.name,
                    "type": c.type,
                    "min": c.low,
                    "max": c.high,
                    "values": list(c.values),
                    "required": c.required,
                }
                for c in self.columns
            ],
            "image": {"mode": image.mode, "size": list(image.size), "ink": image.ink, "range": list(image.range)}
            if image
            else None,
            "trained_at": self.trained_at,
            "metrics": dict(self.metrics),
        }


def find_model_folder(path: Path) -> Path:
    """The folder below `path` that holds the model itself; registered models have it under `INPUT_model_path/`."""
    if path.is_file():
        return path.parent
    for pattern in (CARD, MLMODEL, *MODEL_FILES):
        found = sorted(path.rglob(pattern), key=lambda p: (len(p.parts), str(p)))
        if found:
            return found[0].parent
    raise SpecError(
        f"No model in `{path}`",
        hint="A model folder holds `MLmodel`, `serving.json`, or a .keras, .onnx or .joblib file.",
    )


def read_signature(path: Path) -> ModelSignature:
    """The signature of the model at `path`; `SpecError` when nothing says what it takes."""
    folder = find_model_folder(path)
    named = path.name if path.is_file() and path.name not in {CARD, MLMODEL} else ""
    mlmodel = _read_mlmodel(folder)
    if named and named not in str(mlmodel):
        mlmodel = {}  # it is about another file
    card = {**(mlmodel.get("metadata") or {}), **_read_json(folder / CARD)}
    if named and card.get("model_file", named) != named:
        card = {}
    image = _image(card["image"]) if card.get("image") else None
    columns, shape = _columns(mlmodel, card)
    kind = "image" if image else "table" if columns else "tensor"
    return ModelSignature(
        folder=folder,
        kind=kind,
        task=card.get("task", "classification"),
        classes=tuple(str(c) for c in card.get("classes", ())),
        columns=columns,
        image=image,
        flavor=card.get("flavor") or _flavor(folder, mlmodel, card),
        model_file=named or card.get("model_file", ""),
        trained_at=str(card.get("trained_at") or mlmodel.get("utc_time_created", "")),
        metrics={k: float(v) for k, v in (card.get("metrics") or {}).items()},
        golden=_golden(folder),
        mlmodel=mlmodel,
        shape=shape,
        dtype=_tensor_type(mlmodel),
        told="task" in card,
        params=_params(mlmodel) if columns and not image else (),
    )


def _flavor(folder: Path, mlmodel: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    flavors = mlmodel.get("flavors", {})
    if "tensorflow" in flavors and _is_plain_keras(folder, card):
        return "keras"
    return next(
        (f for f in ("sklearn", "onnx", "keras", "xgboost", "lightgbm", "pytorch") if f in flavors),
        "python_function" if flavors else "",
    )


def _is_plain_keras(folder: Path, card: Mapping[str, Any]) -> bool:
    """A Keras model that `mlflow.tensorflow` kept: nothing of the user's own in it, and it is said what its numbers mean."""
    data = folder / "data"
    meaning = bool(card.get("classes")) or card.get("task") == "regression"
    return meaning and (data / "model.keras").exists() and not any(data.glob("custom_objects*"))


def _read_mlmodel(folder: Path) -> Mapping[str, Any]:
    path = folder / MLMODEL
    if not path.exists():
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as exc:
        raise SpecError(f"{path} is not YAML", hint="Register the model again.") from exc
    return found if isinstance(found, dict) else {}


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise SpecError(f"{path} is not JSON: {exc}", hint="Write it with json.dump.") from exc
    return found if isinstance(found, dict) else {}


def _image(card: Mapping[str, Any]) -> ImageSpec:
    size = card.get("size", (28, 28))
    low, high = card.get("range", (0, 1))
    return ImageSpec(
        mode=card.get("mode", "L"),
        size=(int(size[0]), int(size[1])),
        range=(float(low), float(high)),
        flatten=bool(card.get("flatten", False)),
        ink=card.get("ink", "light"),
    )


def _columns(mlmodel: Mapping[str, Any], card: Mapping[str, Any]) -> tuple[tuple[Column, ...], tuple[int, ...]]:
    """Columns by name, and for a tensor the shape of a row."""
    rows: Sequence[Mapping[str, Any]] = card.get("columns") or ()
    shape: tuple[int, ...] = ()
    if not rows:
        text = (mlmodel.get("signature") or {}).get("inputs")
        inputs = json.loads(text) if text else []
        rows = [i for i in inputs if i.get("type") != "tensor" and "name" in i]
        shapes = [i["tensor-spec"]["shape"] for i in inputs if i.get("type") == "tensor"]
        if shapes:
            shape = tuple(int(n) for n in shapes[0][1:])
        elif inputs and not rows:
            shape = (len(inputs),)
    limits = card.get("limits") or {}
    return tuple(_column(r, limits.get(r["name"])) for r in rows), shape


def _params(mlmodel: Mapping[str, Any]) -> tuple[Param, ...]:
    rows = json.loads((mlmodel.get("signature") or {}).get("params") or "[]")
    simple = [r for r in rows if "properties" not in r]
    return tuple(
        Param(
            r["name"],
            _column({**r, "required": r.get("default") is not None}, None),
            r.get("default"),
            bool(r.get("shape")),
        )
        for r in simple
    )


def _tensor_type(mlmodel: Mapping[str, Any]) -> str:
    """What MLflow insists on; empty where it is no tensor."""
    inputs = json.loads((mlmodel.get("signature") or {}).get("inputs") or "[]")
    return next((str(i["tensor-spec"]["dtype"]) for i in inputs if i.get("type") == "tensor"), "")


def _column(row: Mapping[str, Any], limits: Sequence[float] | None) -> Column:
    low, high = limits or (row.get("min"), row.get("max"))
    dtype = str(row.get("type", "double"))
    values, required = tuple(str(v) for v in row.get("values", ())), bool(row.get("required", True))
    return Column(row["name"], "any" if "properties" in row else _type(dtype), low, high, values, required, dtype)


def _type(name: str) -> str:
    """What the server knows of a type; lists, maps and the like are handed to the model as they come."""
    if name == "object":  # pandas' text; MLflow's own objects have properties
        return "string"
    meant = next((m for w, m in zip(WORDS, MEANT, strict=True) if name.lower().startswith(w)), "any")
    return TYPES.get(name, meant)


def _golden(folder: Path) -> Golden:
    found = _read_json(folder / GOLDEN)
    if not found:
        return Golden()
    probabilities = found.get("probabilities")
    return Golden(
        tuple(found.get("inputs", ())),
        tuple(found.get("predictions", ())),
        tuple(probabilities) if probabilities else None,
        float(found.get("tolerance", 1e-5)),
    )
