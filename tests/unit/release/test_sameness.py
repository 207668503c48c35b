"""A release with the old weights in it is told from a new model."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tidemill.release.sameness import differences

SAVED_MODEL = {
    "INPUT_model_path/cnn/saved_model.pb": b"graph",
    "INPUT_model_path/cnn/fingerprint.pb": b"first",
    "INPUT_model_path/cnn/keras_metadata.pb": b"first",
    "INPUT_model_path/cnn/variables/variables.index": b"index",
    "INPUT_model_path/cnn/variables/variables.data-00000-of-00001": b"numbers",
}


def model(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def archive(path: Path, saved_at: str, numbers: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("metadata.json", saved_at)
        out.writestr("config.json", "{}")
        out.writestr("model.weights.h5", numbers)
    return path


def test_a_saved_model_with_another_fingerprint_and_marker_only_is_nothing_new(tmp_path: Path) -> None:
    again = {
        **SAVED_MODEL,
        "INPUT_model_path/cnn/fingerprint.pb": b"second",
        "INPUT_model_path/cnn/keras_metadata.pb": b"second",
        ".last_model_release": b"model-v17",
    }
    found = differences(model(tmp_path / "a", SAVED_MODEL), model(tmp_path / "b", again))
    assert found == (
        ".last_model_release",
        "INPUT_model_path/cnn/fingerprint.pb",
        "INPUT_model_path/cnn/keras_metadata.pb",
    )


def test_other_numbers_of_the_same_length_are_another_model(tmp_path: Path) -> None:
    other = {**SAVED_MODEL, "INPUT_model_path/cnn/variables/variables.data-00000-of-00001": b"Numbers"}
    assert differences(model(tmp_path / "a", SAVED_MODEL), model(tmp_path / "b", other)) is None


def test_a_second_file_of_weights_is_another_model(tmp_path: Path) -> None:
    more = {**SAVED_MODEL, "scaler.joblib": b"scaler"}
    assert differences(model(tmp_path / "a", SAVED_MODEL), model(tmp_path / "b", more)) is None


def test_the_time_a_keras_archive_was_saved_at_is_no_difference_in_weights(tmp_path: Path) -> None:
    first = archive(tmp_path / "1.keras", "monday", b"numbers")
    assert differences(first, archive(tmp_path / "2.keras", "tuesday", b"numbers")) == (".keras",)
    assert differences(first, archive(tmp_path / "3.keras", "monday", b"Numbers")) is None


def test_nothing_is_said_of_models_whose_weights_are_not_known_or_gone(tmp_path: Path) -> None:
    rules = model(tmp_path / "a", {"rules.txt": b"if x"})
    assert differences(rules, rules) is None
    assert differences(tmp_path / "gone", model(tmp_path / "b", SAVED_MODEL)) is None
