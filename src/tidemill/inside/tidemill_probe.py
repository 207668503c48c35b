"""Loads a model in the environment that trained it and answers two questions: what does it predict, how good is it.

    python tidemill_probe.py predict  --model FOLDER --out FILE
    python tidemill_probe.py evaluate --model FOLDER --data FOLDER_OR_CSV [--target COLUMN] --out FILE

Models may be pickles, so this never runs in the control plane. Needs numpy and what the model itself needs.
"""

import argparse
import base64
import csv
import io
import json
import os
import sys

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
TARGETS = ("target", "label", "class", "y")
BATCH = 256


class CannotSay(Exception):
    """The question has no answer for this model or these data; the text says why."""


def find_root(folder):
    """The folder that holds the model itself: registered ones lie below INPUT_model_path/ and the like."""
    for here, folders, names in os.walk(folder):
        folders.sort()
        if any(n == "MLmodel" or n == "serving.json" or _flavor_of(n) for n in names):
            return here
    raise CannotSay("there is no model in %s" % folder)


def _flavor_of(name):
    known = {
        ".keras": "keras",
        ".h5": "keras",
        ".onnx": "onnx",
        ".joblib": "sklearn",
        ".pkl": "sklearn",
        ".pickle": "sklearn",
    }
    return known.get(os.path.splitext(name)[1].lower(), "")


def read_card(root):
    """What the model says about itself: MLmodel's metadata, and serving.json, which wins."""
    card = {}
    mlmodel = os.path.join(root, "MLmodel")
    if os.path.isfile(mlmodel):
        import yaml

        with open(mlmodel, encoding="utf-8") as file:
            content = yaml.safe_load(file) or {}
        card.update(content.get("metadata") or {})
        card["flavors"] = content.get("flavors") or {}
        if "columns" not in card and content.get("signature"):
            columns = json.loads(content["signature"].get("inputs") or "[]")
            card["columns"] = [c for c in columns if "name" in c]
    serving = os.path.join(root, "serving.json")
    if os.path.isfile(serving):
        with open(serving, encoding="utf-8") as file:
            card.update(json.load(file))
    return card


def load(root, card):
    """A function from rows to scores (one column a class) or labels."""
    flavor = card.get("flavor") or next(
        (f for f in ("sklearn", "keras", "tensorflow", "onnx") if f in card.get("flavors", {})), ""
    )
    files = sorted(os.path.join(here, n) for here, _, names in os.walk(root) for n in names)
    named = os.path.join(root, card["model_file"]) if card.get("model_file") else ""
    path = named or next((f for f in files if _flavor_of(f) and flavor in ("", "tensorflow", _flavor_of(f))), "")
    flavor = flavor or _flavor_of(path)
    if flavor == "sklearn":
        return _sklearn(path, card)
    if flavor in ("keras", "tensorflow") and path:
        import keras

        model = keras.models.load_model(path, compile=False)
        return lambda rows: model.predict(rows, verbose=0)
    if flavor == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda rows: _scores(session.run(None, {name: rows.astype("float32")}))
    if "python_function" in card.get("flavors", {}):
        import mlflow.pyfunc

        return mlflow.pyfunc.load_model(root).predict
    raise CannotSay("no way to load a model of flavour %r in %s" % (flavor or "unknown", root))


def _sklearn(path, card):
    if card.get("flavors", {}).get("sklearn", {}).get("serialization_format") == "skops":
        import skops.io

        model = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    elif path.endswith(".joblib"):
        import joblib

        model = joblib.load(path)
    else:
        import pickle

        with open(path, "rb") as file:
            model = pickle.load(file)
    own = [str(c) for c in getattr(model, "classes_", ())]
    if not card.get("classes") and own:
        card["classes"] = own
    if card.get("task") != "regression" and own:
        # labels as positions, whether the model was fitted on numbers or on names
        if hasattr(model, "predict_proba"):
            return model.predict_proba
        position = {c: i for i, c in enumerate(own)}
        return lambda rows: [position[str(v)] for v in model.predict(rows)]
    return model.predict


def _scores(outputs):
    return next((o for o in reversed(outputs) if getattr(o, "ndim", 0) == 2), outputs[0])


def name_labels(answers, classes, regression):
    """Names of the classes with the best score, or the values themselves."""
    import numpy as np

    values = np.asarray(answers)
    if regression:
        return [float(v) for v in values.ravel()]
    if values.ndim == 2 and values.shape[1] > 1:
        values = values.argmax(axis=1)
    elif values.dtype.kind == "f":
        values = (values.ravel() > 0.5).astype(int)
    values = values.ravel().tolist()
    if classes and all(isinstance(v, int) and 0 <= v < len(classes) for v in values):
        return [str(classes[v]) for v in values]
    return [str(v) for v in values]


def picture_rows(pictures, image):
    """Pictures as the model takes them (see `image` in the model's card)."""
    import numpy as np

    width, height = image.get("size") or pictures[0].size
    top = max(image.get("range") or [0, 1])
    mode = image.get("mode", "RGB")
    rows = np.stack([np.asarray(p.convert(mode).resize((width, height)), dtype="float64") for p in pictures])
    if mode == "L" and image.get("channels") == "last":
        rows = rows[..., None]
    rows = rows * (top / 255.0)
    return rows.reshape(len(rows), -1) if image.get("flatten") else rows


