"""What was converted for a release answers in its servers, if it is what was proven; else the model's own library, and it is said."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tidemill.base.hashing import digest_bytes
from tidemill.serve.convert import main as convert
from tidemill.serve.engine import Engine, load_engine

pytestmark = pytest.mark.filterwarnings("ignore")


def load(path: Path, kept: Path) -> Engine:
    return load_engine(path, name="m", version="1", deployment="", allow_pickle=True, kept=kept)


@pytest.fixture(scope="module")
def converted(table_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    assert convert([str(table_model), str(folder)]) == 0
    return folder


@pytest.fixture
def release(converted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(converted, tmp_path / "converted"))


def one(folder: Path, ending: str) -> Path:
    (found,) = folder.glob(f"*.{ending}")
    return found


def test_a_server_with_a_kept_conversion_imports_neither_the_library_nor_the_converter(
    table_model: Path, release: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from tidemill.serve.engine import load_engine;"
        f"e = load_engine(Path({str(table_model)!r}), name='m', version='1', deployment='', allow_pickle=True,"
        f" kept=Path({str(release)!r}));"
        "print(e.predictor.path, [m for m in ('sklearn', 'scipy', 'pandas', 'skl2onnx', 'onnx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "onnxruntime (proven equal to scikit-learn) []\n"


def test_what_was_kept_for_a_release_answers_when_the_version_is_served_by_hand_too(
    table_model: Path, release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TIDEMILL_CONVERSIONS", str(release))
    about = {"name": "m", "version": "1", "deployment": ""}
    engine = load_engine(table_model, **about, allow_pickle=True, soon=True)
    assert engine.predictor.path == "onnxruntime (proven equal to scikit-learn)"
    assert not list((tmp_path / "cache").rglob("*.onnx"))


def test_the_same_model_is_converted_to_the_same_bytes(table_model: Path, converted: Path, tmp_path: Path) -> None:
    assert convert([str(table_model), str(tmp_path)]) == 0
    for ending in ("onnx", "json"):
        assert one(tmp_path, ending).name == one(converted, ending).name
        assert one(tmp_path, ending).read_bytes() == one(converted, ending).read_bytes()


def test_a_file_that_is_not_the_proven_one_does_not_answer(table_model: Path, release: Path) -> None:
    file = one(release, "onnx")
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    engine = load(table_model, release)
    assert engine.predictor.path == "scikit-learn"
    assert engine.slow_reason == f"{file} is not the file that was proven"


def test_a_damaged_file_does_not_answer_even_where_its_note_was_made_to_fit(table_model: Path, release: Path) -> None:
    file, note = one(release, "onnx"), one(release, "json")
    file.write_bytes(b"no model")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"file": digest_bytes(b"no model")}))
    engine = load(table_model, release)
    assert engine.predictor.path == "scikit-learn"
    assert f"{file} does not answer" in engine.slow_reason


def test_other_answers_than_the_original_gave_are_noticed(table_model: Path, release: Path) -> None:
    note = one(release, "json")
    told = json.loads(note.read_text())
    told["proof"]["probabilities"] = (np.asarray(told["proof"]["probabilities"])[:, ::-1]).tolist()
    note.write_text(json.dumps(told))
    engine = load(table_model, release)
    assert engine.predictor.path == "scikit-learn"
    assert "answers the proof rows otherwise than scikit-learn did" in engine.slow_reason


def test_a_conversion_with_a_note_of_its_own_must_still_answer_as_at_training_time(
    table_model: Path, release: Path
) -> None:
    note = one(release, "json")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"classes": ["yes", "no"]}))
    engine = load(table_model, release)
    assert engine.predictor.path == "scikit-learn"
    assert "otherwise than at training time: golden row 0" in engine.slow_reason
    assert engine.differences == []


def test_a_release_without_a_conversion_of_these_bytes_answers_by_the_library_and_says_so(
    table_model: Path, release: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(table_model, tmp_path / "model"))
    (other / "note.txt").write_text("one more file is another model")
    engine = load(other, release)
    assert engine.predictor.path == "scikit-learn"
    assert str(release) in engine.slow_reason


def test_what_could_not_be_converted_is_not_tried_again(table_model: Path, release: Path) -> None:
    one(release, "json").write_text(json.dumps({"agreed": False, "reason": "1 of 69 labels differ"}))
    assert load(table_model, release).slow_reason == "1 of 69 labels differ"


def test_other_bytes_than_the_registered_ones_are_not_converted(
    table_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert([str(table_model), str(tmp_path), "--digest", "0" * 64]) != 0
    assert "other bytes than were registered" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
