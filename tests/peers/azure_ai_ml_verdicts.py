"""Runs in an interpreter that has `azure-ai-ml`: reads `kind<TAB>path` lines, prints a JSON line for each with its verdict."""

import contextlib
import io
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")

import yaml  # noqa: E402 - silence comes first
from azure.ai.ml import entities  # noqa: E402
from azure.ai.ml.entities import _load_functions as loaders  # noqa: E402

VALIDATED = ("job", "component")


def load(kind: str, path: str) -> Any:
    """The entity Microsoft's loader makes of a document."""
    if kind == "data_import":
        return loaders.load_common(entities.DataImport, path, None, None)
    if kind == "batch_deployment":
        word = yaml.safe_load(Path(path).read_text(encoding="utf-8")).get("type")
        names = {"model": "load_model_batch_deployment", "pipeline": "load_pipeline_component_batch_deployment"}
        return getattr(loaders, names.get(word, "load_batch_deployment"))(path)
    if kind == "workspace" and "FeatureStore" in Path(path).read_text(encoding="utf-8"):
        return loaders.load_feature_store(path)
    last = kind.rsplit("_", 1)[-1]
    return getattr(loaders, f"load_{last if last in VALIDATED else kind}")(path)


def verdict(kind: str, path: str) -> str:
    """Empty when accepted, else what is wrong."""
    try:
        entity = load(kind, path)
        if hasattr(entity, "_validate") and kind.rsplit("_", 1)[-1] in VALIDATED:
            result = entity._validate()
            return "" if result.passed else str(result.error_messages)
    except Exception as exc:  # noqa: BLE001 - whatever it raises is its verdict
        return f"{type(exc).__name__}: {exc}"
    return ""


for line in sys.stdin:
    a_kind, a_path = line.rstrip("\n").split("\t")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = verdict(a_kind, a_path)
    sys.stdout.write(json.dumps([a_path, found]) + "\n")
