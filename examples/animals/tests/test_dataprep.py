"""The data-preparation scripts; they need Pillow only. Run with: python -m pytest tests"""

import subprocess
import sys
from pathlib import Path

from PIL import Image

SRC = Path(__file__).parent.parent / "components" / "dataprep" / "src"
ANIMALS = ("pandas", "cats", "dogs")


def run(script: str, *words: object, ok: bool = True) -> str:
    done = subprocess.run([sys.executable, SRC / script, *map(str, words)], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is ok, done.stderr
    return done.stdout + done.stderr


def prepared(tmp_path: Path, animal: str, count: int = 5) -> Path:
    """Photographs of any size and format, prepared."""
    raw = tmp_path / "raw" / animal / "deeper"
    raw.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (90 + number, 70), (number * 20, 80, 90)).save(raw / f"{number}.jpg")
    out = tmp_path / "prepared" / animal
    run("dataprep.py", "--data", raw.parent, "--label", animal, "--size", 64, "--output_data", out)
    return out


def test_pictures_become_one_size_in_a_folder_that_carries_the_label(tmp_path: Path) -> None:
    out = prepared(tmp_path, "cats")
    pictures = sorted((out / "cats").iterdir())
    assert len(pictures) == 5
    with Image.open(pictures[0]) as image:
        assert (image.mode, image.size) == ("RGB", (64, 64))


def test_labels_come_from_folders_never_from_the_path_of_a_mount(tmp_path: Path) -> None:
    folders = [prepared(tmp_path, animal) for animal in ANIMALS]
    words = ["--train_test_split_percentage", 40, "--training_data", tmp_path / "a", "--testing_data", tmp_path / "b"]
    run("data_split.py", "--animals", *folders, *words)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(ANIMALS)
    assert {p.name: len(list(p.iterdir())) for p in (tmp_path / "b").iterdir()} == dict.fromkeys(ANIMALS, 2)


def test_a_folder_without_pictures_fails_in_words(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = ["--data", tmp_path / "empty", "--label", "cats", "--size", 64, "--output_data", tmp_path / "out"]
    assert "no pictures in" in run("dataprep.py", *words, ok=False)
