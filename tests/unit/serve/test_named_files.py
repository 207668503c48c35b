"""A model file that is named is the one that answers, whatever lies beside it."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from tidemill.base.errors import UsageError
from tidemill.serve.predictor import load_predictor
from tidemill.serve.signature import read_signature


def keep(path: Path, answer: str) -> None:
    path.write_bytes(pickle.dumps(DummyClassifier(strategy="constant", constant=answer).fit([[1.0]], [answer])))


@pytest.mark.parametrize("name", ["b.pkl", "c.pickle"])
def test_the_file_that_is_named_answers_and_not_its_neighbour(tmp_path: Path, name: str) -> None:
    keep(tmp_path / "a.joblib", "old")
    keep(tmp_path / name, "new")
    signature = read_signature(tmp_path / name)
    answer = load_predictor(signature, allow_pickle=True)
    assert answer.classes == ("new",)
    assert len(answer.predict(np.zeros((1, 1), np.float32)).labels) == 1
    with pytest.raises(UsageError, match=f"{name} is a pickle"):
        load_predictor(signature, allow_pickle=False)


def test_what_is_told_of_another_file_is_not_believed_of_the_named_one(tmp_path: Path) -> None:
    keep(tmp_path / "mine.pkl", "new")
    (tmp_path / "MLmodel").write_text("flavors:\n  sklearn:\n    pickled_model: model.pkl\n")
    (tmp_path / "serving.json").write_text('{"model_file": "model.pkl", "classes": ["x"]}')
    assert load_predictor(read_signature(tmp_path / "mine.pkl"), allow_pickle=True).classes == ("new",)
    keep(tmp_path / "model.pkl", "x")
    assert read_signature(tmp_path / "model.pkl").classes == ("x",)
