"""Train on label folders, evaluate on others, and save a model that says by itself what it takes and gives."""

import argparse
import datetime
import json
import warnings
from pathlib import Path

import mlflow
import mlflow.sklearn
import numpy as np
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

GOLDEN = 20
SHIFTS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))


def read(folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Pixels 0-255 of every picture (N, height, width), class indices, and class names in index order."""
    names = sorted(p.name for p in folder.iterdir() if p.is_dir())
    images, labels = [], []
    for index, name in enumerate(names):
        for path in sorted((folder / name).glob("*.png")):
            with Image.open(path) as image:
                images.append(np.asarray(image.convert("L")))
            labels.append(index)
    return np.stack(images), np.array(labels), names


def shifted(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pictures and copies moved by one pixel each way; nothing is mirrored, since a mirrored 2 is no 2."""
    moved = [np.roll(images, shift, axis=(1, 2)) for shift in SHIFTS]
    return np.concatenate(moved), np.tile(labels, len(SHIFTS))


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / 255.0


def log_confusion(matrix: np.ndarray, names: list[str]) -> None:
    mlflow.log_dict({"labels": names, "matrix": matrix.tolist()}, "confusion_matrix.json")
    cell = 24
    shade = (255 - 255 * matrix / max(1, matrix.max())).astype(np.uint8)
    mlflow.log_image(np.kron(shade, np.ones((cell, cell), np.uint8)), "confusion_matrix.png")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--training_data", type=Path, required=True)
    parser.add_argument("--testing_data", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--model", type=Path, required=True)
    args = parser.parse_args()

    images, labels, names = read(args.training_data)
    test_images, test_labels, test_names = read(args.testing_data)
    if names != test_names:
        raise SystemExit(f"training has the classes {names}, test has {test_names}")
    many, many_labels = shifted(images, labels)
    classifier = SVC(C=8, gamma="scale", probability=True, random_state=args.seed)
    model = make_pipeline(PCA(50, whiten=False, random_state=args.seed), classifier)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model.fit(flat(many), many_labels)

    scores = model.predict_proba(flat(test_images))
    predicted = scores.argmax(axis=1)
    metrics = {
        "accuracy": float(accuracy_score(test_labels, predicted)),
        "f1_macro": float(f1_score(test_labels, predicted, average="macro")),
        "baseline_accuracy": float(np.bincount(test_labels).max() / len(test_labels)),
        "training_images": float(len(images)),
        "test_images": float(len(test_images)),
    }
    mlflow.log_params({"C": 8, "components": 50, "seed": args.seed, "classes": ",".join(names)})
    mlflow.log_metrics(metrics)
    log_confusion(confusion_matrix(test_labels, predicted), names)

    height, width = images.shape[1:]
    sample = flat(test_images[:5])
    mlflow.sklearn.save_model(
        model,
        str(args.model),
        serialization_format="cloudpickle",
        signature=mlflow.models.infer_signature(sample, predicted[:5]),
        input_example=sample,
        metadata={
            "task": "classification",
            "classes": names,
            "image": {"mode": "L", "size": [width, height], "range": [0, 1], "flatten": True, "ink": "light"},
            "metrics": metrics,
            "trained_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        },
    )
    chosen = np.linspace(0, len(test_images) - 1, min(GOLDEN, len(test_images))).astype(int)
    golden = {
        "inputs": [{"pixels": test_images[i].ravel().tolist()} for i in chosen],
        "predictions": [names[predicted[i]] for i in chosen],
        "probabilities": [scores[i].tolist() for i in chosen],
        "tolerance": 1e-3,
    }
    (args.model / "golden.json").write_text(json.dumps(golden))
    print(json.dumps(metrics, indent=2))


if __name__ == "__main__":
    main()
