"""AutoML's tables: how they are read, and how their columns become numbers with scikit-learn alone."""

import os
import warnings

import numpy as np
import pandas
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from tidemill_automl_model import DateParts
from tidemill_split import Refused, guess_reader, list_files

MOST_CATEGORIES = 50
MOST_WORDS = 300
WORDS_OF_TEXT = 4
KINDS = {
    "numeric": "number", "categorical": "category", "categoricalhash": "category", "text": "text", "datetime": "date",
    "ignore": "nothing", "ignored": "nothing",
}  # fmt: skip


def read_table(source):
    """One frame of every file of `source`, with an MLTable's own wishes."""
    table = source["table"]
    files = list_files(source)
    if not files:
        raise Refused("`%s` holds no files" % ", ".join(source["paths"]))
    frame = pandas.concat([_read_file(path, table) for path in files], ignore_index=True)
    if table.get("keep"):
        frame = frame[list(table["keep"])]
    frame = frame.drop(columns=[c for c in table.get("drop") or () if c in frame.columns])
    for column, kind in (table.get("types") or {}).items():
        frame[column] = pandas.to_datetime(frame[column]) if kind == "datetime" else frame[column].astype(kind)
    return frame


def _read_file(path, table):
    reader = table.get("reader") or guess_reader(path)
    if reader == "parquet":
        frame = pandas.read_parquet(path)
    elif reader == "json_lines":
        frame = pandas.read_json(path, lines=True)
    else:
        tabs = "\t" if path.lower().endswith(".tsv") else ","
        frame = pandas.read_csv(
            path,
            sep=table.get("delimiter") or tabs,
            encoding=table.get("encoding") or "utf-8",
            header=0 if table.get("header", True) else None,
        )
        frame.columns = [str(c) if table.get("header", True) else "Column%d" % (c + 1) for c in frame.columns]
    if table.get("path_column"):
        frame["Path"] = os.path.basename(path)
    return frame


def require(frame, columns, what):
    """`Refused` naming the columns that `what` lacks."""
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise Refused("%s has no column `%s`, only: %s" % (what, missing[0], ", ".join(map(str, frame.columns))))


def sort_columns(frame, featurization, say):
    """What each column is taken for: number, category, text, date, or nothing."""
    off = (featurization.get("mode") or "auto") == "off"
    asked = {c: _kind(c, k) for c, k in (featurization.get("column_name_and_types") or {}).items()}
    require(frame, asked, "The training data")
    kinds = {}
    for column in frame.columns:
        kind = asked.get(column) or guess_kind(frame[column], off)
        if kind == "nothing":
            say("column `%s` is not used" % column + ("" if column in asked else ": it cannot tell rows apart"))
        kinds[column] = kind
    if not any(kind != "nothing" for kind in kinds.values()):
        raise Refused("No column is left to learn from")
    return kinds


def _kind(column, text):
    found = KINDS.get(text.replace("_", "").lower())
    if found is None:
        raise Refused("`featurization` takes column `%s` for `%s`; known: Numeric, Categorical, CategoricalHash, "
                      "Text, DateTime, Ignore" % (column, text))  # fmt: skip
    return found


def guess_kind(values, off):
    """What a column is taken for when nobody says."""
    filled = values.dropna()
    if not off and filled.nunique() <= 1:
        return "nothing"
    if pandas.api.types.is_datetime64_any_dtype(values):
        return "date"
    if pandas.api.types.is_numeric_dtype(values):
        return "number"
    texts = filled.astype(str)
    if off:
        return "category"
    if looks_like_dates(texts):
        return "date"
    if len(texts) > MOST_CATEGORIES and texts.nunique() > len(texts) / 2:
        return "text" if texts.str.split().str.len().mean() >= WORDS_OF_TEXT else "nothing"
    return "category"


def looks_like_dates(texts):
    """Whether every one of the first values is a date written year first."""
    sample = texts.head(50)
    if not len(sample) or not sample.str.match(r"^\d{4}-\d{1,2}-\d{1,2}").all():
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(pandas.to_datetime(sample, errors="coerce", format="mixed").notna().all())


def prepare(frame, kinds):
    """The frame in types that models know: text as objects, dates as text."""
    ready = {}
    for column, kind in kinds.items():
        values = frame[column]
        if kind == "number":
            numbers = pandas.to_numeric(values, errors="coerce")
            ready[column] = numbers if pandas.api.types.is_integer_dtype(values.dtype) else numbers.astype(float)
        elif kind != "nothing":
            texts = values.astype(str).astype(object)
            ready[column] = texts.where(values.notna(), None)
    return pandas.DataFrame(ready, index=frame.index)


def make_transformer(frame, kinds, featurization):
    """Columns to numbers; everything but dates is plain scikit-learn."""
    imputers = _imputers(featurization)
    columns = {kind: [c for c in frame.columns if kinds[c] == kind] for kind in ("number", "category", "text", "date")}
    steps = []
    usual = [c for c in columns["number"] if c not in imputers]
    if usual:
        steps.append(("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), usual))
    for column in columns["number"]:
        if column in imputers:
            steps.append(("numbers of " + column, make_pipeline(imputers[column], StandardScaler()), [column]))
    if columns["category"]:
        coder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MOST_CATEGORIES, sparse_output=False)
        steps.append(("categories", coder, columns["category"]))
    for column in columns["text"]:
        blank = SimpleImputer(strategy="constant", fill_value="", missing_values=None)
        words = make_pipeline(blank, FunctionTransformer(np.ravel), TfidfVectorizer(max_features=MOST_WORDS))
        steps.append(("words of " + column, words, [column]))
    if columns["date"]:
        steps.append(("dates", make_pipeline(DateParts(), StandardScaler()), columns["date"]))
    return ColumnTransformer(steps, sparse_threshold=0)


def _imputers(featurization):
    """Columns whose gaps are filled as `transformer_params` says."""
    found = {}
    for entry in (featurization.get("transformer_params") or {}).get("imputer") or ():
        given = entry.get("parameters") or {}
        strategy = str(given.get("strategy", "mean")).lower()
        filled = {"fill_value": given["fill_value"]} if "fill_value" in given else {}
        for column in entry.get("fields") or ():
            found[column] = SimpleImputer(strategy=strategy, **filled)
    return found
