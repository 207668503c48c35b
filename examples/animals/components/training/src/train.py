"""A small convolutional network. Early stopping looks at a part of the training pictures; the test pictures are looked at once."""

import argparse
import datetime
import json
from pathlib import Path

import keras
import mlflow
import numpy as np
from PIL import Image

SEED = 42
GOLDEN = 12


def read(folder: Path):
    names = sorted(p.name for p in folder.iterdir() if p.is_dir())
    images, labels = [], []
    for index, name in enumerate(names):
        for path in sorted((folder / name).glob("*.png")):
            with Image.open(path) as image:
                images.append(np.asarray(image.convert("RGB")))
            labels.append(index)
    return np.stack(images).astype("float32"), np.array(labels), names


def network(shape, classes: int) -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(32, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def write_golden(folder: Path, images: np.ndarray, predicted: list[str], scores: np.ndarray) -> None:
    """Images with the answers that whatever serves the model must give."""
    chosen = np.linspace(0, len(images) - 1, min(GOLDEN, len(images))).astype(int)
    golden = {
        "inputs": [{"pixels": images[i].astype(int).ravel().tolist()} for i in chosen],
        "predictions": [predicted[i] for i in chosen],
        "probabilities": scores[chosen].tolist(),
        "tolerance": 1e-3,
    }
    (folder / "golden.json").write_text(json.dumps(golden))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--training_folder", type=Path, required=True)
    parser.add_argument("--testing_folder", type=Path, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--output_folder", type=Path, required=True)
    args = parser.parse_args()
    keras.utils.set_random_seed(SEED)

    images, labels, names = read(args.training_folder)
    test_images, test_labels, test_names = read(args.testing_folder)
    if names != test_names:
        raise SystemExit(f"training has the classes {names}, test has {test_names}")
    order = np.random.default_rng(SEED).permutation(len(images))
    images, labels = images[order], labels[order]

    model = network(images.shape[1:], len(names))
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=6, restore_best_weights=True)
    history = model.fit(
        images, labels, epochs=args.epochs, batch_size=16, validation_split=0.15, callbacks=[stop], verbose=2
    )

    scores = np.asarray(model.predict(test_images, verbose=0))
    predicted = scores.argmax(axis=1)
    metrics = {
        "accuracy": float((predicted == test_labels).mean()),
        "baseline_accuracy": float(np.bincount(test_labels).max() / len(test_labels)),
        "loss": float(history.history["loss"][-1]),
    }
    mlflow.log_params({"epochs": args.epochs, "classes": ",".join(names)})
    mlflow.log_metrics(metrics)

    args.output_folder.mkdir(parents=True, exist_ok=True)
    model.save(args.output_folder / "model.keras")
    height, width = images.shape[1:3]
    card = {
        "flavor": "keras",
        "model_file": "model.keras",
        "task": "classification",
        "classes": names,
        "image": {"mode": "RGB", "size": [width, height], "range": [0, 255], "flatten": False},
        "metrics": metrics,
        "trained_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    (args.output_folder / "serving.json").write_text(json.dumps(card, indent=2))
    write_golden(args.output_folder, test_images, [names[i] for i in predicted], scores)
    print(json.dumps(metrics, indent=2))


if __name__ == "__main__":
    main()
