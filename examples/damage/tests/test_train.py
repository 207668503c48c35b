"""The training script on its generated table. Run with: python -m pytest tests"""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "data" / "train_cleaned.csv"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage") / "model"
    subprocess.run([sys.executable, ROOT / "data" / "make_data.py"], check=True, capture_output=True)
    words = ["--data_path", TABLE, "--model_output_path", folder]
    subprocess.run(
        [sys.executable, ROOT / "ml" / "train.py", *words], check=True, capture_output=True, cwd=folder.parent
    )
    return folder


def test_the_generator_writes_the_same_table_every_time(trained: Path) -> None:
    before = TABLE.read_bytes()
    subprocess.run([sys.executable, ROOT / "data" / "make_data.py"], check=True, capture_output=True)
    assert TABLE.read_bytes() == before
    table = pd.read_csv(TABLE)
    assert table.shape == (2400, 38)
    assert 0.15 < table["damage_incidence"].mean() < 0.18


def test_the_signature_has_the_columns_of_the_table_in_their_order(trained: Path) -> None:
    golden = json.loads((trained / "golden.json").read_text())
    columns = [c for c in pd.read_csv(TABLE, nrows=1).columns if c != "damage_incidence"]
    assert list(golden["inputs"][0]) == columns
    text = (trained / "MLmodel").read_text()
    assert all(f'"{c}"' in text or f"name: {c}" in text for c in columns)


def test_it_beats_the_baseline_that_always_answers_no(trained: Path) -> None:
    import yaml

    metrics = yaml.safe_load((trained / "MLmodel").read_text())["metadata"]["metrics"]
    assert metrics["accuracy"] > metrics["baseline_accuracy"] + 0.03
    assert metrics["balanced_accuracy"] > 0.75
    assert metrics["roc_auc"] > 0.9


def test_both_answers_occur_among_the_golden_rows(trained: Path) -> None:
    golden = json.loads((trained / "golden.json").read_text())
    assert set(golden["predictions"]) == {"no damage", "damage"}
