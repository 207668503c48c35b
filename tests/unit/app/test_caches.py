"""Which parts of images, and which conversions, are old."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tidemill.app.caches import find_old_conversions, find_old_images

NOW, LONG_AGO = 2e9, 1e9


def make(folder: Path, **times: float) -> None:
    for name, time in times.items():
        path = folder / name.replace("__", ".").replace("_", "-")
        path.touch()
        os.utime(path, (time, time))


def test_packages_are_as_old_as_their_mark_which_goes_first(tmp_path: Path) -> None:
    make(
        tmp_path,
        site_a__ready=LONG_AGO,
        site_a__txt=NOW,
        site_a_constraints__txt=NOW,
        site_b__ready=NOW,
        site_b__txt=LONG_AGO,
    )
    for name in ("site-a", "site-b", "site-killed"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (LONG_AGO, LONG_AGO))
    make(tmp_path, sha256_1=LONG_AGO, sha256_2=NOW, environment_1__txt=LONG_AGO, layers=LONG_AGO)
    assert [p.name for p in find_old_images(tmp_path, NOW - 1)] == [
        "site-a.ready", "sha256-1", "site-a", "site-a-constraints.txt", "site-a.txt", "site-killed",
    ]  # fmt: skip


def test_conversions_of_registered_models_stay_however_old(tmp_path: Path) -> None:
    for name, model, time in (("known", "k", LONG_AGO), ("other", "o", LONG_AGO), ("young", "o", NOW)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"model": model}))
        (tmp_path / f"{name}.onnx").touch()
        os.utime(tmp_path / f"{name}.json", (time, time))
    (tmp_path / "broken.json").write_text("[]")
    os.utime(tmp_path / "broken.json", (LONG_AGO, LONG_AGO))
    found = find_old_conversions(tmp_path, NOW - 1, {"k"})
    assert [p.name for p in found] == ["broken.json", "other.json", "other.onnx"]
