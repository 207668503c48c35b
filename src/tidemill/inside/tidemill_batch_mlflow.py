"""What scores mini batches for a batch deployment of an MLflow model that brings no script."""

import glob
import os

model = None


def init():
    """Load the model from wherever it lies below AZUREML_MODEL_DIR."""
    global model
    import mlflow

    found = sorted(glob.glob(os.path.join(os.environ["AZUREML_MODEL_DIR"], "**", "MLmodel"), recursive=True))
    if not found:
        raise RuntimeError("There is no MLmodel below AZUREML_MODEL_DIR: is this an MLflow model?")
    model = mlflow.pyfunc.load_model(os.path.dirname(found[0]))


def run(mini_batch):
    """Predict every row of every file: its number, the prediction, the file's name."""
    import pandas

    frames = [score(path) for path in mini_batch]
    return pandas.concat(frames, ignore_index=True) if frames else []


def score(path):
    """One file's rows."""
    import pandas

    predicted = model.predict(read(path))
    if not isinstance(predicted, pandas.DataFrame):
        predicted = pandas.DataFrame({"prediction": list(predicted)})
    predicted = predicted.reset_index(drop=True)
    predicted.insert(0, "row", range(len(predicted)))
    return predicted.assign(file=os.path.basename(path))


def read(path):
    """A table, by the file's ending."""
    import pandas

    ending = os.path.splitext(path)[1].lower()
    if ending in (".parquet", ".pq"):
        return pandas.read_parquet(path)
    if ending in (".jsonl", ".ndjson"):
        return pandas.read_json(path, lines=True)
    if ending == ".json":
        return pandas.read_json(path)
    if ending in (".csv", ".tsv", ".txt"):
        return pandas.read_csv(path, sep="\t" if ending == ".tsv" else ",")
    raise ValueError("`%s` is no table this can read: csv, tsv, parquet, json, jsonl" % os.path.basename(path))
