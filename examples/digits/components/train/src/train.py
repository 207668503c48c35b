"""Train on label folders, evaluate on others, and save a model that says by itself what it takes and gives."""

import argparse
import datetime
import json
import warnings
from pathlib import Path

import cloudpickle
import mlflow
import mlflow.sklearn
import numpy as np
import sklearn
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC

GOLDEN = 20
ENOUGH = (
    6000  # pictures to fit on: few originals get more copies, many get fewer, and the fit stays a matter of seconds
)
COMPONENTS = 60
C, GAMMA = 8, 0.02


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


def warped(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture a little turned, slanted, scaled and moved, as another hand might write it.

    Nothing is mirrored: a mirrored 2 is no 2.
    """
    angle, slant, scale = np.radians(rng.uniform(-12, 12)), rng.uniform(-0.2, 0.2), rng.uniform(0.9, 1.1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    matrix = turn @ np.array([[1, slant], [0, 1]])
    middle = (np.array(image.shape[::-1]) - 1) / 2
    offset = middle - matrix @ (middle + rng.uniform(-1.5, 1.5, 2))
    affine = (*matrix[0], offset[0], *matrix[1], offset[1])
    picture = Image.fromarray(image)
    return np.asarray(picture.transform(picture.size, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR))


def multiplied(images: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The training pictures with warped copies of each; test pictures are never touched."""
    rng = np.random.default_rng(seed)
    copies = max(1, ENOUGH // len(images) - 1)
    many = [images, *(np.stack([warped(image, rng) for image in images]) for _ in range(copies))]
    return np.concatenate(many), np.tile(labels, copies + 1)


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / 255.0


def fit(images: np.ndarray, labels: np.ndarray, seed: int) -> Pipeline:
    """Plain scikit-learn all through, so that a server needs none of this code to load it."""
    model = make_pipeline(
        PCA(COMPONENTS, random_state=seed), SVC(C=C, gamma=GAMMA, probability=True, random_state=seed)
    )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # `probability` goes in scikit-learn 1.11; the environment stops before
        return model.fit(flat(images), labels)


def log_confusion(matrix: np.ndarray, names: list[str]) -> None:
    mlflow.log_dict({"labels": names, "matrix": matrix.tolist()}, "confusion_matrix.json")
    cell = 24
    shade = (255 - 255 * matrix / max(1, matrix.max())).astype(np.uint8)
    mlflow.log_image(np.kron(shade, np.ones((cell, cell), np.uint8)), "confusion_matrix.png")


def write_golden(folder: Path, images: np.ndarray, predicted: list[str], scores: np.ndarray) -> None:
    """Images with the answers that whatever serves the model must give."""
    chosen = np.linspace(0, len(images) - 1, min(GOLDEN, len(images))).astype(int)
    golden = {
        "inputs": [{"pixels": images[i].ravel().tolist()} for i in chosen],
        "predictions": [predicted[i] for i in chosen],
        "probabilities": [scores[i].tolist() for i in chosen],
        "tolerance": 1e-3,
    }
    (folder / "golden.json").write_text(json.dumps(golden))


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
    model = fit(*multiplied(images, labels, args.seed), args.seed)

    scores = model.predict_proba(flat(test_images))
    predicted = scores.argmax(axis=1)
    metrics = {
        "accuracy": float(accuracy_score(test_labels, predicted)),
        "f1_macro": float(f1_score(test_labels, predicted, average="macro")),
        "baseline_accuracy": float(np.bincount(test_labels).max() / len(test_labels)),
        "training_images": float(len(images)),
        "test_images": float(len(test_images)),
    }
    mlflow.log_params({"C": C, "gamma": GAMMA, "components": COMPONENTS, "seed": args.seed, "classes": ",".join(names)})
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
        pip_requirements=[
            f"scikit-learn=={sklearn.__version__}",
            f"numpy=={np.__version__}",
            f"cloudpickle=={cloudpickle.__version__}",
        ],
        metadata={
            "task": "classification",
            "classes": names,
            "image": {"mode": "L", "size": [width, height], "range": [0, 1], "flatten": True, "ink": "light"},
            "metrics": metrics,
            "trained_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        },
    )
    write_golden(args.model, test_images, [names[i] for i in predicted], scores)
    print(json.dumps(metrics, indent=2))


if __name__ == "__main__":
    main()