def golden_rows(inputs, card):
    """The inputs kept with the model, as rows."""
    import numpy as np

    first = inputs[0]
    if isinstance(first, dict) and "pixels" in first:
        image = card.get("image") or {}
        width, height = image.get("size") or [0, 0]
        top = max(image.get("range") or [0, 1])
        rows = np.array([i["pixels"] for i in inputs], dtype="float64").reshape(len(inputs), -1)
        rows = rows * (top / 255.0) if rows.max() > 1 or top > 1 else rows
        channels = rows.shape[1] // (width * height) if width and height else 0
        if image.get("flatten") or not channels:
            return rows
        wide = channels > 1 or image.get("channels") == "last"
        return rows.reshape((len(rows), height, width) + ((channels,) if wide else ()))
    if isinstance(first, dict) and "image" in first:
        from PIL import Image

        raws = [i["image"].split(",", 1)[-1] for i in inputs]
        return picture_rows([Image.open(io.BytesIO(base64.b64decode(raw))) for raw in raws], card.get("image") or {})
    if isinstance(first, dict):
        return table_rows(inputs, card)
    return np.array(inputs, dtype="float64")


def table_rows(records, card):
    """Records as a frame when some column is text, else as numbers."""
    import numpy as np

    columns = [c["name"] for c in card.get("columns") or []] or list(records[0])
    missing = [c for c in columns if c not in records[0]]
    if missing:
        raise CannotSay("the data have no column %s" % ", ".join(missing[:8]))
    if any(c.get("type") == "string" for c in card.get("columns") or []):
        import pandas

        frame = pandas.DataFrame(records)[columns]
        numbers = [c["name"] for c in card["columns"] if c.get("type") != "string"]
        frame[numbers] = frame[numbers].astype("float64")
        return frame
    return np.array([[float(r[c]) for c in columns] for r in records], dtype="float64")


def predict(root):
    """Predictions of the golden inputs kept with the model, beside those made at training time."""
    card = read_card(root)
    path = os.path.join(root, "golden.json")
    if not os.path.isfile(path):
        raise CannotSay("no golden.json is kept with the model")
    with open(path, encoding="utf-8") as file:
        golden = json.load(file)
    model = load(root, card)
    answers = model(golden_rows(golden["inputs"], card))
    labels = name_labels(answers, card.get("classes"), card.get("task") == "regression")
    wanted = golden.get("predictions") or []
    tolerance = golden.get("tolerance", 1e-6)
    differing = [i for i, (got, want) in enumerate(zip(labels, wanted)) if not _same(got, want, tolerance)]
    return {"predictions": labels, "expected": wanted, "differing": differing}


def _same(got, want, tolerance):
    if isinstance(got, float):
        return abs(got - float(want)) <= tolerance * max(1.0, abs(got))
    return str(got) == str(want)


def evaluate(root, data, target):
    """How often the model is right on labelled data, and how often naming the commonest class would be."""
    card = read_card(root)
    model = load(root, card)
    if card.get("task") == "regression":
        raise CannotSay("accuracy is for classes, and this model gives numbers")
    right, labels = 0, []
    for rows, names in (_labelled_table if os.path.isfile(data) else _labelled_pictures)(data, card, target):
        given = name_labels(model(rows), card.get("classes"), False)
        right += sum(g == n for g, n in zip(given, names))
        labels += names
    if not labels:
        raise CannotSay("there is nothing labelled in %s" % data)
    commonest = max(labels.count(n) for n in set(labels))
    return {"accuracy": right / len(labels), "baseline_accuracy": commonest / len(labels), "rows": len(labels)}


def _labelled_pictures(folder, card, target):
    """Batches of pictures with the names of their folders."""
    from PIL import Image

    found = []
    for here, folders, names in os.walk(folder):
        folders.sort()
        found += [(os.path.join(here, n), os.path.basename(here)) for n in sorted(names) if n.lower().endswith(IMAGES)]
    unknown = sorted({label for _, label in found} - {str(c) for c in card.get("classes") or []})
    if unknown and card.get("classes"):
        raise CannotSay("the model knows no class %s" % ", ".join(unknown[:8]))
    for start in range(0, len(found), BATCH):
        part = found[start : start + BATCH]
        pictures = []
        for path, _ in part:
            with Image.open(path) as picture:
                pictures.append(picture.copy())
        yield picture_rows(pictures, card.get("image") or {}), [label for _, label in part]


def _labelled_table(path, card, target):
    """The rows of a CSV file with the names of their classes."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        records = list(csv.DictReader(file))
    if not records:
        return
    inputs = {c["name"] for c in card.get("columns") or []}
    left = [c for c in records[0] if c not in inputs]
    target = target or next((c for c in left if c.lower() in TARGETS), left[0] if inputs and len(left) == 1 else "")
    if target not in records[0]:
        raise CannotSay("which column of %s is the class is not known" % path)
    names = [_class_name(r.pop(target), card.get("classes")) for r in records]
    yield table_rows(records, card), names


def _class_name(value, classes):
    """A class written as its number is called by its name."""
    if classes and value not in classes:
        try:
            return str(classes[int(float(value))])
        except (ValueError, IndexError):
            pass
    return str(value)


def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("question", choices=["predict", "evaluate"])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data")
    parser.add_argument("--target")
    parser.add_argument("--out", required=True)
    asked = parser.parse_args(argv)
    try:
        root = asked.model if os.path.isdir(asked.model) else os.path.dirname(asked.model)
        root = find_root(root)
        answer = predict(root) if asked.question == "predict" else evaluate(root, asked.data, asked.target)
    except CannotSay as exc:
        answer = {"unknown": str(exc)}
    except Exception as exc:
        answer = {"unknown": "%s: %s" % (type(exc).__name__, exc)}
    with open(asked.out, "w", encoding="utf-8") as file:
        json.dump(answer, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
