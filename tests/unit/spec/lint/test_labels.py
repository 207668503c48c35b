"""Labels out of paths are found; labels out of folders below an input, columns and options are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.spec.lint.repository import lint_repository

HEAD = "import argparse, glob, os, re\nfrom pathlib import Path\np = argparse.ArgumentParser()\nargs = p.parse_args()\n"
LISTING = "files = glob.glob(args.data_folder + '/*.png')\n"


def found(folder: Path, body: str) -> list[tuple[str, int, int, str]]:
    (folder / "train.py").write_text(HEAD + LISTING + body)
    return [(f.code, f.at.line, f.at.column, str(f.severity)) for _, f in lint_repository(folder, [folder])]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("label = int(re.findall(r'\\d+', args.data_folder)[0])\n", (6, 9)),
        ("label = int(''.join(filter(str.isdigit, args.data_folder)))\n", (6, 9)),
        ("label = ''.join(c for c in args.data_folder if c.isdigit())\n", (6, 9)),
        ("label = os.path.basename(args.data_folder)\n", (6, 9)),
        ("class_name = args.data_folder.split('/')[-1]\n", (6, 14)),
        ("folder = args.data_folder\ndigit = re.search('[0-9]', Path(folder).name).group()\n", (7, 9)),
        ("for d in args.datasets:\n    label = d.rstrip('/').split('/')[-1]\n", (7, 13)),
        ("labels = []\nfor i, d in enumerate(args.datasets):\n    labels.append(os.path.basename(d))\n", (8, 19)),
        ("labels = [os.path.basename(d) for d in args.datasets]\n", (6, 10)),
    ],
)
def test_a_label_from_where_an_input_is_mounted_is_found(tmp_path: Path, body: str, place: tuple[int, int]) -> None:
    assert found(tmp_path, body) == [("TM-X26", *place, "warning")]


@pytest.mark.parametrize(
    "body",
    [
        "label = args.label\n",
        "for c in sorted(os.listdir(args.data_folder)):\n    label = c\n",
        "for f in files:\n    label = os.path.basename(os.path.dirname(f))\n",
        "label = sorted(os.path.basename(d) for d in glob.glob(args.data_folder + '/*'))\n",
        "run_name = os.path.basename(args.data_folder)\n",
        "labels = os.path.join(args.data_folder, 'labels.csv')\n",
        "label = Path(args.checkpoint).name\n",
        "classes = args.classes.split(',')[-1]\n",
        "label_file = os.path.basename(args.data_folder)\n",
        "version = re.findall(r'\\d+', args.data_folder)[0]\n",
    ],
)
def test_a_label_from_elsewhere_is_not(tmp_path: Path, body: str) -> None:
    assert found(tmp_path, body) == []


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("for path in files:\n    label = path.split('/')[-1].split('_')[0]\n", (7, 13)),
        ("labels = [os.path.basename(f).split('_')[0] for f in files]\n", (6, 10)),
        ("labels = []\nfor f in Path('x').iterdir():\n    labels.append(int(f.name.split('-')[0]))\n", (8, 19)),
    ],
)
def test_a_label_from_the_start_of_a_file_name_is_a_matter_of_taste(
    tmp_path: Path, body: str, place: tuple[int, int]
) -> None:
    assert found(tmp_path, body) == [("TM-X27", *place, "info")]


@pytest.mark.parametrize(
    "body",
    [
        "for path in files:\n    stem = path.split('_')[0]\n",
        "label = version.split('_')[0]\n",
        "label = path.split('.')[0]\n",
        "label = path.split('_')[1:]\n",
    ],
)
def test_other_parts_of_other_words_are_not(tmp_path: Path, body: str) -> None:
    assert found(tmp_path, body) == []


def test_a_script_that_does_not_parse_is_left_to_its_own_tools(tmp_path: Path) -> None:
    assert found(tmp_path, "label = os.path.basename(args.data_folder\n") == []
