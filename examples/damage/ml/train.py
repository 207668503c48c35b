"""Scale, balance by SMOTE on the training part only, fit an SVC; measured on rows none of them saw."""

import argparse
import datetime
import json
import warnings
from pathlib import Path

import cloudpickle
import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
import sklearn
from imblearn.over_sampling import SMOTE
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

TARGET = "damage_incidence"
CLASSES = ["no damage", "damage"]
GOLDEN = 20
C, GAMMA = 3, 0.002  # the best of a cross-validation on the training rows


def fit(rows: np.ndarray, labels: np.ndarray, seed: int) -> Pipeline:
    """One pipeline that scales and classifies; SMOTE makes rows for the fit and is not part of it."""
    scaler = StandardScaler().fit(rows)
    balanced, balanced_labels = SMOTE(random_state=seed).fit_resample(scaler.transform(rows), labels)
    classifier = SVC(C=C, gamma=GAMMA, probability=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # `probability` goes in scikit-learn 1.11; requirements stop before
        classifier.fit(balanced, balanced_labels)
    return make_pipeline(scaler, classifier)


def write_golden(folder: Path, rows: pd.DataFrame, predicted: np.ndarray, scores: np.ndarray) -> None:
    """Rows with the answers that whatever serves the model must give."""
    golden = {
        "inputs": rows.astype(float).to_dict("records"),
        "predictions": [CLASSES[i] for i in predicted[: len(rows)]],
        "probabilities": scores[: len(rows)].tolist(),
        "tolerance": 1e-3,
    }
    (folder / "golden.json").write_text(json.dumps(golden))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data_path", type=Path, required=True)
    parser.add_argument("--model_output_path", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=20)
    args = parser.parse_args()

    table = pd.read_csv(args.data_path)
    columns = [c for c in table.columns if c != TARGET]
    rows, labels = table[columns].to_numpy(float), table[TARGET].to_numpy()
    train_rows, test_rows, train_labels, test_labels = train_test_split(
        rows, labels, test_size=0.2, stratify=labels, random_state=args.seed
    )
    model = fit(train_rows, train_labels, args.seed)

    scores = model.predict_proba(test_rows)
    predicted = scores.argmax(axis=1)
    metrics = {
        "accuracy": float(accuracy_score(test_labels, predicted)),
        "baseline_accuracy": float(np.bincount(test_labels).max() / len(test_labels)),
        "balanced_accuracy": float(balanced_accuracy_score(test_labels, predicted)),
        "f1": float(f1_score(test_labels, predicted)),
        "roc_auc": float(roc_auc_score(test_labels, scores[:, 1])),
    }
    mlflow.log_params({"C": C, "gamma": GAMMA, "rows": len(table), "columns": len(columns), "seed": args.seed})
    mlflow.log_metrics(metrics)

    example = pd.DataFrame(test_rows[:3], columns=columns)
    mlflow.sklearn.save_model(
        model,
        str(args.model_output_path),
        serialization_format="cloudpickle",
        signature=mlflow.models.infer_signature(example, predicted[:3]),
        input_example=example,
        pip_requirements=[
            f"scikit-learn=={sklearn.__version__}",
            f"numpy=={np.__version__}",
            f"cloudpickle=={cloudpickle.__version__}",
        ],
        metadata={
            "task": "classification",
            "classes": CLASSES,
            "columns": [
                {"name": c, "type": "integer" if pd.api.types.is_integer_dtype(table[c]) else "number"} for c in columns
            ],
            "limits": {c: [float(table[c].min()), float(table[c].max())] for c in columns},
            "metrics": metrics,
            "trained_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        },
    )
    write_golden(args.model_output_path, pd.DataFrame(test_rows[:GOLDEN], columns=columns), predicted, scores)
    print(json.dumps(metrics, indent=2))


if __name__ == "__main__":
    main()
