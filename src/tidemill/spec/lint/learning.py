"""Training and serving code: leaks of the test set, labels and layers that are guessed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

LAYER = re.compile(r"^(?:activation|dense|output|softmax|sequential|predictions)_\d+$")
LABELS = re.compile(
    r"(?:^|_)(?:labels|classes|class_names|classnames|animals|target_names|categories|digits)$", re.IGNORECASE
)
SERVES = re.compile(r"^\s*(?:import|from)\s+(?:fastapi|flask|gradio|streamlit)\b", re.MULTILINE)
LOADS = re.compile(
    r"load_model|joblib\.load|pickle\.load|InferenceSession|TFSMLayer|torch\.load|from_pretrained|\.predict\("
)
TEST = re.compile(r"(?:^|_)(?:[Tt]est|TEST)(?:ing)?(?:_|$|\d|[A-Z])")
DIGITS = re.compile(r"mnist|digit", re.IGNORECASE)
STOPS = re.compile(r"EarlyStopping|save_best_only\s*=\s*True")


def judge_learning(node: ast.AST, text: str) -> Iterator[tuple[str, str]]:
    """What is wrong with one node of a script that trains or serves."""
    if isinstance(node, ast.Call):
        yield from _judge_call(node, text)
    elif isinstance(node, ast.Subscript):
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if isinstance(key, str) and LAYER.match(key):
            yield "TM-X18", f"`{key}` is a name Keras made up: it changes when the model is built again"
    elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        yield from _judge_labels(node, text)


def _judge_labels(node: ast.Assign | ast.AnnAssign, text: str) -> Iterator[tuple[str, str]]:
    value = node.value
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
    items: list[ast.expr | None] = []
    if isinstance(value, ast.List | ast.Tuple):
        items = list(value.elts)
    elif isinstance(value, ast.Dict) and all(
        isinstance(k, ast.Constant) and isinstance(k.value, int) for k in value.keys
    ):
        items = list(value.values)
    constants = len(items) > 1 and all(isinstance(i, ast.Constant) and isinstance(i.value, str | int) for i in items)
    if constants and LABELS.search(name) and SERVES.search(text) and LOADS.search(text):
        yield "TM-X19", f"`{name}` repeats the model's classes by hand"


def _judge_call(node: ast.Call, text: str) -> Iterator[tuple[str, str]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    words = {k.arg: k.value for k in node.keywords if k.arg}
    held_out = words.get("validation_data")
    if name in {"fit", "fit_generator"} and held_out is not None and "callbacks" in words and STOPS.search(text):
        names = [n.id for n in ast.walk(held_out) if isinstance(n, ast.Name)]
        names += [n.attr for n in ast.walk(held_out) if isinstance(n, ast.Attribute)]
        tested = next((n for n in names if TEST.search(n)), "")
        if tested:
            yield "TM-X24", f"`{tested}` decides when training stops or which model is kept"
    flips = isinstance(words.get("horizontal_flip"), ast.Constant) and ast.unparse(words["horizontal_flip"]) == "True"
    if (flips or name == "RandomHorizontalFlip") and DIGITS.search(text):
        yield "TM-X25", "A mirrored 2 or 7 is no digit"
    unsafe = ast.unparse(words["safe_mode"]) == "False" if "safe_mode" in words else False
    if name == "TFSMLayer" or (name == "load_model" and unsafe):
        yield "TM-X41", f"`{name}` runs what the model file says"
