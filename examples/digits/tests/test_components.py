"""The component scripts as Azure ML runs them: one command, folders in, folders out. Run with: python -m pytest tests"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COMPONENTS = Path(__file__).parent.parent / "components"


def run(script: str, *words: object, ok: bool = True, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, COMPONENTS / script, *map(str, words)], capture_output=True, text=True, check=False, cwd=cwd
    )
    assert (done.returncode == 0) is ok, done.stderr
    return done.stdout + done.stderr


def stroke(path: Path, column: int, size: int = 28) -> Path:
    """A white upright stroke, the rest of the picture transparent."""
    pixels = np.full((size, size, 4), 255, np.uint8)
    pixels[..., 3] = 0
    pixels[4:-4, column : column + 3, 3] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_transparent_ground_becomes_black_and_ink_stays_light(tmp_path: Path) -> None:
    stroke(tmp_path / "in" / "a.png", 12, size=56)
    run("convert/src/convert.py", "--images", tmp_path / "in", "--size", 28, "--converted", tmp_path / "out")
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert (image.mode, image.size) == ("L", (28, 28))
        assert image.getpixel((0, 0)) == 0
        assert image.getpixel((6, 14)) > 200


def test_a_grey_picture_without_alpha_keeps_its_pixels(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    before = np.arange(784, dtype=np.uint8).reshape(28, 28)
    Image.fromarray(before).save(tmp_path / "in" / "a.png")
    run("convert/src/convert.py", "--images", tmp_path / "in", "--size", 28, "--converted", tmp_path / "out")
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert np.array_equal(np.asarray(image), before)


def test_a_folder_without_pictures_fails_in_words(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    said = run(
        "convert/src/convert.py", "--images", tmp_path / "in", "--size", 28, "--converted", tmp_path / "out", ok=False
    )
    assert "no pictures in" in said


def split(tmp_path: Path, out: str) -> dict[str, set[str]]:
    words = [
        "--percentage",
        25,
        "--seed",
        3,
        "--training_data",
        tmp_path / out / "a",
        "--testing_data",
        tmp_path / out / "b",
    ]
    run("split/src/split.py", "--digit", 2, tmp_path / "two", "--digit", 7, tmp_path / "seven", *words)
    return {
        f"{side}/{label}": {p.name for p in (tmp_path / out / side / label).iterdir()}
        for side in "ab"
        for label in "27"
    }


def test_the_split_keeps_every_picture_once_and_every_label_on_both_sides(tmp_path: Path) -> None:
    for name in ("two", "seven"):
        for number in range(8):
            stroke(tmp_path / name / f"{number}.png", 12)
    found = split(tmp_path, "first")
    assert [len(found[k]) for k in ("a/2", "b/2", "a/7", "b/7")] == [6, 2, 6, 2]
    assert not found["a/2"] & found["b/2"]
    assert split(tmp_path, "again") == found, "the same seed makes the same split"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of upright strokes on the left and on the right."""
    folder = tmp_path_factory.mktemp("train")
    rng = np.random.default_rng(0)
    for side, count in (("train", 60), ("test", 10)):
        for label, low in (("left", 4), ("right", 17)):
            for number in range(count):
                path = stroke(folder / side / label / f"{number}.png", low + int(rng.integers(0, 5)))
                with Image.open(path) as image:
                    image.getchannel("A").save(path)
    run(
        "train/src/train.py", "--training_data", folder / "train", "--testing_data", folder / "test",
        "--seed", 1, "--model", folder / "model", cwd=folder,
    )  # fmt: skip
    return folder / "model"


def test_the_model_says_what_it_takes_and_gives(trained: Path) -> None:
    text = (trained / "MLmodel").read_text()
    assert "classes" in text and "left" in text and "flatten: true" in text
    golden = json.loads((trained / "golden.json").read_text())
    assert set(golden["predictions"]) == {"left", "right"}
    assert len(golden["inputs"][0]["pixels"]) == 784


def test_the_model_loads_without_the_training_code_and_repeats_its_golden_answers(trained: Path) -> None:
    code = (
        "import json, pickle, sys; from pathlib import Path; folder = Path(sys.argv[1]);"
        "golden = json.loads((folder / 'golden.json').read_text());"
        "model = pickle.loads((folder / 'model.pkl').read_bytes());"
        "rows = [[v / 255 for v in i['pixels']] for i in golden['inputs']];"
        "scores = model.predict_proba(rows);"
        "assert abs(scores - golden['probabilities']).max() < 1e-6"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, trained], check=True, cwd="/")
