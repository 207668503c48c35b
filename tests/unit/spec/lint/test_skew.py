"""What serving does otherwise than training, and otherwise than its guide says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.base.findings import Severity
from tidemill.spec.check import check_paths
from tidemill.spec.lint.repository import lint_repository

API = """import joblib
from fastapi import FastAPI, Request

app = FastAPI()
model = joblib.load("model.joblib")
"""
COLUMNS = """scaler = joblib.load("scaler.joblib")
columns = [
    name for name, field in Person.{0}.items() if {1}
]
def prepare(frame):
    frame[columns] = {2}
"""
ROUTE = """@app.post("/predict")
async def predict(request: Request):
    pixel_values = await request.json()
    return {0}
"""
GUIDE = '# API\n\nExample:\n```\nPOST {0}\n{{\n  "pixels": [0, 74]\n}}\n```\n'
GREY = "function grey(c) {{\n  const d = c.getImageData(0, 0, 28, 28).data;\n  return Math.round({0});\n}}\n"


def found(folder: Path, files: dict[str, str], code: str) -> list[tuple[str, int, int, Severity]]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    findings = [(p, f) for p, f in lint_repository(folder, [folder]) if f.code == code]
    return [(p.name, f.at.line, f.at.column, f.severity) for p, f in findings]


@pytest.mark.parametrize(
    ("fields", "test", "scaled", "expected"),
    [
        ("__fields__", "field.annotation in [float, int]", "scaler.transform(frame[columns])", [7]),
        ("model_fields", "field.annotation is float", "scaler.transform(frame[columns])", [7]),
        ("model_fields", "name in scaler.feature_names_in_", "scaler.transform(frame[columns])", []),
        ("model_fields", "field.annotation is float", "frame[columns].astype(float)", []),
        ("answers", "field.annotation is float", "scaler.transform(frame[columns])", []),
    ],
)
def test_columns_picked_by_annotation_are_found(
    tmp_path: Path, fields: str, test: str, scaled: str, expected: list[int]
) -> None:
    files = {"api.py": API + COLUMNS.format(fields, test, scaled)}
    assert [f[1] for f in found(tmp_path, files, "TM-X20")] == expected


def test_columns_picked_by_annotation_name_the_training_that_differs(tmp_path: Path) -> None:
    text = API + COLUMNS.format("__fields__", "field.annotation is int", "scaler.transform(frame[columns])")
    (tmp_path / "api.py").write_text(text)
    (tmp_path / "train.py").write_text("columns = x.select_dtypes(include=['int64']).columns\n")
    (finding,) = [f for _, f in lint_repository(tmp_path, [tmp_path]) if f.code == "TM-X20"]
    assert "train.py" in finding.message


@pytest.mark.parametrize(
    ("answer", "guide", "expected"),
    [
        ("guess(pixel_values)", GUIDE.format("/predict"), [("api.py", 7, 1, Severity.WARNING)]),
        (
            "guess(pixel_values)",
            "Try\n\n    curl -X POST http://localhost:8000/predict \\\n      -d '{\"pixels\": [0]}'\n",
            [("api.py", 7, 1, Severity.WARNING)],
        ),
        ("guess(pixel_values)", "curl localhost:8000/other -d '{\"pixels\": [0]}'\n", []),
        ("guess(pixel_values['pixels'])", GUIDE.format("/predict"), []),
        ("guess(pixel_values)", GUIDE.format("/other"), []),
        (
            "guess(pixel_values)",
            GUIDE.format("/predict").replace('"pixels": ', "").replace("{", "").replace("}", ""),
            [],
        ),
        ("guess(pixel_values.get(KEY))", GUIDE.format("/predict"), []),
    ],
)
def test_a_guide_that_sends_what_no_code_reads_is_found(
    tmp_path: Path, answer: str, guide: str, expected: list[tuple[str, int, int, Severity]]
) -> None:
    assert found(tmp_path, {"api.py": API + ROUTE.format(answer), "README.md": guide}, "TM-X53") == expected


def test_a_key_read_in_another_file_is_read(tmp_path: Path) -> None:
    files = {"api.py": API + ROUTE.format("guess(pixel_values)"), "README.md": GUIDE.format("/predict")}
    files["service.py"] = "def guess(body):\n    return model(body['pixels'])\n"
    assert found(tmp_path, files, "TM-X53") == []


@pytest.mark.parametrize(
    ("grey", "python", "expected"),
    [
        ("(r + g + b) / 3", 'Image.open(f).convert("L")', [("grey.js", 3, 21, Severity.WARNING)]),
        (
            "(d[i] + d[i + 1] + d[i + 2]) / 3",
            "cv2.cvtColor(i, cv2.COLOR_BGR2GRAY)",
            [("grey.js", 3, 21, Severity.WARNING)],
        ),
        ("(r + g + b) / 3", "pass", [("grey.js", 3, 21, Severity.INFO)]),
        ("0.299 * r + 0.587 * g + 0.114 * b", 'Image.open(f).convert("L")', []),
        ("(a + b + c) / 3", 'Image.open(f).convert("L")', []),
    ],
)
def test_a_grey_that_is_averaged_in_the_browser_is_found(
    tmp_path: Path, grey: str, python: str, expected: list[tuple[str, int, int, Severity]]
) -> None:
    files = {"web/grey.js": GREY.format(grey), "train.py": f"{python}\n", "api.py": API}
    assert found(tmp_path, files, "TM-X22") == expected


def test_a_page_without_a_model_may_average_as_it_likes(tmp_path: Path) -> None:
    assert found(tmp_path, {"grey.js": GREY.format("(r + g + b) / 3"), "a.py": "print(1)\n"}, "TM-X22") == []


def test_check_itself_shows_what_stands_in_the_browsers_files_and_in_guides(tmp_path: Path) -> None:
    files = {"web/grey.js": GREY.format("(r + g + b) / 3"), "README.md": GUIDE.format("/predict")}
    files |= {"api.py": API + ROUTE.format("guess(pixel_values)"), "train.py": 'Image.open(f).convert("L")\n'}
    found(tmp_path, files, "")
    reports = check_paths([tmp_path], root=tmp_path)
    codes = {(Path(r.path).name, f.code) for r in reports for f in r.findings}
    assert {("grey.js", "TM-X22"), ("api.py", "TM-X53")} <= codes
